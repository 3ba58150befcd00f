package digest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/kferry/kferry/internal/batch"
)

// compareRecords returns what differs between two records at the same offset, nil if nothing. The offset is
// left to the caller.
func compareRecords(s, t *batch.Record) *Difference {
	switch {
	case !sameBytes(s.Key, t.Key):
		return &Difference{Kind: Key, Detail: "key: " + both(s.Key, t.Key)}
	case !sameBytes(s.Value, t.Value):
		return &Difference{Kind: Value, Detail: "value: " + both(s.Value, t.Value)}
	}
	if detail := compareHeaders(s.Headers, t.Headers); detail != "" {
		return &Difference{Kind: Headers, Detail: detail}
	}
	if s.Timestamp != t.Timestamp {
		return &Difference{Kind: Timestamp, Detail: fmt.Sprintf("timestamp %d on the source, %d on the target", s.Timestamp, t.Timestamp)}
	}
	return nil
}

func compareHeaders(s, t []batch.RecordHeader) string {
	for i := range min(len(s), len(t)) {
		if !bytes.Equal(s[i].Key, t[i].Key) {
			return fmt.Sprintf("key of header %d: %s", i+1, both(s[i].Key, t[i].Key))
		}
		if !sameBytes(s[i].Value, t[i].Value) {
			return fmt.Sprintf("value of header %d: %s", i+1, both(s[i].Value, t[i].Value))
		}
	}
	if len(s) != len(t) {
		return fmt.Sprintf("%d headers on the source, %d on the target", len(s), len(t))
	}
	return ""
}

// sameBytes tells null from empty.
func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func both(s, t []byte) string {
	return fmt.Sprintf("%s on the source, %s on the target", describe(s), describe(t))
}

// describe shows size and hash, so that two reports can be compared and no payload is shown.
func describe(b []byte) string {
	if b == nil {
		return "null"
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d bytes (sha256 %x)", len(b), sum[:6])
}

// describeRecord is for records that one side does not have.
func describeRecord(r *batch.Record) string {
	return fmt.Sprintf("key %s, value %s", describe(r.Key), describe(r.Value))
}

// Attribute bits that say nothing about the records: part of a transaction (KIP-98), and that the base
// timestamp is when the cleaner may drop tombstones (KIP-534). Timestamps count from it in either case.
const bitsIgnored = 1<<4 | 1<<6

// sameBatch says whether two batches hold the same records at the same offsets, by their bytes alone. What is
// not looked at is what a copy must change or what no consumer sees: leader epoch, checksum, the bits
// "transactional" and "delete horizon", producer id, epoch and sequence. False says nothing.
func sameBatch(s, t *batch.Batch) bool {
	return s.Magic == 2 && t.Magic == 2 &&
		s.BaseOffset == t.BaseOffset && s.LastOffsetDelta == t.LastOffsetDelta &&
		s.Count == t.Count && (s.Attributes^t.Attributes)&^bitsIgnored == 0 && s.Codec().Known() &&
		s.BaseTimestamp == t.BaseTimestamp && s.MaxTimestamp == t.MaxTimestamp &&
		bytes.Equal(s.Payload(), t.Payload())
}

// isFiller says whether every record of a batch is one that kferry writes into an aborted transaction to fill
// a gap: no value, no headers, and the filler's key or none, the first with the key.
func isFiller(d *batch.Decoder, b *batch.Batch) (bool, error) {
	first, filler := true, true
	err := d.Records(b, func(r *batch.Record) error {
		named := batch.IsFillerKey(r.Key)
		if (first && !named) || (r.Key != nil && !named) || r.Value != nil || len(r.Headers) > 0 {
			filler = false
			return errStopped
		}
		first = false
		return nil
	})
	if err == errStopped {
		err = nil
	}
	return filler, err
}
