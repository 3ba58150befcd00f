package history

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// log builds what a consumer sees: one record for each id, from an offset on; 0 is a hole.
func logOf(start int64, ids ...uint64) (prints []print) {
	for i, id := range ids {
		if id != 0 {
			prints = append(prints, print{offset: start + int64(i), id: id, sum: [16]byte{byte(id)}, key: string(rune('a' + id%3))})
		}
	}
	return prints
}

func ledgerOf(entries ...Entry) *Ledger {
	l := newLedger()
	for _, e := range entries {
		l.entries[e.ID] = &e
	}
	return l
}

// Every kind of damage is counted as what it is.
func TestCheckerCounts(t *testing.T) {
	changed := func(p []print, i int) []print {
		p[i].sum[1] = 0xff
		return p
	}
	for _, c := range []struct {
		name           string
		sc, su, tc, tu []print // su and tu default to sc and tc
		ledger         *Ledger
		compacted      bool
		shifted        bool
		want           Counts
		violated       []int
		echoes         int64
	}{
		{name: "equal", sc: logOf(5, 1, 2, 3), tc: logOf(5, 1, 2, 3)},
		{name: "lost in the middle", sc: logOf(5, 1, 2, 3), tc: logOf(5, 1, 0, 3), want: Counts{Lost: 1}, violated: []int{I2Visible}},
		{name: "lost at the end", sc: logOf(5, 1, 2, 3), tc: logOf(5, 1, 2), want: Counts{Lost: 1}, violated: []int{I2Visible}},
		{name: "twice, and all behind moved", sc: logOf(5, 1, 2, 3), tc: logOf(5, 1, 1, 2, 3), want: Counts{Duplicated: 1, OffsetDiff: 2}, violated: []int{I1Content, I2Visible}},
		{name: "twice, where offsets differ by design", sc: logOf(5, 1, 2, 3), tc: logOf(0, 1, 1, 2, 3), shifted: true, want: Counts{Duplicated: 1, OffsetDiff: 3}},
		{name: "swapped", sc: logOf(5, 1, 2, 3), tc: logOf(5, 2, 1, 3), want: Counts{Reordered: 1, OffsetDiff: 2}, violated: []int{I1Content}},
		{name: "changed", sc: logOf(5, 1, 2, 3), tc: changed(logOf(5, 1, 2, 3), 1), want: Counts{Corrupted: 1}, violated: []int{I1Content}},
		{name: "from nowhere", sc: logOf(5, 1, 2, 0), tc: logOf(5, 1, 2, 9), want: Counts{Phantom: 1}, violated: []int{I2Visible}},
		{name: "aborted, and committed on the target", sc: logOf(5, 1, 0, 3), su: logOf(5, 1, 2, 3), tc: logOf(5, 1, 2, 3), want: Counts{Phantom: 1}, violated: []int{I2Visible}},
		{name: "aborted on both", sc: logOf(5, 1, 0, 3), su: logOf(5, 1, 2, 3), tc: logOf(5, 1, 0, 3), tu: logOf(5, 1, 2, 3)},
		{name: "committed, and aborted on the target", sc: logOf(5, 1, 2, 3), tc: logOf(5, 1, 0, 3), tu: logOf(5, 1, 2, 3), want: Counts{Lost: 1}, violated: []int{I2Visible}},
		{name: "filler in a hole", sc: logOf(5, 1, 0, 3), tc: logOf(5, 1, 0, 3), tu: logOf(5, 1, 8, 3)},
		{name: "echo in a hole of a compacted topic", sc: logOf(5, 1, 0, 3), tc: logOf(5, 1, 3, 3), compacted: true, echoes: 1},
		{name: "echo in a hole of another topic", sc: logOf(5, 1, 0, 3), tc: logOf(5, 1, 3, 3), want: Counts{Duplicated: 1, OffsetDiff: 1}, violated: []int{I2Visible}},
		{name: "cleaned on the source since, a later record of the key", sc: logOf(5, 1, 0, 3, 5), tc: logOf(5, 1, 2, 3, 5), compacted: true, echoes: 1,
			ledger: ledgerOf(Entry{ID: 2, Topic: "t", Offset: 6, Outcome: OutcomeCommitted})},
		{name: "a key lives on the target only", sc: logOf(5, 1, 0, 3), tc: logOf(5, 1, 2, 3), compacted: true, violated: []int{I2Visible, I4Latest},
			ledger: ledgerOf(Entry{ID: 2, Topic: "t", Offset: 6, Outcome: OutcomeCommitted})},
		{name: "deleted on the source since, where offsets differ by design", sc: logOf(5, 1), tc: logOf(0, 7, 1), shifted: true, want: Counts{OffsetDiff: 1},
			ledger: ledgerOf(Entry{ID: 7, Topic: "t", Offset: 4, Outcome: OutcomeCommitted})},
		{name: "of another partition", sc: logOf(5, 1), tc: logOf(5, 1, 7), shifted: true, want: Counts{Phantom: 1},
			ledger: ledgerOf(Entry{ID: 7, Topic: "t", Partition: 3, Offset: 4, Outcome: OutcomeCommitted})},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &Verdict{}
			p := &sides{o: &CheckOptions{Ledger: c.ledger, Shifted: c.shifted}, v: v, topic: "t", compacted: c.compacted, s: ends{start: 5}, sc: c.sc, su: c.su, tc: c.tc, tu: c.tu}
			if p.su == nil {
				p.su = p.sc
			}
			if p.tu == nil {
				p.tu = p.tc
			}
			p.judge()
			var violated []int
			for i, in := range v.Invariants {
				if in.Violated > 0 {
					violated = append(violated, i)
				}
			}
			if diff := cmp.Diff(c.want, v.Counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s\n%v", diff, v)
			}
			if diff := cmp.Diff(c.violated, violated); diff != "" {
				t.Errorf("invariants (-want +got):\n%s\n%v", diff, v)
			}
			if v.Echoes != c.echoes {
				t.Errorf("%d echoes, want %d", v.Echoes, c.echoes)
			}
		})
	}
}

