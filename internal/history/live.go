package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Live is a producer that goes on writing to topics until it is stopped, as the services of a live cluster do:
// small batches, transactions among them, records of now.
type Live struct {
	cancel  context.CancelFunc
	done    sync.WaitGroup
	written atomic.Int64
	mu      sync.Mutex // guards err
	err     error
}

// GoLive starts writing about perSecond records a second to every partition of the topics, half of them in
// transactions of which a third is aborted.
func (w *Writer) GoLive(ctx context.Context, topics map[string]int32, perSecond int) (*Live, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &Live{cancel: cancel}
	for topic, partitions := range topics {
		p := &Pen{w: w, topic: topic, partitions: partitions, rng: rand.New(rand.NewPCG(w.o.Seed, uint64(len(topic)))), producers: map[producerKind]*kgo.Client{}}
		t, err := p.Transactor(100, lz4)
		if err != nil {
			cancel()
			l.done.Wait()
			return nil, err
		}
		l.done.Go(func() {
			defer p.close()
			defer t.Close()
			if err := l.write(ctx, p, t, perSecond); err != nil {
				l.mu.Lock()
				l.err = fmt.Errorf("live producer of %s: %w", topic, err)
				l.mu.Unlock()
			}
		})
	}
	return l, nil
}

// liveTurn is how often a live producer writes.
const liveTurn = 20 * time.Millisecond

func (l *Live) write(ctx context.Context, p *Pen, t *Transactor, perSecond int) error {
	turn := time.NewTicker(liveTurn)
	defer turn.Stop()
	each := max(perSecond*int(liveTurn)/int(time.Second), 1)
	// What was begun is finished: a batch that was cut off would leave an open transaction behind.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return t.End(finish, true)
		case <-turn.C:
		}
		for partition := range p.partitions {
			rs := make([]*kgo.Record, each)
			for i := range rs {
				p.written++
				rs[i] = &kgo.Record{Key: fmt.Appendf(nil, "live-%d", p.written%1000), Value: p.bytes(p.rng.IntN(300)), Timestamp: time.Now()}
			}
			var err error
			if p.one(2) {
				err = t.Write(finish, partition, rs...)
			} else {
				err = p.Batch(finish, partition, p.rng.IntN(codecs), rs...)
			}
			if err != nil {
				return err
			}
			l.written.Add(int64(each))
		}
		if p.one(6) {
			if err := t.End(finish, !p.one(3)); err != nil {
				return err
			}
		}
	}
}

// Written is how many records were written so far, those of aborted transactions included.
func (l *Live) Written() int64 { return l.written.Load() }

// Stop ends writing with no transaction open, and returns the first error that a producer had.
func (l *Live) Stop() error {
	l.cancel()
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
