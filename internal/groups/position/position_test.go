package position

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/report"
)

var (
	stable = Side{Exists: true, Type: "classic", State: "Stable"}
	empty  = Side{Exists: true, Type: "classic", State: "Empty"}
	absent = Side{}
)

// at is one partition with a mark far ahead and nothing committed by us.
func at(source, target int64) Partition {
	return Partition{TopicPartition: estate.TopicPartition{Topic: "t"}, Source: source, Target: target, Own: None, High: 1000}
}

func TestDecide(t *testing.T) {
	edit := func(p Partition, f func(*Partition)) Partition { f(&p); return p }
	for _, c := range []struct {
		name           string
		source, target Side
		hold           string
		p              Partition
		commit, same   int64 // None: nothing
		reason         string
	}{
		{name: "absent group is created", source: stable, target: absent, p: at(10, None), commit: 10, same: None},
		{name: "zero is a position", source: stable, target: absent, p: at(0, None), commit: 0, same: None},
		{name: "forward", source: stable, target: empty, p: at(10, 4), commit: 10, same: None},
		{name: "equal", source: stable, target: empty, p: at(10, 10), commit: None, same: 10},
		{name: "dead group on the target", source: empty, target: Side{Exists: true, State: "Dead"}, p: at(10, 4), commit: 10, same: None},
		{name: "KIP-848 group into an absent one", source: Side{Exists: true, Type: "consumer", State: "Stable"}, target: absent, p: at(10, None), commit: 10, same: None},
		{name: "KIP-848 group into an empty one", source: stable, target: Side{Exists: true, Type: "consumer", State: "Empty"}, p: at(10, 3), commit: 10, same: None},
		{
			name: "same offset with other metadata", source: stable, target: empty,
			p: edit(at(10, 10), func(p *Partition) { p.Metadata, p.TargetMetadata = "new", "old" }), commit: 10, same: None,
		},
		{
			name: "beyond the high watermark", source: stable, target: absent,
			p: edit(at(10, None), func(p *Partition) { p.High = 7 }), commit: 7, same: None, reason: "the target is behind: 7 of 10",
		},
		{
			name: "still beyond the high watermark", source: stable, target: empty,
			p: edit(at(10, 7), func(p *Partition) { p.High = 7 }), commit: None, same: 7, reason: "the target is behind: 7 of 10",
		},
		{
			name: "the target lost its tail", source: stable, target: empty,
			p: edit(at(10, 9), func(p *Partition) { p.High = 7 }), commit: 7, same: None, reason: "the target is behind: 7 of 10",
		},
		{
			name: "newer on the target", source: stable, target: empty, p: at(10, 11), commit: None, same: None,
			reason: "the target is newer: 11, not committed by this kferry, against the source's 10; if the source was rewound, reset the group on the target as well",
		},
		{
			name: "rewound on the source", source: empty, target: empty,
			p: edit(at(3, 11), func(p *Partition) { p.Own = 11 }), commit: 3, same: None,
		},
		{
			name: "rewound on the source, but somebody went on on the target", source: empty, target: empty,
			p: edit(at(3, 12), func(p *Partition) { p.Own = 11 }), commit: None, same: None,
			reason: "the target is newer: 12, not committed by this kferry, against the source's 3; if the source was rewound, reset the group on the target as well",
		},
		{
			name: "rewound on the target", source: empty, target: empty,
			p: edit(at(11, 3), func(p *Partition) { p.Own = 11 }), commit: 11, same: None,
		},
		{name: "live on the target", source: stable, target: stable, p: at(10, 4), commit: None, same: None, reason: "live on the target: Stable"},
		{name: "live and equal", source: stable, target: stable, p: at(10, 10), commit: None, same: None},
		{name: "rebalancing on the target", source: stable, target: Side{Exists: true, State: "PreparingRebalance"}, p: at(10, 4), commit: None, same: None, reason: "live on the target: PreparingRebalance"},
		{name: "state unknown", source: stable, target: Side{Exists: true}, p: at(10, 4), commit: None, same: None, reason: "live on the target: "},
		{
			name: "members are named", source: stable, target: Side{Exists: true, State: "Stable", Members: []string{"a/1", "b/1", "c/1", "d/1"}}, p: at(10, 4), commit: None, same: None,
			reason: "live on the target: Stable, 4 members (a/1, b/1, c/1, ...)",
		},
		{name: "share group", source: Side{Exists: true, Type: "share", State: "Stable"}, target: absent, p: at(10, 4), commit: None, same: None, reason: "share group: only the start offset can be moved; not built yet"},
		{name: "streams group", source: Side{Exists: true, Type: "streams", State: "Stable"}, target: absent, p: at(10, 4), commit: None, same: None, reason: "streams group (KIP-1071): its protocol is not carried yet"},
		{name: "another kind on the target", source: stable, target: Side{Exists: true, Type: "share", State: "Empty"}, p: at(10, 4), commit: None, same: None, reason: "the target knows this id as a share group"},
		{name: "held from outside", source: stable, target: empty, hold: "its home is the target", p: at(10, 4), commit: None, same: None, reason: "its home is the target"},
		{
			name: "partition held from outside", source: stable, target: empty,
			p: edit(at(10, 4), func(p *Partition) { p.Hold = "faulted" }), commit: None, same: None, reason: "faulted",
		},
		{
			name: "open transaction", source: stable, target: empty,
			p: edit(at(None, 4), func(p *Partition) { p.Hold = "an open transaction" }), commit: None, same: None, reason: "an open transaction",
		},
		{name: "position deleted on the source", source: empty, target: empty, p: at(None, 4), commit: None, same: None, reason: "no longer committed on the source; left as it is on the target"},
		{name: "group deleted on the source", source: Side{Type: "classic"}, target: empty, p: at(None, 4), commit: None, same: None, reason: "no longer committed on the source; left as it is on the target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Group{ID: "g", Source: c.source, Target: c.target, Hold: c.hold, Partitions: []Partition{c.p}})
			if got := single(d.Commits); got != c.commit {
				t.Errorf("commit %d, want %d", got, c.commit)
			}
			if got := single(d.Same); got != c.same {
				t.Errorf("same %d, want %d", got, c.same)
			}
			row := d.Row(func(estate.TopicPartition) string { return "" })
			if got := row.Offsets[0].Reason; got != c.reason {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
			synced := c.p.Source != None && (c.p.Target == c.p.Source && c.commit == None || c.commit == c.p.Source)
			if (row.Synced == 1) != synced || row.Synced+row.Held != 1 {
				t.Errorf("synced %d, held %d; want synced: %v", row.Synced, row.Held, synced)
			}
			if row.Held > 0 && row.Reason == "" {
				t.Error("held without a reason for the group")
			}
		})
	}
}

