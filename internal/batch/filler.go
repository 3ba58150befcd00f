package batch

import "bytes"

// FillerKey is the key of the first record of every filler batch.
const FillerKey = "kferry.filler"

// MaxFiller is the largest number of records in one filler. A broker keeps an
// object for each record of a compressed batch while it checks the batch: a
// million cost it some 60 MB of heap for a moment.
const MaxFiller = 1_000_000

// Filler returns a batch of n records that carry nothing: null key, null value,
// no headers, no timestamp, only that the first has the key FillerKey. It is
// compressed with zstd, so the target must know it (2.1+). The batch belongs to
// the caller and can be sent many times: Rewrite is all that changes between.
//
// n outside 1..MaxFiller gives nil, which Rewrite refuses.
func Filler(n int) []byte {
	if n < 1 || n > MaxFiller {
		return nil
	}
	var b Builder
	rec := Record{Timestamp: NoTimestamp, Key: []byte(FillerKey)}
	for i := range n {
		rec.Offset = int64(i)
		b.Append(&rec)
		rec.Key = nil
	}
	raw, err := b.Finish(Zstd)
	if err != nil {
		return nil
	}
	return raw
}

// IsFiller reports whether b is a filler, by the key of its first record. A
// batch that cannot be decoded is none.
func IsFiller(b *Batch) bool {
	if b.Control() || b.Count == 0 {
		return false
	}
	d := sharedDecoders.Get().(*Decoder)
	defer sharedDecoders.Put(d)
	found := false
	_ = d.Records(b, func(r *Record) error {
		found = IsFillerKey(r.Key)
		return ErrPartial // one record is enough
	})
	return found
}

// IsFillerKey reports whether a record with this key opens a filler.
func IsFillerKey(key []byte) bool { return bytes.Equal(key, []byte(FillerKey)) }
