package worker

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/batch"
)

// reproduce copies a topic the way in which every tool on top of an ordinary
// client does: consume, decode, encode, produce. It is the best that we could
// make of franz-go: records are handed on without a copy, batches grow to the
// 1 MB that a broker takes by default, everything is asynchronous, and the
// source's codec and partitions are kept. What more was tried cost memory and
// gained nothing: more records under way, larger fetches, a linger, pools.
func reproduce(ctx context.Context, f *flag.FlagSet, args []string) error {
	var o reproduceOptions
	o.flags(f)
	f.Var(&o.codec, "codec", "how batches are compressed on the target")
	f.IntVar(&o.buffered, "buffered", 50_000, "records under way at most")
	f.IntVar(&o.partitionMB, "partition-mb", 1, "MiB of one partition in a fetch")
	f.DurationVar(&o.linger, "linger", 0, "how long a batch may wait to be filled")
	f.BoolVar(&o.streaming, "streaming", false, "compress records as they are added")
	if err := f.Parse(args); err != nil {
		return err
	}
	return o.run(ctx)
}

type reproduceOptions struct {
	sides
	codec       codecFlag
	buffered    int
	partitionMB int
	linger      time.Duration
	streaming   bool
}

func (o *reproduceOptions) run(ctx context.Context) error {
	producer, err := o.producer()
	if err != nil {
		return err
	}
	defer producer.Close()
	want, from, err := o.extent(ctx)
	if err != nil {
		return err
	}
	consumer, err := o.consumer(from)
	if err != nil {
		return err
	}
	defer consumer.Close()
	var failed atomic.Pointer[error]
	acked := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	for done := int64(0); done < want; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); done++ {
			producer.Produce(ctx, it.Next(), acked)
		}
		if err := failed.Load(); err != nil {
			return fmt.Errorf("produce to %s: %w", o.topic, *err)
		}
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce to %s: %w", o.topic, *err)
	}
	return nil
}

func (o *reproduceOptions) producer() (*kgo.Client, error) {
	codec := map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(),
		batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	}[o.codec.Codec]
	opts := []kgo.Opt{
		kgo.SeedBrokers(addresses(o.target)...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(o.buffered),
		kgo.ProducerLinger(o.linger),
		kgo.RequiredAcks(kgo.AllISRAcks()), // idempotent by default, five requests under way
		kgo.DisableClientMetrics(),
	}
	if o.streaming {
		opts = append(opts, kgo.StreamingCompression())
	}
	return kgo.NewClient(opts...)
}

func (o *reproduceOptions) consumer(from map[int32]kgo.Offset) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(addresses(o.source)...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: from}),
		kgo.FetchMaxBytes(50<<20),
		kgo.FetchMaxPartitionBytes(int32(o.partitionMB)<<20),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.DisableClientMetrics(),
	)
}

// extent asks how many records there are and where they begin.
func (o *reproduceOptions) extent(ctx context.Context) (n int64, from map[int32]kgo.Offset, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses(o.source)...))
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, o.topic)
	if err != nil {
		return 0, nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, o.topic)
	if err != nil {
		return 0, nil, err
	}
	from = map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		n += end.Offset - start.Offset
		from[end.Partition] = kgo.NewOffset().At(start.Offset)
	})
	return n, from, nil
}
