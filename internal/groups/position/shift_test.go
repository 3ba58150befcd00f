package position

import (
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/shift"
)

// Fifteen equal offsets, four foreign ones on the target, then the source's 15 on from 19; 30 to 39 are lost.
var life = shift.Map{{From: 0, Until: 15, Shift: 0}, {From: 15, Until: 30, Shift: -4}, {From: 40, Until: shift.Open, Shift: 6}}

func TestShiftedPositions(t *testing.T) {
	far := shift.Begin(5_000_000_000)
	for _, c := range []struct {
		name           string
		m              shift.Map
		source, target int64
		high           int64 // as the source's offset
		commit, same   int64
		synced         bool
		reason         string
	}{
		{"by subtraction", far, 5_000_000_123, None, 5_000_001_000, 123, None, true, ""},
		{"there already", far, 5_000_000_123, 123, 5_000_001_000, None, 123, true, ""},
		{"the same number means another record", far, 5_000_000_123, 5_000_000_123, 5_000_001_000, None, None, false, "the target is newer: 5000000123, not committed by this kferry, against the source's 5000000123 (123 on the target)"},
		{"behind", far, 5_000_000_123, None, 5_000_000_100, 100, None, false, "the target is behind: 100 of 5000000123 (123 on the target)"},
		{"before the first copied offset", far, 7, None, 5_000_001_000, 0, None, false, "clamped: the source's position 7 is not on the target, which goes on at 0 (the source's 5000000000)"},
		{"in the first segment", life, 12, None, 50, 12, None, true, ""},
		{"at its end: behind the foreign stretch", life, 15, None, 50, 19, None, true, ""},
		{"in the second", life, 20, None, 50, 24, None, true, ""},
		{"its next record is lost", life, 33, None, 50, 34, None, false, "clamped: the source's position 33 is not on the target, which goes on at 34 (the source's 40)"},
		{"lost, and held there already", life, 33, 34, 50, None, 34, false, "clamped: the source's position 33 is not on the target, which goes on at 34 (the source's 40)"},
		{"in the last", life, 45, None, 50, 39, None, true, ""},
		{"newer on the target", life, 45, 40, 50, None, None, false, "the target is newer: 40, not committed by this kferry, against the source's 45 (39 on the target)"},
		{"the end is not known yet", far, 5_000_000_123, None, -1, None, None, false, "the target's end is not known yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Partition{TopicPartition: estate.TopicPartition{Topic: "t"}, Source: c.source, Target: c.target, Own: None, High: c.high, Shift: c.m}
			d := Decide(Group{ID: "g", Source: stable, Target: empty, Partitions: []Partition{p}})
			if got := single(d.Commits); got != c.commit {
				t.Errorf("commit %d, want %d", got, c.commit)
			}
			if got := single(d.Same); got != c.same {
				t.Errorf("same %d, want %d", got, c.same)
			}
			row := d.Row(func(estate.TopicPartition) string { return "" })
			if got, _, _ := strings.Cut(row.Offsets[0].Reason, "; if the source"); got != c.reason {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
			if (row.Synced == 1) != c.synced || row.Synced+row.Held != 1 {
				t.Errorf("synced %d, held %d, want synced: %v", row.Synced, row.Held, c.synced)
			}
		})
	}
}
