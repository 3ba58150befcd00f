package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// create creates the topics that the target does not have. They come into being in the state of a copy, so
// that a crash leaves none that looks finalized.
func (k *Keeper) create(ctx context.Context, entries []*entry) error {
	missing := map[string]*entry{}
	var topics []kafka.NewTopic
	for _, e := range entries {
		if e.target != nil || !e.sound() {
			continue
		}
		missing[e.out.Topic] = e
		topics = append(topics, k.newTopic(e))
	}
	if len(topics) == 0 {
		return nil
	}
	created, err := k.target.CreateTopics(ctx, topics, false)
	if err != nil {
		return err
	}
	var bare []kafka.NewTopic // topics whose configuration was refused, tried without
	for _, t := range topics {
		e := missing[t.Name]
		if refusesConfigs(created[t.Name].Err) {
			t.Configs = nil
			bare = append(bare, t)
			continue
		}
		k.created(e, created[t.Name])
	}
	if len(bare) == 0 {
		return nil
	}
	created, err = k.target.CreateTopics(ctx, bare, false)
	if err != nil {
		return err
	}
	for _, t := range bare {
		k.created(missing[t.Name], created[t.Name])
	}
	return nil
}

// refusesConfigs says whether a topic may be created all the same if nothing is said about its configuration:
// the keys are then set one by one, and what the target will not have is named.
func refusesConfigs(err error) bool {
	return errors.Is(err, kafka.ErrInvalidConfig) || errors.Is(err, kafka.ErrPolicyViolation)
}

func (k *Keeper) newTopic(e *entry) kafka.NewTopic {
	replicas := 1
	for _, p := range e.source.Partitions {
		replicas = max(replicas, len(p.Replicas))
	}
	factor, note := k.o.Policy.Replicas(replicas, len(k.target.Brokers()))
	e.out.Replicas = factor
	e.note = note
	return kafka.NewTopic{
		Name: e.out.Topic, Partitions: int32(len(e.source.Partitions)), Replication: int16(factor),
		Configs: settings.AtCreation(),
	}
}

func (k *Keeper) created(e *entry, c kafka.CreatedTopic) {
	switch {
	case c.Err == nil:
		e.out.Created, e.out.TargetID, e.seenTarget = true, c.ID, k.o.Now()
	case errors.Is(c.Err, kafka.ErrTopicExists):
		e.wait("the target has the topic and does not show it yet")
	default:
		k.refuse(e, fmt.Errorf("create the topic with %d partitions and replication factor %d: %w", len(e.source.Partitions), e.out.Replicas, c.Err),
			fault.TopicRefused, "create the topic on the target by hand, empty and with as many partitions, or change what refuses it, then start kferry again")
	}
}

// grow adds partitions where the source has more.
func (k *Keeper) grow(ctx context.Context, entries []*entry) error {
	totals := map[string]int32{}
	for _, e := range entries {
		if e.target != nil && e.sound() && len(e.target.Partitions) < len(e.source.Partitions) {
			totals[e.out.Topic] = int32(len(e.source.Partitions))
		}
	}
	if len(totals) == 0 {
		return nil
	}
	refused, err := k.target.CreatePartitions(ctx, totals)
	if err != nil {
		return err
	}
	for _, e := range entries {
		total, asked := totals[e.out.Topic]
		if !asked {
			continue
		}
		switch err := refused[e.out.Topic]; {
		case err == nil:
		case errors.Is(err, kafka.ErrInvalidPartitions):
			// An earlier answer was lost, another kferry was quicker, or the broker that we asked has not heard of it.
			e.wait("the target has the partitions and does not show them yet")
		default:
			k.refuse(e, fmt.Errorf("raise the partitions from %d to %d: %w", len(e.target.Partitions), total, err),
				fault.TopicRefused, "add the partitions on the target by hand, or change what refuses them")
		}
	}
	return nil
}
