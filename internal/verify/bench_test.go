package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"syscall"
	"testing"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify/digest"
)

// BenchmarkRun compares 4 partitions of 128 MB each, records of 1 KB in batches of 128 KB, on two brokers on
// loopback. "identical" is what kferry's raw copies look like; in "recoded" the target has the same records in
// other batches, so that both sides are decoded. MB/s are of one side's bytes on the wire.
func BenchmarkRun(b *testing.B) {
	w := &world{t: b}
	for side, v := range []testbed.Version{testbed.V39, testbed.V43} {
		w.addr[side] = testbed.New(b, testbed.Options{Version: v, Benchmark: true, HeapMB: 1024}).Addrs()
	}
	w.connect()
	for _, c := range []struct {
		name           string
		codec          batch.Codec
		onTarget       int // records to a batch; 128 on the source
		targetCodec    batch.Codec
		decompressedMB int
	}{
		{"identical-none", batch.None, 128, batch.None, 128},
		{"identical-lz4", batch.LZ4, 128, batch.LZ4, 128},
		{"identical-zstd", batch.Zstd, 128, batch.Zstd, 128},
		{"recoded-lz4", batch.LZ4, 64, batch.LZ4, 128},
	} {
		w.create(c.name, 4, map[string]string{"retention.ms": "-1"})
		var wire int64
		for p := range int32(4) {
			wire += w.load(source, c.name, p, c.decompressedMB*1024, 128, c.codec)
			w.load(target, c.name, p, c.decompressedMB*1024, c.onTarget, c.targetCodec)
		}
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(wire)
			var records int64
			before := cpu(b)
			for range b.N {
				res, err := Run(context.Background(), Options{
					Source: w.kafka[source], Target: w.kafka[target], Include: []*regexp.Regexp{regexp.MustCompile(c.name)},
				})
				if err != nil {
					b.Fatal(err)
				}
				wantEqual(b, res, int64(4*c.decompressedMB*1024))
				if identical := c.onTarget == 128; identical != (res.BatchesDecoded == 0) {
					b.Fatalf("%d batches decoded", res.BatchesDecoded)
				}
				records += res.RecordsCompared
			}
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric((cpu(b)-before)/float64(2*wire*int64(b.N))*1e9, "cpu-s/GB-read")
		})
	}
}

// cpu is what this process has used, in seconds; the brokers are processes of their own.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// load appends n records of 1 KB, the same ones on every call, and returns their bytes on the wire.
func (w *world) load(side digest.Side, topic string, partition int32, n, perBatch int, codec batch.Codec) (wire int64) {
	w.t.Helper()
	l := w.leader(side, topic, partition)
	conn, err := w.kafka[side].Dial(context.Background(), l.Node)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	window := make(chan error, 8)
	random := rand.New(rand.NewPCG(1, uint64(partition)))
	value := make([]byte, 1000)
	var builder batch.Builder
	for i := 0; i < n; i++ {
		for j := 0; j < 500; j++ { // the other half is zeros: something to compress, and something not
			value[j] = byte(random.Uint32())
		}
		r := batch.Record{Offset: int64(i), Timestamp: 1_700_000_000_000 + int64(i), Key: fmt.Appendf(nil, "key %d", i), Value: value}
		if err := builder.Append(&r); err != nil {
			w.t.Fatal(err)
		}
		if builder.Len() < perBatch && i < n-1 {
			continue
		}
		raw, err := builder.Finish(codec)
		if err != nil {
			w.t.Fatal(err)
		}
		builder.Reset()
		wire += int64(len(raw))
		window <- nil
		err = conn.Produce([]kafka.ProduceBatch{{TopicPartition: l.TopicPartition, Batch: raw}}, kafka.AcksAll, 30_000, "", func(p []kafka.Produced, err error) {
			if err == nil {
				err = p[0].Err
			}
			if err != nil {
				w.t.Error(err)
			}
			<-window
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	for range cap(window) { // until every answer is there
		window <- nil
	}
	return wire
}
