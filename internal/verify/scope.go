package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/topics"
	"github.com/kferry/kferry/internal/verify/digest"
)

// topicScope is one topic to compare.
type topicScope struct {
	name       string
	partitions []*partition // that both sides have
	policy     [2]policy
	result     TopicResult
}

// policy is what matters of a topic's configuration on one side.
type policy struct {
	compacts bool
	tiered   bool // records may be in remote storage (KIP-405)
	err      error
}

// partition is one partition to compare.
type partition struct {
	estate.TopicPartition
	topic *topicScope
	sides [2]Side
	goal  int64         // the source's high watermark when Run began, -1 until read
	ends  [2]kafka.Ends // the target's as the source's offsets
	shift shift.Map
	done  bool // compared to its end, as far as there was anything to compare
}

// scope finds what to compare, and reports what of it is not there on the target.
func (r *run) scope(ctx context.Context) error {
	source, err := r.o.Source.Metadata(ctx, nil)
	if err != nil {
		return err
	}
	var all []estate.Topic
	for _, t := range source.Topics {
		all = append(all, t)
	}
	for name := range source.Errors {
		all = append(all, estate.Topic{Name: name})
	}
	names := topics.Select(all, r.o.Include, r.o.Exclude)
	if len(names) == 0 {
		return &NoTopicsError{r.o.Source.Alias()}
	}
	r.skipUnknown(all)
	target, err := r.o.Target.Metadata(ctx, names)
	if err != nil {
		return err
	}
	policies, err := r.policies(ctx, names, target)
	if err != nil {
		return err
	}
	for _, name := range names {
		t := &topicScope{name: name, policy: policies[name]}
		t.result = TopicResult{Topic: name, Mode: modeIdentical, Partitions: len(source.Topics[name].Partitions)}
		r.topics = append(r.topics, t)
		r.pairUp(t, source, target)
	}
	slices.SortFunc(r.topics, func(a, b *topicScope) int { return strings.Compare(a.name, b.name) })
	return nil
}

// skipUnknown lists the topics that were asked for by name and are not there.
func (r *run) skipUnknown(all []estate.Topic) {
	for _, p := range r.o.Include {
		name, literal := p.LiteralPrefix()
		if !literal || slices.ContainsFunc(all, func(t estate.Topic) bool { return t.Name == name }) {
			continue
		}
		t := &topicScope{name: name, result: TopicResult{Topic: name, Mode: modeIdentical}}
		r.topics = append(r.topics, t)
		r.skip(t, nil, "the topic", "the source does not have it, or does not show it to kferry's principal")
	}
}

// pairUp finds the partitions that both sides have.
func (r *run) pairUp(t *topicScope, source, target estate.Metadata) {
	if err := source.Errors[t.name]; err != nil {
		r.skip(t, nil, "the topic", fmt.Sprintf("the source does not describe it: %v", err))
		return
	}
	if err := target.Errors[t.name]; err != nil && kafka.TroubleOf(err) == kafka.Denied {
		r.skip(t, nil, "the topic", fmt.Sprintf("the target does not describe it: %v", err))
		return
	}
	s, found := source.Topics[t.name]
	d, onTarget := target.Topics[t.name]
	switch {
	case !found:
		r.skip(t, nil, "the topic", "the source no longer has it")
		return
	case !onTarget:
		r.differ(t, Difference{Partition: -1, Offset: -1, Kind: digest.MissingTopic, Detail: "the target does not have the topic"})
		return
	case len(s.Partitions) != len(d.Partitions):
		r.differ(t, Difference{Partition: -1, Offset: -1, Kind: digest.PartitionCount,
			Detail: fmt.Sprintf("%d partitions on the source, %d on the target", len(s.Partitions), len(d.Partitions))})
	}
	for i := range min(len(s.Partitions), len(d.Partitions)) {
		id := int32(i)
		if s.Partitions[i].ID != id || d.Partitions[i].ID != id {
			r.skip(t, &id, "the partition", "one side did not describe it")
			continue
		}
		p := &partition{TopicPartition: estate.TopicPartition{Topic: t.name, Partition: id}, topic: t, goal: -1}
		p.sides[digest.Source] = sideOf(r.o.Source, s, i)
		p.sides[digest.Target] = sideOf(r.o.Target, d, i)
		var err error
		if p.shift, err = r.o.Shifts(p.TopicPartition, s.ID, d.ID); err != nil {
			r.skip(t, &id, "the partition", err.Error())
			continue
		}
		t.result.shifted(p.shift)
		t.partitions = append(t.partitions, p)
	}
}

func sideOf(c *kafka.Cluster, t estate.Topic, i int) Side {
	p := t.Partitions[i]
	tp := estate.TopicPartition{Topic: t.Name, Partition: p.ID}
	return Side{Cluster: c, TopicID: t.ID, Leader: kafka.Leader{TopicPartition: tp, Node: p.Leader, Epoch: p.LeaderEpoch}}
}

// policies reads the configuration of the topics on both sides. Where it may not be read nothing is assumed
// that would excuse a difference.
func (r *run) policies(ctx context.Context, names []string, target estate.Metadata) (map[string][2]policy, error) {
	source, err := r.o.Source.TopicConfigs(ctx, names)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, name := range names {
		if _, ok := target.Topics[name]; ok {
			there = append(there, name)
		}
	}
	onTarget, err := r.o.Target.TopicConfigs(ctx, there)
	if err != nil {
		return nil, err
	}
	out := map[string][2]policy{}
	for _, name := range names {
		out[name] = [2]policy{policyOf(source[name]), policyOf(onTarget[name])}
	}
	return out, nil
}

func policyOf(c kafka.ResourceConfigs) policy {
	return policy{
		compacts: strings.Contains(c.Configs["cleanup.policy"].Value, "compact"),
		tiered:   c.Configs["remote.storage.enable"].Value == "true" || c.Err != nil,
		err:      c.Err,
	}
}
