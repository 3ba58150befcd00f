package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// sample returns n records from offset on, with nulls, empties, headers and
// timestamps that go back and forth.
func sample(offset int64, n int) []Record {
	recs := make([]Record, n)
	for i := range recs {
		r := &recs[i]
		r.Offset = offset + int64(i)
		r.Timestamp = 1_700_000_000_000 + int64(i%7)*1000 - int64(i)
		if i%3 != 0 {
			r.Key = fmt.Appendf(nil, "key-%d", i%11)
		}
		switch i % 5 {
		case 0:
			r.Value = []byte{}
		case 1:
		default:
			r.Value = fmt.Appendf(nil, "value %d of a record with some text in it, text that repeats itself", i)
		}
		for h := range i % 4 {
			r.Headers = append(r.Headers, RecordHeader{Key: fmt.Appendf(nil, "h%d", h), Value: [][]byte{nil, {}, {0xff, 0}}[h]})
		}
	}
	return recs
}

// build encodes records without holes and places the batch at their offset.
func build(t testing.TB, recs []Record, codec Codec) []byte {
	t.Helper()
	var b Builder
	for i := range recs {
		if err := b.Append(&recs[i]); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := b.Finish(codec)
	if err != nil {
		t.Fatal(err)
	}
	place(raw, recs[0].Offset)
	return raw
}

// place does what a broker does on append: base offset and leader epoch.
func place(raw []byte, offset int64) {
	h := parseHeader(raw)
	h.BaseOffset, h.PartitionLeaderEpoch = offset, 3
	h.put(raw)
}

// next reads the only batch of raw.
func next(t testing.TB, raw []byte) *Batch {
	t.Helper()
	b, rest, err := Next(raw)
	if err != nil || len(rest) != 0 {
		t.Fatalf("Next: %v, %d bytes rest", err, len(rest))
	}
	return &b
}

// read returns deep copies of the records of b.
func read(t testing.TB, d *Decoder, b *Batch) []Record {
	t.Helper()
	recs, err := tryRead(d, b)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func tryRead(d *Decoder, b *Batch) (recs []Record, err error) {
	err = d.Records(b, func(r *Record) error {
		recs = append(recs, clone(r))
		return nil
	})
	return recs, err
}

func clone(r *Record) Record {
	c := *r
	c.Key, c.Value = slices.Clone(r.Key), slices.Clone(r.Value)
	c.Headers = nil
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, RecordHeader{slices.Clone(h.Key), slices.Clone(h.Value)})
	}
	return c
}

// placed is one record and where it stands in a batch.
type placed struct {
	delta int32
	Record
}

// encode writes a batch as a broker may hold it: any offset deltas, count and
// last offset delta as h says, timestamps relative to h.BaseTimestamp. What
// Builder would refuse is written all the same.
func encode(t testing.TB, h Header, recs []placed) []byte {
	t.Helper()
	var b Builder
	b.base = h.BaseTimestamp
	for i := range recs {
		r := &recs[i]
		b.count = r.delta
		p := b.head(r.Timestamp, tailSize(&r.Record))
		b.records = appendTail(p, &r.Record)
	}
	raw, err := compress(h.Codec(), make([]byte, HeaderSize), b.records)
	if err != nil {
		t.Fatal(err)
	}
	Seal(raw, h)
	return raw
}

// compacted writes recs without those that the log cleaner drops. Offsets,
// deltas and the last offset stay.
func compacted(t testing.TB, recs []Record, codec Codec, keep func(i int) bool) ([]Record, []byte) {
	t.Helper()
	base := recs[0].Offset
	h := Header{
		BaseOffset:      base,
		Attributes:      int16(codec),
		LastOffsetDelta: int32(recs[len(recs)-1].Offset - base),
		BaseTimestamp:   recs[0].Timestamp,
		ProducerID:      -1,
	}
	var kept []Record
	var in []placed
	for i := range recs {
		if keep(i) {
			kept = append(kept, recs[i])
			in = append(in, placed{int32(recs[i].Offset - base), recs[i]})
		}
	}
	h.Count = int32(len(kept))
	return kept, encode(t, h, in)
}

// oldMessage writes one message of magic 0 or 1.
func oldMessage(magic, attributes byte, offset, timestamp int64, key, value []byte) []byte {
	be := binary.BigEndian
	p := be.AppendUint64(nil, uint64(offset))
	p = append(p, make([]byte, 8)...) // length and checksum follow
	p = append(p, magic, attributes)
	if magic == 1 {
		p = be.AppendUint64(p, uint64(timestamp))
	}
	for _, b := range [][]byte{key, value} {
		n := uint32(len(b))
		if b == nil {
			n = 1<<32 - 1
		}
		p = append(be.AppendUint32(p, n), b...)
	}
	be.PutUint32(p[atLength:], uint32(len(p)-prefixSize))
	be.PutUint32(p[atLegacyCRC:], crc32.ChecksumIEEE(p[atMagic:]))
	return p
}

// oldWrapper writes recs as one compressed message. A magic 1 wrapper has
// relative offsets inside, a magic 0 wrapper absolute ones; outside both have
// the offset of the last.
func oldWrapper(t testing.TB, magic byte, codec Codec, recs []Record) []byte {
	t.Helper()
	var inner []byte
	newest := int64(NoTimestamp)
	for i := range recs {
		r := &recs[i]
		offset := r.Offset
		if magic == 1 {
			offset -= recs[0].Offset
		}
		inner = append(inner, oldMessage(magic, 0, offset, r.Timestamp, r.Key, r.Value)...)
		newest = max(newest, r.Timestamp)
	}
	value, err := compress(codec, nil, inner)
	if err != nil {
		t.Fatal(err)
	}
	if magic == 0 && codec == LZ4 {
		value[6] ^= 0x5a // KAFKA-3160
	}
	return oldMessage(magic, byte(codec), recs[len(recs)-1].Offset, newest, nil, value)
}

// oldSample is sample as magic 0 and 1 can hold it.
func oldSample(magic byte, offset int64, n int) []Record {
	recs := sample(offset, n)
	for i := range recs {
		recs[i].Headers = nil
		if magic == 0 {
			recs[i].Timestamp = NoTimestamp
		}
	}
	return recs
}

// diffRecords is "" when want and got are the same, null and empty told apart.
// cmp is asked only for the difference: it is slow.
func diffRecords(want, got []Record) string {
	if slices.EqualFunc(want, got, func(a, b Record) bool { return same(&a, &b) }) {
		return ""
	}
	return "the records differ:\n" + cmp.Diff(want, got)
}

func same(a, b *Record) bool {
	equal := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if a.Offset != b.Offset || a.Timestamp != b.Timestamp || !equal(a.Key, b.Key) || !equal(a.Value, b.Value) || len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if !bytes.Equal(a.Headers[i].Key, b.Headers[i].Key) || !equal(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}
