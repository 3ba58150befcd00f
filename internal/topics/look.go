package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
)

// goneAfter is how long a topic must be missing before it counts as deleted. A node that has just started
// or lags behind the controller answers for a while without topics that exist.
const goneAfter = 30 * time.Second

// look compares what both clusters have with what was known before.
func (k *Keeper) look(ctx context.Context, names []string) ([]*entry, error) {
	if len(names) == 0 {
		return nil, nil
	}
	source, err := k.source.Metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	target, err := k.target.Metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	entries := make([]*entry, len(names))
	for i, name := range names {
		e := k.known[name]
		if e == nil {
			e = &entry{out: Outcome{Topic: name}, refused: map[string]refusal{}}
			k.known[name] = e
		}
		e.out.Changed = nil
		entries[i] = e
		e.source, e.target = find(source, name), find(target, name)
		k.compare(e, source.Errors[name], target.Errors[name])
	}
	return entries, nil
}

func find(md estate.Metadata, name string) *estate.Topic {
	if t, ok := md.Topics[name]; ok {
		return &t
	}
	return nil
}

// compare judges one topic by what both sides show. Afterwards the entry has a fault, waits, or has a source
// topic; a nil target is to be created, one with fewer partitions to be grown.
func (k *Keeper) compare(e *entry, sourceErr, targetErr error) {
	e.before, e.out.Fault, e.out.Waiting, e.out.Ready = e.out.Fault, nil, "", false
	if k.hidden(e, k.source, sourceErr) || k.hidden(e, k.target, targetErr) {
		return
	}
	if e.source == nil {
		k.missing(e, &e.seenSource, "the source", "if it was deleted for good, take it out of the flow; its copy on the target is left as it is")
		return
	}
	e.seenSource = k.o.Now()
	if e.target == nil && !e.out.TargetID.IsZero() {
		k.missing(e, &e.seenTarget, "the target", "copy it anew: "+fault.Rebuild(e.out.Topic))
		return
	}
	if k.recreated(e) {
		return
	}
	e.out.SourceID, e.out.Partitions = e.source.ID, len(e.source.Partitions)
	if e.target == nil {
		return
	}
	e.seenTarget, e.out.TargetID = k.o.Now(), e.target.ID
	if have := len(e.target.Partitions); have > e.out.Partitions {
		k.stop(e, fault.PartitionMismatch, fmt.Sprintf("the target's topic has %d partitions and the source's %d", have, e.out.Partitions),
			"records with keys would not be where producers and consumers look for them: give the source's topic as many partitions, or "+fault.Rebuild(e.out.Topic))
		return
	}
	if len(e.target.Partitions) > 0 {
		e.out.Replicas = len(e.target.Partitions[0].Replicas)
	}
}

// hidden handles a topic that a cluster has and does not show.
func (k *Keeper) hidden(e *entry, on *kafka.Cluster, err error) bool {
	switch {
	case err == nil || errors.Is(err, kafka.ErrUnknownTopic):
		return false
	case errors.Is(err, kafka.ErrTopicDenied):
		k.refuse(e, &kafka.DeniedError{Operation: "Describe", ResourceType: "Topic", Resource: e.out.Topic, Cluster: on.Alias()}, fault.Unauthorized, "")
	default:
		e.wait(fmt.Sprintf("cluster %s: %v", on.Alias(), err))
	}
	return true
}

func (k *Keeper) missing(e *entry, seen *time.Time, where, next string) {
	if seen.IsZero() {
		*seen = k.o.Now()
	}
	if k.o.Now().Sub(*seen) < goneAfter {
		e.wait("not in the metadata of " + where)
		return
	}
	k.stop(e, fault.TopicGone, "the topic is no longer on "+where, next)
}

// recreated notices that a name stands for another topic than before: in this run, or since the last run that
// copied into this same target topic.
func (k *Keeper) recreated(e *entry) bool {
	name := e.out.Topic
	if changed(e.out.TargetID, idOf(e.target)) {
		k.stop(e, fault.TopicRecreated, fmt.Sprintf("the target's topic %s was deleted and created again while it was being copied: its id was %s and is %s", name, e.out.TargetID, idOf(e.target)),
			"find out who did it, then copy it anew: "+fault.Rebuild(name))
		return true
	}
	before := e.out.SourceID
	if m, ok := k.o.Remembered(name); ok && before.IsZero() && e.target != nil && m.TargetID == e.target.ID {
		before = m.SourceID
	}
	if changed(before, e.source.ID) {
		k.stop(e, fault.TopicRecreated, fmt.Sprintf("the source's topic %s was deleted and created again: its id was %s and is %s", name, before, e.source.ID),
			"to copy the new topic: "+fault.Rebuild(name)+", or behind the old one: "+fault.Reattach(name)+"; else take it out of the flow")
		return true
	}
	return false
}

func changed(before, now estate.TopicID) bool {
	return !before.IsZero() && !now.IsZero() && before != now
}

func idOf(t *estate.Topic) estate.TopicID {
	if t == nil {
		return estate.TopicID{}
	}
	return t.ID
}
