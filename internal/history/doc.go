// Package history writes hard histories to a Kafka cluster and judges whether another cluster holds the same
// at the same offsets.
//
// A history is everything that makes copying a log with its offsets difficult: log starts far above 0, holes
// that the log cleaner left, aborted and interleaved transactions, control markers at the very end, batches of
// one record and of a megabyte, every codec, old message formats, timestamps of the broker's clock, null keys
// and odd headers, emptied partitions, group positions. What is written depends on a seed only, except for
// when a cleaner or a clock comes into it.
//
// The judge ([Compare]) reads both clusters with franz-go's client and decoder and shares no code with the
// product: neither its wire code, nor its batch decoder, nor its own comparison. It is the second opinion.
//
// The package is for tests and benchmarks. No package of the product imports it.
package history
