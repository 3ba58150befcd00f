package batch

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"unsafe"
)

// payload wraps handmade record bytes into a batch.
func payload(codec Codec, count, lastDelta int32, p []byte) []byte {
	raw := append(make([]byte, HeaderSize), p...)
	Seal(raw, Header{BaseOffset: 500, Attributes: int16(codec), Count: count, LastOffsetDelta: lastDelta})
	return raw
}

// rec puts the length before the fields of a record.
func rec(fields ...byte) []byte { return append(appendVarint(nil, int32(len(fields))), fields...) }

func TestRecordsRefuses(t *testing.T) {
	const null = 1 // length -1
	ok := rec(0, 0, 0, null, null, 0)
	second := rec(0, 0, 2, null, null, 0)
	long5 := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x00}                                // a varint of 6 bytes
	over5 := []byte{0xff, 0xff, 0xff, 0xff, 0x1f}                                      // 33 bits
	long10 := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00} // a varint of 11 bytes
	over10 := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}       // 65 bits
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	million := append(appendVarint([]byte{0, 0, 0, null, null}, 1_000_000), make([]byte, 64)...)

	for name, raw := range map[string][]byte{
		"record length 0":                   payload(None, 1, 0, make([]byte, 7)),
		"record length -1":                  payload(None, 1, 0, join([]byte{1}, ok)),
		"record longer than the batch":      payload(None, 1, 0, rec(0, 0, 0, null, 8, 1, 2, 3, 4, 0)[:10]),
		"record length of 6 bytes":          payload(None, 1, 0, join(long5, ok)),
		"record length over 32 bits":        payload(None, 1, 0, join(over5, ok)),
		"record length ends the batch":      payload(None, 1, 0, bytes.Repeat([]byte{0x80}, 7)),
		"timestamp delta of 11 bytes":       payload(None, 1, 0, rec(join([]byte{0}, long10, []byte{0, null, null, 0})...)),
		"timestamp delta over 64 bits":      payload(None, 1, 0, rec(join([]byte{0}, over10, []byte{0, null, null, 0})...)),
		"timestamp delta without end":       payload(None, 1, 0, rec(0, 0x80, 0x80, 0x80, 0x80, 0x80)),
		"offset delta of 6 bytes":           payload(None, 1, 0, rec(join([]byte{0, 0}, long5, []byte{null, null, 0})...)),
		"offset delta negative":             payload(None, 1, 0, rec(0, 0, 1, null, null, 0)),
		"offset delta outside the batch":    payload(None, 1, 0, rec(0, 0, 2, null, null, 0)),
		"offset deltas stand still":         payload(None, 2, 1, join(ok, ok)),
		"offset deltas fall":                payload(None, 2, 1, join(second, ok)),
		"key length -2":                     payload(None, 1, 0, rec(0, 0, 0, 3, null, 0)),
		"key longer than the record":        payload(None, 1, 0, join(rec(0, 0, 0, 8, null, 0), ok)),
		"key length 2^31-1":                 payload(None, 1, 0, rec(0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, null, 0)),
		"value length -2":                   payload(None, 1, 0, rec(0, 0, 0, null, 3, 0)),
		"value longer than the record":      payload(None, 1, 0, join(rec(0, 0, 0, null, 8, 0), ok)),
		"header count -1":                   payload(None, 1, 0, rec(0, 0, 0, null, null, 1)),
		"10^6 headers in 64 bytes":          payload(None, 1, 0, rec(million...)),
		"header key null":                   payload(None, 1, 0, rec(0, 0, 0, null, null, 2, null, null)),
		"header key longer than the record": payload(None, 1, 0, rec(0, 0, 0, null, null, 2, 20, null)),
		"header value length -2":            payload(None, 1, 0, rec(0, 0, 0, null, null, 2, 0, 3)),
		"header cut short":                  payload(None, 1, 0, rec(0, 0, 0, null, null, 2, 0)),
		"bytes behind the headers":          payload(None, 1, 0, rec(0, 0, 0, null, null, 0, 0)),
		"fewer records than counted":        payload(Gzip, 3, 2, pack(t, Gzip, join(ok, second))),
		"more records than counted":         payload(None, 1, 1, join(ok, second)),
		"bytes behind the last record":      payload(None, 1, 0, append(bytes.Clone(ok), 0)),
		"bytes in an emptied batch":         payload(None, 0, 0, ok),
		"codec 5":                           payload(5, 1, 0, ok),
		"codec 6":                           payload(6, 1, 0, ok),
		"codec 7":                           payload(7, 1, 0, ok),
		"attribute bit 7":                   edited(payload(None, 1, 0, ok), func(h *Header) { h.Attributes |= 1 << 7 }),
		"attribute bit 15":                  edited(payload(None, 1, 0, ok), func(h *Header) { h.Attributes |= -1 << 15 }),
	} {
		allocated := allocating(t, func() { refused(t, name, raw, ErrCorrupt) })
		if allocated > 2<<20 {
			t.Errorf("%s: %d bytes were allocated", name, allocated)
		}
	}
}

