package digest

import (
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/batch"
)

const filler = batch.FillerKey

func TestComparer(t *testing.T) {
	null := func(r batch.Record) batch.Record { r.Value = nil; return r }
	cases := []struct {
		name   string
		cfg    Config
		source func(t *testing.T, l *logModel)
		target func(t *testing.T, l *logModel)
		kind   Kind // empty: equal
		offset int64
		want   Stats
	}{
		{
			name: "same batch, other producer, epoch and bits",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 5, transactional: true, deleteHorizon: true, codec: batch.LZ4}, rec(0, "a", "1"), rec(1, "b", "2"))
			},
			target: func(t *testing.T, l *logModel) { l.add(t, style{codec: batch.LZ4}, rec(0, "a", "1"), rec(1, "b", "2")) },
			want:   Stats{Records: 2, BatchesIdentical: 1},
		},
		{
			name: "other boundaries and codecs",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{codec: batch.Zstd}, rec(0, "a", "1"), rec(1, "b", "2"), rec(2, "c", "3"))
			},
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2"))
				l.add(t, style{codec: batch.Snappy}, rec(2, "c", "3"))
			},
			want: Stats{Records: 3, BatchesDecoded: 1},
		},
		{
			name:   "null is not empty",
			source: func(t *testing.T, l *logModel) { l.add(t, style{}, null(rec(0, "a", ""))) },
			target: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "")) },
			kind:   Value,
		},
		{
			name: "record lost in the middle",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2"), rec(2, "c", "3"))
			},
			target: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "1"), rec(2, "c", "3")) },
			kind:   Missing, offset: 1, want: Stats{Records: 1, BatchesDecoded: 1},
		},
		{
			name: "record lost at the end",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{}, rec(1, "b", "2"))
			},
			target: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "1")); l.marker(t, 1, 9, batch.Abort) },
			kind:   Missing, offset: 1, want: Stats{Records: 1, BatchesIdentical: 1, BatchesDecoded: 1, MarkersTarget: 1},
		},
		{
			name: "marker for a marker",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 1, transactional: true}, rec(0, "a", "1"))
				l.marker(t, 1, 1, batch.Commit)
			},
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 9}, rec(0, "a", "1"))
				l.marker(t, 1, 8, batch.Abort)
			},
			want: Stats{Records: 1, BatchesIdentical: 1, MarkersSource: 1, MarkersTarget: 1},
		},
		{
			name: "interleaved transactions, one aborted",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 1, transactional: true}, rec(0, "a", "1"))
				l.add(t, style{producer: 2, transactional: true}, rec(1, "b", "2"), rec(2, "b", "3"))
				l.abort(t, 3, 2, 1)
				l.add(t, style{producer: 2, transactional: true}, rec(4, "b", "4"))
				l.marker(t, 5, 2, batch.Commit)
				l.marker(t, 6, 1, batch.Commit)
			},
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 9}, rec(0, "a", "1"))
				for o := int64(1); o < 4; o++ {
					l.marker(t, o, 8, batch.Abort)
				}
				l.add(t, style{producer: 9}, rec(4, "b", "4"))
				l.marker(t, 5, 8, batch.Abort)
				l.marker(t, 6, 8, batch.Abort)
			},
			want: Stats{Records: 2, BatchesIdentical: 2, AbortedNotCopied: 2, MarkersSource: 3, MarkersTarget: 5},
		},
		{
			name: "aborted records copied as data",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 2, transactional: true}, rec(0, "b", "2"))
				l.abort(t, 1, 2, 0)
			},
			target: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "b", "2")); l.marker(t, 1, 8, batch.Abort) },
			kind:   Phantom, want: Stats{AbortedNotCopied: 1, MarkersSource: 1, MarkersTarget: 1},
		},
		{
			name:   "gap filled by aborted filler",
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 4}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{producer: 3, transactional: true}, null(rec(1, filler, "")), null(rec(2, filler, "")), null(rec(3, filler, "")))
				l.abort(t, 4, 3, 1)
			},
			want: Stats{Records: 1, BatchesDecoded: 1, AbortedFillers: 3, MarkersTarget: 1},
		},
		{
			name:   "gap filled by filler that is not aborted",
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 2}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), null(rec(1, filler, "")))
				l.marker(t, 2, 1, batch.Abort)
			},
			kind: Phantom, offset: 1, want: Stats{Records: 1, BatchesDecoded: 1, MarkersTarget: 1},
		},
		{
			name:   "aborted data of somebody else on the target",
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 2}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{producer: 3, transactional: true}, rec(1, "x", "y"))
				l.abort(t, 2, 3, 1)
			},
			kind: Phantom, offset: 1, want: Stats{Records: 1, BatchesDecoded: 1, AbortedForeign: 1, MarkersTarget: 1},
		},
		{
			name:   "the same, where it is expected",
			cfg:    Config{AbortedForeign: true},
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 2}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{producer: 3, transactional: true}, rec(1, "x", "y"))
				l.abort(t, 2, 3, 1)
			},
			want: Stats{Records: 1, BatchesDecoded: 1, AbortedForeign: 1, MarkersTarget: 1},
		},
		{
			name:   "aborted filler where the source has a record",
			source: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "1")); l.marker(t, 1, 1, batch.Commit) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 3, transactional: true}, null(rec(0, filler, "")))
				l.abort(t, 1, 3, 0)
			},
			kind: Missing, want: Stats{BatchesDecoded: 1, AbortedFillers: 1, MarkersSource: 1, MarkersTarget: 1},
		},
		{
			name:   "LogAppendTime arrives as CreateTime",
			source: func(t *testing.T, l *logModel) { l.add(t, style{logAppend: 77}, rec(0, "a", "1"), rec(1, "b", "2")) },
			target: func(t *testing.T, l *logModel) {
				a, b := rec(0, "a", "1"), rec(1, "b", "2")
				a.Timestamp, b.Timestamp = 77, 77
				l.add(t, style{}, a, b)
			},
			want: Stats{Records: 2, BatchesDecoded: 1, LogAppendTime: 2},
		},
		{
			name:   "LogAppendTime, re-timed by the target",
			source: func(t *testing.T, l *logModel) { l.add(t, style{logAppend: 77}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "1")) },
			kind:   Timestamp, want: Stats{BatchesDecoded: 1},
		},
		{
			name: "CreateTime arrives as LogAppendTime",
			source: func(t *testing.T, l *logModel) {
				a := rec(0, "a", "1")
				a.Timestamp = 77
				l.add(t, style{}, a)
			},
			target: func(t *testing.T, l *logModel) { l.add(t, style{logAppend: 77}, rec(0, "a", "1")) },
			kind:   TimestampType, want: Stats{BatchesDecoded: 1},
		},
		{
			name:   "a base timestamp that moves every record",
			source: func(t *testing.T, l *logModel) { l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2"))
				b, _, _ := batch.Next(l.batches[0].raw)
				b.BaseTimestamp--
				batch.Seal(b.Raw, b.Header)
			},
			kind: Timestamp, want: Stats{BatchesDecoded: 1},
		},
		{
			name:   "aborted records with the filler's key and a value",
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 2}, rec(0, "a", "1")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{producer: 3, transactional: true}, rec(1, filler, ""))
				l.abort(t, 2, 3, 1)
			},
			kind: Phantom, offset: 1, want: Stats{Records: 1, BatchesDecoded: 1, AbortedForeign: 1, MarkersTarget: 1},
		},
		{
			name:   "a lost record before somebody else's aborted data",
			source: func(t *testing.T, l *logModel) { l.add(t, style{last: 3}, rec(0, "a", "1"), rec(1, "b", "2")) },
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"))
				l.add(t, style{producer: 3, transactional: true}, rec(2, "x", "y"))
				l.abort(t, 3, 3, 2)
			},
			kind: Missing, offset: 1, want: Stats{Records: 1, BatchesDecoded: 1, MarkersTarget: 1},
		},
		{
			name: "a producer's plain records beside its aborted transaction",
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{producer: 3, transactional: true}, rec(0, "a", "1"))
				l.add(t, style{producer: 3}, rec(1, "b", "2"))
				l.abort(t, 2, 3, 0)
			},
			target: func(t *testing.T, l *logModel) {
				l.marker(t, 0, 8, batch.Abort)
				l.add(t, style{}, rec(1, "b", "2"))
				l.marker(t, 2, 8, batch.Abort)
			},
			want: Stats{Records: 1, BatchesIdentical: 1, AbortedNotCopied: 1, MarkersSource: 1, MarkersTarget: 2},
		},
		{
			name: "only the range counts",
			cfg:  Config{From: 1, To: 3},
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2"), rec(2, "c", "3"), rec(3, "d", "4"))
			},
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "x", "1"), rec(1, "b", "2"), rec(2, "c", "3"), rec(3, "y", "4"))
			},
			want: Stats{Records: 2, BatchesDecoded: 1},
		},
		{
			name: "every difference is counted when asked",
			cfg:  Config{CountAll: true},
			source: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "1"), rec(1, "b", "2"), rec(2, "c", "3"))
			},
			target: func(t *testing.T, l *logModel) {
				l.add(t, style{}, rec(0, "a", "x"), rec(1, "b", "2"), rec(2, "x", "3"))
			},
			kind: Value, want: Stats{Records: 1, BatchesDecoded: 1, Differing: 2},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s, d logModel
			c.source(t, &s)
			c.target(t, &d)
			if c.cfg.To == 0 {
				c.cfg.To = s.end
			}
			for _, size := range []int{1, 150, 1 << 20} {
				diff, stats := run(t, c.cfg, &s, &d, size)
				checkDifference(t, diff, c.kind, c.offset)
				if c.kind != "" && c.want == (Stats{}) {
					continue
				}
				if c.kind != "" && !c.cfg.CountAll {
					c.want.Differing = 1
				}
				stats.Bytes = 0
				if c.kind != "" && size != 1<<20 { // how much was fed before the end depends on the size
					continue
				}
				if stats != c.want {
					t.Errorf("fetching %d bytes: stats\n got %+v\nwant %+v", size, stats, c.want)
				}
			}
		})
	}
}

