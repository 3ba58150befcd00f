package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
)

// Bad input of records that is tested elsewhere in this package: lengths, magic, counts, offsets that run over
// (TestNextRefuses, TestNextTakes), varints, keys, values, headers, trailing bytes, codecs 5 to 7, attribute bits
// (TestRecordsRefuses), cut, mislabelled and lying compressed frames (TestCompressedRefuses), control batches
// (TestControlType), formats 0 and 1 (TestOldCorrupt), batches out of order (TestBatchesOutOfOrder, and what becomes of
// them in replicate/mirror), limits (TestLimits, TestBombs).

// TestBadInputBombs: at the default limits, some megabytes that would become ten gigabytes stop with a named error
// after a quarter of a gigabyte, and leave nothing behind.
func TestBadInputBombs(t *testing.T) {
	for name, raw := range map[string][]byte{
		"gzip, 10 GB":           payload(Gzip, 1, 0, bytes.Repeat(gzipped(t, 64<<20), 160)),
		"lz4, 10 GB":            payload(LZ4, 1, 0, bytes.Repeat(lz4ed(t, 64<<20), 160)),
		"zstd, 10 GB":           payload(Zstd, 1, 0, zstdBomb(80_000)),
		"zstd in frames":        payload(Zstd, 1, 0, bytes.Repeat(zstdBomb(8), 10_000)),
		"snappy block, 0.3 GB":  payload(Snappy, 1, 0, snappy.Encode(nil, make([]byte, 300<<20))),
		"snappy framed, 0.4 GB": payload(Snappy, 1, 0, xerialBomb(32<<10, 14_000)), // the codec makes at most 22 of 1
		"gzip in format 1":      oldMessage(1, byte(Gzip), 5, 1, nil, bytes.Repeat(gzipped(t, 64<<20), 160)),
	} {
		var err error
		start := time.Now()
		n := allocating(t, func() {
			var b Batch
			if b, _, err = Next(raw); err == nil {
				_, err = NewDecoder(Limits{}).Recode(&b, 0, RecodeOptions{})
			}
		})
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
		// The buffer doubles on its way to the limit, and begins anew behind KeepBuffer.
		if most := uint64(4 * DefaultLimits().MaxDecompressed); n > most {
			t.Errorf("%s: %d MiB were allocated, at most %d are allowed", name, n>>20, most>>20)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
		raw = nil
		if live := liveBytes(); live > 512<<20 {
			t.Errorf("%s: %d MiB are left behind", name, live>>20)
		}
	}
}

func liveBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func gzipped(t testing.TB, n int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

func lz4ed(t testing.TB, n int) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

// xerialBomb is a framed snappy stream of n blocks of zeros.
func xerialBomb(size, n int) []byte {
	block := snappy.Encode(nil, make([]byte, size))
	p := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	one := append(binary.BigEndian.AppendUint32(nil, uint32(len(block))), block...)
	return append(p, bytes.Repeat(one, n)...)
}

// Many partitions may meet large batches at the same moment. All together they may cost little more than one.
func TestBadInputBombsAtOnce(t *testing.T) {
	const decoders = 16
	raw := payload(Zstd, 1, 0, zstdBomb(80_000))
	b := next(t, raw)
	limits := Limits{MaxDecompressed: 64 << 20, KeepBuffer: 1 << 20}
	var peak atomic.Uint64
	stop := make(chan struct{})
	var watch, work sync.WaitGroup
	base := liveBytes()
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if len(largeSlot) == 0 {
					continue
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	})
	for range decoders {
		work.Go(func() {
			for range 2 {
				if _, err := NewDecoder(limits).Recode(b, 0, RecodeOptions{}); !errors.Is(err, ErrLimit) {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	watch.Wait()
	if len(largeSlot) != 0 {
		t.Error("the slot was not given back")
	}
	// One at its limit, what the collector has not yet found of those before, and a small buffer for each.
	if most := base + 8*64<<20; peak.Load() > most {
		t.Errorf("%d MiB in use, at most %d are allowed", peak.Load()>>20, most>>20)
	}
}

// A large batch that is sound is taken, and an error on the way gives the slot back.
func TestLargeSlotIsGivenBack(t *testing.T) {
	recs := sample(0, 3000)
	limits := Limits{KeepBuffer: 1000}
	for _, codec := range codecs[1:] {
		raw := build(t, recs, codec)
		runs, err := NewDecoder(limits).Recode(next(t, raw), 0, RecodeOptions{})
		if err != nil || len(runs) != 1 {
			t.Errorf("%s: %v", codec, err)
		}
		bad := edited(raw, func(h *Header) { h.Count, h.LastOffsetDelta = h.Count+1, h.LastOffsetDelta+1 })
		if _, err := NewDecoder(limits).Recode(next(t, bad), 0, RecodeOptions{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", codec, err)
		}
		var into Builder
		if err := NewDecoder(limits).Merge(&into, next(t, raw), 0); err != nil || into.Len() != 3000 {
			t.Errorf("%s: %v", codec, err)
		}
	}
	old := oldWrapper(t, 1, Gzip, oldSample(1, 0, 3000))
	if _, err := NewDecoder(limits).Recode(next(t, old), 0, RecodeOptions{}); err != nil {
		t.Error(err)
	}
	if len(largeSlot) != 0 {
		t.Error("the slot was not given back")
	}
}

// Timestamps may be anything; what is written anew has the same ones.
func TestBadInputTimestamps(t *testing.T) {
	for name, times := range map[string][]int64{
		"none":                    {-1, -1, -1},
		"zero":                    {0, 0, 0},
		"the largest":             {math.MaxInt64, math.MaxInt64, math.MaxInt64},
		"the smallest":            {math.MinInt64, math.MinInt64},
		"from end to end":         {math.MinInt64, math.MaxInt64, -1, 0, math.MinInt64},
		"the year 2262 and after": {9_223_372_036_854, 9_223_372_036_855, 253_402_300_800_000},
	} {
		for _, codec := range codecs {
			var in []placed
			var want []Record
			for i, at := range times {
				r := Record{Offset: 70 + int64(i), Timestamp: at, Value: []byte("v")}
				in = append(in, placed{int32(i), r})
				want = append(want, r)
			}
			h := Header{
				BaseOffset: 70, Attributes: int16(codec), Count: int32(len(in)), LastOffsetDelta: int32(len(in) - 1),
				BaseTimestamp: times[0], MaxTimestamp: times[len(times)-1],
			}
			b := next(t, encode(t, h, in))
			if diff := diffRecords(want, read(t, NewDecoder(Limits{}), b)); diff != "" {
				t.Errorf("%s, %s: %s", name, codec, diff)
			}
			runs, err := NewDecoder(Limits{}).Recode(b, 0, RecodeOptions{})
			if err != nil || len(runs) != 1 {
				t.Errorf("%s, %s: %v", name, codec, err)
				continue
			}
			place(runs[0].Raw, 70)
			if diff := diffRecords(want, read(t, NewDecoder(Limits{}), next(t, runs[0].Raw))); diff != "" {
				t.Errorf("%s, %s, recoded: %s", name, codec, diff)
			}
		}
	}
}

// Frames that clients of other languages write: one after another, bare and framed.
func TestBadInputOddFrames(t *testing.T) {
	recs := sample(0, 400)
	plain := build(t, recs, None)[HeaderSize:]
	cut := len(plain) / 3
	h := parseHeader(build(t, recs, None))
	for name, c := range map[string]struct {
		codec Codec
		frame []byte
	}{
		"gzip in two members":     {Gzip, append(pack(t, Gzip, plain[:cut]), pack(t, Gzip, plain[cut:])...)},
		"lz4 in two frames":       {LZ4, append(pack(t, LZ4, plain[:cut]), pack(t, LZ4, plain[cut:])...)},
		"zstd in two frames":      {Zstd, append(pack(t, Zstd, plain[:cut]), pack(t, Zstd, plain[cut:])...)},
		"snappy in two streams":   {Snappy, append(pack(t, Snappy, plain[:cut]), pack(t, Snappy, plain[cut:])...)},
		"snappy as a bare block":  {Snappy, snappy.Encode(nil, plain)},
		"zstd after a skippable":  {Zstd, append([]byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9}, pack(t, Zstd, plain)...)},
		"gzip with an empty tail": {Gzip, append(pack(t, Gzip, plain), pack(t, Gzip, nil)...)},
	} {
		raw := append(make([]byte, HeaderSize), c.frame...)
		h.Attributes = int16(c.codec)
		Seal(raw, h)
		if got, err := tryRead(NewDecoder(Limits{}), next(t, raw)); err != nil || diffRecords(recs, got) != "" {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
	}
}
