package history

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Transactor is a producer with a transactional id.
type Transactor struct {
	pen  *Pen
	cl   *kgo.Client
	open bool
}

// Transactor opens a producer with a transactional id of its own, made of the topic's name.
func (p *Pen) Transactor(n, codec int) (*Transactor, error) {
	cl, err := kgo.NewClient(append(p.w.producerOpts(codec),
		kgo.TransactionalID(fmt.Sprintf("%s-%d", p.topic, n)),
		kgo.TransactionTimeout(10*time.Minute),
	)...)
	if err != nil {
		return nil, err
	}
	return &Transactor{pen: p, cl: cl}, nil
}

// Write adds a batch to the transaction, beginning one if none is open.
func (t *Transactor) Write(ctx context.Context, partition int32, records ...*kgo.Record) error {
	if !t.open {
		if err := t.cl.BeginTransaction(); err != nil {
			return err
		}
		t.open = true
	}
	return t.pen.flush(ctx, t.cl, partition, records)
}

// End ends the transaction.
func (t *Transactor) End(ctx context.Context, commit bool) error {
	if !t.open {
		return nil
	}
	t.open = false
	if err := t.cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	return nil
}

// Close ends the producer; a transaction that is open stays so.
func (t *Transactor) Close() { t.cl.CloseAllowingRebalance() }

// interleave lets ids transactional producers write in turns to all partitions: rounds times a batch or an
// end, half of the ends being aborts. Plain records lie between. In the end no transaction is open.
func (p *Pen) interleave(ctx context.Context, ids, rounds int, record func() *kgo.Record) error {
	var ts []*Transactor
	defer func() {
		for _, t := range ts {
			t.Close()
		}
	}()
	for n := range ids {
		t, err := p.Transactor(n, p.rng.IntN(codecs))
		if err != nil {
			return err
		}
		ts = append(ts, t)
	}
	batch := func() []*kgo.Record {
		rs := make([]*kgo.Record, 1+p.rng.IntN(12))
		for i := range rs {
			rs[i] = record()
		}
		return rs
	}
	for range rounds {
		t := ts[p.rng.IntN(len(ts))]
		var err error
		switch partition := p.rng.Int32N(p.partitions); {
		case p.one(5):
			err = p.Batch(ctx, partition, p.rng.IntN(codecs), batch()...)
		case p.one(3):
			err = t.End(ctx, p.one(2))
		default:
			err = t.Write(ctx, partition, batch()...)
		}
		if err != nil {
			return err
		}
	}
	for _, t := range ts {
		if err := t.End(ctx, p.one(2)); err != nil {
			return err
		}
	}
	return nil
}
