package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/groups"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// A repair (package repair) is another process. It tells this one by the ledger to leave a topic alone, waits until
// the report says so, and then takes its hand off with what is to be done: copy a new target topic, or go on at
// another distance. So nothing of an earlier life is on its way when the repair changes something.

// ledgerInterval is how often the ledger is looked at while there is anything that could be repaired.
const ledgerInterval = 2 * time.Second

// openLedger reads the second memory. One that cannot be read is a hindrance only where it is needed.
func (e *Engine) openLedger(ctx context.Context) error {
	entries, err := e.ledger.Load(ctx)
	if strange := (*ledger.StrangeError)(nil); errors.As(err, &strange) {
		return err
	}
	if err != nil {
		switch {
		case kafka.IsDenied(err) || kafka.TroubleOf(err) == kafka.Denied:
			e.noLedger = fmt.Sprintf("shifted offsets are remembered in the state topic only, and repairs need a restart: %v", err)
		case len(e.o.Shifted) > 0:
			return err
		}
		e.log.Warn("ledger of shifted offsets is not available", "err", err)
		return nil
	}
	e.entries = entries
	now := time.Now()
	for tp, entry := range entries {
		if entry.Held.After(now) {
			e.topics[tp.Topic] = &topicState{held: entry.Held}
		}
	}
	return nil
}

// keepLedger stores the ledger's entries again before they expire, and listens for repairs.
func (e *Engine) keepLedger(ctx context.Context) {
	if e.noLedger != "" {
		return
	}
	refresh := groups.RefreshFor(ctx, e.o.Target)
	kept := time.Now().Add(-refresh)
	for sleep(ctx, ledgerInterval) {
		listen, refreshing := e.repairable(), time.Since(kept) >= refresh
		if !listen && !refreshing {
			continue
		}
		entries, err := e.ledger.Load(ctx)
		if err == nil && listen {
			err = e.hear(ctx, entries)
		}
		if err == nil && refreshing {
			if err = e.refreshLedger(ctx, entries); err == nil {
				kept = time.Now()
			}
		}
		if err != nil {
			e.trouble("look at the ledger of shifted offsets", err)
		}
	}
}

// repairable says whether something is faulted, or held.
func (e *Engine) repairable() bool {
	e.mu.Lock()
	for _, t := range e.topics {
		if t.fault != nil || !t.held.IsZero() {
			e.mu.Unlock()
			return true
		}
	}
	e.mu.Unlock()
	return slices.ContainsFunc(e.all(), (*partition).isFaulted)
}

func (p *partition) isFaulted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.Phase() == mirror.Faulted
}

// refreshLedger stores every entry that is still what this process knows. What a repair has changed meanwhile is
// left as it is.
func (e *Engine) refreshLedger(ctx context.Context, held map[estate.TopicPartition]ledger.Entry) error {
	put := map[estate.TopicPartition]ledger.Entry{}
	for _, p := range e.all() {
		p.mu.Lock()
		ours := e.entryOf(p)
		p.mu.Unlock()
		theirs, ok := held[p.TopicPartition]
		if len(ours.Map) > 0 && (!ok || !theirs.About(ours.SourceID, ours.TargetID) || theirs.String() == ours.String()) {
			put[p.TopicPartition] = ours
		}
	}
	return e.ledger.Put(ctx, put)
}

// hear acts on what repairs have written.
func (e *Engine) hear(ctx context.Context, entries map[estate.TopicPartition]ledger.Entry) error {
	until := map[string]time.Time{}
	changed := map[string]bool{}
	for tp, entry := range entries {
		if entry.Held.After(until[tp.Topic]) {
			until[tp.Topic] = entry.Held
		}
		if e.differs(tp, entry) {
			changed[tp.Topic] = true
		}
	}
	for _, topic := range e.troubledTopics() {
		held := until[topic].After(time.Now())
		e.mu.Lock()
		was := !e.topics[topic].held.IsZero()
		if was && held {
			e.topics[topic].held = until[topic]
		}
		e.mu.Unlock()
		switch {
		case held && !was:
			e.hold(topic, until[topic])
		case !held && was:
			if err := e.release(ctx, topic, entries); err != nil {
				return err
			}
		case !held && changed[topic]: // a repair that was over before its hand was seen
			e.hold(topic, time.Now())
		}
	}
	return nil
}

// differs says whether an entry is not what this process has been going by since it began or last heard.
func (e *Engine) differs(tp estate.TopicPartition, now ledger.Entry) bool {
	e.recalling.Lock()
	before, ok := e.entries[tp]
	e.recalling.Unlock()
	if ok && before.String() == now.String() {
		return false
	}
	e.mu.Lock()
	p := e.partitions[tp]
	e.mu.Unlock()
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return e.entryOf(p).String() != now.String()
}

// troubledTopics have a fault somewhere, or are held.
func (e *Engine) troubledTopics() []string {
	var names []string
	e.mu.Lock()
	for name, t := range e.topics {
		if t.fault != nil || !t.held.IsZero() {
			names = append(names, name)
		}
	}
	e.mu.Unlock()
	for _, p := range e.all() {
		if p.isFaulted() {
			names = append(names, p.Topic)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hold takes a topic out of the copy. It returns when nothing of ours is on its way to it any more.
func (e *Engine) hold(topic string, until time.Time) {
	e.placing.Lock()
	defer e.placing.Unlock()
	var parts []*partition
	for _, p := range e.all() {
		if p.Topic != topic {
			continue
		}
		parts = append(parts, p)
		p.mu.Lock()
		p.retired = true
		p.mu.Unlock()
		p.stop(fault.Fault{Kind: fault.TopicGone, Offset: -1, Detail: "left alone for a repair"})
	}
	for _, p := range parts {
		p.awaitQuiet()
	}
	e.mu.Lock()
	for _, p := range parts {
		delete(e.partitions, p.TopicPartition)
	}
	e.ordered = nil
	e.topics[topic] = &topicState{held: until}
	e.mu.Unlock()
	e.keeper.Forget(topic)
	e.log.Info("topic is left alone for a repair", "topic", topic)
}

// release takes a topic up again, by what both memories say now.
func (e *Engine) release(ctx context.Context, topic string, entries map[estate.TopicPartition]ledger.Entry) error {
	e.placing.Lock()
	defer e.placing.Unlock()
	if e.store != nil {
		snapshot, err := e.store.Load(ctx)
		if err != nil {
			return fmt.Errorf("read what a repair left in the state topic: %w", err)
		}
		e.recalling.Lock()
		if m, ok := snapshot.Memory[topic]; ok {
			e.remembers.Memory[topic] = m
		} else {
			delete(e.remembers.Memory, topic)
		}
		e.recalling.Unlock()
	}
	e.recalling.Lock()
	for tp := range e.entries {
		if tp.Topic == topic {
			delete(e.entries, tp)
		}
	}
	for tp, entry := range entries {
		if tp.Topic == topic {
			e.entries[tp] = entry
		}
	}
	e.recalling.Unlock()
	e.mu.Lock()
	e.topics[topic] = &topicState{}
	e.mu.Unlock()
	e.log.Info("topic is taken up again after a repair", "topic", topic)
	e.refreshSoon()
	return nil
}

// withoutHeld leaves topics out that a repair is at work on.
func (e *Engine) withoutHeld(names []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(names, func(name string) bool {
		t := e.topics[name]
		return t != nil && !t.held.IsZero()
	})
}
