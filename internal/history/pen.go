package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Pen writes one topic. Every Batch becomes one record batch of the log, unless it is larger than a batch may
// be.
type Pen struct {
	w          *Writer
	topic      string
	partitions int32
	rng        *rand.Rand
	producers  map[producerKind]*kgo.Client
	now        int64 // the topic's clock, ms
	written    int
}

// producerKind tells producers apart: one for each codec, with and without a producer id.
type producerKind struct {
	codec int
	bare  bool // no producer id: what old formats need
}

// The codecs, by Kafka's numbers.
const (
	uncompressed = iota
	gzip
	snappy
	lz4
	zstd
	codecs
)

// maxBatch is the largest batch that is written: brokers take 1 MiB and a little.
const maxBatch = 1_000_000

func codecOpt(codec int) kgo.Opt {
	c := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}[codec]
	return kgo.ProducerBatchCompression(c)
}

// producerOpts make every flush one batch a partition.
func (w *Writer) producerOpts(codec int) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(w.o.Bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(maxBatch),
		kgo.MaxBufferedRecords(1_000_000),
		kgo.ProducerLinger(time.Minute),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DisableClientMetrics(),
		codecOpt(codec),
	}
}

func (p *Pen) producer(kind producerKind) (*kgo.Client, error) {
	if cl := p.producers[kind]; cl != nil {
		return cl, nil
	}
	opts := p.w.producerOpts(kind.codec)
	if kind.bare {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	p.producers[kind] = cl
	return cl, nil
}

func (p *Pen) close() {
	for _, cl := range p.producers {
		cl.Close()
	}
}

// Batch writes records as one batch of a partition.
func (p *Pen) Batch(ctx context.Context, partition int32, codec int, records ...*kgo.Record) error {
	cl, err := p.producer(producerKind{codec: codec})
	if err != nil {
		return err
	}
	return p.flush(ctx, cl, partition, records)
}

// Bare is Batch without a producer id.
func (p *Pen) Bare(ctx context.Context, partition int32, codec int, records ...*kgo.Record) error {
	cl, err := p.producer(producerKind{codec, true})
	if err != nil {
		return err
	}
	return p.flush(ctx, cl, partition, records)
}

func (p *Pen) flush(ctx context.Context, cl *kgo.Client, partition int32, records []*kgo.Record) error {
	var failed error
	for _, r := range records {
		r.Topic, r.Partition = p.topic, partition
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("produce to %s-%d: %w", p.topic, partition, failed)
	}
	return nil
}

// Tick moves the topic's clock.
func (p *Pen) Tick(d time.Duration) { p.now += d.Milliseconds() }

// one says whether something happens that does once in n times.
func (p *Pen) one(n int) bool { return p.rng.IntN(n) == 0 }

// Record makes up a record of about size bytes: keys, values, headers and times of every kind.
func (p *Pen) Record(size int) *kgo.Record {
	p.written++
	p.now += int64(p.rng.IntN(50))
	r := &kgo.Record{Timestamp: time.UnixMilli(p.now), Value: p.bytes(p.rng.IntN(size + 1))}
	switch {
	case p.one(8): // null key
	case p.one(10):
		r.Key = []byte{}
	default:
		r.Key = fmt.Appendf(nil, "key-%d", p.rng.IntN(500))
	}
	switch {
	case p.one(12):
		r.Value = nil
	case p.one(12):
		r.Value = []byte{}
	}
	if p.one(3) {
		r.Headers = p.headers()
	}
	if p.one(20) {
		odd := []int64{0, 1, -1, 946_684_800_000, p.now - 400*24*3600_000, p.now + 2*365*24*3600_000, 9_214_646_400_000}
		r.Timestamp = time.UnixMilli(odd[p.rng.IntN(len(odd))])
	}
	return r
}

// Records makes up n records.
func (p *Pen) Records(n, size int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = p.Record(size)
	}
	return rs
}

// Keyed makes a record for a compacted topic; a tombstone now and then.
func (p *Pen) Keyed(key string, size int) *kgo.Record {
	p.written++
	p.now += int64(p.rng.IntN(5))
	r := &kgo.Record{Key: []byte(key), Timestamp: time.UnixMilli(p.now), Value: fmt.Appendf(nil, "%d %x", p.written, p.bytes(p.rng.IntN(size/2+1)))}
	if p.one(10) {
		r.Value = nil
	}
	if p.one(5) {
		r.Headers = p.headers()
	}
	return r
}

// bytes are half random, so that codecs have something to do and something to fail at.
func (p *Pen) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if i%16 < 8 {
			b[i] = byte(p.rng.Uint32())
		} else {
			b[i] = byte('a' + i%16)
		}
	}
	return b
}

func (p *Pen) headers() []kgo.RecordHeader {
	hs := make([]kgo.RecordHeader, 1+p.rng.IntN(4))
	for i := range hs {
		hs[i].Key = []string{"trace", "trace", "", "\u65e5\u672c"}[p.rng.IntN(4)]
		switch p.rng.IntN(3) {
		case 0: // null
		case 1:
			hs[i].Value = []byte{}
		default:
			hs[i].Value = p.bytes(p.rng.IntN(40))
		}
	}
	return hs
}
