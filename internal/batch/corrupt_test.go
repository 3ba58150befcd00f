package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
)

// edited returns a copy of raw with other head fields and a matching checksum.
// Length and magic stay true; see TestNextRefuses for those.
func edited(raw []byte, edit func(*Header)) []byte {
	raw = bytes.Clone(raw)
	h := parseHeader(raw)
	edit(&h)
	Seal(raw, h)
	return raw
}

func TestNextRefuses(t *testing.T) {
	good := build(t, sample(30, 8), None)
	put32 := func(at int, v uint32) []byte {
		raw := bytes.Clone(good)
		binary.BigEndian.PutUint32(raw[at:], v)
		return raw
	}
	magic := func(m byte) []byte {
		raw := bytes.Clone(good)
		raw[atMagic] = m
		return raw
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":                       {nil, ErrPartial},
		"an offset only":                {good[:8], ErrPartial},
		"everything but the magic":      {good[:16], ErrPartial},
		"a head only":                   {good[:HeaderSize], ErrPartial},
		"all but one byte":              {good[:len(good)-1], ErrPartial},
		"length over the buffer":        {put32(atLength, uint32(len(good))), ErrPartial},
		"length 2^31-1":                 {put32(atLength, math.MaxInt32), ErrPartial},
		"length 0":                      {put32(atLength, 0), ErrCorrupt},
		"length -1":                     {put32(atLength, 1<<32-1), ErrCorrupt},
		"length -2^31":                  {put32(atLength, 1<<31), ErrCorrupt},
		"length of less than a head":    {put32(atLength, minLength2-1), ErrCorrupt},
		"magic 0 in a batch":            {magic(0), ErrCorrupt},
		"magic 1 in a batch":            {magic(1), ErrCorrupt},
		"magic 3":                       {magic(3), ErrUnsupported},
		"magic 255":                     {magic(255), ErrUnsupported},
		"magic 3, cut short":            {magic(3)[:17], ErrUnsupported},
		"negative offset":               {edited(good, func(h *Header) { h.BaseOffset = -1 }), ErrCorrupt},
		"offsets over the end":          {edited(good, func(h *Header) { h.BaseOffset = math.MaxInt64 - 7 }), ErrCorrupt},
		"last offset delta -1":          {edited(good, func(h *Header) { h.LastOffsetDelta = -1 }), ErrCorrupt},
		"last offset delta -1, emptied": {edited(good, func(h *Header) { h.LastOffsetDelta, h.Count = -1, 0 }), ErrCorrupt},
		"count -1":                      {edited(good, func(h *Header) { h.Count = -1 }), ErrCorrupt},
		"count -2^31":                   {edited(good, func(h *Header) { h.Count = math.MinInt32 }), ErrCorrupt},
		"more records than offsets":     {edited(good, func(h *Header) { h.Count++ }), ErrCorrupt},
		"2^31-1 records":                {edited(good, func(h *Header) { h.Count, h.LastOffsetDelta = math.MaxInt32, math.MaxInt32-1 }), ErrCorrupt},
		"2^31-1 records, 2^31 offsets":  {edited(good, func(h *Header) { h.Count, h.LastOffsetDelta = math.MaxInt32, math.MaxInt32 }), ErrCorrupt},
		"more records than bytes":       {edited(good, func(h *Header) { h.Count, h.LastOffsetDelta = 1000, 999 }), ErrCorrupt},
	} {
		_, rest, err := Next(c.raw)
		if !errors.Is(err, c.want) || len(rest) != len(c.raw) || errors.Is(err, ErrPartial) == errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestNextTakes(t *testing.T) {
	good := build(t, sample(30, 8), Gzip)
	for name, edit := range map[string]func(*Header){
		"an emptied batch":             func(h *Header) { h.Count = 0 },
		"a batch with holes":           func(h *Header) { h.LastOffsetDelta = math.MaxInt32 },
		"2^31-1 compressed records":    func(h *Header) { h.Count, h.LastOffsetDelta = math.MaxInt32, math.MaxInt32 },
		"the last offset there is":     func(h *Header) { h.BaseOffset = math.MaxInt64 - 8 },
		"timestamps that cannot be":    func(h *Header) { h.BaseTimestamp, h.MaxTimestamp = math.MinInt64, math.MaxInt64 },
		"an unknown codec":             func(h *Header) { h.Attributes = 7 },
		"unknown attributes":           func(h *Header) { h.Attributes |= 1 << 14 },
		"sequences that run over":      func(h *Header) { h.BaseSequence = math.MaxInt32 },
		"a wrong checksum, and passes": func(h *Header) {},
	} {
		raw := edited(good, edit)
		if name == "a wrong checksum, and passes" {
			raw[atCRC] ^= 1
			if err := next(t, raw).CheckCRC(); !errors.Is(err, ErrChecksum) {
				t.Error("CheckCRC:", err)
			}
		}
		_, rest, err := Next(append(raw, good[:20]...))
		if err != nil || len(rest) != 20 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWireSize(t *testing.T) {
	raw := build(t, sample(0, 3), None)
	if got := WireSize(raw[:12]); got != len(raw) {
		t.Errorf("%d bytes, want %d", got, len(raw))
	}
	for _, b := range [][]byte{nil, raw[:11], make([]byte, 12), bytes.Repeat([]byte{0xff}, 12)} {
		if got := WireSize(b); got != 0 {
			t.Errorf("%d bytes from % x", got, b)
		}
	}
}

// A fetch may return batches from before the offset asked for, overlapping, or
// behind a hole; the log end decides what happens to each.
func TestBatchesOutOfOrder(t *testing.T) {
	var log []byte
	for _, base := range []int64{20, 0, 8, 25} {
		log = append(log, build(t, sample(base, 10), Snappy)...)
	}
	log = append(log, log[:40]...)
	end := int64(10)
	d := NewDecoder(Limits{})
	var got []Reason
	for {
		b, rest, err := Next(log)
		if errors.Is(err, ErrPartial) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		log = rest
		reason := Passable(&b.Header, end, 0)
		got = append(got, reason)
		if reason == ReasonBehind {
			runs, err := d.Recode(&b, end, RecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				if run.Base != end {
					t.Errorf("run at %d, the log ends at %d", run.Base, end)
				}
				end += int64(run.Count)
			}
		}
	}
	want := []Reason{ReasonAhead, ReasonBehind, ReasonBehind, ReasonAhead}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] || end != 18 {
		t.Errorf("%v, log end %d", got, end)
	}
}

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

func pack(t testing.TB, codec Codec, p []byte) []byte {
	t.Helper()
	out, err := compress(codec, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompressedRefuses(t *testing.T) {
	var b Builder
	for _, r := range sample(0, 300) {
		b.Append(&r)
	}
	frames := map[Codec][]byte{}
	for _, codec := range codecs[1:] {
		frames[codec] = pack(t, codec, b.records)
	}
	for codec, frame := range frames {
		for _, cut := range []int{0, 1, 5, 12, 20, len(frame) / 2, len(frame) - 1} {
			refused(t, codec.String()+" cut short", payload(codec, 300, 299, frame[:cut]), ErrCorrupt)
		}
		refused(t, codec.String()+" with a byte behind", payload(codec, 300, 299, append(bytes.Clone(frame), 'x')), ErrCorrupt)
		for other := range frames {
			if other != codec {
				refused(t, codec.String()+" called "+other.String(), payload(other, 300, 299, frame), ErrCorrupt)
			}
		}
	}
	zstdClaim := bytes.Clone(frames[Zstd])
	zstdClaim[4] = 0x80 | zstdClaim[4]&0x3f | 0x20 // single segment, 4 bytes of content size
	copy(zstdClaim[5:], []byte{0, 0, 0xf, 0})
	block := binary.BigEndian.AppendUint32
	framed := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for name, raw := range map[string][]byte{
		"zstd that claims what its blocks cannot hold":  payload(Zstd, 300, 299, append(zstdClaim[:9:9], 1, 0, 0)),
		"snappy that claims what its bytes cannot hold": payload(Snappy, 300, 299, []byte{0xff, 0xff, 0x03, 0, 'x'}),
		"snappy frame with a block over the end":        payload(Snappy, 300, 299, append(block(bytes.Clone(framed), 99), 'x')),
		"snappy frame with a block length of 2^32-1":    payload(Snappy, 300, 299, append(block(bytes.Clone(framed), 1<<32-1), 'x')),
		"snappy frame with half a length":               payload(Snappy, 300, 299, append(bytes.Clone(framed), 0, 0)),
		"lz4 with a dictionary":                         payload(LZ4, 300, 299, edit(frames[LZ4], 4, lz4FlagDictionary)),
		"lz4 of version 2":                              payload(LZ4, 300, 299, edit(frames[LZ4], 4, lz4VersionMask)),
		"lz4 with blocks of 1 KiB":                      payload(LZ4, 300, 299, edit(frames[LZ4], 5, 0x50)),
		"lz4 with a block over the end":                 payload(LZ4, 300, 299, edit(frames[LZ4], 8, 0x7f)),
		"a skippable frame and no other":                payload(Zstd, 300, 299, []byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9}),
		"a skippable frame over the end":                payload(Zstd, 300, 299, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 9}),
		"a reserved zstd block":                         payload(Zstd, 300, 299, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 7, 0, 0, 0}),
	} {
		if n := allocating(t, func() { refused(t, name, raw, ErrCorrupt) }); n > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

// edit returns p with bits flipped in one byte.
func edit(p []byte, at int, flip byte) []byte {
	p = bytes.Clone(p)
	p[at] ^= flip
	return p
}

// Bombs: a little that decompresses to a lot. Each is far over the limit of 1 MiB
// that refused sets, and may cost little more than that.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 64<<20)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(zeros)
	w.Close()
	var lz bytes.Buffer
	l := lz4.NewWriter(&lz)
	l.Write(zeros)
	l.Close()
	block := snappy.Encode(nil, zeros[:1<<20])
	framed := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for range 64 {
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(block))), block...)
	}
	for name, raw := range map[string][]byte{
		"gzip":           payload(Gzip, 1, 0, gz.Bytes()),
		"gzip twice":     payload(Gzip, 1, 0, append(bytes.Clone(gz.Bytes()), gz.Bytes()...)),
		"lz4":            payload(LZ4, 1, 0, lz.Bytes()),
		"lz4 of ours":    payload(LZ4, 1, 0, pack(t, LZ4, zeros)),
		"snappy":         payload(Snappy, 1, 0, snappy.Encode(nil, zeros)),
		"framed snappy":  payload(Snappy, 1, 0, framed),
		"zstd, sized":    payload(Zstd, 1, 0, pack(t, Zstd, zeros)),
		"zstd, 32 GiB":   payload(Zstd, 1, 0, zstdBomb(1<<18)),
		"zstd in frames": payload(Zstd, 1, 0, bytes.Repeat(zstdBomb(7), 100)),
	} {
		refusedBy := allocating(t, func() { refused(t, name, raw, ErrLimit) })
		if refusedBy > 3*(8<<20) { // three decodings
			t.Errorf("%s: %d MiB were allocated", name, refusedBy>>20)
		}
	}
}

