package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/state"
	"github.com/kferry/kferry/internal/topics"
)

// DoOptions are what Do needs beside the plan.
type DoOptions struct {
	Options
	Policy topics.Options // how target topics are created
	// Now looks at the flow again: whether a replicating kferry has let go of the topic.
	Look func(context.Context) (*report.Document, error)
	// Tell says in words what is being waited for.
	Tell func(string)
}

const (
	// holdFor is how long a replicating kferry leaves the topic alone if this process is not heard of again.
	holdFor = 5 * time.Minute
	// holdPatience is how long it may take to let go: until it looks, what it has sent is answered, and it reports.
	holdPatience   = time.Minute
	deletePatience = 2 * time.Minute
	pause          = 500 * time.Millisecond
)

// Do carries a plan out. It may be interrupted anywhere and begun again: before the last step a replicating kferry
// leaves the topic alone for at most five minutes and then finds the fault again, or an empty topic to copy into.
func Do(ctx context.Context, plan *Plan, o DoOptions) error {
	book := ledger.Open(o.Target, o.Flow)
	store, err := state.Open(ctx, o.Target, o.Flow, state.Options{Create: true})
	if err != nil {
		return err
	}
	held := false
	if plan.Running && len(plan.target.Partitions) > 0 {
		if err := hold(ctx, plan, o, book); err != nil {
			return err
		}
		held = true
	}
	if plan.Action == Rebuild {
		err = rebuild(ctx, plan, o, book, store)
	} else {
		err = reattach(ctx, plan, o, book, store)
	}
	if err != nil && held && plan.Action == Reattach {
		return errors.Join(err, letGo(ctx, plan, o, book))
	}
	return err
}

// entries are the ledger's entries of a topic, as they are to be.
func (plan *Plan) entries(target estate.Topic, maps map[int32]Partition, until time.Time) map[estate.TopicPartition]ledger.Entry {
	out := map[estate.TopicPartition]ledger.Entry{}
	for _, tp := range partitionsOf(target) {
		out[tp] = ledger.Entry{Mode: plan.Mode, SourceID: plan.source.ID, TargetID: target.ID, Map: maps[tp.Partition].Map, Held: until}
	}
	return out
}

// asTheyAre are the entries that the ledger holds, or would.
func asTheyAre(ctx context.Context, plan *Plan, o DoOptions, book *ledger.Ledger, until time.Time) (map[estate.TopicPartition]ledger.Entry, error) {
	have, err := book.Load(ctx)
	if err != nil {
		return nil, err
	}
	out := map[estate.TopicPartition]ledger.Entry{}
	for _, tp := range partitionsOf(plan.target) {
		e, ok := have[tp]
		if !ok || e.TargetID != plan.target.ID {
			e = ledger.Entry{Mode: plan.Mode, SourceID: o.SourceID, TargetID: plan.target.ID}
			if e.SourceID.IsZero() {
				e.SourceID = plan.source.ID
			}
			e.Map, _ = o.Shifts(tp, e.SourceID, e.TargetID)
		}
		e.Held = until
		out[tp] = e
	}
	return out, nil
}

// hold makes the replicating kferry leave the topic alone and waits until it says that it does.
func hold(ctx context.Context, plan *Plan, o DoOptions, book *ledger.Ledger) error {
	entries, err := asTheyAre(ctx, plan, o, book, o.Now().Add(holdFor))
	if err != nil {
		return err
	}
	if err := book.Put(ctx, entries); err != nil {
		return err
	}
	o.Tell("waiting until the kferry that replicates flow " + plan.Flow + " lets go of topic " + plan.Topic)
	for end := time.Now().Add(holdPatience); time.Now().Before(end); {
		doc, err := o.Look(ctx)
		if err != nil {
			return errors.Join(err, letGo(ctx, plan, o, book))
		}
		if !doc.Running || topicOf(doc, plan.Topic).Held {
			return nil
		}
		if err := wait(ctx); err != nil {
			return errors.Join(err, letGo(context.WithoutCancel(ctx), plan, o, book))
		}
	}
	return errors.Join(
		fmt.Errorf("the kferry that replicates flow %s does not let go of topic %s: stop it, repair, and start it again", plan.Flow, plan.Topic),
		letGo(ctx, plan, o, book))
}

