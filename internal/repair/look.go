package repair

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/verify"
)

// Options say what to repair and what is known of it.
type Options struct {
	Flow           string
	Source, Target *kafka.Cluster
	Topic          string
	Action         Action
	Mode           string // in which the flow wants the topic to be begun
	Report         *report.Document
	// Shifts tells how offsets are shifted now, for topics with these ids; an error: not known.
	Shifts func(tp estate.TopicPartition, source, target estate.TopicID) (shift.Map, error)
	// SourceID is the source topic that was copied, zero if nobody remembers.
	SourceID estate.TopicID
	// DataID is the producer id of the flow's data.
	DataID int64
	Now    func() time.Time
}

// active is how long ago a foreign producer must have written to be no longer at work.
const active = time.Minute

// Look finds out what a repair would do. It changes nothing. The error says that a cluster could not be asked; what
// stands in the way of the repair is in the plan.
func Look(ctx context.Context, o Options) (*Plan, error) {
	plan := &Plan{Flow: o.Flow, Topic: o.Topic, Action: o.Action, Mode: o.Mode, Running: o.Report.Running, Partitions: []Partition{}, Groups: []Group{}, Notes: []string{}, Refusals: []string{}}
	source, err := o.Source.Metadata(ctx, []string{o.Topic})
	if err != nil {
		return nil, err
	}
	target, err := o.Target.Metadata(ctx, []string{o.Topic})
	if err != nil {
		return nil, err
	}
	var known, there bool
	plan.source, known = source.Topics[o.Topic]
	plan.target, there = target.Topics[o.Topic]
	switch {
	case !known:
		plan.refuse("topic %s is not on the source: there is nothing to copy it from", o.Topic)
		return plan, nil
	case !there && o.Action == Rebuild:
		plan.note("the target does not have the topic; it is created and copied")
		return plan, nil
	case !there:
		plan.refuse("the target does not have topic %s: start kferry replicate, which creates it", o.Topic)
		return plan, nil
	}
	l := &looking{Options: o, plan: plan, topic: topicOf(o.Report, o.Topic)}
	return plan, l.look(ctx)
}

func topicOf(doc *report.Document, name string) report.Topic {
	for _, t := range doc.Topics {
		if t.Name == name {
			return t
		}
	}
	return report.Topic{Name: name}
}

// looking is one Look under way.
type looking struct {
	Options
	plan  *Plan
	topic report.Topic
}

func (l *looking) look(ctx context.Context) error {
	from, to := leaders(l.plan.source), leaders(l.plan.target)
	s, t := l.Source.Ends(ctx, from), l.Target.Ends(ctx, to)
	for i, sp := range l.plan.source.Partitions {
		if i >= len(l.plan.target.Partitions) {
			continue // the copy adds it
		}
		tp := estate.TopicPartition{Topic: l.Topic, Partition: sp.ID}
		if err := s[tp].Err; err != nil {
			return fmt.Errorf("read the ends of %s on the source: %w", tp, err)
		}
		if err := t[tp].Err; err != nil {
			return fmt.Errorf("read the ends of %s on the target: %w", tp, err)
		}
		if err := l.partition(ctx, from[i], to[i], s[tp], t[tp]); err != nil {
			return err
		}
	}
	l.judge()
	if err := l.producers(ctx, to); err != nil {
		return err
	}
	return l.groups(ctx)
}

func leaders(t estate.Topic) []kafka.Leader {
	var out []kafka.Leader
	for _, p := range t.Partitions {
		out = append(out, kafka.Leader{TopicPartition: estate.TopicPartition{Topic: t.Name, Partition: p.ID}, Node: p.Leader, Epoch: p.LeaderEpoch})
	}
	return out
}

