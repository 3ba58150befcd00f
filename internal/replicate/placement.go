package replicate

import (
	"context"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/topics"
)

// refreshMin is the least time between two looks at the metadata, however many ask for one.
const refreshMin = 250 * time.Millisecond

// keepPlacing looks at both clusters every TopicRefresh, and soon after somebody asked.
func (e *Engine) keepPlacing(ctx context.Context) {
	for sleep(ctx, refreshMin) {
		select {
		case <-e.refresh:
		case <-time.After(e.o.TopicRefresh):
		case <-ctx.Done():
			return
		}
		if err := e.place(ctx); err != nil {
			e.trouble("look at both clusters", err)
		}
	}
}

// place makes partitions for what is new and tells the others where their leaders are.
func (e *Engine) place(ctx context.Context) error {
	e.placing.Lock()
	defer e.placing.Unlock()
	source, err := e.o.Source.Metadata(ctx, nil)
	if err != nil {
		return err
	}
	var list []estate.Topic
	for _, t := range source.Topics {
		list = append(list, t)
	}
	names := topics.Select(list, e.o.Include, e.o.Exclude)
	names = e.withoutHeld(e.withKnown(names))
	outcomes, err := e.keeper.Ensure(ctx, names)
	if err != nil {
		return err
	}
	target, err := e.o.Target.Metadata(ctx, names)
	if err != nil {
		return err
	}
	for _, out := range outcomes {
		e.placeTopic(ctx, out, source.Topics[out.Topic], target.Topics[out.Topic])
	}
	e.mu.Lock()
	e.placedAt = time.Now()
	e.mu.Unlock()
	return nil
}

// withKnown adds topics that are being copied and are no longer on the source, so that they are told.
func (e *Engine) withKnown(names []string) []string {
	have := make(map[string]bool, len(names))
	for _, n := range names {
		have[n] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := range e.topics {
		if !have[n] {
			names = append(names, n)
		}
	}
	return names
}

func (e *Engine) placeTopic(ctx context.Context, out topics.Outcome, source, target estate.Topic) {
	e.mu.Lock()
	state := e.topics[out.Topic]
	if state == nil {
		state = &topicState{}
		e.topics[out.Topic] = state
	}
	before := e.before(state.outcome, out)
	state.outcome = out
	if out.Fault != nil && state.fault == nil {
		state.fault = out.Fault
	}
	stopped := state.fault
	e.mu.Unlock()

	if f := changedIdentity(before, out, source, target); f != nil {
		stopped = f
		e.mu.Lock()
		state.fault = f
		e.mu.Unlock()
	}
	if stopped != nil {
		for _, p := range e.all() {
			if p.Topic == out.Topic {
				p.stop(*stopped)
			}
		}
		return
	}
	if !out.Ready || !e.settleMode(ctx, out, target) {
		return
	}
	for i := range min(len(source.Partitions), len(target.Partitions)) {
		e.placePartition(out, source, target, i)
	}
}

// changedIdentity says whether a topic is not the one that was being copied any more.
func changedIdentity(before, now topics.Outcome, source, target estate.Topic) *fault.Fault {
	next := "decide which topic is right; to copy the new one: " + fault.Rebuild(now.Topic) + ", or behind the old one: " + fault.Reattach(now.Topic)
	other := func(old, new estate.TopicID) bool { return !old.IsZero() && !new.IsZero() && old != new }
	f := &fault.Fault{Topic: now.Topic, Partition: -1, Offset: -1, At: time.Now(), Next: next}
	switch {
	case other(before.SourceID, source.ID):
		f.Kind = fault.TopicRecreated
		f.Detail = fmt.Sprintf("the topic was deleted and created again on the source (topic id %s, now %s)", before.SourceID, source.ID)
	case other(before.TargetID, target.ID):
		f.Kind = fault.TopicRecreated
		f.Detail = fmt.Sprintf("the topic was deleted and created again on the target (topic id %s, now %s)", before.TargetID, target.ID)
	default:
		return nil
	}
	return f
}

func (e *Engine) placePartition(out topics.Outcome, source, target estate.Topic, i int) {
	tp := estate.TopicPartition{Topic: out.Topic, Partition: int32(i)}
	from := kafka.Leader{TopicPartition: tp, Node: source.Partitions[i].Leader, Epoch: source.Partitions[i].LeaderEpoch}
	to := kafka.Leader{TopicPartition: tp, Node: target.Partitions[i].Leader, Epoch: target.Partitions[i].LeaderEpoch}
	e.mu.Lock()
	p := e.partitions[tp]
	e.mu.Unlock()
	if p != nil {
		p.move(from, to)
		p.step(func(m *mirror.Machine) { m.SetMaxBatchBytes(out.MaxMessage) })
		return
	}
	p = newPartition(e, tp)
	p.sourceID, p.source, p.target = source.ID, from, to
	p.known = e.ours(out)
	p.compacted = out.SourcePolicy.Compacted
	if f := e.recallShift(p, out); f != nil {
		defer p.stop(*f)
	}
	p.machine = mirror.New(e.machineConfig(tp, out), batch.Producer{ID: e.dataID.ID, Epoch: dataEpoch}, batch.NewDecoder(batch.Limits{}))
	e.addPartition(p)
	p.step(func(*mirror.Machine) {})
}

func (e *Engine) machineConfig(tp estate.TopicPartition, out topics.Outcome) mirror.Config {
	return mirror.Config{
		Topic: tp.Topic, Partition: tp.Partition,
		MaxBatchBytes: out.MaxMessage, SplitOversized: e.o.SplitOversized,
		Compacted: out.SourcePolicy.Compacted, FillExpired: e.o.FillExpired, SeedLimit: e.o.SeedLimit,
		CanMark: e.caps.Markers, CanAbort: e.caps.Transactions, WideGap: e.o.WideGap, WideHoles: e.o.WideHoles,
	}
}
