package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// edited returns a copy of raw with other head fields and a matching checksum.
// Length and magic stay true; TestNextRefuses breaks those.
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
