package mirror

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
)

func TestAbortedSet(t *testing.T) {
	type look struct {
		last int64 // of the batch looked at
		id   int64
		ends bool // it is an abort marker
		want bool // the producer is inside an aborted transaction
	}
	for _, c := range []struct {
		name  string
		list  []Aborted
		looks []look
	}{
		{"none", nil, []look{{5, 1, false, false}, {6, 1, true, false}}},
		{"begins with the batch", []Aborted{{1, 10}}, []look{{9, 1, false, false}, {10, 1, false, true}}},
		{"begins inside the batch", []Aborted{{1, 10}}, []look{{12, 1, false, true}}},
		{"began before the fetch", []Aborted{{1, 3}}, []look{{50, 1, false, true}, {50, 2, false, false}, {51, 1, true, true}, {52, 1, false, false}}},
		{"listed as they ended", []Aborted{{2, 30}, {1, 10}}, []look{{12, 1, false, true}, {20, 2, false, false}, {33, 2, false, true}, {34, 2, true, true}, {35, 1, false, true}, {36, 1, true, true}, {37, 1, false, false}}},
		{"the same producer twice", []Aborted{{1, 10}, {1, 30}}, []look{{11, 1, false, true}, {12, 1, true, true}, {20, 1, false, false}, {30, 1, false, true}, {31, 1, true, true}, {32, 1, false, false}}},
	} {
		s := newAbortedSet(c.list)
		for _, l := range c.looks {
			s.advance(l.last)
			if got := s.has(l.id); got != l.want {
				t.Errorf("%s: producer %d at %d: aborted %t, want %t", c.name, l.id, l.last, got, l.want)
			}
			if l.ends {
				s.end(l.id)
			}
		}
	}
	list := []Aborted{{2, 30}, {1, 10}}
	newAbortedSet(list)
	if list[0].FirstOffset != 30 {
		t.Error("the caller's list was sorted")
	}
}

func TestGapCounts(t *testing.T) {
	for _, c := range []struct {
		gap         gapCounts
		n           int64
		taken, rest gapCounts
	}{
		{gapCounts{}, 0, gapCounts{}, gapCounts{}},
		{gapCounts{2, 3, 4}, 0, gapCounts{}, gapCounts{2, 3, 4}},
		{gapCounts{2, 3, 4}, 1, gapCounts{1, 0, 0}, gapCounts{1, 3, 4}},
		{gapCounts{2, 3, 4}, 4, gapCounts{2, 2, 0}, gapCounts{0, 1, 4}},
		{gapCounts{2, 3, 4}, 9, gapCounts{2, 3, 4}, gapCounts{}},
		{gapCounts{0, 0, 4}, 3, gapCounts{0, 0, 3}, gapCounts{0, 0, 1}},
	} {
		gap := c.gap
		taken := gap.take(c.n)
		if taken != c.taken || gap != c.rest || taken.total()+gap.total() != c.gap.total() {
			t.Errorf("%v take %d: %v and %v, want %v and %v", c.gap, c.n, taken, gap, c.taken, c.rest)
		}
	}
}

func TestEchoes(t *testing.T) {
	noise := make([]byte, 3000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, c := range []struct {
		name       string
		record     batch.Record
		base, end  int64
		max        int
		mostItems  int
		leastItems int
	}{
		{"one", batch.Record{Timestamp: 77, Key: []byte("k"), Value: []byte("v")}, 5, 6, 1 << 20, 1, 1},
		{"tombstone", batch.Record{Timestamp: -1, Key: []byte("k"), Headers: []batch.RecordHeader{{Key: []byte("h")}}}, 0, 900, 1 << 20, 1, 1},
		{"more than one batch takes", batch.Record{Key: []byte("k"), Value: []byte("v")}, 1000, 350_000, 1 << 20, 4, 4},
		{"large record", batch.Record{Key: []byte("k"), Value: noise}, 0, 9000, 1 << 20, 5, 3},
		{"two are more than the target takes", batch.Record{Key: []byte("k"), Value: noise}, 0, 50, 3070, 50, 50},
	} {
		items, err := echoes(c.base, c.end, &c.record, c.max)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) < c.leastItems || len(items) > c.mostItems {
			t.Errorf("%s: %d batches, want %d to %d", c.name, len(items), c.leastItems, c.mostItems)
		}
		at := c.base
		for _, it := range items {
			if it.base != at || it.kind != Echo || (len(it.ready) > c.max && it.end-it.base > 1) {
				t.Fatalf("%s: batch of %d bytes for offsets %d to %d, expected one from %d on", c.name, len(it.ready), it.base, it.end, at)
			}
			checkEcho(t, c.name, it, &c.record)
			at = it.end
		}
		if at != c.end {
			t.Errorf("%s: echoes end at %d, want %d", c.name, at, c.end)
		}
	}
}