// partition finds out how far both sides agree, and what follows from that.
func (l *looking) partition(ctx context.Context, source, target kafka.Leader, s, t kafka.Ends) error {
	p := Partition{
		ID: source.Partition, SourceStart: s.Start, SourceEnd: s.High, TargetStart: t.Start, TargetEnd: t.High,
		Agreed: -1, From: -1, Bytes: -1,
	}
	f := faultOf(l.topic, p.ID)
	if f != nil {
		p.Fault = f.Kind
	}
	now, agreed, err := l.agreement(ctx, source, target, s, t)
	if err != nil {
		return err
	}
	p.Agreed = agreed
	if l.Action == Rebuild {
		p.rebuild(now, s, t)
	} else if f != nil {
		p.reattach(now, s, t)
	}
	p.Bytes = l.bytes(p.ID, p.Copy)
	l.plan.Partitions = append(l.plan.Partitions, p)
	return nil
}

// agreement is how offsets are shifted now, and the source offset up to which the target holds what the source held.
// Nothing agrees with a source topic that was created anew, or at a distance that nobody knows.
func (l *looking) agreement(ctx context.Context, source, target kafka.Leader, s, t kafka.Ends) (shift.Map, int64, error) {
	recreated := !l.SourceID.IsZero() && !l.plan.source.ID.IsZero() && l.SourceID != l.plan.source.ID
	now, err := l.Shifts(source.TopicPartition, l.plan.source.ID, l.plan.target.ID)
	if recreated || err != nil || t.High == 0 {
		return nil, 0, nil
	}
	last := now.Last()
	end := t.High + last.Shift
	if end <= s.Start { // overtaken: nothing is left on the source to compare it with
		return now, end, nil
	}
	low, high := max(s.Start, last.From, t.Start+last.Shift), min(end, s.Stable)
	if low >= high {
		return now, max(min(end, s.Stable), last.From), nil
	}
	agreed, err := l.compare(ctx, source, target, last.Shift, low, high)
	return now, agreed, err
}

// compare looks for the first difference from the end, in windows that grow until one begins with what is equal.
func (l *looking) compare(ctx context.Context, source, target kafka.Leader, by, low, high int64) (int64, error) {
	for size := int64(1_000); ; size *= 8 {
		from := max(low, high-size)
		diff, err := verify.CompareRange(ctx,
			verify.Side{Cluster: l.Source, Leader: source, TopicID: l.plan.source.ID},
			verify.Side{Cluster: l.Target, Leader: target, TopicID: l.plan.target.ID, Shift: by},
			from, high, verify.RangeOptions{SourceMayThin: true})
		switch {
		case err != nil:
			return 0, fmt.Errorf("compare %s from offset %d to %d: %w", source.TopicPartition, from, high-1, err)
		case diff == nil:
			return high, nil
		case diff.Offset > from || from == low:
			return diff.Offset, nil
		}
	}
}

// rebuild says what dropping the partition loses and what is copied again.
func (p *Partition) rebuild(now shift.Map, s, t kafka.Ends) {
	p.Copy = s.Stable - s.Start
	last := now.Last()
	good := max(min(p.Agreed-last.Shift, t.High), t.Start) // target offsets before this one are the source's
	p.Foreign = t.High - good
	if len(now) == 0 {
		now = shift.Map{{From: 0, Until: shift.Open, Shift: 0}}
	}
	for i, seg := range now {
		before := now.Foreign(i)
		p.Foreign += max(before.To-max(before.From, t.Start), 0)
		p.OnlyOnTarget += max(min(min(seg.Until, s.Start)-seg.Shift, good)-max(seg.Target(), t.Start), 0)
	}
}

// reattach says where the copy goes on.
func (p *Partition) reattach(now shift.Map, s, t kafka.Ends) {
	p.Attach = true
	p.From = max(p.Agreed, s.Start)
	if p.Agreed > 0 {
		p.Gone = max(s.Start-p.Agreed, 0)
	}
	p.Foreign = max(t.High-max(p.Agreed-now.Last().Shift, t.Start), 0)
	p.Map = now.Attach(p.Agreed, p.From, t.High).Prune(t.Start)
	p.Shift = p.Map.Last().Shift
	p.Copy = max(s.Stable-p.From, 0)
}

