package verify

import (
	"context"
	"fmt"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

// Side is one partition on one cluster.
type Side struct {
	Cluster *kafka.Cluster
	Leader  kafka.Leader
	TopicID estate.TopicID // zero: unknown, fetch by name
	// Shift is what this side's offsets lie below the source's. Everything is compared, and told, at the source's.
	Shift int64
}

// refresh looks up the leader again. A topic with another id is an error: its offsets mean something else.
func (s *Side) refresh(ctx context.Context) error {
	md, err := s.Cluster.Metadata(ctx, []string{s.Leader.Topic})
	if err != nil {
		return err
	}
	if err := md.Errors[s.Leader.Topic]; err != nil {
		return fmt.Errorf("look up the leader of %s: %w", s.Leader.TopicPartition, err)
	}
	topic := md.Topics[s.Leader.Topic]
	if !s.TopicID.IsZero() && !topic.ID.IsZero() && topic.ID != s.TopicID {
		return &recreatedError{topic: s.Leader.Topic}
	}
	for _, p := range topic.Partitions {
		if p.ID == s.Leader.Partition {
			s.Leader.Node, s.Leader.Epoch = p.Leader, p.LeaderEpoch
			return nil
		}
	}
	return fmt.Errorf("look up the leader of %s: the topic has no such partition", s.Leader.TopicPartition)
}

// recreatedError: the topic was deleted and created again while it was being compared.
type recreatedError struct{ topic string }

func (e *recreatedError) Error() string {
	return fmt.Sprintf("topic %s was deleted or created anew while it was being compared", e.topic)
}

// movedError: the log start moved beyond the offset that was to be read.
type movedError struct {
	side  digest.Side
	start int64
}

func (e *movedError) Error() string {
	return fmt.Sprintf("the %s's log start moved to offset %d while it was being compared", e.side, e.start)
}
