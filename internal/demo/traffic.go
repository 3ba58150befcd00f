package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// liveGroups read on the source while kferry copies.
var liveGroups = []string{"billing", "dashboard"}

// traffic is the live clients of the source.
type traffic struct {
	world    *world
	produced atomic.Int64

	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex // guards err
	err error
}

// tick is the pause between two bursts of a producer.
const tick = 20 * time.Millisecond

// startTraffic sets producers and consumers to work until stop.
func (w *world) startTraffic(ctx context.Context) (*traffic, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{world: w, cancel: cancel}
	for _, work := range []func(context.Context) error{
		t.orders, t.clicks, t.customers,
		func(ctx context.Context) error { return t.payments(ctx, "cashier-0") },
		func(ctx context.Context) error { return t.payments(ctx, "cashier-1") },
		func(ctx context.Context) error { return t.group(ctx, liveGroups[0], "orders", "payments") },
		func(ctx context.Context) error { return t.group(ctx, liveGroups[1], "clicks", "customers") },
	} {
		t.done.Go(func() {
			if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.mu.Lock()
				t.err = errors.Join(t.err, err)
				t.mu.Unlock()
			}
		})
	}
	return t, nil
}

// stop ends all clients in order: producers flush and end their transactions, groups commit where they are. It
// may be called twice.
func (t *traffic) stop() error {
	t.cancel()
	t.done.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// every calls burst until ctx ends. What a burst has begun it finishes, on a context that does not end with ctx.
func (t *traffic) every(ctx context.Context, burst func(context.Context) error) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := burst(whole)
		cancel()
		if err != nil {
			return err
		}
	}
}

// produce writes a burst and counts it.
func (t *traffic) produce(ctx context.Context, cl *kgo.Client, records ...*kgo.Record) error {
	t.produced.Add(int64(len(records)))
	return cl.ProduceSync(ctx, records...).FirstErr()
}

func (t *traffic) orders(ctx context.Context) error {
	cl, err := t.world.client(kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	n := int64(20_000)
	return t.every(ctx, func(ctx context.Context) error {
		var records []*kgo.Record
		for range 20 {
			records = append(records, order(int32(n%4), n, time.Now()))
			n++
		}
		return t.produce(ctx, cl, records...)
	})
}

func (t *traffic) clicks(ctx context.Context) error {
	clients, err := t.world.codecClients()
	for _, cl := range clients {
		defer cl.Close()
	}
	if err != nil {
		return err
	}
	n := int64(0)
	return t.every(ctx, func(ctx context.Context) error {
		p := int(n % int64(len(clients)))
		var records []*kgo.Record
		for i := range int64(30) {
			records = append(records, click(p, n+i, time.Now()))
		}
		n++
		return t.produce(ctx, clients[p], records...)
	})
}

func (t *traffic) customers(ctx context.Context) error {
	cl, err := t.world.client(kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	return t.every(ctx, func(ctx context.Context) error { return t.produce(ctx, cl, customers(8, time.Now())...) })
}

// cashier is one transactional producer; every third of its transactions is aborted.
type cashier struct {
	client *kgo.Client
	name   string
	count  int
}

func (w *world) newCashier(name string) (*cashier, error) {
	cl, err := w.client(kgo.TransactionalID(name), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	return &cashier{client: cl, name: name}, err
}

// begin opens a transaction and writes n records in it.
func (c *cashier) begin(ctx context.Context, n int) error {
	if err := c.client.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: "payments", Key: fmt.Appendf(nil, "%s-%d-%d", c.name, c.count, i), Value: payload(150)})
	}
	return c.client.ProduceSync(ctx, records...).FirstErr()
}

func (c *cashier) end(ctx context.Context) error {
	c.count++
	return c.client.EndTransaction(ctx, kgo.TransactionEndTry(c.count%3 != 0))
}

func (t *traffic) payments(ctx context.Context, name string) error {
	c, err := t.world.newCashier(name)
	if err != nil {
		return err
	}
	defer c.client.Close()
	return t.every(ctx, func(ctx context.Context) error {
		t.produced.Add(9)
		if err := c.begin(ctx, 9); err != nil {
			return err
		}
		return c.end(ctx)
	})
}

// group is one consumer that joins, reads what is committed and stores its positions as it goes.
func (t *traffic) group(ctx context.Context, name string, topics ...string) error {
	cl, err := t.world.client(
		kgo.ConsumerGroup(name), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(300*time.Millisecond),
		kgo.FetchMaxWait(200*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := cl.CommitUncommittedOffsets(whole); err != nil {
		return fmt.Errorf("group %s: %w", name, err)
	}
	return nil
}
