package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchOne reads one partition from an offset on, alone, without waiting for more to be written: an answer
// without records means that the broker has none to give, not that others used up the room. The answer has
// exactly one partition; the caller releases its Buffer. With readCommitted nothing beyond the last stable
// offset comes, and aborted transactions are listed.
func (c *Cluster) FetchOne(ctx context.Context, l Leader, offset int64, maxBytes int32, readCommitted bool) (*FetchAnswer, error) {
	conn, err := c.errand(ctx, l.Node)
	if err != nil {
		return nil, fmt.Errorf("fetch %s at %d: %w", l.TopicPartition, offset, err)
	}
	s := NewSession(conn)
	s.epoch = finalEpoch
	s.Want(FetchPosition{TopicPartition: l.TopicPartition, Offset: offset, LeaderEpoch: -1, LastEpoch: -1, MaxBytes: maxBytes})
	ans, err := s.Poll(ctx, FetchLimits{MaxWaitMillis: 0, MinBytes: 0, MaxBytes: maxBytes, ReadCommitted: readCommitted})
	if err != nil {
		return nil, fmt.Errorf("fetch %s at %d: %w", l.TopicPartition, offset, err)
	}
	if len(ans.Partitions) != 1 || ans.Partitions[0].TopicPartition != l.TopicPartition {
		ans.Buffer.Release()
		return nil, fmt.Errorf("fetch %s at %d: node %d answered for %d partitions", l.TopicPartition, offset, l.Node, len(ans.Partitions))
	}
	if err := ans.Partitions[0].Err; err != nil {
		ans.Buffer.Release()
		return nil, fmt.Errorf("fetch %s at %d: %w", l.TopicPartition, offset, err)
	}
	return ans, nil
}

// finalEpoch asks for an answer without opening a session (KIP-227).
const finalEpoch = -1

// Ping asks for nothing in particular, so that an idle connection stays open.
func (c *Conn) Ping(ctx context.Context) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	req.ClientSoftwareName, req.ClientSoftwareVersion = clientSoftwareName, Version
	_, err := c.Do(ctx, req)
	return err
}