func checkDifference(t testing.TB, d *Difference, kind Kind, offset int64) {
	t.Helper()
	switch {
	case d == nil && kind != "":
		t.Errorf("equal, want %s at %d", kind, offset)
	case d != nil && (d.Kind != kind || d.Offset != offset):
		t.Errorf("%s at %d (%s), want %q at %d", d.Kind, d.Offset, d.Detail, kind, offset)
	}
}

func TestCorruptBatches(t *testing.T) {
	build := func() (s, d *logModel) {
		s, d = &logModel{}, &logModel{}
		for _, l := range []*logModel{s, d} {
			l.add(t, style{codec: batch.Zstd}, rec(0, "a", "1"), rec(1, "b", "2"))
			l.add(t, style{codec: batch.Zstd}, rec(2, "c", "3"), rec(3, "d", "4"))
		}
		return s, d
	}
	for name, side := range map[string]Side{"source": Source, "target": Target} {
		s, d := build()
		raw := []*logModel{s, d}[side].batches[1].raw
		raw[len(raw)-1] ^= 1
		diff, _ := run(t, Config{To: 4}, s, d, 1<<20)
		checkDifference(t, diff, Corrupt, 2)
		if diff != nil && !strings.Contains(diff.Detail, "on the "+name) {
			t.Errorf("detail %q does not name the %s", diff.Detail, name)
		}
	}
	// Damage behind the range is nobody's business; an earlier difference comes first.
	s, d := build()
	d.batches[1].raw[70] ^= 1
	if diff, _ := run(t, Config{To: 2}, s, d, 1<<20); diff != nil {
		t.Errorf("damage behind the range: %+v", diff)
	}
	s, d = build()
	d.batches[1].raw[70] ^= 1
	d.batches[0].raw = encode(t, style{}, []batch.Record{rec(0, "a", "1"), rec(1, "b", "x")})
	diff, _ := run(t, Config{To: 4}, s, d, 1<<20)
	checkDifference(t, diff, Value, 1)
	// A batch with a valid checksum and nonsense inside.
	s, d = build()
	for _, l := range []*logModel{s, d} {
		b, _, _ := batch.Next(l.batches[1].raw)
		b.Raw[batch.HeaderSize] ^= 0xff
		batch.Seal(b.Raw, b.Header)
	}
	diff, stats := run(t, Config{To: 4}, s, d, 1<<20)
	if diff != nil || stats.BatchesIdentical != 2 {
		t.Errorf("byte-equal nonsense is equal: %+v %+v", diff, stats)
	}
	d.batches[1].raw = encode(t, style{}, []batch.Record{rec(2, "c", "3"), rec(3, "d", "4")})
	diff, _ = run(t, Config{To: 4}, s, d, 1<<20)
	checkDifference(t, diff, Corrupt, 2)
}

