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
			if p.Offset < 0 { // there is always an earliest and a latest offset
				out[tp] = answerOffset{-1, fmt.Errorf("list offsets of %s: node %d answered %d: %w", tp, node, p.Offset, ErrContradiction)}
				continue
			}
			out[tp] = answerOffset{p.Offset, nil}
		}
	}
	return out
}

// LogEnd is one partition's log end at its leader, which can be ahead of the high watermark.
type LogEnd struct {
	Offset int64
	Err    error
}

// LogEnd is the leader's log end of one partition, see LogEnds.
func (c *Cluster) LogEnd(ctx context.Context, l Leader) (int64, error) {
	end := c.LogEnds(ctx, []Leader{l})[l.TopicPartition]
	return end.Offset, end.Err
}

// LogEnds reads the log ends of many partitions from their leaders, one request for each broker, by
// OffsetForLeaderEpoch (KIP-320): the end of the current epoch is the leader's log end, which ListOffsets
// never tells, because it answers the high watermark. Partitions in trouble carry their error.
func (c *Cluster) LogEnds(ctx context.Context, leaders []Leader) map[estate.TopicPartition]LogEnd {
	return perLeader(leaders, func(node int32, part []Leader, answer func(estate.TopicPartition, LogEnd)) {
		fail := func(tp estate.TopicPartition, err error) {
			answer(tp, LogEnd{-1, fmt.Errorf("read log end of %s: %w", tp, err)})
		}
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.ReplicaID = -1
		for _, t := range byTopic(part) {
			rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
			rt.Topic = t[0].Topic
			for _, l := range t {
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = l.Partition, l.Epoch, l.Epoch
				rt.Partitions = append(rt.Partitions, p)
			}
			req.Topics = append(req.Topics, rt)
		}
		resp, err := c.ask(ctx, node, req)
		if err != nil {
			for _, l := range part {
				fail(l.TopicPartition, err)
			}
			return
		}
		for _, t := range resp.(*kmsg.OffsetForLeaderEpochResponse).Topics {
			for _, p := range t.Partitions {
				tp := estate.TopicPartition{Topic: t.Topic, Partition: p.Partition}
				switch err := kerr.ErrorForCode(p.ErrorCode); {
				case err != nil:
					fail(tp, err)
				case p.EndOffset < 0:
					fail(tp, fmt.Errorf("node %d does not know its own epoch: %w", node, kerr.UnknownLeaderEpoch))
				default:
					answer(tp, LogEnd{p.EndOffset, nil})
				}
			}
		}
	}, func(tp estate.TopicPartition) LogEnd {
		return LogEnd{-1, fmt.Errorf("read log end of %s: its leader left it out of its answer", tp)}
	})
}

// perLeader asks each leader's broker about its partitions, at the same time, and gathers the answers; missing
// stands in for those that did not come.
func perLeader[A any](leaders []Leader, ask func(node int32, part []Leader, answer func(estate.TopicPartition, A)), missing func(estate.TopicPartition) A) map[estate.TopicPartition]A {
	out := make(map[estate.TopicPartition]A, len(leaders))
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	for node, part := range byNode(leaders) {
		wg.Go(func() {
			ask(node, part, func(tp estate.TopicPartition, a A) {
				mu.Lock()
				defer mu.Unlock()
				out[tp] = a
			})
		})
	}
	wg.Wait()
	for _, l := range leaders {
		if _, ok := out[l.TopicPartition]; !ok {
			out[l.TopicPartition] = missing(l.TopicPartition)
		}
	}
	return out
}

// byTopic groups leaders by topic, in the order of first appearance.
func byTopic(leaders []Leader) [][]Leader {
	var groups [][]Leader
	index := map[string]int{}
	for _, l := range leaders {
		i, ok := index[l.Topic]
		if !ok {
			i = len(groups)
			index[l.Topic] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], l)
	}
	return groups
}

// ProducerState is what a leader remembers of one producer id in one partition.
type ProducerState struct {
	ID            int64
	Epoch         int16
	LastSequence  int32 // -1: none
	LastTimestamp int64 // ms
	TxnStart      int64 // first offset of its open transaction, -1 if none
}

// ProducerStates are the producers that the leader of one partition remembers.
type ProducerStates struct {
	States []ProducerState
	Err    error
}

// Producers lists the producers that the leader of one partition remembers, see ProducersOf.
func (c *Cluster) Producers(ctx context.Context, l Leader) ([]ProducerState, error) {
	p := c.ProducersOf(ctx, []Leader{l})[l.TopicPartition]
	return p.States, p.Err
}

// ProducersOf lists the producers that the leaders of many partitions remember (KIP-664, Kafka 2.8), one
// request for each broker. Needs READ on the topics. Partitions in trouble carry their error.
func (c *Cluster) ProducersOf(ctx context.Context, leaders []Leader) map[estate.TopicPartition]ProducerStates {
	return perLeader(leaders, func(node int32, part []Leader, answer func(estate.TopicPartition, ProducerStates)) {
		fail := func(tp estate.TopicPartition, err error) {
			answer(tp, ProducerStates{Err: fmt.Errorf("describe producers of %s: %w", tp, err)})
		}
		req := kmsg.NewPtrDescribeProducersRequest()
		for _, t := range byTopic(part) {
			rt := kmsg.NewDescribeProducersRequestTopic()
			rt.Topic = t[0].Topic
			for _, l := range t {
				rt.Partitions = append(rt.Partitions, l.Partition)
			}
			req.Topics = append(req.Topics, rt)
		}
		resp, err := c.ask(ctx, node, req)
		if err != nil {
			for _, l := range part {
				fail(l.TopicPartition, err)
			}
			return
		}
		for _, t := range resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				tp := estate.TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					fail(tp, err)
					continue
				}
				var states []ProducerState
				for _, a := range p.ActiveProducers {
					states = append(states, ProducerState{a.ProducerID, int16(a.ProducerEpoch), a.LastSequence, a.LastTimestamp, a.CurrentTxnStartOffset})
				}
				answer(tp, ProducerStates{States: states})
			}
		}
	}, func(tp estate.TopicPartition) ProducerStates {
		return ProducerStates{Err: fmt.Errorf("describe producers of %s: its leader left it out of its answer", tp)}
	})
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
	if len(topics) != 1 || len(topics[0].Partitions) != 1 || topics[0].Topic != l.Topic || topics[0].Partitions[0].Partition != l.Partition {
		return -1, fmt.Errorf("delete records of %s before %d: node %d left it out of its answer", l.TopicPartition, offset, l.Node)
	}
	low := topics[0].Partitions[0]
	if err := kerr.ErrorForCode(low.ErrorCode); err != nil {
		return -1, fmt.Errorf("delete records of %s before %d: %w", l.TopicPartition, offset, err)
	}
	if low.LowWatermark < offset { // it answers when every replica is there, or with an error
		return -1, fmt.Errorf("delete records of %s before %d: node %d says that the log starts at %d: %w", l.TopicPartition, offset, l.Node, low.LowWatermark, ErrContradiction)
	}
	return low.LowWatermark, nil
}

// answerTimeout is how long a broker may take for a request that waits for replication.
const answerTimeout = 30 * time.Second
