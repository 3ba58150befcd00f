package batch

import (
	"bytes"
	"errors"
)

// FillerKey is the key of the first record of every filler batch.
const FillerKey = "kferry.filler"

// MaxFiller is the largest number of records in one filler. A broker keeps an
// object for each record of a compressed batch while it checks the batch: a
// million cost it some 60 MB of heap for a moment.
const MaxFiller = 1_000_000

// Filler returns a batch of n records that carry nothing: null key, null value,
// no headers, no timestamp; only the first has the key FillerKey. It is meant for
// offsets that DeleteRecords will remove at once, and for topics without
// compaction: a compacted topic refuses null keys.
//
// It is compressed with zstd, so the target must know it (2.1+): a few kilobytes
// for a million records, see fillerFrame. The batch belongs to the caller and
// can be sent many times: Rewrite is all that changes between.
//
// n outside 1..MaxFiller gives nil, which Rewrite refuses.
func Filler(n int) []byte {
	return filler(n, Record{Timestamp: NoTimestamp})
}

// KeyedFiller is a Filler for compacted topics: every record has the key
// FillerKey, a null value and this timestamp (ms), best that of the record next
// to the gap, so that retention and the time index see nothing new. It is meant
// for a transaction that is then aborted.
func KeyedFiller(n int, timestamp int64) []byte {
	return filler(n, Record{Timestamp: timestamp, Key: []byte(FillerKey)})
}

// filler builds n times rec; the first has the key in any case.
func filler(n int, rec Record) []byte {
	if n < 1 || n > MaxFiller {
		return nil
	}
	var b Builder
	key := rec.Key
	rec.Key = []byte(FillerKey)
	var edges []int
	for i := range n {
		if i == 64 || i == 8192 || i == 16384 {
			edges = append(edges, len(b.records))
		}
		rec.Offset = int64(i)
		if err := b.Append(&rec); err != nil {
			return nil // cannot be: offsets are contiguous and the size is far below the bound
		}
		rec.Key = key
	}
	raw := fillerFrame(make([]byte, HeaderSize), b.records, append(edges, len(b.records)))
	Seal(raw, b.header(Zstd))
	return raw
}

// FillerWithin returns the largest Filler of at most n records whose batch is at
// most maxBytes long, for targets with a small max.message.bytes, and the number
// of its records. It is nil and 0 when not even one record fits.
func FillerWithin(n, maxBytes int) ([]byte, int) {
	for n = min(n, MaxFiller); n > 0; n /= 2 {
		if raw := Filler(n); len(raw) <= maxBytes {
			return raw, n
		}
	}
	return nil, 0
}

// errFound ends a walk over records early.
var errFound = errors.New("found")

// IsFiller reports whether b is a filler, by the key of its first record. A
// batch that cannot be decoded is none.
func IsFiller(b *Batch) bool {
	if b.Magic != 2 || b.Control() || b.Count <= 0 {
		return false
	}
	d := sharedDecoders.Get().(*Decoder)
	defer sharedDecoders.Put(d)
	filler := false
	_ = d.Records(b, func(r *Record) error {
		filler = IsFillerKey(r.Key)
		return errFound
	})
	return filler
}

// IsFillerKey reports whether a record with this key opens a filler.
func IsFillerKey(key []byte) bool { return bytes.Equal(key, []byte(FillerKey)) }
