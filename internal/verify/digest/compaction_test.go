package digest

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kferry/kferry/internal/batch"
)

var thins = Config{SourceThins: ThinChecked, TargetThins: ThinChecked}

func tombstone(offset int64, key string) batch.Record {
	r := rec(offset, key, "")
	r.Value = nil
	return r
}

func TestCompactedTopics(t *testing.T) {
	type recs = []batch.Record
	cases := []struct {
		name           string
		source, target recs
		behind         recs // what the source holds behind the compared range
		to             int64
		kind           Kind
		offset         int64
		want           Stats
	}{
		{
			name:   "echoes before the record they repeat",
			source: recs{rec(3, "a", "1")},
			target: recs{at(rec(3, "a", "1"), 0), at(rec(3, "a", "1"), 1), at(rec(3, "a", "1"), 2), rec(3, "a", "1")},
			to:     4, want: Stats{Records: 1, Echoes: 3},
		},
		{
			name:   "an echo of the record before",
			source: recs{rec(0, "a", "1"), rec(3, "b", "2")},
			target: recs{rec(0, "a", "1"), at(rec(0, "a", "1"), 1), rec(3, "b", "2")},
			to:     4, kind: StaleKey, offset: 1, want: Stats{Records: 2},
		},
		{
			name:   "the source has compacted on",
			source: recs{rec(2, "a", "3"), rec(3, "b", "1")},
			target: recs{rec(0, "a", "1"), rec(1, "a", "2"), rec(2, "a", "3"), rec(3, "b", "1")},
			to:     4, want: Stats{Records: 2, ThinnedSource: 2},
		},
		{
			name:   "the later record lies behind the range",
			source: recs{rec(1, "b", "1")}, behind: recs{rec(2, "c", "1"), rec(3, "a", "2")},
			target: recs{rec(0, "a", "1"), rec(1, "b", "1")},
			to:     2, want: Stats{Records: 1, ThinnedSource: 1},
		},
		{
			name:   "the later record is aborted",
			source: recs{rec(1, "b", "1")}, behind: recs{},
			target: recs{rec(0, "a", "1"), rec(1, "b", "1")},
			to:     2, kind: StaleKey, want: Stats{Records: 1},
		},
		{
			name:   "the tombstone expired on the source before it was copied",
			source: recs{rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), rec(2, "b", "1")},
			to:     3, kind: StaleKey, want: Stats{Records: 1},
		},
		{
			name:   "the tombstone expired on the source after it was copied",
			source: recs{rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), tombstone(1, "a"), rec(2, "b", "1")},
			to:     3, want: Stats{Records: 1, Tombstones: 1},
		},
		{
			name:   "the source lost a tombstone and not the value",
			source: recs{rec(0, "a", "1"), rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), tombstone(1, "a"), rec(2, "b", "1")},
			to:     3, kind: Phantom, offset: 1, want: Stats{Records: 2},
		},
		{
			name:   "the target never got a tombstone",
			source: recs{rec(0, "a", "1"), tombstone(1, "a"), rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), rec(2, "b", "1")},
			to:     3, kind: Missing, offset: 1, want: Stats{Records: 2},
		},
		{
			name:   "the target never got a tombstone, and the source dropped the value",
			source: recs{tombstone(1, "a"), rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), rec(2, "b", "1")},
			to:     3, kind: Missing, offset: 1, want: Stats{Records: 1, ThinnedSource: 1},
		},
		{
			name:   "a key that came back after its tombstone",
			source: recs{rec(2, "b", "1")},
			target: recs{tombstone(0, "a"), rec(1, "a", "1"), rec(2, "b", "1")},
			to:     3, kind: StaleKey, offset: 1, want: Stats{Records: 1},
		},
		{
			name:   "the target was compacted",
			source: recs{rec(0, "a", "1"), rec(1, "a", "2"), rec(2, "b", "1")},
			target: recs{rec(1, "a", "2"), rec(2, "b", "1")},
			to:     3, want: Stats{Records: 2, ThinnedTarget: 1},
		},
		{
			name:   "the target lost the last record of a key",
			source: recs{rec(0, "a", "1"), rec(1, "a", "2"), rec(2, "b", "1")},
			target: recs{rec(0, "a", "1"), rec(2, "b", "1")},
			to:     3, kind: Missing, offset: 1, want: Stats{Records: 2},
		},
		{
			name:   "null keys are never compacted",
			source: recs{rec(2, "", "1")},
			target: recs{keyless(rec(0, "", "1")), rec(2, "", "1")},
			to:     3, kind: Phantom,
		},
		{
			name:   "an empty key is a key, null is none",
			source: recs{keyless(rec(2, "", "1"))},
			target: recs{rec(0, "", "1"), keyless(rec(2, "", "1"))},
			to:     3, kind: StaleKey, want: Stats{Records: 1},
		},
		{
			name:   "a value that differs is no matter of compaction",
			source: recs{rec(0, "a", "1"), rec(1, "a", "2")},
			target: recs{rec(0, "a", "x"), rec(1, "a", "2")},
			to:     2, kind: Value,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := thins
			cfg.To = c.to
			s, d := thinned(t, append(c.source, c.behind...), c.to), thinned(t, c.target, c.to)
			if c.name == "the later record is aborted" {
				s.add(t, style{producer: 1, transactional: true}, rec(2, "a", "9"))
				s.abort(t, 3, 1, 2)
			}
			for _, size := range []int{1, 200, 1 << 20} {
				diff, stats := run(t, cfg, s, d, size)
				checkDifference(t, diff, c.kind, c.offset)
				if c.want == (Stats{}) {
					continue
				}
				stats.Bytes, stats.BatchesDecoded, stats.BatchesIdentical, stats.AbortedNotCopied, stats.MarkersSource = 0, 0, 0, 0, 0
				if c.kind != "" {
					c.want.Differing = 1
				}
				if stats != c.want {
					t.Errorf("stats\n got %+v\nwant %+v", stats, c.want)
				}
			}
			// Without compaction nothing of this is excused.
			if c.kind != Value {
				if diff, _ := run(t, Config{To: c.to}, s, d, 1<<20); diff == nil {
					t.Error("equal where nobody compacts")
				}
			}
		})
	}
}

