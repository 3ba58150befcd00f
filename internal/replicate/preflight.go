package replicate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// Capabilities are what the principal may do on the target, found out on a scratch topic.
type Capabilities struct {
	Markers      bool // WriteTxnMarkers: gaps of any width by markers, exactly
	Transactions bool // transactions of kferry's own: gaps by EndTxn, wide gaps by aborted fillers
	Reason       string
}

// String says in words what gaps will be filled by.
func (c Capabilities) String() string {
	switch {
	case c.Markers && c.Transactions:
		return "control markers (WriteTxnMarkers), wide ones by an aborted transaction or echoes"
	case c.Markers:
		return "control markers (WriteTxnMarkers); " + c.Reason
	case c.Transactions:
		return "transactions without data (EndTxn), a few hundred a second; " + c.Reason
	}
	return "nothing: a gap stops its partition; " + c.Reason
}

// SameClusterError says that source and target are one cluster.
type SameClusterError struct{ Source, Target, ID string }

func (e *SameClusterError) Error() string {
	return fmt.Sprintf("source %s and target %s are the same cluster (cluster id %s): a topic cannot be copied onto itself; check the bootstrap servers", e.Source, e.Target, e.ID)
}

// NoTopicsError says that the expressions match no topic that the principal can see.
type NoTopicsError struct {
	Patterns []string
	Cluster  string
	Visible  int
}

func (e *NoTopicsError) Error() string {
	return fmt.Sprintf("no topic of cluster %s matches %s (%d topics are visible to kferry's principal; expressions are anchored, internal topics must be named literally)",
		e.Cluster, strings.Join(e.Patterns, ", "), e.Visible)
}

// PreflightError says that the target does not allow what a copy needs.
type PreflightError struct {
	Cluster string
	Missing []string // one line for each missing capability: what was tried, what the broker said, what to grant
}

func (e *PreflightError) Error() string {
	return fmt.Sprintf("cluster %s does not allow what a copy needs: %s", e.Cluster, strings.Join(e.Missing, "; "))
}

// probe tries, on a scratch topic of the target, everything that a copy needs there, with the real principal.
type probe struct {
	engine *Engine
	topic  string
	made   bool // the topic may be there
	leader kafka.Leader
	conn   *kafka.Conn
	next   int64 // log end as it should be

	missing []string
	caps    Capabilities
}