// letGo takes the hand off without any change.
func letGo(ctx context.Context, plan *Plan, o DoOptions, book *ledger.Ledger) error {
	entries, err := asTheyAre(ctx, plan, o, book, time.Time{})
	if err != nil {
		return err
	}
	return book.Put(ctx, entries)
}

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// reattach stores the new segments in both memories; the ledger is last, because a replicating kferry acts on it.
func reattach(ctx context.Context, plan *Plan, o DoOptions, book *ledger.Ledger, store *state.Store) error {
	byID := map[int32]Partition{}
	memory := state.Memory{Topic: plan.Topic, SourceID: plan.source.ID, TargetID: plan.target.ID, Mode: plan.Mode}
	for _, p := range plan.Partitions {
		if !p.Attach {
			tp := estate.TopicPartition{Topic: plan.Topic, Partition: p.ID}
			p.Map, _ = o.Shifts(tp, plan.source.ID, plan.target.ID)
		}
		byID[p.ID] = p
		memory.Partitions = append(memory.Partitions, state.PartitionMemory{LeaderEpoch: -1, LogStart: p.SourceStart, Segments: p.Map})
	}
	if err := unmoved(ctx, plan, o); err != nil {
		return err
	}
	if err := store.PutMemory(ctx, memory); err != nil {
		return err
	}
	return book.Put(ctx, plan.entries(plan.target, byID, time.Time{}))
}

// unmoved refuses to attach where the target's log no longer ends.
func unmoved(ctx context.Context, plan *Plan, o DoOptions) error {
	ends := o.Target.LogEnds(ctx, leaders(plan.target))
	for _, p := range plan.Partitions {
		tp := estate.TopicPartition{Topic: plan.Topic, Partition: p.ID}
		if !p.Attach {
			continue
		}
		if e := ends[tp]; e.Err != nil {
			return e.Err
		} else if e.Offset != p.TargetEnd {
			return fmt.Errorf("the target's log of %s ended at %d and ends at %d now: somebody writes there; stop them, and repair again", tp, p.TargetEnd, e.Offset)
		}
	}
	return nil
}

// rebuild deletes the target topic, waits until it is gone, creates it as a copy begins, and says so in both memories.
func rebuild(ctx context.Context, plan *Plan, o DoOptions, book *ledger.Ledger, store *state.Store) error {
	if len(plan.target.Partitions) > 0 {
		o.Tell("deleting topic " + plan.Topic + " on the target")
		if err := remove(ctx, plan, o); err != nil {
			return err
		}
	}
	if err := store.Forget(ctx, plan.Topic); err != nil {
		return err
	}
	target, err := create(ctx, plan, o)
	if err != nil {
		return err
	}
	memory := state.Memory{Topic: plan.Topic, SourceID: plan.source.ID, TargetID: target.ID, Mode: plan.Mode}
	if err := store.PutMemory(ctx, memory); err != nil {
		return err
	}
	return book.Put(ctx, plan.entries(target, nil, time.Time{}))
}

// remove deletes the topic, and the ledger's entries with it, and waits until no broker that is asked shows it.
func remove(ctx context.Context, plan *Plan, o DoOptions) error {
	refused, err := o.Target.DeleteTopics(ctx, []string{plan.Topic})
	if err != nil {
		return err
	}
	if err := refused[plan.Topic]; err != nil && !errors.Is(err, kafka.ErrUnknownTopic) {
		return fmt.Errorf("delete topic %s on cluster %s: %w", plan.Topic, o.Target.Alias(), err)
	}
	for end := time.Now().Add(deletePatience); ; {
		md, err := o.Target.Metadata(ctx, []string{plan.Topic})
		if err != nil {
			return err
		}
		if t, ok := md.Topics[plan.Topic]; !ok || t.ID != plan.target.ID {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("delete topic %s on cluster %s: it is still there after %s; look at the controller's log, then repair again", plan.Topic, o.Target.Alias(), deletePatience)
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

// create makes the topic as a copy begins. The name may be taken for a while after the deletion.
func create(ctx context.Context, plan *Plan, o DoOptions) (estate.Topic, error) {
	o.Tell("creating topic " + plan.Topic + " on the target")
	keeper := topics.NewKeeper(o.Source, o.Target, o.Policy)
	var waiting string
	for end := time.Now().Add(deletePatience); time.Now().Before(end); {
		out, err := keeper.Ensure(ctx, []string{plan.Topic})
		if err != nil {
			return estate.Topic{}, err
		}
		if f := out[0].Fault; f != nil {
			return estate.Topic{}, f
		}
		md, err := o.Target.Metadata(ctx, []string{plan.Topic})
		if err != nil {
			return estate.Topic{}, err
		}
		if t, ok := md.Topics[plan.Topic]; ok && out[0].Ready && t.ID == out[0].TargetID && led(t) {
			return t, nil
		}
		waiting = out[0].Waiting
		if err := wait(ctx); err != nil {
			return estate.Topic{}, err
		}
	}
	return estate.Topic{}, fmt.Errorf("create topic %s on cluster %s: not ready after %s (%s); start kferry replicate, which goes on with it", plan.Topic, o.Target.Alias(), deletePatience, waiting)
}

func led(t estate.Topic) bool {
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return false
		}
	}
	return len(t.Partitions) > 0
}
