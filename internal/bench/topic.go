package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// createTopic creates a topic and returns its leaders once all of them know that they are.
func createTopic(ctx context.Context, c *kafka.Cluster, name string, partitions, replicas int, config map[string]string) ([]kafka.Leader, error) {
	created, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: name, Partitions: int32(partitions), Replication: int16(replicas), Configs: config}}, false)
	if err != nil {
		return nil, err
	}
	if err := created[name].Err; err != nil {
		return nil, fmt.Errorf("create topic %s: %w", name, err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		leaders, err := leadersOf(ctx, c, name)
		if err != nil {
			return nil, err
		}
		if len(leaders) == partitions && allAnswer(ctx, c, leaders) {
			return leaders, nil
		}
	}
	return nil, fmt.Errorf("create topic %s: its %d partitions have no leaders after a minute", name, partitions)
}

// allAnswer says whether every leader takes requests for its partitions: the
// metadata names it before its log exists.
func allAnswer(ctx context.Context, c *kafka.Cluster, leaders []kafka.Leader) bool {
	for _, e := range c.HighWatermarks(ctx, leaders) {
		if e.Err != nil {
			return false
		}
	}
	return true
}

// leadersOf finds the partitions that have a leader; none for a topic that does not exist.
func leadersOf(ctx context.Context, c *kafka.Cluster, name string) ([]kafka.Leader, error) {
	md, err := c.Metadata(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	var leaders []kafka.Leader
	for _, p := range md.Topics[name].Partitions {
		if p.Leader >= 0 {
			leaders = append(leaders, kafka.Leader{TopicPartition: estate.TopicPartition{Topic: name, Partition: p.ID}, Node: p.Leader, Epoch: p.LeaderEpoch})
		}
	}
	return leaders, nil
}

// clean deletes all topics but those named and the brokers' own, and waits
// until they are gone from the disk as well.
func clean(ctx context.Context, c *kafka.Cluster, keep ...string) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		md, err := c.Metadata(ctx, nil)
		if err != nil {
			return err
		}
		var names []string
		for name := range md.Topics {
			brokers := strings.HasPrefix(name, "__") && !strings.HasPrefix(name, "__kferry")
			if !brokers && !slices.Contains(keep, name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		failed, err := c.DeleteTopics(ctx, names)
		if err != nil {
			return err
		}
		for name, err := range failed {
			if err != nil && !errors.Is(err, kafka.ErrUnknownTopic) {
				return fmt.Errorf("delete topic %s: %w", name, err)
			}
		}
	}
	return fmt.Errorf("delete topics on cluster %s: they are still there after a minute", c.Alias())
}