// preflight finds out what the target permits and takes the flow's producer ids. What does not depend on each
// other is asked at once: on a long link every question in turn would cost a round trip.
func (e *Engine) preflight(ctx context.Context) error {
	var suffix [6]byte
	rand.Read(suffix[:])
	p := &probe{engine: e, topic: "__kferry-probe-" + hex.EncodeToString(suffix[:])}
	defer e.watch(p.remove)
	first, firstCtx := errgroup.WithContext(ctx)
	first.Go(func() error { return e.measureLanes(firstCtx) })
	first.Go(func() (err error) { e.dataID, err = e.takeID(firstCtx, "data"); return err })
	first.Go(func() (err error) { e.markID, err = e.takeID(firstCtx, "marks"); return err })
	first.Go(func() error { return p.create(firstCtx) })
	if err := first.Wait(); err != nil {
		return err
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	if len(p.missing) > 0 {
		return &PreflightError{Cluster: e.o.Target.Alias(), Missing: p.missing}
	}
	e.caps = p.caps
	return e.settleFillers(ctx)
}

// takeID takes the producer id of one of the flow's transactional ids.
func (e *Engine) takeID(ctx context.Context, role string) (kafka.ProducerID, error) {
	id := e.o.transactionalID(role)
	taken, err := e.o.Target.InitProducer(ctx, id, transactionTimeout)
	if err != nil {
		return taken, e.wordlessDenial(err, "Write", "TransactionalId", id)
	}
	return taken, nil
}

// wordlessDenial adds the missing grant to a denial that does not name it.
func (e *Engine) wordlessDenial(err error, operation, kind, resource string) error {
	if kafka.TroubleOf(err) != kafka.Denied || kafka.IsDenied(err) {
		return err
	}
	return &PreflightError{Cluster: e.o.Target.Alias(), Missing: []string{
		fmt.Sprintf("%v: grant %s on %s %s", err, operation, kind, resource),
	}}
}

// settleFillers ends filler transactions that an earlier kferry of this flow left open.
func (e *Engine) settleFillers(ctx context.Context) error {
	if !e.caps.Transactions {
		return nil
	}
	ids := []string{e.endTxn.txn}
	for i := range fillTransactions {
		ids = append(ids, e.o.transactionalID(fmt.Sprintf("fill-%d", i)))
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, id := range ids {
		all.Go(func() error {
			_, err := e.o.Target.InitProducer(ctx, id, transactionTimeout)
			return err
		})
	}
	return all.Wait()
}

func (p *probe) create(ctx context.Context) error {
	t := p.engine.o.Target
	p.made = true
	done, err := t.CreateTopics(ctx, []kafka.NewTopic{{
		Name: p.topic, Partitions: 1, Replication: int16(p.replicas()),
		Configs: map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "1"},
	}}, false)
	if err != nil {
		return err
	}
	if err := done[p.topic].Err; err != nil {
		p.made = false
		if kafka.IsDenied(err) {
			return &PreflightError{Cluster: t.Alias(), Missing: []string{fmt.Sprintf("creating the scratch topic %s: %v", p.topic, err)}}
		}
		return fmt.Errorf("create scratch topic on cluster %s: %w", t.Alias(), err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		md, err := t.Metadata(ctx, []string{p.topic})
		if err == nil {
			if parts := md.Topics[p.topic].Partitions; len(parts) == 1 && parts[0].Leader >= 0 {
				p.leader = kafka.Leader{TopicPartition: estate.TopicPartition{Topic: p.topic}, Node: parts[0].Leader, Epoch: parts[0].LeaderEpoch}
			}
			err = md.Errors[p.topic]
		}
		if p.leader.Topic != "" {
			// The metadata may name a leader before that broker hosts the log.
			if _, err = t.LogEnd(ctx, p.leader); kafka.TroubleOf(err) != kafka.Passing {
				return nil // there, or refused: the probe will tell
			}
		}
		if time.Now().After(deadline) || !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("wait for scratch topic %s on cluster %s: no leader yet (%v)", p.topic, t.Alias(), err)
		}
	}
}

func (p *probe) replicas() int {
	return min(3, max(len(p.engine.o.Target.Brokers()), 1))
}

func (p *probe) remove() {
	if p.conn != nil {
		p.conn.Close()
	}
	if !p.made {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	failed, err := p.engine.o.Target.DeleteTopics(ctx, []string{p.topic})
	if err == nil {
		err = failed[p.topic]
	}
	if err != nil {
		p.engine.log.Warn("scratch topic is left on the target", "topic", p.topic, "err", err)
	}
}

// lack notes a missing necessity; errors that are not about permission or support end the probe.
func (p *probe) lack(what, grant string, err error) error {
	switch kafka.TroubleOf(err) {
	case kafka.NoTrouble:
		return nil
	case kafka.Denied, kafka.Unsupported, kafka.BadBatch, kafka.OtherTrouble:
		p.missing = append(p.missing, fmt.Sprintf("%s: %v (grant %s)", what, err, grant))
		return nil
	}
	return fmt.Errorf("probe the target on scratch topic %s: %s: %w", p.topic, what, err)
}

func (p *probe) run(ctx context.Context) error {
	t := p.engine.o.Target
	var err error
	if p.conn, err = t.Dial(ctx, p.leader.Node); err != nil {
		return err
	}
	if err := p.lack("producing a batch with a producer id", "WRITE on the topics", p.append(ctx, 10)); err != nil {
		return err
	}
	_, err = t.LogEnd(ctx, p.leader)
	if err := p.lack("reading the leader's log end (OffsetForLeaderEpoch)", "DESCRIBE on the topics", err); err != nil {
		return err
	}
	_, err = t.Producers(ctx, p.leader)
	if err := p.lack("reading producer states (DescribeProducers)", "READ on the topics", err); err != nil {
		return err
	}
	_, err = t.DeleteBefore(ctx, p.leader, 5)
	if err := p.lack("moving the log start (DeleteRecords)", "DELETE on the topics", err); err != nil {
		return err
	}
	if len(p.missing) > 0 {
		return nil
	}
	return p.fillers(ctx)
}

// append produces n filler records and checks where they land.
func (p *probe) append(ctx context.Context, n int) error {
	base, err := p.conn.ProduceOne(ctx, p.leader.TopicPartition, seedBatch(n, p.engine.dataID, int32(p.next)), "")
	if err != nil {
		return err
	}
	if base != p.next {
		return fmt.Errorf("asked for offset %d, got %d", p.next, base)
	}
	p.next += int64(n)
	return nil
}

// fillers finds out which kinds of gap fillers are permitted and work as they should.
func (p *probe) fillers(ctx context.Context) error {
	var reasons []string
	try := func(allowed bool, name string, width int64, f func(context.Context) error) (bool, error) {
		if !allowed {
			reasons = append(reasons, name+" is switched off in the flow")
			return false, nil
		}
		err := f(ctx)
		if err == nil {
			err = p.endIs(ctx, p.next+width)
			p.next += width
			return err == nil, err
		}
		switch kafka.TroubleOf(err) {
		case kafka.Denied, kafka.Unsupported:
			reasons = append(reasons, fmt.Sprintf("%s is not available: %v", name, err))
			return false, nil
		}
		return false, fmt.Errorf("probe the target on scratch topic %s: %s: %w", p.topic, name, err)
	}
	o := p.engine.o
	var err error
	if p.caps.Markers, err = try(o.Fillers != FillersEndTxn, "WriteTxnMarkers", 3, p.markers); err != nil {
		return err
	}
	if p.caps.Transactions, err = try(o.Fillers != FillersMarkers, "EndTxn without data", 1, p.transaction); err != nil {
		return err
	}
	p.caps.Reason = strings.Join(reasons, "; ")
	return nil
}

func (p *probe) markers(ctx context.Context) error {
	refused := make(chan error, 1)
	err := p.conn.WriteMarkers(p.engine.markID, 0, []kafka.Marks{{TopicPartition: p.leader.TopicPartition, N: 3}},
		func(answers map[estate.TopicPartition]error, err error) {
			if err == nil {
				err = answers[p.leader.TopicPartition]
			}
			refused <- err
		})
	if err != nil {
		return err
	}
	select {
	case err := <-refused:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *probe) transaction(ctx context.Context) error {
	return p.engine.emptyTransaction(ctx, p.engine.o.transactionalID("gaps"), []estate.TopicPartition{p.leader.TopicPartition})
}

var errLogEnd = errors.New("log end is not where it should be")

func (p *probe) endIs(ctx context.Context, want int64) error {
	end, err := p.engine.o.Target.LogEnd(ctx, p.leader)
	if err != nil {
		return err
	}
	if end != want {
		return fmt.Errorf("probe the target on scratch topic %s: %w: %d, expected %d", p.topic, errLogEnd, end, want)
	}
	return nil
}
