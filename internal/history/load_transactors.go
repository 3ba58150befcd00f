package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loadTxn is one transaction of a workload.
type loadTxn struct {
	entries []*Entry
	failed  atomic.Bool
}

// transact is one transactional producer. Where a transaction cannot be ended, the producer is opened anew with
// the same transactional id, which aborts it or finds it ended: its outcome stays unknown.
func (l *Load) transact(ctx context.Context, n int) {
	rng := rand.New(rand.NewPCG(l.o.Seed, uint64(1000+n)))
	for ctx.Err() == nil {
		if err := l.transactUntil(ctx, n, rng); err != nil {
			l.say("transactional producer %d: %v", n, err)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	l.settle(ctx, n)
}

func (l *Load) openTransactor(n, codec int) (*kgo.Client, error) {
	return kgo.NewClient(append(l.producerOpts(codec),
		kgo.TransactionalID(fmt.Sprintf("%s-%d", l.transactional()[0].Name, n)),
		kgo.TransactionTimeout(time.Minute),
	)...)
}

// settle opens the producer once more, so that nothing stays open of what went wrong.
func (l *Load) settle(ctx context.Context, n int) {
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	cl, err := l.openTransactor(n, uncompressed)
	if err != nil {
		l.say("transactional producer %d: %v", n, err)
		return
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(finish); err != nil {
		l.say("transactional producer %d: settle: %v", n, err)
	}
}

// transactUntil runs transactions until ctx ends or something cannot be survived with this client.
func (l *Load) transactUntil(ctx context.Context, n int, rng *rand.Rand) error {
	cl, err := l.openTransactor(n, rng.IntN(codecs))
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		if err := cl.BeginTransaction(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		txn := &loadTxn{}
		for range 1 + rng.IntN(5) {
			l.part(cl, rng, txn)
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(rng.IntN(60)) * time.Millisecond):
			}
		}
		if err := l.endTransaction(ctx, cl, txn, rng.Float64() >= l.o.Aborts); err != nil {
			return err
		}
	}
	return nil
}

// part writes a few records of a transaction.
func (l *Load) part(cl *kgo.Client, rng *rand.Rand, txn *loadTxn) {
	topics := l.transactional()
	t := &topics[rng.IntN(len(topics))]
	partition := rng.Int32N(l.Width(t.Name))
	for range 1 + rng.IntN(8) {
		l.produce(cl, l.record(rng, t, partition), txn)
	}
}

func (l *Load) endTransaction(ctx context.Context, cl *kgo.Client, txn *loadTxn, commit bool) error {
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := cl.Flush(finish); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	commit = commit && !txn.failed.Load()
	if err := cl.EndTransaction(finish, kgo.TransactionEndTry(commit)); err != nil {
		return fmt.Errorf("end a transaction (commit %v): %w", commit, err)
	}
	outcome := OutcomeAborted
	if commit {
		outcome = OutcomeCommitted
	}
	for _, e := range txn.entries {
		l.ledger.set(e, -1, outcome)
	}
	if txn.failed.Load() {
		return fmt.Errorf("a record of a transaction could not be produced")
	}
	return nil
}
