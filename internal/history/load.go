package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// LoadOptions describe a workload: what the services of a live cluster do to their topics, all at once.
type LoadOptions struct {
	Bootstrap []string
	Seed      uint64
	Topics    []LoadTopic
	PerSecond int           // records a second that plain producers write to each partition; default 200
	Aborts    float64       // share of transactions that are aborted; default 0.5
	Age       time.Duration // how old the records' timestamps are
	Replicas  int16         // of the topics; default 1
	Groups    []string      // groups whose positions are stored again and again, everywhere
}

// LoadTopic is one topic of a workload.
type LoadTopic struct {
	Name         string // whole
	Partitions   int32
	Transactions bool // four transactional producers write to it as well, interleaved
	Compact      bool // keys repeat, and the broker's cleaner is at work
	Retain       bool // retention takes what is older than some seconds
	Trim         bool // somebody deletes records from the front
	Grow         bool // gets one more partition on the way
	Idle         bool // written by Burst only
	Configs      map[string]string
}

// Load is a workload that runs. It differs from Live in that it keeps a ledger, survives brokers that come and
// go, and lets the cluster itself work on the topics.
type Load struct {
	o       LoadOptions
	client  *kgo.Client
	admin   *kadm.Client
	ledger  *Ledger
	cancel  context.CancelFunc
	done    sync.WaitGroup
	written atomic.Int64
	ids     atomic.Uint64

	positions map[string]int64 // by group, topic and partition; disturb's, then Stop's

	mu         sync.Mutex // guards what follows
	partitions map[string]int32
	trouble    []string // errors that were survived
}

const (
	plainProducers = codecs // one for each codec
	transactors    = 4
)

// StartLoad creates the topics and begins to write.
func StartLoad(ctx context.Context, o LoadOptions) (*Load, error) {
	if o.PerSecond == 0 {
		o.PerSecond = 200
	}
	if o.Aborts == 0 {
		o.Aborts = 0.5
	}
	o.Replicas = max(o.Replicas, 1)
	cl, err := NewClient(o.Bootstrap...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{o: o, client: cl, admin: kadm.NewClient(cl), ledger: newLedger(), cancel: cancel, positions: map[string]int64{}, partitions: map[string]int32{}}
	l.ids.Store(o.Seed << 32)
	if err := l.create(ctx); err != nil {
		cancel()
		cl.Close()
		return nil, err
	}
	for n := range plainProducers {
		l.done.Go(func() { l.writePlain(ctx, n) })
	}
	if len(l.transactional()) > 0 {
		for n := range transactors {
			l.done.Go(func() { l.transact(ctx, n) })
		}
	}
	l.done.Go(func() { l.disturb(ctx) })
	return l, nil
}

func (l *Load) create(ctx context.Context) error {
	for _, t := range l.o.Topics {
		configs := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
		for k, v := range t.configs() {
			configs[k] = kadm.StringPtr(v)
		}
		if _, err := l.admin.CreateTopic(ctx, t.Partitions, l.o.Replicas, configs, t.Name); err != nil {
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		}
		l.partitions[t.Name] = t.Partitions
	}
	w := Writer{client: l.client, admin: l.admin}
	for _, t := range l.o.Topics {
		if err := w.awaitLeaders(ctx, t.Name); err != nil {
			return err
		}
	}
	return nil
}

func (t *LoadTopic) configs() map[string]string {
	c := map[string]string{}
	if t.Compact {
		c["cleanup.policy"], c["min.cleanable.dirty.ratio"], c["segment.ms"], c["segment.jitter.ms"] = "compact", "0.001", "700", "0"
	}
	if t.Retain {
		c["retention.ms"], c["segment.ms"], c["segment.jitter.ms"], c["file.delete.delay.ms"] = "3000", "1000", "0", "100"
	}
	for k, v := range t.Configs {
		c[k] = v
	}
	return c
}

// quiet are settings with which nothing of a topic's log is removed any more.
func (t *LoadTopic) quiet() map[string]string {
	switch {
	case t.Compact:
		return map[string]string{"min.compaction.lag.ms": "9223372036854775807"}
	case t.Retain:
		return map[string]string{"retention.ms": "-1"}
	}
	return nil
}

func (l *Load) transactional() (ts []LoadTopic) {
	for _, t := range l.o.Topics {
		if t.Transactions {
			ts = append(ts, t)
		}
	}
	return ts
}

// Names are the names of the topics.
func (l *Load) Names() (names []string) {
	for _, t := range l.o.Topics {
		names = append(names, t.Name)
	}
	return names
}

// Ledger is what the producers know; it grows while the workload runs.
func (l *Load) Ledger() *Ledger { return l.ledger }

// Written is how many records were acknowledged so far.
func (l *Load) Written() int64 { return l.written.Load() }

// Stop lets the producers finish what they began, so that no transaction is open, and makes the cluster leave
// the topics' logs alone from then on. What was survived on the way is in Trouble.
func (l *Load) Stop(ctx context.Context) error {
	l.cancel()
	l.done.Wait()
	defer l.client.Close()
	w := Writer{client: l.client, admin: l.admin}
	for _, t := range l.o.Topics {
		for key, value := range t.quiet() {
			if err := w.Configure(ctx, t.Name, key, value); err != nil {
				return err
			}
		}
	}
	rng := rand.New(rand.NewPCG(l.o.Seed, 99))
	for attempt := 0; ; attempt++ {
		err := l.commit(ctx, rng)
		if err == nil || attempt >= readRetries || ctx.Err() != nil {
			return err
		}
		time.Sleep(readWait)
	}
}

// Trouble lists errors that producers had and went on after.
func (l *Load) Trouble() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.trouble...)
}

func (l *Load) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if what := fmt.Sprintf(format, args...); len(l.trouble) < 50 && !slices.Contains(l.trouble, what) {
		l.trouble = append(l.trouble, what)
	}
}

// Width is how many partitions a topic has now.
func (l *Load) Width(topic string) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.partitions[topic]
}