// bytes estimates by the mean record that was copied.
func (l *looking) bytes(id int32, offsets int64) int64 {
	for _, p := range l.topic.Partitions {
		if p.ID == id && p.Traffic.RecordsCopied > 0 {
			return offsets * (p.Traffic.BytesRaw + p.Traffic.BytesRecoded) / p.Traffic.RecordsCopied
		}
	}
	return -1
}

// judge refuses what the action cannot heal.
func (l *looking) judge() {
	faulty := 0
	for i := range l.plan.Partitions {
		p := &l.plan.Partitions[i]
		f := faultOf(l.topic, p.ID)
		if f == nil {
			continue
		}
		faulty++
		if l.Action != Reattach {
			if ok, _ := attachable(f); !ok && f.Kind != fault.PartitionMismatch && f.Kind != fault.TopicGone && f.Kind != fault.ModeChanged {
				l.plan.note("a copy from the start meets what stopped it, %s, again, unless that was seen to: %s", f.Kind, f.Next)
			}
			continue
		}
		if ok, why := attachable(f); !ok {
			l.plan.refuse("%s-%d cannot go on with shifted offsets: %s", l.Topic, p.ID, why)
		}
	}
	if faulty == 0 && l.Action == Reattach {
		l.plan.refuse("topic %s has no fault that kferry knows of: run kferry replicate --until-caught-up, which finds it, or kferry status", l.Topic)
	}
	if faulty == 0 && l.Action == Rebuild {
		l.plan.note("topic %s has no fault that kferry knows of; it is rebuilt all the same", l.Topic)
	}
	slices.Sort(l.plan.Notes)
	l.plan.Notes = slices.Compact(l.plan.Notes)
}

// producers refuses a repair while somebody else writes to the target.
func (l *looking) producers(ctx context.Context, to []kafka.Leader) error {
	since := l.Now().Add(-active).UnixMilli()
	states := l.Target.ProducersOf(ctx, to)
	for _, leader := range to {
		if err := states[leader.TopicPartition].Err; err != nil {
			return err
		}
		for _, ps := range states[leader.TopicPartition].States {
			if ps.ID != l.DataID && ps.LastSequence >= 0 && ps.LastTimestamp > since {
				l.foreign(leader, fmt.Sprintf("producer id %d", ps.ID), ps.LastTimestamp)
			}
		}
		id, at, err := l.lastWrite(ctx, leader)
		if err != nil {
			return err
		}
		if id != l.DataID && at > since {
			who := fmt.Sprintf("producer id %d", id)
			if id < 0 {
				who = "a producer without an id"
			}
			l.foreign(leader, who, at)
		}
	}
	return nil
}

func (l *looking) foreign(leader kafka.Leader, who string, at int64) {
	why := fmt.Sprintf("%s wrote to %s on the target %d s ago: stop it, and wait until it has been silent for a minute", who, leader.TopicPartition, max((l.Now().UnixMilli()-at)/1000, 0))
	if !slices.ContainsFunc(l.plan.Refusals, func(r string) bool { return strings.HasPrefix(r, who+" wrote to "+leader.TopicPartition.String()+" ") }) {
		l.plan.Refusals = append(l.plan.Refusals, why)
	}
}

// lastWrite is whose the last data batch of a partition is, and its time; the flow's own where there is none.
func (l *looking) lastWrite(ctx context.Context, leader kafka.Leader) (id, at int64, err error) {
	end, err := l.Target.LogEnd(ctx, leader)
	ends := l.Target.Ends(ctx, []kafka.Leader{leader})[leader.TopicPartition]
	if err != nil || ends.Err != nil || ends.Start >= end {
		return l.DataID, 0, err
	}
	ans, err := l.Target.FetchOne(ctx, leader, end-1, 1<<20, false)
	if err != nil {
		return 0, 0, err
	}
	defer ans.Buffer.Release()
	id = l.DataID
	for rest := ans.Partitions[0].Records; ; {
		b, after, err := batch.Next(rest)
		if err != nil {
			return id, at, nil // the end, or nothing that could be read
		}
		if !b.Control() {
			id, at = b.ProducerID, b.MaxTimestamp
		}
		rest = after
	}
}