func at(r batch.Record, offset int64) batch.Record { r.Offset = offset; return r }

func keyless(r batch.Record) batch.Record { r.Key = nil; return r }

// thinned writes records, two to a batch, holes inside and between.
func thinned(tb testing.TB, records []batch.Record, end int64) *logModel {
	var l logModel
	for i := 0; i < len(records); i += 2 {
		l.add(tb, style{codec: batch.Codec(i / 2 % 2)}, records[i:min(i+2, len(records))]...)
	}
	l.end = max(l.end, end)
	return &l
}

func TestAcceptedThinning(t *testing.T) {
	s := thinned(t, []batch.Record{rec(2, "b", "1")}, 3)
	d := thinned(t, []batch.Record{rec(0, "a", "1"), rec(2, "b", "1")}, 3)
	diff, stats := run(t, Config{To: 3, SourceThins: ThinAccepted}, s, d, 1<<20)
	if diff != nil || stats.ThinnedSource != 1 {
		t.Errorf("difference %+v, stats %+v", diff, stats)
	}
	if diff, _ = run(t, Config{To: 3, SourceThins: ThinAccepted}, d, s, 1<<20); diff == nil || diff.Kind != Missing {
		t.Errorf("difference %+v, want the record missing on a target that does not compact", diff)
	}
}

