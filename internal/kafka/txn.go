package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// ProducerID is a producer id with its epoch.
type ProducerID struct {
	ID    int64
	Epoch int16
}

// Coordinator finds the node that coordinates a transactional id.
func (c *Cluster) Coordinator(ctx context.Context, transactionalID string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorType, req.CoordinatorKeys = transactionalID, 1, []string{transactionalID}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return -1, fmt.Errorf("find coordinator of transactional id %s: %w", transactionalID, err)
	}
	code, node := resp.ErrorCode, resp.NodeID
	if len(resp.Coordinators) > 0 {
		code, node = resp.Coordinators[0].ErrorCode, resp.Coordinators[0].NodeID
	}
	if err := kerr.ErrorForCode(code); err != nil {
		return -1, fmt.Errorf("find coordinator of transactional id %s: %w", transactionalID, err)
	}
	return node, nil
}

// InitProducer gets the producer id that belongs to a transactional id: the same id each time, as long as
// the coordinator remembers it (transactional.id.expiration.ms), with an epoch that grows. An open
// transaction of that id is aborted first, by the coordinator; InitProducer returns when that is complete.
func (c *Cluster) InitProducer(ctx context.Context, transactionalID string, transactionTimeout time.Duration) (ProducerID, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = kmsg.StringPtr(transactionalID)
	req.TransactionTimeoutMillis = int32(transactionTimeout / time.Millisecond)
	req.Version = 4 // 5 and later change how epochs are bumped (KIP-890)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		resp, err := c.askCoordinator(ctx, transactionalID, req)
		if err == nil {
			r := resp.(*kmsg.InitProducerIDResponse)
			if err = kerr.ErrorForCode(r.ErrorCode); err == nil {
				return ProducerID{r.ProducerID, r.ProducerEpoch}, nil
			}
		}
		if !coordinatorMayYet(err) {
			return ProducerID{}, fmt.Errorf("get producer id for transactional id %s: %w", transactionalID, err)
		}
		select {
		case <-ctx.Done():
			return ProducerID{}, fmt.Errorf("get producer id for transactional id %s: %w (last: %w)", transactionalID, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

// coordinatorMayYet says whether a coordinator's refusal passes by itself.
func coordinatorMayYet(err error) bool {
	for _, e := range []error{kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RequestTimedOut, ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *Cluster) askCoordinator(ctx context.Context, transactionalID string, req kmsg.Request) (kmsg.Response, error) {
	node, err := c.Coordinator(ctx, transactionalID)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, node, req)
}

// AddPartitions opens a transaction, or widens it, by partitions. Version 3 is the last one meant for
// clients (4 is between brokers, KIP-890).
func (c *Cluster) AddPartitions(ctx context.Context, transactionalID string, p ProducerID, tps []estate.TopicPartition) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = 3
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = transactionalID, p.ID, p.Epoch
	index := map[string]int{}
	for _, tp := range tps {
		i, ok := index[tp.Topic]
		if !ok {
			i = len(req.Topics)
			index[tp.Topic] = i
			t := kmsg.NewAddPartitionsToTxnRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, tp.Partition)
	}
	resp, err := c.askCoordinator(ctx, transactionalID, req)
	if err != nil {
		return fmt.Errorf("add partitions to transaction %s: %w", transactionalID, err)
	}
	for _, t := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
		for _, rp := range t.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return fmt.Errorf("add %s-%d to transaction %s: %w", t.Topic, rp.Partition, transactionalID, err)
			}
		}
	}
	return nil
}

// EndTxn asks the coordinator to end a transaction. It returns when the outcome is decided, which is before
// the markers are written. Version 4 keeps the epoch (5 bumps it, KIP-890).
func (c *Cluster) EndTxn(ctx context.Context, transactionalID string, p ProducerID, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version = 4
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = transactionalID, p.ID, p.Epoch, commit
	resp, err := c.askCoordinator(ctx, transactionalID, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.EndTxnResponse).ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("end transaction %s: %w", transactionalID, err)
	}
	return nil
}

// Marks asks for N control markers in one partition.
type Marks struct {
	estate.TopicPartition
	N int
}

// markersVersion pins WriteTxnMarkers: 2 (Kafka 4.2, KIP-1228) brings a strict epoch check that our markers,
// which end no transaction, would not pass.
const markersVersion = 1

// WriteMarkers writes abort markers of one producer id straight to the leader of the partitions, in order,
// as one request; done gets the refusals (nil values for partitions where all markers are in the log of every
// in-sync replica), or an error after which all outcomes are unknown. Needs ALTER on the cluster (Kafka 3.8,
// KIP-1037) or CLUSTER_ACTION. An error return means that nothing was sent.
func (c *Conn) WriteMarkers(p ProducerID, coordinatorEpoch int32, marks []Marks, done func(map[estate.TopicPartition]error, error)) error {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version = markersVersion
	if err := c.pickVersion(req); err != nil {
		return err
	}
	for round := 0; ; round++ {
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = p.ID, p.Epoch, coordinatorEpoch
		index := map[string]int{}
		for _, w := range marks {
			if w.N <= round {
				continue
			}
			i, ok := index[w.Topic]
			if !ok {
				i = len(m.Topics)
				index[w.Topic] = i
				t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
				t.Topic = w.Topic
				m.Topics = append(m.Topics, t)
			}
			m.Topics[i].Partitions = append(m.Topics[i].Partitions, w.Partition)
		}
		if len(m.Topics) == 0 {
			break
		}
		req.Markers = append(req.Markers, m)
	}
	return c.Start(req, nil, func(body []byte, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		out, err := readMarked(body, req.Version)
		if err != nil {
			err = fmt.Errorf("read marker answer of %s: %w", c.addr, err)
		}
		done(out, err)
	})
}
