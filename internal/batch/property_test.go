package batch

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Generators.

var (
	anyCodec = rapid.SampledFrom(codecs)
	anyTime  = rapid.OneOf(
		rapid.Int64Range(1_600_000_000_000, 1_600_000_100_000),
		rapid.SampledFrom([]int64{NoTimestamp, 0, math.MinInt64, math.MaxInt64, math.MaxInt64 - 1}),
		rapid.Int64(),
	)
	anyBytes = rapid.OneOf(
		rapid.Just([]byte(nil)),
		rapid.Just([]byte{}),
		rapid.SliceOfN(rapid.Byte(), 1, 200),
		rapid.Map(rapid.IntRange(1, 3_000), func(n int) []byte { return bytes.Repeat([]byte("ab"), n) }), // compresses well
		rapid.Map(rapid.IntRange(1, 500), noise),                                                         // does not
	)
	anyHeader = rapid.Custom(func(t *rapid.T) RecordHeader {
		return RecordHeader{Key: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "header key"), Value: anyBytes.Draw(t, "header value")}
	})
)

func noise(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(p)
	return p
}

// drawRecords draws records with rising offsets; gapMax 0 gives no holes.
func drawRecords(t *rapid.T, gapMax int64) []Record {
	recs := make([]Record, rapid.IntRange(1, 30).Draw(t, "records"))
	offset := rapid.Int64Range(0, 1<<50).Draw(t, "base offset")
	for i := range recs {
		recs[i] = Record{
			Offset:    offset,
			Timestamp: anyTime.Draw(t, "timestamp"),
			Key:       anyBytes.Draw(t, "key"),
			Value:     anyBytes.Draw(t, "value"),
			Headers:   rapid.SliceOfN(anyHeader, 0, 3).Draw(t, "headers"),
		}
		if len(recs[i].Headers) == 0 {
			recs[i].Headers = nil
		}
		offset++
		if gapMax > 0 && rapid.IntRange(0, 3).Draw(t, "gap?") == 0 {
			offset += rapid.Int64Range(1, gapMax).Draw(t, "gap")
		}
	}
	return recs
}

// Properties.

func TestAnyRecordsSurviveEncoding(t *testing.T) {
	d := NewDecoder(Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		recs := drawRecords(rt, 0)
		b := next(t, build(t, recs, anyCodec.Draw(rt, "codec")))
		if diff := diffRecords(recs, read(t, d, b)); diff != "" || b.CheckCRC() != nil {
			rt.Fatal(b.CheckCRC(), diff)
		}
	})
}

func TestAnyBatchRecodes(t *testing.T) {
	d := NewDecoder(Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		recs := drawRecords(rt, 1000)
		first, last := recs[0].Offset, recs[len(recs)-1].Offset
		before, after := rapid.Int64Range(0, min(first, 5)).Draw(rt, "hole before"), rapid.Int64Range(0, 5).Draw(rt, "hole after")
		h := Header{
			BaseOffset:      first - before,
			Attributes:      int16(anyCodec.Draw(rt, "codec")),
			LastOffsetDelta: int32(last - first + before + after),
			BaseTimestamp:   anyTime.Draw(rt, "base timestamp"),
			MaxTimestamp:    anyTime.Draw(rt, "max timestamp"),
			Count:           int32(len(recs)),
		}
		in := make([]placed, len(recs))
		for i, r := range recs {
			in[i] = placed{int32(r.Offset - h.BaseOffset), r}
		}
		if rapid.Bool().Draw(rt, "LogAppendTime") {
			h.Attributes |= attrLogAppendTime
			for i := range recs {
				recs[i].Timestamp = h.MaxTimestamp
			}
		}
		if rapid.Bool().Draw(rt, "delete horizon") {
			h.Attributes |= attrDeleteHorizon
		}
		from := rapid.Int64Range(first-1, last+1).Draw(rt, "from")
		for len(recs) > 0 && recs[0].Offset < from {
			recs = recs[1:]
		}
		o := RecodeOptions{MaxBytes: rapid.SampledFrom([]int{0, 20_000, 1 << 20}).Draw(rt, "max bytes")}
		if to := anyCodec.Draw(rt, "to"); rapid.Bool().Draw(rt, "recompress") {
			o.Codec = &to
		}
		runs, err := d.Recode(next(t, encode(t, h, in)), from, o)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := diffRecords(recs, readRuns(t, runs, o.MaxBytes)); diff != "" {
			rt.Fatal(diff)
		}
		for i, run := range runs {
			if i > 0 && o.MaxBytes == 0 && run.Base == runs[i-1].Base+int64(runs[i-1].Count) {
				rt.Fatalf("runs %d and %d could have been one", i-1, i)
			}
			again, err := d.Recode(next(t, run.Raw), 0, RecodeOptions{})
			if err != nil || len(again) != 1 || !bytes.Equal(again[0].Raw, run.Raw) {
				rt.Fatalf("recoding run %d once more gives other bytes: %v", i, err)
			}
		}
	})
}

