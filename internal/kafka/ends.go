package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// Leader says where to ask about one partition.
type Leader struct {
	estate.TopicPartition
	Node  int32
	Epoch int32 // -1 if unknown
}

// Ends are the borders of one partition's log.
type Ends struct {
	Start  int64 // log start
	High   int64 // high watermark
	Stable int64 // last stable offset
	Err    error // why they could not be read
}

// Offset names understood by ListOffsets.
const (
	listLatest   = -1
	listEarliest = -2
)

// Ends reads log start, high watermark and last stable offset of many partitions from their leaders, one
// request of each kind per broker. Partitions in trouble carry their error.
func (c *Cluster) Ends(ctx context.Context, leaders []Leader) map[estate.TopicPartition]Ends {
	start, high, stable := map[estate.TopicPartition]answerOffset{}, map[estate.TopicPartition]answerOffset{}, map[estate.TopicPartition]answerOffset{}
	// High watermark first, start and stable after: so that start <= stable and a stable above the high
	// watermark read here only means that the log grew.
	c.listOffsets(ctx, leaders, listLatest, 0, high)
	c.listOffsets(ctx, leaders, listLatest, 1, stable)
	c.listOffsets(ctx, leaders, listEarliest, 0, start)
	ends := make(map[estate.TopicPartition]Ends, len(leaders))
	for _, l := range leaders {
		tp := l.TopicPartition
		e := Ends{Start: start[tp].offset, High: high[tp].offset, Stable: stable[tp].offset}
		for _, a := range []answerOffset{start[tp], high[tp], stable[tp]} {
			if a.err != nil && e.Err == nil {
				e.Err = a.err
			}
		}
		ends[tp] = e
	}
	return ends
}

// HighWatermarks reads only the high watermarks.
func (c *Cluster) HighWatermarks(ctx context.Context, leaders []Leader) map[estate.TopicPartition]Ends {
	high := map[estate.TopicPartition]answerOffset{}
	c.listOffsets(ctx, leaders, listLatest, 0, high)
	ends := make(map[estate.TopicPartition]Ends, len(leaders))
	for _, l := range leaders {
		a := high[l.TopicPartition]
		ends[l.TopicPartition] = Ends{Start: -1, High: a.offset, Stable: -1, Err: a.err}
	}
	return ends
}

type answerOffset struct {
	offset int64
	err    error
}

func byNode(leaders []Leader) map[int32][]Leader {
	nodes := map[int32][]Leader{}
	for _, l := range leaders {
		nodes[l.Node] = append(nodes[l.Node], l)
	}
	return nodes
}

func (c *Cluster) listOffsets(ctx context.Context, leaders []Leader, at int64, isolation int8, into map[estate.TopicPartition]answerOffset) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for node, part := range byNode(leaders) {
		wg.Go(func() {
			answers := c.listOffsetsOf(ctx, node, part, at, isolation)
			mu.Lock()
			defer mu.Unlock()
			for tp, a := range answers {
				into[tp] = a
			}
		})
	}
	wg.Wait()
}