func TestSplit(t *testing.T) {
	var l logModel
	l.add(t, style{}, rec(0, "a", "1"))
	l.add(t, style{}, rec(1, "b", "2"))
	all := l.fetch(0, 1<<20).Records
	// A batch that ends before the offset asked for is nobody's business, damaged or not.
	l.batches[0].raw[65] ^= 1
	c := Split(Fetch{From: 1, Records: l.fetch(0, 1<<20).Records})
	if c.corrupt != nil || c.Next != 2 || len(c.pieces) != 1 {
		t.Errorf("chunk %+v, want offsets 1 to 2", c)
	}
	// Half a batch says how much is needed, half a second batch waits for the next fetch.
	if c = Split(Fetch{Records: all[:20]}); c.Useful() || c.Need != len(all)/2 {
		t.Errorf("half a batch: %+v, want a need of %d bytes", c, len(all)/2)
	}
	if c = Split(Fetch{Records: all[:len(all)-1]}); c.Next != 1 || c.Need != 0 {
		t.Errorf("one batch and a half: %+v", c)
	}
	if c = Split(Fetch{}); c.Useful() || c.Need != 0 {
		t.Errorf("nothing: %+v", c)
	}
	// Two batches at one offset.
	for _, to := range []int64{0, 1} {
		var s logModel
		s.add(t, style{last: 5}, rec(0, "a", "1"))
		s.add(t, style{}, rec(3, "b", "2"))
		c = Split(Fetch{To: to, Records: s.fetch(0, 1<<20).Records})
		if (c.corrupt != nil) != (to == 0) || (to == 0 && (c.corrupt.Offset != 3 || c.Next != 3 || len(c.pieces) != 0)) {
			t.Errorf("overlapping batches up to %d: %+v", to, c)
		}
	}
}

