package kafka

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// Metadata describes the named topics, or all topics that the principal may see when names is nil. Topics
// that could not be described are in Errors, not missing. Never creates a topic.
func (c *Cluster) Metadata(ctx context.Context, names []string) (estate.Metadata, error) {
	resp, err := metadataRequest(names).RequestWith(ctx, c.client)
	if err != nil {
		return estate.Metadata{}, fmt.Errorf("read metadata of cluster %s: %w", c.alias, err)
	}
	md := toMetadata(resp)
	c.learn(md)
	return md, nil
}

func (c *Conn) metadata(ctx context.Context, names []string) (estate.Metadata, error) {
	resp, err := c.Do(ctx, metadataRequest(names))
	if err != nil {
		return estate.Metadata{}, err
	}
	return toMetadata(resp.(*kmsg.MetadataResponse)), nil
}

func metadataRequest(names []string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	if names == nil {
		return req // null: all topics
	}
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func toMetadata(resp *kmsg.MetadataResponse) estate.Metadata {
	md := estate.Metadata{
		Controller: resp.ControllerID,
		Brokers:    make(map[int32]estate.Broker, len(resp.Brokers)),
		Topics:     make(map[string]estate.Topic, len(resp.Topics)),
		Errors:     map[string]error{},
	}
	if resp.ClusterID != nil {
		md.ClusterID = *resp.ClusterID
	}
	for _, b := range resp.Brokers {
		if b.NodeID < 0 || b.Host == "" {
			continue // nowhere to connect to; without a host it would be this machine
		}
		broker := estate.Broker{ID: b.NodeID, Addr: net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))}
		if b.Rack != nil {
			broker.Rack = *b.Rack
		}
		md.Brokers[b.NodeID] = broker
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			md.Errors[*t.Topic] = err
			continue
		}
		topic := toTopic(t)
		if err := sound(topic); err != nil {
			md.Errors[topic.Name] = err
			continue
		}
		md.Topics[topic.Name] = topic
	}
	return md
}

// sound refuses what cannot be copied partition by partition: every number from 0 on must be there, once. A broker
// that has only heard of some of a topic's partitions may tell better soon.
func sound(t estate.Topic) error {
	if len(t.Partitions) == 0 {
		return fmt.Errorf("the broker names no partition of topic %s: %w", t.Name, kerr.LeaderNotAvailable)
	}
	for i, p := range t.Partitions {
		if p.ID != int32(i) {
			return fmt.Errorf("the broker names %d partitions of topic %s, and partition %d where %d is due: %w",
				len(t.Partitions), t.Name, p.ID, i, kerr.LeaderNotAvailable)
		}
	}
	return nil
}

func toTopic(t kmsg.MetadataResponseTopic) estate.Topic {
	topic := estate.Topic{Name: *t.Topic, ID: t.TopicID, Internal: t.IsInternal}
	for _, p := range t.Partitions {
		topic.Partitions = append(topic.Partitions, estate.Partition{
			ID: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
			Replicas: p.Replicas, ISR: p.ISR,
		})
	}
	slices.SortFunc(topic.Partitions, func(a, b estate.Partition) int { return cmp.Compare(a.ID, b.ID) })
	return topic
}
