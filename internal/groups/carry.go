package groups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/groups/position"
	"github.com/kferry/kferry/internal/kafka"
)

// carry looks at the positions of the given groups on both sides, decides, and stores. complete is false if
// some node of the target did not tell its groups.
func (s *Syncer) carry(ctx context.Context, due map[string]*tracked, marks Marks, complete bool) {
	var onSource, onTarget []string
	for id, t := range due {
		if t.here && t.source.Type != kafka.GroupShare {
			onSource = append(onSource, id)
		}
		if t.target.Exists || len(t.own) > 0 || !complete {
			onTarget = append(onTarget, id)
		}
	}
	source, target := s.source.Offsets(ctx, onSource), s.target.Offsets(ctx, onTarget)
	s.meet(ctx, due)
	decisions := make(map[string]*position.Decision, len(due))
	commits := map[string][]kafka.OffsetCommit{}
	for id, t := range due {
		g := s.group(id, t, source[id], target[id], marks)
		if !complete && !t.target.Exists && g.Hold == "" {
			g.Hold = "not every node of the target told its groups"
		}
		d := position.Decide(g)
		decisions[id] = &d
		if c := s.toStore(t, &d); len(c) > 0 {
			commits[id] = c
		}
		t.looked(s.o.Now(), s.o.Idle, source[id])
	}
	outcomes := s.target.Commit(ctx, commits)
	for id, d := range decisions {
		s.settle(due[id], d, commits[id], outcomes[id])
	}
}

// toStore is what is committed now: what changed and, when it is time, what did not.
func (s *Syncer) toStore(t *tracked, d *position.Decision) []kafka.OffsetCommit {
	if s.o.ReadOnly {
		return nil
	}
	store := d.Commits
	if s.o.Now().Sub(t.stored) >= s.o.Refresh {
		store = slices.Concat(store, d.Same)
	}
	commits := make([]kafka.OffsetCommit, len(store))
	for i, c := range store {
		commits[i] = kafka.OffsetCommit{Topic: c.Topic, Partition: c.Partition, Offset: c.Offset, Metadata: c.Metadata}
	}
	return commits
}

// looked sets when to look next: at once while the source's positions move, ever later while they do not. A
// group that stores positions without members in it is Empty all the time, so its state tells nothing.
func (t *tracked) looked(now time.Time, idle time.Duration, source kafka.GroupOffsets) {
	moved := source.Err == nil && !maps.Equal(source.Offsets, t.offsets)
	if source.Err == nil {
		t.offsets = source.Offsets
	}
	for _, o := range source.Offsets {
		moved = moved || o.Err != nil // an open transaction: it will move
	}
	if moved {
		t.pause, t.due = 0, now
		return
	}
	t.pause = min(max(2*t.pause, leastIdle), idle)
	t.due = now.Add(t.pause)
}

// settle records what was stored and writes the group's line.
func (s *Syncer) settle(t *tracked, d *position.Decision, commits []kafka.OffsetCommit, outcome kafka.CommitOutcome) {
	refused := func(tp estate.TopicPartition) string {
		if s.o.ReadOnly {
			return "not carried over yet"
		}
		err := outcome.Err
		if err == nil {
			err = outcome.Partitions[tp]
		}
		switch {
		case err == nil:
			return ""
		case isLive(err):
			return "live on the target: somebody joined it just now"
		}
		return err.Error()
	}
	complete := true
	for _, c := range commits {
		tp := estate.TopicPartition{Topic: c.Topic, Partition: c.Partition}
		if refused(tp) == "" {
			t.own[tp] = c.Offset
		} else {
			complete = false
		}
	}
	if complete && len(commits) == len(d.Commits)+len(d.Same) && len(commits) > 0 {
		t.stored = s.o.Now()
	}
	t.row = d.Row(refused)
	t.row.At = s.o.Now()
}

// meet names the members of groups that are live on the target, for the report. It is asked once per state.
func (s *Syncer) meet(ctx context.Context, due map[string]*tracked) {
	const most = 100
	var live []kafka.Group
	for id, t := range due {
		if t.target.Exists && t.target.State != "Empty" && t.target.State != "Dead" && t.target.Members == nil && len(live) < most {
			live = append(live, kafka.Group{ID: id, Type: t.target.Type})
		}
	}
	if len(live) == 0 {
		return
	}
	for id, d := range s.target.Describe(ctx, live) {
		for _, m := range d.Members {
			due[id].target.Members = append(due[id].target.Members, m.ClientID+m.Host)
		}
	}
}

// group joins what is known of one group for the decision.
func (s *Syncer) group(id string, t *tracked, source, target kafka.GroupOffsets, marks Marks) position.Group {
	g := position.Group{ID: id, Source: t.source, Target: t.target, Hold: s.o.Hold(id)}
	if err := errors.Join(source.Err, target.Err); err != nil && g.Hold == "" {
		g.Hold = err.Error()
	}
	if source.Err != nil {
		source.Offsets = t.offsets // as of the last look
	}
	tps := map[estate.TopicPartition]bool{}
	for tp := range source.Offsets {
		tps[tp] = true
	}
	for tp := range t.own { // positions that the source no longer has
		tps[tp] = true
	}
	for tp := range tps {
		mark, inFlow := marks(tp.Topic, tp.Partition)
		if !inFlow {
			continue
		}
		p := position.Partition{TopicPartition: tp, Source: position.None, Target: position.None, Own: position.None, High: mark.High, Hold: mark.Hold, Shift: mark.Shift}
		if o, ok := source.Offsets[tp]; ok {
			p.Source, p.Metadata = o.Offset, o.Metadata
			p.Hold = cmp.Or(p.Hold, unsettled(o.Err, "source"))
		}
		if o, ok := target.Offsets[tp]; ok {
			p.Target, p.TargetMetadata = o.Offset, o.Metadata
			p.Hold = cmp.Or(p.Hold, unsettled(o.Err, "target"))
		}
		if own, ok := t.own[tp]; ok {
			p.Own = own
		}
		g.Partitions = append(g.Partitions, p)
	}
	slices.SortFunc(g.Partitions, func(a, b position.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return g
}

// unsettled says in words why a cluster did not tell one position.
func unsettled(err error, where string) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, kafka.ErrUnstableOffset):
		return "an open transaction on the " + where + " may still change it"
	}
	return fmt.Sprintf("the %s does not tell it: %v", where, err)
}

// isLive says whether a commit was refused because somebody is in the group.
func isLive(err error) bool {
	return errors.Is(err, kafka.ErrUnknownMember) || errors.Is(err, kafka.ErrStaleMemberEpoch)
}
