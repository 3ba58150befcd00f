package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Spread is a distribution of times in milliseconds.
type Spread struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// LatencyResult is what the latency worker prints as JSON on its last line.
type LatencyResult struct {
	Records    int    `json:"records"`    // measured
	Missing    int    `json:"missing"`    // not acknowledged, or not seen on both sides
	Duplicates int    `json:"duplicates"` // seen there more than once
	Source     Spread `json:"source"`     // producer's ack at the source -> consumer at the source
	Target     Spread `json:"target"`     // producer's ack at the source -> consumer at the target
	Ack        Spread `json:"ack"`        // send -> producer's ack
}

// Lines that the latency worker prints when it begins and ends to measure.
const (
	LatencyBegin = "begin"
	LatencyEnd   = "end"
)

// latency writes records to the source at a steady rate and consumes them from
// both clusters, all in one process, so that there is one clock.
func latency(ctx context.Context, f *flag.FlagSet, args []string) error {
	var p probe
	p.flags(f)
	f.StringVar(&p.targetTopic, "target-topic", "", "what the topic is called on the target")
	f.IntVar(&p.rate, "rate", 1000, "records a second")
	f.IntVar(&p.size, "size", 1024, "bytes of a record")
	f.IntVar(&p.partitions, "partitions", 4, "partitions of the topic")
	f.DurationVar(&p.warm, "warm-up", 10*time.Second, "how long before measuring, from the first record on the target")
	f.DurationVar(&p.measure, "measure", 30*time.Second, "how long to measure")
	if err := f.Parse(args); err != nil {
		return err
	}
	return p.run(ctx)
}

type probe struct {
	sides
	targetTopic            string
	rate, size, partitions int
	warm, measure          time.Duration

	mu       sync.Mutex // guards trips
	trips    []trip     // by sequence number
	arriving chan struct{}
	arrived  sync.Once
}

// trip is one record's times since the start of the process.
type trip struct {
	sent, acked, atSource, atTarget time.Duration
	timesAtTarget                   int
}

func (p *probe) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.arriving = make(chan struct{})
	p.trips = make([]trip, 0, p.rate*int((p.warm+p.measure)/time.Second+60))
	producer, err := kgo.NewClient(kgo.SeedBrokers(addresses(p.source)...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer producer.Close()
	began := time.Now()
	var consumers sync.WaitGroup
	defer consumers.Wait()
	defer cancel()
	for _, c := range []struct {
		bootstrap, topic string
		note             func(t *trip, at time.Duration)
	}{
		{p.source, p.topic, func(t *trip, at time.Duration) { t.atSource = at }},
		{p.target, p.targetTopic, p.noteTarget},
	} {
		consumer, err := kgo.NewClient(kgo.SeedBrokers(addresses(c.bootstrap)...), kgo.ConsumeTopics(c.topic), kgo.DisableClientMetrics(),
			kgo.MetadataMinAge(100*time.Millisecond), kgo.UnknownTopicRetries(-1))
		if err != nil {
			return err
		}
		defer consumer.Close()
		consumers.Go(func() { p.consume(ctx, consumer, began, c.note) })
	}
	first, last, err := p.produce(ctx, producer, began)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(p.result(first, last))
}

func (p *probe) noteTarget(t *trip, at time.Duration) {
	t.timesAtTarget++
	if t.timesAtTarget == 1 {
		t.atTarget = at
	}
	p.arrived.Do(func() { close(p.arriving) })
}

func (p *probe) consume(ctx context.Context, c *kgo.Client, began time.Time, note func(*trip, time.Duration)) {
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		at := time.Since(began)
		p.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if n := binary.BigEndian.Uint64(r.Value); n < uint64(len(p.trips)) {
				note(&p.trips[n], at)
			}
		})
		p.mu.Unlock()
	}
}

// produce writes until the measured time is over and everything has arrived. It
// returns the first and the last sequence number of the measured records.
func (p *probe) produce(ctx context.Context, producer *kgo.Client, began time.Time) (first, last int, err error) {
	runtime.LockOSThread() // for steady naps
	defer runtime.UnlockOSThread()
	random := rand.NewChaCha8([32]byte{1})
	gap := time.Second / time.Duration(p.rate)
	var from, to time.Duration // of the measured time; 0 while not known
	start, n := time.Since(began), 0
	for ; to == 0 || time.Since(began) < to; n++ {
		nap(start + time.Duration(n)*gap - time.Since(began))
		now := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return 0, 0, ctx.Err()
		case from == 0 && isClosed(p.arriving):
			from = now + p.warm
		case from > 0 && to == 0 && now >= from:
			first, to = n, now+p.measure
			fmt.Println(LatencyBegin)
		}
		p.send(ctx, producer, random, n, now, began)
	}
	fmt.Println(LatencyEnd)
	if err := producer.Flush(ctx); err != nil {
		return 0, 0, err
	}
	time.Sleep(2 * time.Second) // what is not there by then is missing
	return first, n, nil
}

func (p *probe) send(ctx context.Context, producer *kgo.Client, random *rand.ChaCha8, n int, now time.Duration, began time.Time) {
	value := make([]byte, p.size)
	random.Read(value[8 : p.size/2]) // half of it does not compress
	binary.BigEndian.PutUint64(value, uint64(n))
	p.mu.Lock()
	p.trips = append(p.trips, trip{sent: now})
	p.mu.Unlock()
	producer.Produce(ctx, &kgo.Record{Topic: p.topic, Partition: int32(n % p.partitions), Value: value}, func(_ *kgo.Record, err error) {
		at := time.Since(began)
		if err == nil {
			p.mu.Lock()
			p.trips[n].acked = at
			p.mu.Unlock()
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// nap sleeps in the kernel: Go's timers are good to a millisecond only.
func nap(d time.Duration) {
	if d > 0 {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // woken early, the next nap makes up for it
	}
}

func (p *probe) result(first, last int) LatencyResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r LatencyResult
	var source, target, ack []float64
	for _, t := range p.trips[first:last] {
		r.Records++
		if t.acked == 0 || t.atSource == 0 || t.timesAtTarget == 0 {
			r.Missing++
			continue
		}
		r.Duplicates += t.timesAtTarget - 1
		ack = append(ack, ms(t.acked-t.sent))
		source = append(source, ms(t.atSource-t.acked))
		target = append(target, ms(t.atTarget-t.acked))
	}
	r.Source, r.Target, r.Ack = spread(source), spread(target), spread(ack)
	return r
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[min(int(q*float64(len(values))), len(values)-1)] }
	return Spread{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: values[len(values)-1]}
}
