package batch

import (
	"errors"
	"fmt"
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

func TestBuildThenRead(t *testing.T) {
	want := sample(1000, 500)
	d := NewDecoder(Limits{})
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			b := next(t, build(t, want, codec))
			if err := b.CheckCRC(); err != nil {
				t.Error(err)
			}
			if b.Codec() != codec || b.Count != 500 || b.BaseOffset != 1000 || b.NextOffset() != 1500 || b.Size() != len(b.Raw) {
				t.Errorf("header %+v", b.Header)
			}
			if b.BaseTimestamp != want[0].Timestamp || b.MaxTimestamp != 1_700_000_000_000+6000-6 {
				t.Errorf("timestamps %d %d", b.BaseTimestamp, b.MaxTimestamp)
			}
			if diff := cmp.Diff(want, read(t, d, b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRewriteKeepsTheProducersChecksum(t *testing.T) {
	for _, codec := range codecs {
		raw := build(t, sample(77, 100), codec)
		h := parseHeader(raw)
		h.Attributes |= attrTransactional | attrDeleteHorizon
		Seal(raw, h)
		if err := Rewrite(raw, Producer{ID: 9000, Epoch: 2, Sequence: 41}); err != nil {
			t.Fatal(err)
		}
		b := next(t, raw)
		if err := b.CheckCRC(); err != nil {
			t.Error(codec, err)
		}
		if b.BaseOffset != 0 || b.PartitionLeaderEpoch != -1 || b.Transactional() || b.DeleteHorizon() || b.Codec() != codec ||
			b.ProducerID != 9000 || b.ProducerEpoch != 2 || b.BaseSequence != 41 {
			t.Errorf("header %+v", b.Header)
		}
		raw[len(raw)-1] ^= 1
		if err := Rewrite(raw, Producer{ID: 1}); err != nil {
			t.Fatal(err)
		}
		if err := next(t, raw).CheckCRC(); !errors.Is(err, ErrChecksum) {
			t.Errorf("a damaged payload got a valid checksum: %v", err)
		}
	}
}

func TestRecodeSplitsAtHolesAndSize(t *testing.T) {
	d := NewDecoder(Limits{})
	all := sample(50, 300)
	for _, codec := range codecs {
		kept, raw := compacted(t, all, codec, func(i int) bool { return i%10 != 4 && i != 5 })
		b := next(t, raw)
		for _, limit := range []int{0, 400} {
			runs, err := d.Recode(b, 61, RecodeOptions{MaxBytes: limit})
			if err != nil {
				t.Fatal(codec, err)
			}
			var got []Record
			for _, run := range runs {
				if limit > 0 && len(run.Raw) > limit {
					t.Errorf("%s: run of %d bytes", codec, len(run.Raw))
				}
				out := next(t, run.Raw)
				if err := out.CheckCRC(); err != nil || !out.Contiguous() || out.Count != run.Count {
					t.Errorf("%s: %v %+v", codec, err, out.Header)
				}
				for _, r := range read(t, NewDecoder(Limits{}), out) {
					r.Offset += run.Base
					got = append(got, r)
				}
			}
			if diff := cmp.Diff(kept[9:], got); diff != "" {
				t.Error(codec, diff)
			}
		}
	}
}

// compacted builds a batch and leaves out records as the log cleaner does:
// offsets, deltas and the last offset delta stay.
func compacted(t testing.TB, recs []Record, codec Codec, keep func(i int) bool) ([]Record, []byte) {
	t.Helper()
	var kept []Record
	var b Builder
	last := recs[len(recs)-1].Offset - recs[0].Offset
	for i := range recs {
		if keep(i) {
			kept = append(kept, recs[i])
			b.first = recs[i].Offset - int64(i)
			b.count = int32(i)
			if len(kept) == 1 {
				b.base, b.maxTimestamp = recs[i].Timestamp, recs[i].Timestamp
			}
			appendLoose(&b, &recs[i])
		}
	}
	raw, err := b.Finish(codec)
	if err != nil {
		t.Fatal(err)
	}
	h := parseHeader(raw)
	h.BaseOffset, h.Count, h.LastOffsetDelta = recs[0].Offset, int32(len(kept)), int32(last)
	Seal(raw, h)
	return kept, raw
}

// appendLoose is Append where the builder's count is already an offset delta.
func appendLoose(b *Builder, r *Record) {
	var one Builder
	one.Append(&Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
	var f fields
	if what := parseRecord(one.records, 0, &f); what != "" {
		panic(what)
	}
	tail := one.records[f.tail:f.end]
	delta := r.Timestamp - b.base
	b.close(append(b.head(1+varlongSize(delta)+varintSize(b.count)+len(tail), delta), tail...), r.Timestamp)
}

func TestFiller(t *testing.T) {
	for _, n := range []int{1, 2, 1000, MaxFiller} {
		raw := Filler(n)
		t.Logf("%d records: %d bytes", n, len(raw))
		if err := Rewrite(raw, Producer{ID: 1}); err != nil {
			t.Fatal(err)
		}
		b := next(t, raw)
		if err := b.CheckCRC(); err != nil || int(b.Count) != n || !b.Contiguous() || !IsFiller(b) {
			t.Errorf("%v %+v", err, b.Header)
		}
	}
	if Filler(0) != nil || Filler(MaxFiller+1) != nil {
		t.Error("a filler of impossible size")
	}
}
