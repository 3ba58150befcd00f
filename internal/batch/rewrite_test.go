package batch

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

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
		if err := next(t, raw).CheckCRC(); !errors.Is(err, ErrChecksum) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("a damaged payload got a valid checksum: %v", err)
		}
	}
}

func TestRewriteTransactional(t *testing.T) {
	raw := Filler(3)
	for _, p := range []Producer{{ID: 1, Transactional: true}, {ID: 2}} {
		if err := Rewrite(raw, p); err != nil {
			t.Fatal(err)
		}
		b := next(t, raw)
		if b.Transactional() != p.Transactional || b.CheckCRC() != nil {
			t.Errorf("%+v gave %+v, %v", p, b.Header, b.CheckCRC())
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	good := build(t, sample(7, 10), LZ4)
	change := func(edit func(*Header)) []byte {
		raw := bytes.Clone(good)
		h := parseHeader(raw)
		edit(&h)
		Seal(raw, h)
		return raw
	}
	p := Producer{ID: 1}
	for name, c := range map[string]struct {
		raw []byte
		p   Producer
	}{
		"nothing":                  {nil, p},
		"a head without its end":   {good[:HeaderSize-1], p},
		"a batch cut short":        {good[:len(good)-1], p},
		"a batch and more":         {append(bytes.Clone(good), 0), p},
		"a message of magic 1":     {oldMessage(1, 0, 5, 6, make([]byte, 60), nil), p},
		"a control batch":          {change(func(h *Header) { h.Attributes |= attrControl }), p},
		"LogAppendTime":            {change(func(h *Header) { h.Attributes |= attrLogAppendTime }), p},
		"an unknown codec":         {change(func(h *Header) { h.Attributes = 6 }), p},
		"an unknown attribute":     {change(func(h *Header) { h.Attributes |= 1 << 9 }), p},
		"the sign bit":             {change(func(h *Header) { h.Attributes |= -1 << 15 }), p},
		"a batch with holes":       {change(func(h *Header) { h.LastOffsetDelta++ }), p},
		"an emptied batch":         {change(func(h *Header) { h.Count = 0 }), p},
		"count -2^31":              {change(func(h *Header) { h.Count, h.LastOffsetDelta = math.MinInt32, math.MaxInt32 }), p},
		"no producer id":           {good, Producer{ID: -1}},
		"no producer epoch":        {good, Producer{ID: 1, Epoch: -1}},
		"a sequence that ran over": {good, Producer{ID: 1, Sequence: -1}},
	} {
		before := bytes.Clone(c.raw)
		if Rewrite(c.raw, c.p) == nil {
			t.Error(name, "was rewritten")
		}
		if !bytes.Equal(before, c.raw) {
			t.Error(name, "was changed all the same")
		}
	}
}

func TestNextSequenceWraps(t *testing.T) {
	for _, c := range []struct{ seq, n, want int32 }{
		{0, 0, 0},
		{0, 1, 1},
		{math.MaxInt32 - 1, 1, math.MaxInt32},
		{math.MaxInt32, 1, 0},
		{math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
		{math.MaxInt32 - 9, 20, 10},
	} {
		if got := NextSequence(c.seq, c.n); got != c.want {
			t.Errorf("NextSequence(%d, %d) = %d, want %d", c.seq, c.n, got, c.want)
		}
	}
}

func TestRewriteAllocatesNothing(t *testing.T) {
	raw := build(t, sample(0, 500), None)
	if n := testing.AllocsPerRun(100, func() {
		b, _, err := Next(raw)
		if err != nil || Passable(&b.Header, b.BaseOffset, 1<<20) != ReasonNone || Rewrite(raw, Producer{ID: 1}) != nil {
			t.Fatal("not passable")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