func TestKeyLimit(t *testing.T) {
	s := thinned(t, []batch.Record{rec(9, "z", "1")}, 10)
	d := thinned(t, []batch.Record{rec(0, "a", "1"), rec(1, "a", "2"), rec(2, "b", "1"), rec(3, "c", "1"), rec(9, "z", "1")}, 10)
	cfg := thins
	cfg.To, cfg.KeyLimit = 10, 2
	c := NewComparer(cfg)
	defer c.Close()
	for models := [2]*logModel{s, d}; !c.Done(); {
		side := c.Wants()
		if err := c.Feed(side, models[side].chunk(0, 10, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if k := c.Keys(Target); k.Len() != 2 || k.Beyond() != 3 {
		t.Errorf("%d keys, beyond %d, want 2 and 3", k.Len(), k.Beyond())
	}
}

// compacted is what a cleaner leaves of records: of those before dirty the last one of each key, tombstones
// only if kept.
func compacted(records []batch.Record, dirty int64, tombstones bool) []batch.Record {
	last := map[string]int64{}
	for _, r := range records {
		if r.Offset < dirty {
			last[string(r.Key)] = r.Offset
		}
	}
	var out []batch.Record
	for _, r := range records {
		if r.Offset >= dirty || (last[string(r.Key)] == r.Offset && (tombstones || r.Value != nil)) {
			out = append(out, r)
		}
	}
	return out
}

// state is what a reader of the whole topic ends up with.
func state(records []batch.Record) map[string][]byte {
	m := map[string][]byte{}
	for _, r := range records {
		if m[string(r.Key)] = r.Value; r.Value == nil {
			delete(m, string(r.Key))
		}
	}
	return m
}

func sameState(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || !bytes.Equal(v, w) {
			return false
		}
	}
	return true
}

// Whatever the cleaners of both sides do at whatever moment of the copy, and whatever is lost: the verdict is "equal" exactly if
// readers of both sides end up with the same keys and values.
func TestCompactionVerdict(t *testing.T) {
	verdicts := map[bool]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n := int64(rapid.IntRange(1, 40).Draw(rt, "offsets"))
		var source, target []batch.Record
		for o := range n {
			r := drawRecord(rt, o, 4)
			r.Value = append(r.Value, byte(o)) // values differ, so that states do
			if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
				r.Value = nil
			}
			source = append(source, r)
		}
		clean := func(records []batch.Record, name string) []batch.Record {
			return compacted(records, int64(rapid.IntRange(0, int(n)).Draw(rt, name)), rapid.Bool().Draw(rt, name+" keeps tombstones"))
		}
		for copied := int64(0); copied < n; {
			source = clean(source, "source")
			upTo := int64(rapid.IntRange(int(copied)+1, int(n)).Draw(rt, "copy up to"))
			target = append(target, copyRange(rt, source, copied, upTo)...)
			copied = upTo
		}
		source, target = clean(source, "source"), clean(target, "target")
		damages := rapid.IntRange(0, 2).Draw(rt, "damages") // records that were simply lost
		for range damages {
			side := &target
			if rapid.Bool().Draw(rt, "damage the source") {
				side = &source
			}
			if len(*side) > 0 {
				i := rapid.IntRange(0, len(*side)-1).Draw(rt, "lost")
				*side = slices.Delete(slices.Clone(*side), i, i+1)
			}
		}
		cfg := thins
		cfg.To = n
		s, d := thinned(t, source, n), thinned(t, target, n)
		diff, _ := run(t, cfg, s, d, rapid.IntRange(1, 500).Draw(rt, "fetch size"))
		same := sameState(state(source), state(target))
		verdicts[same]++
		// A record that was lost while an echo of it is left is a difference that readers of the state do not see.
		if same != (diff == nil) && !(same && damages > 0 && diff.Kind == Missing) {
			rt.Fatalf("states equal: %v, difference %+v", same, diff)
		}
	})
	t.Logf("histories by whether both sides say the same: %v", verdicts)
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("one-sided histories: %v", verdicts)
	}
}

// copyRange is what kferry writes for offsets [from, to): records as they are, holes left out or echoed.
func copyRange(t *rapid.T, source []batch.Record, from, to int64) (out []batch.Record) {
	next := 0
	echo := false
	for o := from; o < to; o++ {
		for next < len(source) && source[next].Offset < o {
			next++
		}
		if next == len(source) {
			return out
		}
		if source[next].Offset == o {
			out = append(out, source[next])
			echo = rapid.Bool().Draw(t, "echo")
		} else if echo {
			out = append(out, at(source[next], o))
		}
	}
	return out
}