func single(commits []Commit) int64 {
	if len(commits) == 0 {
		return None
	}
	return commits[0].Offset
}

func TestRow(t *testing.T) {
	tp := func(p int32) estate.TopicPartition { return estate.TopicPartition{Topic: "t", Partition: p} }
	d := Decide(Group{ID: "g", Source: stable, Target: empty, Partitions: []Partition{
		{TopicPartition: tp(0), Source: 5, Target: 1, Own: None, High: 9},
		{TopicPartition: tp(1), Source: 5, Target: 5, Own: None, High: 9},
		{TopicPartition: tp(2), Source: 5, Target: 1, Own: None, High: 9},
		{TopicPartition: tp(3), Source: 5, Target: 1, Own: None, High: 2},
	}})
	got := d.Row(func(p estate.TopicPartition) string {
		if p.Partition == 2 {
			return "metadata too large"
		}
		return ""
	})
	want := report.Group{
		ID: "g", Type: "classic", SourceState: "Stable", TargetState: "Empty", Synced: 2, Held: 2,
		Reason: "2 of 4 positions held; t-2: metadata too large",
		Offsets: []report.GroupOffset{
			{Topic: "t", Partition: 0, Source: 5, Target: 5},
			{Topic: "t", Partition: 1, Source: 5, Target: 5},
			{Topic: "t", Partition: 2, Source: 5, Target: 1, Reason: "metadata too large"},
			{Topic: "t", Partition: 3, Source: 5, Target: 2, Reason: "the target is behind: 2 of 5"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// Whatever is known, what is stored never lies beyond the target's end or the source's position, never
// replaces a newer position of somebody else's, and never touches a group that may be live.
func TestNeverTooFar(t *testing.T) {
	states := []string{"", "Empty", "Dead", "Stable", "PreparingRebalance", "Assigning"}
	types := []string{"", "classic", "consumer", "share", "streams"}
	rapid.Check(t, func(t *rapid.T) {
		side := func(name string) Side {
			return Side{
				Exists: rapid.Bool().Draw(t, name+" exists"), Type: rapid.SampledFrom(types).Draw(t, name+" type"),
				State: rapid.SampledFrom(states).Draw(t, name+" state"),
			}
		}
		g := Group{ID: "g", Source: side("source"), Target: side("target")}
		if rapid.IntRange(0, 9).Draw(t, "hold") == 0 {
			g.Hold = "held"
		}
		byPartition := map[int32]Partition{}
		for i := range rapid.IntRange(0, 4).Draw(t, "partitions") {
			offset := rapid.Int64Range(-1, 6)
			p := Partition{
				TopicPartition: estate.TopicPartition{Topic: "t", Partition: int32(i)},
				Source:         offset.Draw(t, "source"), Target: offset.Draw(t, "target"), Own: offset.Draw(t, "own"), High: rapid.Int64Range(0, 6).Draw(t, "high"),
			}
			if rapid.IntRange(0, 9).Draw(t, "held") == 0 {
				p.Hold = "held"
			}
			byPartition[p.Partition] = p
			g.Partitions = append(g.Partitions, p)
		}
		d := Decide(g)
		for _, c := range append(d.Commits, d.Same...) {
			p := byPartition[c.Partition]
			live := g.Target.Exists && g.Target.State != "Empty" && g.Target.State != "Dead"
			foreign := p.Target > p.Source && p.Target != p.Own
			if c.Offset < 0 || c.Offset > p.High || c.Offset > p.Source || live || foreign || p.Hold != "" || g.Hold != "" {
				t.Fatalf("%+v stored for %+v of %+v", c, p, g)
			}
		}
		row := d.Row(func(estate.TopicPartition) string { return "" })
		if len(row.Offsets) != len(g.Partitions) || row.Synced+row.Held != len(g.Partitions) {
			t.Fatalf("row does not tell every partition: %+v", row)
		}
		for _, o := range row.Offsets {
			if o.Target != o.Source && o.Reason == "" {
				t.Fatalf("not equal and no reason: %+v", fmt.Sprintf("%+v", o))
			}
		}
	})
}