func TestFeedRefusesGaps(t *testing.T) {
	c := NewComparer(Config{To: 10})
	released := 0
	bad := Hole(3, 5)
	bad.Release = func() { released++ }
	if err := c.Feed(Source, bad); err == nil || released != 1 {
		t.Errorf("feeding offsets 3 to 5 first: error %v, released %d times", err, released)
	}
}

// Every chunk is released exactly once, whether the comparison ends by itself or is given up.
func TestReleases(t *testing.T) {
	var l logModel
	for o := range int64(20) {
		l.add(t, style{codec: batch.Codec(o % 5)}, rec(2*o, "k", "v"), rec(2*o+1, "k", "w"))
	}
	for stopAfter := 1; stopAfter < 60; stopAfter++ {
		c := NewComparer(Config{To: l.end})
		fed, released := 0, 0
		next := [2]int64{}
		for !c.Done() && fed < stopAfter {
			side := c.Wants()
			chunk := l.chunk(next[side], l.end, 100+50*int(side))
			chunk.Release = func() { released++ }
			next[side] = chunk.Next
			fed++
			if err := c.Feed(side, chunk); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		c.Close()
		if fed != released {
			t.Fatalf("stopped after %d: fed %d chunks, %d releases", stopAfter, fed, released)
		}
	}
}
