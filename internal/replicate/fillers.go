package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// Fillers that go through the transaction coordinator of the target. Every transaction here lives inside one
// gap: it is begun, ended and known to be complete before anything else is written to the partition, so a
// marker that the coordinator writes late or twice can never land among real records unnoticed: the log end
// is read after completion and compared with what was wanted.

// dataEpoch is the producer epoch of all copied data. The id belongs to a transactional id, so that every
// kferry of the flow gets the same one, but the epoch that the coordinator counts up is not used: with one
// id and one epoch, sequence numbers make two kferrys' appends conditional on each other, where a new epoch
// would let a late starter append whatever it likes.
const dataEpoch = 0

// transactionTimeout of filler transactions. A coordinator aborts what is older, which is harmless inside a
// gap. Brokers allow up to transaction.max.timeout.ms, 15 minutes by default.
const transactionTimeout = time.Minute

// endTxnFiller writes single markers by transactions without data, for targets that do not permit
// WriteTxnMarkers: one marker for each waiting partition and round.
type endTxnFiller struct {
	engine *Engine
	txn    string

	mu    sync.Mutex // guards queue
	queue []markJob
	wake  chan struct{}
}

func newEndTxnFiller(e *Engine) *endTxnFiller {
	return &endTxnFiller{engine: e, txn: e.o.transactionalID("gaps"), wake: make(chan struct{}, 1)}
}

func (f *endTxnFiller) add(j markJob) {
	f.mu.Lock()
	f.queue = append(f.queue, j)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *endTxnFiller) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		jobs := f.queue
		f.queue = nil
		f.mu.Unlock()
		if len(jobs) == 0 {
			select {
			case <-f.wake:
			case <-ctx.Done():
			}
			continue
		}
		f.round(ctx, jobs)
	}
}

// round gives each partition one marker.
func (f *endTxnFiller) round(ctx context.Context, jobs []markJob) {
	e := f.engine
	live := beginAll(f.replicated(ctx, jobs))
	defer finishAll(live)
	if len(live) == 0 {
		return
	}
	var tps []estate.TopicPartition
	for _, j := range live {
		tps = append(tps, j.p.TopicPartition)
	}
	err := e.emptyTransaction(ctx, f.txn, tps)
	if err != nil {
		e.settleTransaction(ctx, f.txn)
	}
	for _, j := range live {
		if err == nil {
			_, target := j.p.leaders()
			var end int64
			if end, err = e.o.Target.LogEnd(ctx, target); err == nil && end+j.p.by() <= j.act.Base {
				err = e.unmoved(ctx, j.p.TopicPartition, end)
			}
			if err == nil {
				j.p.step(func(m *mirror.Machine) { m.Filled(j.act.Generation, end+j.p.by()) })
				continue
			}
		}
		j.p.step(func(m *mirror.Machine) { m.Unknown(j.act.Generation) })
	}
	if err != nil {
		e.trouble("fill gaps by transactions", err)
		e.refreshSoon()
		sleep(ctx, choreRetryMin)
	}
}

// replicated returns the jobs before whose markers everything is replicated, and puts the others back. A
// coordinator takes a marker to whatever leader a partition gets, even to one that has lost what acks=1 had
// acknowledged before it.
func (f *endTxnFiller) replicated(ctx context.Context, jobs []markJob) []markJob {
	var leaders []kafka.Leader
	for _, j := range jobs {
		_, target := j.p.leaders()
		leaders = append(leaders, target)
	}
	high := f.engine.o.Target.HighWatermarks(ctx, leaders)
	var ready []markJob
	for _, j := range jobs {
		switch h := high[j.p.TopicPartition]; {
		case h.Err == nil && h.High >= j.act.Base-j.p.distance().Shift:
			ready = append(ready, j)
		case j.p.wants(j.act):
			f.engine.later(choreRetryMin, func() { f.add(j) })
		}
	}
	return ready
}

// unmoved is why a log end is not believed that did not move with a marker: it is that of a leader that was deposed
// and does not know it yet, unless the coordinator left the marker out, which it does where it knows no leader. The
// partition's leaders are looked up before it returns.
func (e *Engine) unmoved(ctx context.Context, tp estate.TopicPartition, end int64) error {
	err := fmt.Errorf("fill a gap of %s: the log ends at %d after the marker as before it", tp, end)
	return errors.Join(err, e.place(ctx))
}