func checkEcho(t *testing.T, name string, it item, want *batch.Record) {
	t.Helper()
	b, rest, err := batch.Next(it.ready)
	if err != nil || len(rest) > 0 || int64(b.Count) != it.end-it.base {
		t.Fatalf("%s: %v, %d bytes behind, %d records for %d offsets", name, err, len(rest), b.Count, it.end-it.base)
	}
	if why := batch.Passable(&b.Header, 0, 0); why != batch.ReasonNone {
		t.Fatalf("%s: a broker would not take it: %s", name, why)
	}
	stop := errors.New("enough")
	err = batch.NewDecoder(batch.Limits{}).Records(&b, func(r *batch.Record) error {
		same := r.Timestamp == want.Timestamp && equal(r.Key, want.Key) && equal(r.Value, want.Value) && len(r.Headers) == len(want.Headers)
		for i := range want.Headers {
			same = same && equal(r.Headers[i].Key, want.Headers[i].Key) && equal(r.Headers[i].Value, want.Headers[i].Value)
		}
		if !same {
			t.Errorf("%s: an echo is not the record: %+v", name, r)
			return stop
		}
		return nil
	})
	if err != nil && err != stop {
		t.Fatal(err)
	}
}

// equal compares bytes; null is not empty.
func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// owned counts references to fetched memory.
type owned struct{ refs int }

func (o *owned) Retain()  { o.refs++ }
func (o *owned) Release() { o.refs-- }

// Whatever becomes of fetched bytes, every reference to them is given back once.
func TestReferencesAreGivenBack(t *testing.T) {
	var builder batch.Builder
	for i := range 3 {
		if err := builder.Append(&batch.Record{Offset: int64(i), Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := builder.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		then func(*Machine)
	}{
		{"sent", Config{}, func(m *Machine) { m.Appended(m.Generation(), 0) }},
		{"dropped", Config{}, func(m *Machine) { m.Unknown(m.Generation()) }},
		{"faulted", Config{}, func(m *Machine) { m.Appended(m.Generation(), 9) }},
		{"too large", Config{MaxBatchBytes: 70}, func(*Machine) {}},
		{"split", Config{MaxBatchBytes: 80, SplitOversized: true}, func(m *Machine) { m.Appended(m.Generation(), 0) }},
	} {
		m := New(c.cfg, batch.Producer{ID: 1}, batch.NewDecoder(batch.Limits{}))
		m.Opened(0, Ends{SourceHigh: 6, SourceStable: 6, Sequence: -1})
		o := &owned{refs: 1}
		two := append([]byte(nil), raw...)
		second := append([]byte(nil), raw...)
		second[7] = 3 // base offset
		m.Fetched(Fetch{From: 0, High: 6, Stable: 6, Records: append(two, second...), Owner: o})
		o.Release() // the driver's own
		held := 0
		take := func() {
			for _, a := range m.Take() {
				if a.Owner != nil {
					held++
				}
			}
		}
		take()
		c.then(m)
		take()
		m.Stop(fault.Fault{})
		if o.refs != held {
			t.Errorf("%s: %d references are left, %d were handed on with appends", c.name, o.refs, held)
		}
	}
}
