// Package batch knows Kafka's record formats byte by byte: it splits what a
// broker returned into batches, checks them, makes them acceptable to another
// broker, decodes and encodes them.
//
// It is pure: bytes in, bytes out. It opens no connection, starts no
// goroutine, reads no clock and decides nothing about offsets; which batch is
// copied raw, recoded or replaced by a filler is the caller's decision, made
// with [Passable].
//
// # Record batch, magic 2 (since Kafka 0.11, KIP-98)
//
// All numbers are big endian. The CRC is CRC-32C over everything from the
// attributes to the end, so the fields before it may change freely.
//
//	byte  0        8      12      16 17      21    23      27
//	      ┌────────┬──────┬───────┬──┬───────┬─────┬───────┬─
//	      │base    │length│leader │2 │CRC-32C│attr.│last   │
//	      │offset  │      │epoch  │  │       │     │offset │
//	      │        │      │       │  │       │     │delta  │
//	      └────────┴──────┴───────┴──┴───────┴─────┴───────┴─
//	               length counts from here ─▲   ▲─ CRC covers from here to the end
//	      27        35        43        51    53      57      61
//	     ─┬─────────┬─────────┬─────────┬─────┬───────┬───────┬──────────────┐
//	      │base     │max      │producer │pro- │base   │record │records,      │
//	      │timestamp│timestamp│id       │ducer│sequen-│count  │compressed as │
//	      │ms       │ms       │         │epoch│ce     │       │attr. 0-2 say │
//	     ─┴─────────┴─────────┴─────────┴─────┴───────┴───────┴──────────────┘
//
//	attr.  bit 0-2  codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd (KIP-110)
//	       bit 3    timestamps are the broker's (LogAppendTime, KIP-32):
//	                max timestamp is the timestamp of every record
//	       bit 4    part of a transaction (KIP-98)
//	       bit 5    control batch: its record is a transaction marker
//	       bit 6    base timestamp is the delete horizon of the tombstones
//	                inside (written by the log cleaner since 3.1, KIP-534)
//
// One record, after decompression. Every number is a zigzag varint of at most
// 5 bytes (10 for the timestamp), lengths are -1 for null:
//
//	length │ attr. (1 byte, unused) │ timestamp - base │ offset - base offset │
//	key length │ key │ value length │ value │
//	header count │ { key length │ key │ value length │ value } ...
//
// # Messages, magic 0 and 1 (before 0.11)
//
// The CRC is CRC-32 (IEEE) over everything behind it. Only magic 1 has the
// timestamp. Lengths are 4 bytes, -1 for null.
//
//	byte  0        8      12    16      17     18          (26)
//	      ┌────────┬──────┬─────┬───────┬──────┬───────────┬───────┬───┬───────┬─────┐
//	      │offset  │length│CRC  │magic  │attr. │[timestamp]│key    │key│value  │value│
//	      │        │      │     │0 or 1 │      │           │length │   │length │     │
//	      └────────┴──────┴─────┴───────┴──────┴───────────┴───────┴───┴───────┴─────┘
//
// A compressed message is a wrapper: its value decompresses to a run of
// messages. A magic 1 wrapper carries the offset of its last message outside
// and relative offsets inside; a magic 0 wrapper has absolute offsets inside.
//
// # Who owns the bytes
//
// A [Batch] aliases the slice it was read from. [Rewrite] changes that slice
// in place. What [Decoder.Records] hands out lives until the callback
// returns; what [Decoder.Recode], [Builder.Finish] and [Filler] return belongs
// to the caller.
//
// # Limits
//
// No allocation follows a number on the wire: lengths and counts are checked
// against the bytes that are there first. Decompression, records per batch and
// headers per record are bounded by [Limits].
package batch
