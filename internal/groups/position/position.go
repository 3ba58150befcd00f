// Package position decides, for one consumer group, which of its positions are stored on the target and which
// are held back, with a reason in words for each.
//
// It is pure: what both clusters say comes in, commits and reasons come out. It fetches and commits nothing,
// and it does not decide which groups take part.
package position

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
)

// None stands for "no position committed".
const None int64 = -1

// Group is everything that is known of one group at one moment.
type Group struct {
	ID     string
	Source Side
	Target Side
	// Hold is why the group as a whole is held back for a reason from outside, empty if it is not.
	Hold       string
	Partitions []Partition // by topic and partition, those of the flow only
}

// Side is how one cluster sees the group.
type Side struct {
	Exists  bool
	Type    string // classic, consumer, share, streams
	State   string // as Kafka names it
	Members []string
}

// Partition is the group's position in one partition.
type Partition struct {
	estate.TopicPartition
	Source   int64 // None: not committed there
	Metadata string
	Target   int64 // None: not committed there
	// TargetMetadata is compared only: a position without its metadata is not the same position.
	TargetMetadata string
	// Own is what kferry itself committed last on the target, None if it has not in this run.
	Own int64
	// High is the target's high watermark, as the source's offset. Above it there is nothing to read.
	High int64
	// Shift tells which target offset belongs to a source offset; empty: they are equal.
	Shift shift.Map
	// Hold is why this partition is held back for a reason from outside: it is faulted, an open transaction
	// may still change the position. Empty if it is not.
	Hold string
}

// Commit is one position to store on the target.
type Commit struct {
	estate.TopicPartition
	Offset   int64
	Metadata string
}

// Decision says what to do for a group and why.
type Decision struct {
	// Commits are the positions to store now.
	Commits []Commit
	// Same are the positions that are on the target already; storing them again keeps them from expiring.
	Same []Commit

	row     report.Group
	held    string // why nothing is committed at all
	clamped map[estate.TopicPartition]bool
}

// Decide applies these rules, the first that fits:
//
//   - share and streams groups are held: their positions are not stored by an offset commit alone;
//   - a group that is live on the target is held: its members would be moved under their feet;
//   - a position that the target has beyond the source's is held as newer, unless it is the very one that
//     kferry committed: then the source was rewound, and the target follows;
//   - else the smaller of the source's position and the target's high watermark is stored. A position beyond
//     the end of the log would send a consumer to auto.offset.reset, which loses or repeats records.
//
// Where target offsets are shifted a position is stored less the shift, which is exact. One whose next record is
// not on the target is stored at the first record behind it that is, and counts as held, with that reason.
//
// After a restart kferry does not know its own commits. A rewind on the source that happened meanwhile is
// then held as newer, and the reason says how to settle it: nothing can be lost by that.
func Decide(g Group) Decision {
	d := Decision{held: g.held(), clamped: map[estate.TopicPartition]bool{}, row: report.Group{
		ID: g.ID, Type: g.Source.Type, SourceState: g.Source.State, TargetState: g.Target.State,
		Offsets: make([]report.GroupOffset, 0, len(g.Partitions)),
	}}
	for _, p := range g.Partitions {
		d.partition(p)
	}
	return d
}

// Row is the group's line in the report once the commits have been tried. refused says why a position could
// not be stored, empty if it was.
func (d *Decision) Row(refused func(estate.TopicPartition) string) report.Group {
	tried := make(map[estate.TopicPartition]int64, len(d.Commits))
	for _, c := range d.Commits {
		tried[c.TopicPartition] = c.Offset
	}
	row := d.row
	row.Reason, row.Synced, row.Held = d.held, 0, 0
	row.Offsets = slices.Clone(d.row.Offsets)
	first := ""
	for i := range row.Offsets {
		o := &row.Offsets[i]
		tp := estate.TopicPartition{Topic: o.Topic, Partition: o.Partition}
		if offset, ok := tried[tp]; ok {
			if why := refused(tp); why != "" {
				o.Reason = why
			} else {
				o.Target = offset
			}
		}
		if o.Source != None && o.Target == o.Source-o.Shift && !d.clamped[tp] {
			row.Synced++
			continue
		}
		if row.Held++; first == "" {
			first = fmt.Sprintf("%s: %s", tp, o.Reason)
		}
	}
	if row.Reason == "" && row.Held > 0 {
		row.Reason = fmt.Sprintf("%d of %d positions held; %s", row.Held, len(row.Offsets), first)
	}
	return row
}

// held is why nothing is committed for the group at all, empty if nothing speaks against it.
func (g Group) held() string {
	switch {
	case g.Hold != "":
		return g.Hold
	case g.Source.Type == "share":
		return "share group: only the start offset can be moved; not built yet"
	case g.Source.Type == "streams":
		return "streams group (KIP-1071): its protocol is not carried yet"
	case g.Target.Type == "share" || g.Target.Type == "streams":
		return fmt.Sprintf("the target knows this id as a %s group", g.Target.Type)
	case g.Target.live():
		return "live on the target: " + g.Target.life()
	case !g.Source.Exists:
		return "deleted on the source; its positions on the target are left as they are"
	}
	return ""
}

// live says whether somebody is, or may be, in the group. A group of which the cluster says nothing but that
// it exists counts as live.
func (s Side) live() bool {
	return s.Exists && s.State != "Empty" && s.State != "Dead" || len(s.Members) > 0
}

func (s Side) life() string {
	if len(s.Members) == 0 {
		return s.State
	}
	const most = 3
	named := s.Members[:min(most, len(s.Members))]
	text := fmt.Sprintf("%s, %d members (%s", s.State, len(s.Members), strings.Join(named, ", "))
	if len(s.Members) > most {
		text += ", ..."
	}
	return text + ")"
}

func (d *Decision) partition(p Partition) {
	o := report.GroupOffset{Topic: p.Topic, Partition: p.Partition, Source: p.Source, Target: p.Target}
	there, exact := p.Source, true // the source's position on the target
	if p.Source != None {
		there, exact = p.Shift.Position(p.Source)
		o.Shift = p.Source - there
	}
	want, wantExact := p.Shift.Position(max(min(p.Source, p.High), 0))
	switch {
	case p.Hold != "":
		o.Reason = p.Hold
	case p.High < 0:
		o.Reason = "the target's end is not known yet"
	case p.Source == None:
		o.Reason = "no longer committed on the source; left as it is on the target"
	case d.held != "":
		if p.Target != there {
			o.Reason = d.held
		}
	case p.Target > there && p.Target != p.Own:
		o.Reason = fmt.Sprintf("the target is newer: %d, not committed by this kferry, against the source's %s; if the source was rewound, reset the group on the target as well", p.Target, o.At())
	default:
		if want < there {
			o.Reason = fmt.Sprintf("the target is behind: %d of %s", want, o.At())
		} else if !exact || !wantExact {
			d.clamped[p.TopicPartition] = true
			o.Reason = fmt.Sprintf("clamped: the source's position %d is not on the target, which goes on at %d (the source's %d)", p.Source, want, p.Shift.StartSeen(want))
		}
		commit := Commit{p.TopicPartition, want, p.Metadata}
		if p.Target == want && p.TargetMetadata == p.Metadata {
			d.Same = append(d.Same, commit)
		} else {
			d.Commits = append(d.Commits, commit)
		}
	}
	d.row.Offsets = append(d.row.Offsets, o)
}