func TestAnyOldWrapperRecodes(t *testing.T) {
	d := NewDecoder(Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		magic := byte(rapid.IntRange(0, 1).Draw(rt, "magic"))
		recs := drawRecords(rt, 1000)
		for i := range recs {
			recs[i].Headers = nil
			if magic == 0 {
				recs[i].Timestamp = NoTimestamp
			}
		}
		b := next(t, oldWrapper(t, magic, rapid.SampledFrom(oldCodecs).Draw(rt, "codec"), recs))
		if b.BaseOffset != recs[0].Offset || b.LastOffset() != recs[len(recs)-1].Offset {
			rt.Fatalf("%+v", b.Header)
		}
		runs, err := d.Recode(b, 0, RecodeOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		if diff := diffRecords(recs, readRuns(t, runs, 0)); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestAnyRewriteKeepsTheChecksumExact(t *testing.T) {
	buf := make([]byte, HeaderSize+3<<20)
	rand.NewChaCha8([32]byte{9}).Read(buf)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 600), rapid.IntRange(0, 3<<20), rapid.SampledFrom([]int{255, 256, 257, 65535, 65536, 65537, 1 << 20, 1<<20 + 1})).Draw(rt, "payload")
		count := rapid.Int32Range(1, math.MaxInt32).Draw(rt, "count")
		raw := buf[:HeaderSize+n]
		attributes := rapid.Int16Range(0, 4).Draw(rt, "codec") | rapid.SampledFrom([]int16{0, attrTransactional, attrDeleteHorizon, attrTransactional | attrDeleteHorizon}).Draw(rt, "attributes")
		Seal(raw, Header{
			BaseOffset: rapid.Int64().Draw(rt, "base offset"), PartitionLeaderEpoch: rapid.Int32().Draw(rt, "leader epoch"),
			Attributes: attributes, LastOffsetDelta: count - 1, Count: count,
			BaseTimestamp: rapid.Int64().Draw(rt, "base timestamp"), MaxTimestamp: rapid.Int64().Draw(rt, "max timestamp"),
			ProducerID: rapid.Int64().Draw(rt, "producer id"), ProducerEpoch: rapid.Int16().Draw(rt, "producer epoch"), BaseSequence: rapid.Int32().Draw(rt, "sequence"),
		})
		was := parseHeader(raw)
		p := Producer{
			ID: rapid.Int64Range(0, math.MaxInt64).Draw(rt, "new id"), Epoch: rapid.Int16Range(0, math.MaxInt16).Draw(rt, "new epoch"),
			Sequence: rapid.Int32Range(0, math.MaxInt32).Draw(rt, "new sequence"), Transactional: rapid.Bool().Draw(rt, "transactional"),
		}
		if err := Rewrite(raw, p); err != nil {
			rt.Fatal(err)
		}
		got := parseHeader(raw)
		if sum := crc32.Checksum(raw[atAttributes:], castagnoli); got.CRC != sum {
			rt.Fatalf("carried over %08x, computed %08x, payload %d", got.CRC, sum, n)
		}
		want := was
		want.BaseOffset, want.PartitionLeaderEpoch, want.ProducerID, want.ProducerEpoch, want.BaseSequence = 0, -1, p.ID, p.Epoch, p.Sequence
		want.Attributes, want.CRC = was.Attributes&attrCodec, got.CRC
		if p.Transactional {
			want.Attributes |= attrTransactional
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// Generated lengths tend to be small; batches are not.
func TestRewriteOfLargeBatches(t *testing.T) {
	buf := make([]byte, HeaderSize+5<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		raw := buf[:HeaderSize+random.IntN(5<<20)]
		Seal(raw, Header{BaseOffset: random.Int64(), ProducerID: random.Int64(), LastOffsetDelta: 3, Count: 4, Attributes: attrTransactional})
		if err := Rewrite(raw, Producer{ID: random.Int64(), Epoch: int16(random.Uint32() >> 17), Sequence: random.Int32()}); err != nil {
			t.Fatal(err)
		}
		if b := next(t, raw); b.CheckCRC() != nil {
			t.Fatalf("%d bytes: %v", len(raw), b.CheckCRC())
		}
	}
}

func TestAnyVarint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, l := rapid.Int32().Draw(rt, "v"), rapid.Int64().Draw(rt, "l")
		for _, x := range []int64{l, int64(v)} {
			p := appendVarlong(nil, x)
			got, n := readVarlong(p, 0)
			want := binary.AppendVarint(nil, x)
			if got != x || n != len(p) || varlongSize(x) != n || !bytes.Equal(p, want) {
				rt.Fatalf("varlong %d: %d, % x, want % x", x, got, p, want)
			}
		}
		p := appendVarint(nil, v)
		if got, n := readVarint(p, 0); got != v || n != len(p) || varintSize(v) != n || !bytes.Equal(p, binary.AppendVarint(nil, int64(v))) {
			rt.Fatalf("varint %d: %d, % x", v, got, p)
		}
		if _, n := readVarint(p[:len(p)-1], 0); n >= 0 {
			rt.Fatal("a varint cut short was read")
		}
	})
}