// refused checks that no way of reading raw takes it.
func refused(t *testing.T, name string, raw []byte, want error) {
	t.Helper()
	d := NewDecoder(Limits{MaxDecompressed: 1 << 20, MaxRecords: 1000, MaxHeaders: 1000})
	b := next(t, raw)
	if err := d.Records(b, func(*Record) error { return nil }); !errors.Is(err, want) || !errors.Is(err, ErrCorrupt) {
		t.Errorf("Records of %s: %v", name, err)
	}
	if _, err := d.Recode(b, 0, RecodeOptions{}); !errors.Is(err, want) {
		t.Errorf("Recode of %s: %v", name, err)
	}
	var into Builder
	if err := d.Merge(&into, b, 0); !errors.Is(err, want) || into.Len() != 0 {
		t.Errorf("Merge of %s: %v", name, err)
	}
}

// allocating returns the bytes that fn allocates.
func allocating(t *testing.T, fn func()) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLimits(t *testing.T) {
	recs := sample(0, 50)
	for range 20 {
		recs[7].Headers = append(recs[7].Headers, RecordHeader{Key: []byte("k")})
	}
	b := next(t, build(t, recs, Zstd))
	for name, c := range map[string]struct {
		limits Limits
		ok     bool
	}{
		"defaults":               {Limits{}, true},
		"as many records":        {Limits{MaxRecords: 50}, true},
		"one record fewer":       {Limits{MaxRecords: 49}, false},
		"as many headers":        {Limits{MaxHeaders: len(recs[7].Headers)}, true},
		"one header fewer":       {Limits{MaxHeaders: len(recs[7].Headers) - 1}, false},
		"100 bytes decompressed": {Limits{MaxDecompressed: 100}, false},
	} {
		_, err := tryRead(NewDecoder(c.limits), b)
		if c.ok != (err == nil) || (err != nil && !errors.Is(err, ErrLimit)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := next(t, oldWrapper(t, 1, Gzip, oldSample(1, 0, 50)))
	if _, err := tryRead(NewDecoder(Limits{MaxRecords: 49}), old); !errors.Is(err, ErrLimit) {
		t.Error("magic 1:", err)
	}
}

// A batch is decoded to its last record before the fault: what fn sees is right,
// and the decoder is good for the next batch.
func TestDecoderSurvivesFaults(t *testing.T) {
	d := NewDecoder(Limits{})
	good := sample(0, 20)
	bad := edited(build(t, good, LZ4), func(h *Header) { h.Count, h.LastOffsetDelta = 21, 20 })
	seen, err := tryRead(d, next(t, bad))
	if !errors.Is(err, ErrCorrupt) || len(seen) != 20 {
		t.Errorf("%d records, %v", len(seen), err)
	}
	for _, codec := range codecs {
		if got := read(t, d, next(t, build(t, good, codec))); len(got) != 20 {
			t.Errorf("%s after a fault: %d records", codec, len(got))
		}
	}
	stop := errors.New("enough")
	calls := 0
	err = d.Records(next(t, build(t, good, None)), func(*Record) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("fn's error became %v after %d calls", err, calls)
	}
}

// One large batch must not make a decoder large for ever.
func TestDecoderGivesLargeBuffersBack(t *testing.T) {
	d := NewDecoder(Limits{KeepBuffer: 10_000})
	for _, codec := range codecs {
		if _, err := d.Recode(next(t, build(t, sample(0, 5000), codec)), 0, RecodeOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := cap(d.codecs.buf) + cap(d.builder.records) + cap(d.builder.packed) + int(unsafe.Sizeof(span{}))*cap(d.spans); n > 40_000 || d.payload != nil {
			t.Errorf("%s: %d bytes kept", codec, n)
		}
	}
	if spanSize != unsafe.Sizeof(span{}) {
		t.Error("spanSize is not the size of a span")
	}
}

func TestZeroBatch(t *testing.T) {
	d := NewDecoder(Limits{})
	for _, b := range []*Batch{{}, {Header: Header{Magic: 2, Count: 1}}, {Header: Header{Magic: 1}, Raw: make([]byte, 20)}} {
		if _, err := tryRead(d, b); !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	}
}

func TestHeaderString(t *testing.T) {
	b := next(t, build(t, sample(50, 10), LZ4))
	want := fmt.Sprintf("offsets 50-59, magic 2, 10 records, %d bytes, lz4, attributes 0x3, timestamps 1700000000000-1700000005994, "+
		"producer -1 epoch -1 sequence -1, leader epoch 3, crc %08x", len(b.Raw), b.CRC)
	if got := b.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
