package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// NewTopic is a topic to create. Either Partitions and Replication are given, or Assignment.
type NewTopic struct {
	Name        string
	Partitions  int32
	Replication int16     // -1: the cluster's default.replication.factor (KIP-464, Kafka 2.4)
	Assignment  [][]int32 // by partition: the nodes of its replicas, the preferred leader first
	Configs     map[string]string
}

// CreatedTopic is the cluster's answer about one topic.
type CreatedTopic struct {
	ID  estate.TopicID // zero when only validated, and on clusters without ids
	Err error
}

// createBatch bounds one CreateTopics request. A KRaft controller refuses an operation that needs more than
// 10,000 records, which is one a partition and one a config key.
const createBatch = 2000

// CreateTopics creates topics, or asks whether they could be created. What was refused carries its own error
// ([ErrTopicExists], [ErrPolicyViolation], [ErrInvalidConfig], *[DeniedError], ...). Needs CREATE on the
// cluster or on the topics.
func (c *Cluster) CreateTopics(ctx context.Context, topics []NewTopic, validateOnly bool) (map[string]CreatedTopic, error) {
	out := make(map[string]CreatedTopic, len(topics))
	for len(topics) > 0 {
		n, size := 0, 0
		for ; n < len(topics); n++ {
			size += max(int(topics[n].Partitions), len(topics[n].Assignment)) + len(topics[n].Configs)
			if n > 0 && size > createBatch {
				break
			}
		}
		if err := c.createTopics(ctx, topics[:n], validateOnly, out); err != nil {
			return out, fmt.Errorf("create topics on cluster %s: %w", c.alias, err)
		}
		topics = topics[n:]
	}
	return out, nil
}

func (c *Cluster) createTopics(ctx context.Context, topics []NewTopic, validateOnly bool, into map[string]CreatedTopic) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(answerTimeout / time.Millisecond)
	req.ValidateOnly = validateOnly
	for _, t := range topics {
		req.Topics = append(req.Topics, creation(t))
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		into[t.Topic] = CreatedTopic{
			ID:  t.TopicID,
			Err: c.refused(t.ErrorCode, t.ErrorMessage, grant{"Create", "Topic", t.Topic}),
		}
	}
	return nil
}

func creation(t NewTopic) kmsg.CreateTopicsRequestTopic {
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, t.Partitions, t.Replication
	if len(t.Assignment) > 0 {
		rt.NumPartitions, rt.ReplicationFactor = -1, -1
		for i, replicas := range t.Assignment {
			ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			ra.Partition, ra.Replicas = int32(i), replicas
			rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
		}
	}
	for key, value := range t.Configs {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = key, kmsg.StringPtr(value)
		rt.Configs = append(rt.Configs, rc)
	}
	return rt
}

// CreatePartitions raises the number of partitions to the given total. What was refused is in the answer.
// Needs ALTER on the topics.
func (c *Cluster) CreatePartitions(ctx context.Context, totals map[string]int32) (map[string]error, error) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = int32(answerTimeout / time.Millisecond)
	for topic, total := range totals {
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = topic, total
		req.Topics = append(req.Topics, rt)
	}
	out := map[string]error{}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("add partitions on cluster %s: %w", c.alias, err)
	}
	for _, t := range resp.Topics {
		if err := c.refused(t.ErrorCode, t.ErrorMessage, grant{"Alter", "Topic", t.Topic}); err != nil {
			out[t.Topic] = err
		}
	}
	return out, nil
}

// DeleteTopics deletes topics by name. What was refused is in the answer. Needs DELETE on the topics.
func (c *Cluster) DeleteTopics(ctx context.Context, names []string) (map[string]error, error) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(answerTimeout / time.Millisecond)
	req.TopicNames = names
	for _, name := range names {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	out := map[string]error{}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("delete topics on cluster %s: %w", c.alias, err)
	}
	for _, t := range resp.Topics {
		name := orEmpty(t.Topic)
		if err := c.refused(t.ErrorCode, t.ErrorMessage, grant{"Delete", "Topic", name}); err != nil {
			out[name] = err
		}
	}
	return out, nil
}
