// Package digest decides whether two logs hold the same at the same offsets. It is pure: fetched bytes of
// both sides in, differences and counts out; no clock, no socket, no goroutine. The driver (package verify)
// fetches and feeds.
//
//	fetched bytes ─Split─▶ Chunk ─┐
//	                              ├─▶ Comparer ─▶ Difference, Stats, Keys to settle
//	fetched bytes ─Split─▶ Chunk ─┘
//
// Split takes an answer apart, checks every checksum and applies the aborted transactions. Comparer merges the
// two sides by offset. Where both have the same batch it compares the bytes of the records as they are,
// compressed; elsewhere it decodes both and compares record by record, whatever the batch boundaries.
//
// What may differ on a copy made by kferry, and is counted instead of reported: control markers and aborted
// filler (no consumer reads them as records of the topic), and on compacted topics echoes (copies of the next
// surviving record) and records that the cleaner of one side has removed already. The last are believed only
// once it is shown that the other side has a later record of the same key, or that the key is deleted on both:
// see Keys.
//
// The package never says equal of offsets it has not seen on both sides: what is not fed stays undecided.
package digest
