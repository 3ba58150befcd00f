package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/state"
	"github.com/kferry/kferry/internal/topics"
)

// What is remembered on the target is for people and for noticing that a topic is not the one it was. No
// offset comes from there: with the state topic lost, everything is found out from both clusters again.

// publishInterval is how often the report and the memory are written to the state topic.
const publishInterval = 5 * time.Second

// FlowTakenError says that the flow's name belongs to another pair of clusters on this target.
type FlowTakenError struct {
	Flow, Source, Now string
}

func (e *FlowTakenError) Error() string {
	return fmt.Sprintf("flow %s on this target copies from the cluster with id %s, not from %s: give this flow another name", e.Flow, e.Source, e.Now)
}

// openState reads what is remembered. A target that permits no state topic costs conveniences, not exactness.
func (e *Engine) openState(ctx context.Context) error {
	o := e.o
	store, err := state.Open(ctx, o.Target, o.Flow, state.Options{Topic: o.StateTopic, Create: true})
	if err == nil {
		e.remembers, err = store.Load(ctx)
	}
	var newer *state.NewerError
	switch {
	case errors.As(err, &newer):
		return err
	case err != nil:
		e.log.Warn("state topic is not available: status from elsewhere shows lag only, and a topic recreated while kferry is stopped is found by its content alone", "topic", o.StateTopic, "err", err)
		e.stateless = fmt.Sprintf("the state topic %s is not available: %v", o.StateTopic, err)
		return nil
	}
	if f := e.remembers.Flow; f != nil && f.SourceCluster != "" && o.Source.ID() != "" && f.SourceCluster != o.Source.ID() {
		return &FlowTakenError{o.Flow, f.SourceCluster, o.Source.ID()}
	}
	e.store = store
	if err := e.forgetFinalized(ctx); err != nil {
		return err
	}
	flow := state.Flow{SourceCluster: o.Source.ID(), TargetCluster: o.Target.ID(), Created: e.startedAt, Written: kafka.Version}
	if e.remembers.Flow != nil {
		flow.Created = e.remembers.Flow.Created
	}
	return store.PutFlow(ctx, flow)
}

// forgetFinalized takes back, with Reopen, that topics were finalized.
func (e *Engine) forgetFinalized(ctx context.Context) error {
	if !e.o.Reopen {
		return nil
	}
	var names []string
	for name, m := range e.remembers.Memory {
		if m.Finalized != nil {
			names = append(names, name)
			m.Finalized = nil
			e.remembers.Memory[name] = m
		}
	}
	return e.store.Reopened(ctx, names...)
}

// remembered is what an earlier run stored about a topic.
func (e *Engine) remembered(topic string) (topics.Memory, bool) {
	m, ok := e.recall(topic)
	return topics.Memory{SourceID: m.SourceID, TargetID: m.TargetID, Finalized: m.Finalized != nil}, ok
}

// recall is what is remembered of a topic.
func (e *Engine) recall(topic string) (state.Memory, bool) {
	e.recalling.Lock()
	defer e.recalling.Unlock()
	m, ok := e.remembers.Memory[topic]
	return m, ok
}

// ours says whether the target topic was made by this flow, now or in an earlier run.
func (e *Engine) ours(out topics.Outcome) bool {
	m, ok := e.recall(out.Topic)
	return out.Created || (ok && m.TargetID == out.TargetID && m.SourceID == out.SourceID)
}

// before is the identity that a topic had when it was last seen: in this run, or as remembered. A target topic
// with another id than the remembered one was made anew by somebody who wants a fresh copy.
func (e *Engine) before(seen topics.Outcome, now topics.Outcome) topics.Outcome {
	if !seen.SourceID.IsZero() {
		return seen
	}
	m, ok := e.recall(now.Topic)
	if !ok || m.TargetID != now.TargetID {
		return seen
	}
	return topics.Outcome{Topic: now.Topic, SourceID: m.SourceID, TargetID: m.TargetID}
}

// keepState publishes until ctx ends.
func (e *Engine) keepState(ctx context.Context) {
	if e.store == nil {
		return
	}
	for wait := time.Second; sleep(ctx, wait); wait = publishInterval {
		e.mu.Lock()
		doc := e.last
		e.mu.Unlock()
		if doc == nil {
			continue
		}
		err := e.publishState(ctx, doc)
		if err == nil {
			continue
		}
		e.trouble("publish the report", err)
		if again, err := e.store.Restore(ctx); again {
			e.log.Warn("the state topic was deleted and is created again", "topic", e.o.StateTopic)
		} else if err != nil {
			e.trouble("look for the state topic", err)
		}
	}
}

// closeState publishes the last document.
func (e *Engine) closeState(doc *report.Document) {
	if e.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stopped := *doc
	stopped.Running = false
	if err := e.publishState(ctx, &stopped); err != nil {
		e.log.Warn("the last report could not be published", "err", err)
	}
}

func (e *Engine) publishState(ctx context.Context, doc *report.Document) error {
	if err := e.store.PutMemory(ctx, e.memories()...); err != nil {
		return err
	}
	return e.store.PutReport(ctx, *doc)
}

// memories is what is to be remembered of each topic that is being copied.
func (e *Engine) memories() []state.Memory {
	byTopic := map[string]*state.Memory{}
	e.mu.Lock()
	for name, t := range e.topics {
		if t.outcome.TargetID.IsZero() || t.fault != nil {
			continue // what was remembered before stays: it is what the fault is about
		}
		m := &state.Memory{Topic: name, SourceID: t.outcome.SourceID, TargetID: t.outcome.TargetID, Mode: t.mode}
		byTopic[name] = m
	}
	e.mu.Unlock()
	var out []state.Memory
	for _, p := range e.all() {
		m := byTopic[p.Topic]
		if m == nil {
			continue
		}
		p.mu.Lock()
		m.Partitions = append(m.Partitions, state.PartitionMemory{LeaderEpoch: p.machine.LastEpoch(), LogStart: p.machine.Source().Start, Segments: p.shift})
		if f := p.machine.Fault(); f != nil && p.machine.Phase() == mirror.Faulted {
			m.Faults = append(m.Faults, *f)
		}
		p.mu.Unlock()
	}
	for _, m := range byTopic {
		if m.Faults == nil {
			m.Faults = []fault.Fault{}
		}
		out = append(out, *m)
	}
	return out
}