// zstdBomb is a frame of n blocks that each say 128 KiB in 4 bytes, without a
// content size.
func zstdBomb(n int) []byte {
	p := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38}
	for i := range n {
		head := zstdBlockMax<<3 | 1<<1
		if i == n-1 {
			head |= 1
		}
		p = append(p, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return p
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

// The exact limit: a decoder must take what is as large as allowed.
func TestMaxDecompressedIsInclusive(t *testing.T) {
	var b Builder
	for _, r := range sample(0, 3000) {
		b.Append(&r)
	}
	size := len(b.records)
	for _, codec := range codecs[1:] {
		raw, err := b.Finish(codec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tryRead(NewDecoder(Limits{MaxDecompressed: size}), next(t, raw)); err != nil {
			t.Error(codec, err)
		}
		if _, err := tryRead(NewDecoder(Limits{MaxDecompressed: size - 1}), next(t, raw)); !errors.Is(err, ErrLimit) {
			t.Error(codec, err)
		}
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

func TestZeroBatch(t *testing.T) {
	d := NewDecoder(Limits{})
	for _, b := range []*Batch{{}, {Header: Header{Magic: 2, Count: 1}}, {Header: Header{Magic: 1}, Raw: make([]byte, 20)}} {
		if _, err := tryRead(d, b); !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	}
}