func (c *Cluster) listOffsetsOf(ctx context.Context, node int32, leaders []Leader, at int64, isolation int8) map[estate.TopicPartition]answerOffset {
	out := make(map[estate.TopicPartition]answerOffset, len(leaders))
	for _, l := range leaders {
		out[l.TopicPartition] = answerOffset{-1, fmt.Errorf("list offsets of %s: no answer from node %d", l.TopicPartition, node)}
	}
	fail := func(err error) map[estate.TopicPartition]answerOffset {
		for _, l := range leaders {
			out[l.TopicPartition] = answerOffset{-1, fmt.Errorf("list offsets of %s: %w", l.TopicPartition, err)}
		}
		return out
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	req.Version = 7 // later versions add kinds of timestamps that are not asked for here
	index := map[string]int{}
	for _, l := range leaders {
		i, ok := index[l.Topic]
		if !ok {
			i = len(req.Topics)
			index[l.Topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = l.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = l.Partition, at, -1
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	resp, err := c.ask(ctx, node, req)
	if err != nil {
		return fail(err)
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			tp := estate.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				out[tp] = answerOffset{-1, fmt.Errorf("list offsets of %s: %w", tp, err)}
				continue
			}
			out[tp] = answerOffset{p.Offset, nil}
		}
	}
	return out
}

// EpochEnd asks the leader where an epoch ended (KIP-320). For the current epoch that is the leader's log
// end, which ListOffsets never tells: it answers the high watermark. An answer with epoch -1 means that the
// leader knows no such epoch.
func (c *Cluster) EpochEnd(ctx context.Context, l Leader, epoch int32) (Divergence, error) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = l.Topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = l.Partition, l.Epoch, epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(ctx, l.Node, req)
	if err != nil {
		return Divergence{}, fmt.Errorf("read end of epoch %d of %s: %w", epoch, l.TopicPartition, err)
	}
	topics := resp.(*kmsg.OffsetForLeaderEpochResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return Divergence{}, fmt.Errorf("read end of epoch %d of %s: node %d left it out of its answer", epoch, l.TopicPartition, l.Node)
	}
	end := topics[0].Partitions[0]
	if err := kerr.ErrorForCode(end.ErrorCode); err != nil {
		return Divergence{}, fmt.Errorf("read end of epoch %d of %s: %w", epoch, l.TopicPartition, err)
	}
	return Divergence{end.LeaderEpoch, end.EndOffset}, nil
}

// LogEnd is the leader's log end, which can be ahead of the high watermark.
func (c *Cluster) LogEnd(ctx context.Context, l Leader) (int64, error) {
	d, err := c.EpochEnd(ctx, l, l.Epoch)
	if err != nil {
		return -1, err
	}
	if d.EndOffset < 0 {
		return -1, fmt.Errorf("read log end of %s: node %d does not know its own epoch %d: %w", l.TopicPartition, l.Node, l.Epoch, kerr.UnknownLeaderEpoch)
	}
	return d.EndOffset, nil
}

// ProducerState is what a leader remembers of one producer id in one partition.
type ProducerState struct {
	ID            int64
	Epoch         int16
	LastSequence  int32 // -1: none
	LastTimestamp int64 // ms
	TxnStart      int64 // first offset of its open transaction, -1 if none
}

// Producers lists the producers that the leader of a partition remembers (KIP-664, Kafka 2.8). Needs READ on
// the topic.
func (c *Cluster) Producers(ctx context.Context, l Leader) ([]ProducerState, error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = l.Topic, []int32{l.Partition}
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(ctx, l.Node, req)
	if err != nil {
		return nil, fmt.Errorf("describe producers of %s: %w", l.TopicPartition, err)
	}
	var out []ProducerState
	for _, rt := range resp.(*kmsg.DescribeProducersResponse).Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return nil, fmt.Errorf("describe producers of %s: %w", l.TopicPartition, err)
			}
			for _, a := range rp.ActiveProducers {
				out = append(out, ProducerState{a.ProducerID, int16(a.ProducerEpoch), a.LastSequence, a.LastTimestamp, a.CurrentTxnStartOffset})
			}
		}
	}
	return out, nil
}

// DeleteBefore moves a partition's log start up to offset and returns the new log start. The topic's
// cleanup.policy must contain delete, and offset may not exceed the high watermark.
func (c *Cluster) DeleteBefore(ctx context.Context, l Leader, offset int64) (int64, error) {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(answerTimeout / time.Millisecond)
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = l.Topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = l.Partition, offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(ctx, l.Node, req)
	if err != nil {
		return -1, fmt.Errorf("delete records of %s before %d: %w", l.TopicPartition, offset, err)
	}
	topics := resp.(*kmsg.DeleteRecordsResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return -1, fmt.Errorf("delete records of %s before %d: node %d left it out of its answer", l.TopicPartition, offset, l.Node)
	}
	low := topics[0].Partitions[0]
	if err := kerr.ErrorForCode(low.ErrorCode); err != nil {
		return -1, fmt.Errorf("delete records of %s before %d: %w", l.TopicPartition, offset, err)
	}
	return low.LowWatermark, nil
}

// answerTimeout is how long a broker may take for a request that waits for replication.
const answerTimeout = 30 * time.Second