// What was acknowledged and is not on the source is the source's loss, and not the copy's.
func TestCheckerTellsTheSourcesLoss(t *testing.T) {
	v := &Verdict{}
	p := &sides{o: &CheckOptions{Ledger: ledgerOf(
		Entry{ID: 1, Topic: "t", Offset: 5, Outcome: OutcomeCommitted},
		Entry{ID: 2, Topic: "t", Offset: 6, Outcome: OutcomeCommitted},
		Entry{ID: 3, Topic: "t", Offset: 6, Outcome: OutcomeAborted},
		Entry{ID: 4, Topic: "t", Offset: 2, Outcome: OutcomeCommitted}, // before the log start
	)}, v: v, topic: "t", s: ends{start: 5}, sc: logOf(5, 1), su: logOf(5, 1), tc: logOf(5, 1), tu: logOf(5, 1)}
	p.judge()
	if v.SourceLost != 1 || v.Acked != 3 || !v.Counts.Zero() {
		t.Errorf("lost at the source %d of %d, want 1 of 3; %v", v.SourceLost, v.Acked, v.Counts)
	}
}

// Positions are right at the same offset, or before the same record where offsets differ by design.
func TestCheckerPositions(t *testing.T) {
	p := &sides{o: &CheckOptions{}, t: ends{high: 8}, sc: logOf(5, 1, 0, 3), tc: logOf(0, 1, 3)}
	at := func(offset int64) Position { return Position{Offset: offset, Epoch: -1} }
	on := func(offset int64, epoch int32, metadata string) *Position {
		return &Position{Offset: offset, Epoch: epoch, Metadata: metadata}
	}
	for _, c := range []struct {
		name    string
		shifted bool
		s       Position
		t       *Position
		want    bool
	}{
		{"equal", false, at(6), on(6, -1, ""), true},
		{"missing", false, at(6), nil, false},
		{"elsewhere", false, at(6), on(7, -1, ""), false},
		{"metadata", false, at(6), on(6, -1, "x"), false},
		{"epoch", false, at(6), on(6, 0, ""), false},
		{"beyond the end", false, at(9), on(9, -1, ""), false},
		{"same record next", true, at(6), on(1, 0, ""), true},
		{"same end", true, at(8), on(2, 0, ""), true},
		{"another record next", true, at(6), on(0, 0, ""), false},
	} {
		p.o.Shifted = c.shifted
		if got := p.position(c.s, c.t); (got == "") != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