// settleTransaction returns when no transaction of an id is under way any more, or never will be: what it wrote
// last is then in the log, and only then both ends may be read again.
func (e *Engine) settleTransaction(ctx context.Context, txn string) {
	for wait := choreRetryMin; ; wait = min(2*wait, choreRetryMax) {
		_, err := e.o.Target.InitProducer(ctx, txn, transactionTimeout)
		if err == nil || kafka.TroubleOf(err) == kafka.Denied {
			return
		}
		e.trouble("settle filler transaction", err, "id", txn)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// emptyTransaction writes one abort marker to each partition and returns when the coordinator is done.
func (e *Engine) emptyTransaction(ctx context.Context, txn string, tps []estate.TopicPartition) error {
	ctx, cancel := context.WithTimeout(ctx, choreTimeout)
	defer cancel()
	// InitProducer returns only when no transaction of this id is under way any more.
	id, err := e.o.Target.InitProducer(ctx, txn, transactionTimeout)
	if err != nil {
		return err
	}
	if err := e.o.Target.AddPartitions(ctx, txn, id, tps); err != nil {
		return err
	}
	if err := e.o.Target.EndTxn(ctx, txn, id, false); err != nil {
		return err
	}
	_, err = e.o.Target.InitProducer(ctx, txn, transactionTimeout)
	return err
}

// fillTransactions is how many aborted fillers may be under way at a time.
const fillTransactions = 4

// fillSlack leaves room before the end of a gap for markers that a coordinator may write twice.
const fillSlack = 2

// abortFill fills a wide gap with filler records in an aborted transaction:
//
//  1. take a transactional id; whatever an earlier kferry left open under it is aborted
//  2. add the partition
//  3. produce filler records, each batch at the offset it was meant for
//  4. abort; wait until the coordinator is done
//  5. read the log end
func (e *Engine) abortFill(ctx context.Context, p *partition, a mirror.Action, target kafka.Leader) error {
	var txn string
	select {
	case txn = <-e.fillIDs:
		defer func() { e.fillIDs <- txn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	high := e.o.Target.HighWatermarks(ctx, []kafka.Leader{target})[p.TopicPartition]
	if high.Err != nil {
		return high.Err
	}
	if high.High < a.Base-p.distance().Shift { // see endTxnFiller.replicated
		return fmt.Errorf("fill the gap at offset %d of %s: the target is replicated up to %d only", a.Base, p.TopicPartition, high.High)
	}
	if !p.begin(a) {
		return nil
	}
	defer p.finish()
	end, err := e.abortedRecords(ctx, p, a, target, txn)
	if err != nil {
		e.trouble("fill gap by an aborted transaction", err, "topic", p.Topic, "partition", p.Partition)
		e.settleTransaction(e.ctx, txn) // its marker belongs into this gap
		p.step(func(m *mirror.Machine) { m.Unknown(a.Generation) })
		return nil
	}
	p.step(func(m *mirror.Machine) { m.Filled(a.Generation, end+p.by()) })
	return nil
}

func (e *Engine) abortedRecords(ctx context.Context, p *partition, a mirror.Action, target kafka.Leader, txn string) (int64, error) {
	t := e.o.Target
	records := a.Count - 1
	if e.caps.Markers && a.Count > 2*fillSlack {
		records -= fillSlack
	}
	id, err := t.InitProducer(ctx, txn, transactionTimeout)
	if err != nil {
		return 0, err
	}
	if err := t.AddPartitions(ctx, txn, id, []estate.TopicPartition{p.TopicPartition}); err != nil {
		return 0, err
	}
	conn, err := t.Dial(ctx, target.Node)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	sequence := int32(0)
	for at, left := a.Base-p.distance().Shift, records; left > 0; {
		n := min(left, batch.MaxFiller, 100_000)
		raw := batch.KeyedFiller(int(n), batch.NoTimestamp)
		if err := batch.Rewrite(raw, batch.Producer{ID: id.ID, Epoch: id.Epoch, Sequence: sequence, Transactional: true}); err != nil {
			return 0, err
		}
		base, err := conn.ProduceOne(ctx, p.TopicPartition, raw, txn)
		if err != nil {
			return 0, err
		}
		if base != at {
			return 0, fmt.Errorf("filler for offset %d of %s was appended at %d", at, p.TopicPartition, base)
		}
		at, left, sequence = at+n, left-n, batch.NextSequence(sequence, int32(n))
	}
	if err := t.EndTxn(ctx, txn, id, false); err != nil {
		return 0, err
	}
	if _, err := t.InitProducer(ctx, txn, transactionTimeout); err != nil {
		return 0, err
	}
	end, err := t.LogEnd(ctx, target)
	if err == nil && end <= a.Base-p.distance().Shift+records {
		err = e.unmoved(ctx, p.TopicPartition, end)
	}
	return end, err
}

// fillerTemplates holds seed batches by size; nearly all seeding uses the largest.
var fillerTemplates sync.Map // int -> []byte

func fillerTemplate(n int) []byte {
	if raw, ok := fillerTemplates.Load(n); ok {
		return raw.([]byte)
	}
	raw := batch.Filler(n)
	if n == batch.MaxFiller {
		fillerTemplates.Store(n, raw)
	}
	return raw
}
