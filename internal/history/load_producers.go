package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loadTurn is how often a plain producer writes.
const loadTurn = 40 * time.Millisecond

// finishTimeout bounds how long a producer goes on after it was stopped: brokers may be away.
const finishTimeout = time.Minute

func (l *Load) producerOpts(codec int) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(l.o.Bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(100_000),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(500 * time.Millisecond), // partitions are added
		kgo.RetryTimeout(finishTimeout),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		kgo.DisableClientMetrics(),
		codecOpt(codec),
	}
}

// record makes up a record with an id of its own.
func (l *Load) record(rng *rand.Rand, t *LoadTopic, partition int32) *kgo.Record {
	p := Pen{rng: rng}
	r := &kgo.Record{Topic: t.Name, Partition: partition, Timestamp: time.Now().Add(-l.o.Age).Truncate(time.Millisecond), Value: p.bytes(rng.IntN(250))}
	switch {
	case t.Compact:
		r.Key = fmt.Appendf(nil, "key-%d", rng.IntN(40))
	case p.one(6): // null key
	case p.one(10):
		r.Key = []byte{}
	default:
		r.Key = fmt.Appendf(nil, "key-%d", rng.IntN(1000))
	}
	switch {
	case p.one(15):
		r.Value = nil
	case p.one(15):
		r.Value = []byte{}
	}
	if p.one(4) {
		r.Headers = p.headers()
	}
	withID(r, l.ids.Add(1))
	return r
}

// writePlain is one idempotent producer with one codec, which writes to every partition of all topics.
func (l *Load) writePlain(ctx context.Context, n int) {
	cl, err := kgo.NewClient(l.producerOpts(n)...)
	if err != nil {
		l.say("plain producer %d: %v", n, err)
		return
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(l.o.Seed, uint64(n)))
	most := max(2*l.o.PerSecond*int(loadTurn)/int(time.Second)/plainProducers, 2)
	turn := time.NewTicker(loadTurn)
	defer turn.Stop()
	for ctx.Err() == nil {
		for i := range l.o.Topics {
			t := &l.o.Topics[i]
			if t.Idle {
				continue
			}
			for partition := range l.Width(t.Name) {
				for range rng.IntN(most + 1) {
					l.produce(cl, l.record(rng, t, partition), nil)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-turn.C:
		}
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := cl.Flush(finish); err != nil {
		l.say("plain producer %d: flush: %v", n, err)
	}
}

// produce sends a record and notes its answer. With a transaction, the record is committed with that.
func (l *Load) produce(cl *kgo.Client, r *kgo.Record, txn *loadTxn) {
	e := l.ledger.sent(idOf(r), r.Topic, r.Partition)
	if txn != nil {
		txn.entries = append(txn.entries, e)
	}
	cl.TryProduce(context.Background(), r, func(r *kgo.Record, err error) {
		switch {
		case err != nil:
			l.say("produce to %s-%d: %v", r.Topic, r.Partition, err)
			if txn != nil {
				txn.failed.Store(true)
			}
		case txn != nil:
			l.ledger.set(e, r.Offset, OutcomeUnknown)
		default:
			l.ledger.set(e, r.Offset, OutcomeCommitted)
		}
		if err == nil {
			l.written.Add(1)
		}
	})
}

// Burst writes n records to one partition and waits for the answers: of all replicas in sync, or of the leader
// alone.
func (l *Load) Burst(ctx context.Context, topic string, partition int32, n int, leaderOnly bool) error {
	opts := l.producerOpts(lz4)
	if leaderOnly {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(l.o.Seed, l.ids.Load()))
	t := &LoadTopic{Name: topic}
	for range n {
		r := l.record(rng, t, partition)
		e := l.ledger.sent(idOf(r), topic, partition)
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return fmt.Errorf("write to %s-%d: %w", topic, partition, err)
		}
		l.ledger.set(e, r.Offset, OutcomeCommitted)
		l.written.Add(1)
	}
	return nil
}
