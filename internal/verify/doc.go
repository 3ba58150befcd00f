// Package verify compares topics of two clusters at equal offsets: log borders, and every record with key,
// value, headers, timestamp and timestamp type, as consumers of both isolation levels see them.
//
// It reads and never writes. What is equal is decided by the pure package digest; here partitions are chosen,
// their ends read, both sides fetched at the same time, and what could not be compared is listed. A Result
// says "equal" only if every offset between the log starts and the source's end, as it was when Run began, was
// read from both sides.
package verify
