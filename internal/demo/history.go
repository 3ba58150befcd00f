package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/batch"
)

// history is what makeHistory makes, in words.
var history = []string{
	"orders     4 partitions, zstd; more than a million offsets expired long ago",
	"clicks     5 partitions, one for each codec: none, gzip, snappy, lz4, zstd",
	"payments   3 partitions, two transactional producers that commit and abort",
	"customers  2 partitions, compacted: most offsets are holes by now",
	"archive    1 partition, emptied: no record is left, the next offset is 500000",
}

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

// makeHistory fills the source with what live estates are made of.
func (w *world) makeHistory(ctx context.Context) error {
	month := "2592000000" // records of the history are older than a broker's default for some topics
	for _, t := range []struct {
		name       string
		partitions int32
		configs    map[string]string
	}{
		{"orders", 4, map[string]string{"retention.ms": month}},
		{"clicks", 5, map[string]string{"retention.ms": month, "max.message.bytes": "2097152"}},
		{"payments", 3, map[string]string{"retention.ms": month, "min.insync.replicas": "2"}},
		{"customers", 2, map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}},
		{"archive", 1, nil},
	} {
		if err := w.source.CreateTopic(t.name, t.partitions, t.configs); err != nil {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	for _, step := range []func(context.Context) error{w.pastOrders, w.pastClicks, w.pastPayments, w.pastCustomers, w.pastArchive, w.pastGroup} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// advance moves the end of an empty partition to n by filler batches, as years of records would have done. They
// are small; the caller deletes them.
func (w *world) advance(ctx context.Context, topic string, partition int32, n int) error {
	cl, err := w.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	for n > 0 {
		records := min(n, batch.MaxFiller)
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 10_000
		t := kmsg.NewProduceRequestTopic()
		t.TopicID = w.source.TopicInfo(topic).TopicID
		t.Topic = topic
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, batch.Filler(records)
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		resp, err := cl.Broker(int(w.source.LeaderFor(topic, partition))).Request(ctx, req)
		if err != nil {
			return fmt.Errorf("advance %s-%d: %w", topic, partition, err)
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			return fmt.Errorf("advance %s-%d: %w", topic, partition, err)
		}
		n -= records
	}
	return nil
}

// pastOrders has log starts above a million; that of partition 3 lies inside a batch.
func (w *world) pastOrders(ctx context.Context) error {
	for p, start := range []int64{1_000_000, 1_250_000, 2_000_000, 1_000_000} {
		if err := w.advance(ctx, "orders", int32(p), int(start)); err != nil {
			return err
		}
	}
	cl, err := w.client(kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	day := time.Now().Add(-5 * 24 * time.Hour)
	for chunk := range 20 {
		var records []*kgo.Record
		for i := range 1000 {
			records = append(records, order(int32(i%4), int64(chunk*1000+i), day.Add(time.Duration(chunk)*6*time.Hour)))
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
	}
	for p, start := range []int64{1_000_000, 1_250_000, 2_000_000, 1_000_037} {
		if err := w.source.DeleteRecords("orders", int32(p), start); err != nil {
			return err
		}
	}
	return nil
}

// order makes a record with everything a record can have, and now and then with what it may lack.
func order(partition int32, n int64, at time.Time) *kgo.Record {
	r := &kgo.Record{
		Topic: "orders", Partition: partition, Timestamp: at.Add(time.Duration(n) * time.Millisecond),
		Key: fmt.Appendf(nil, "order-%d", n), Value: payload(100 + int(n%700)),
		Headers: []kgo.RecordHeader{{Key: "trace", Value: fmt.Appendf(nil, "%016x", rand.Uint64())}, {Key: "empty"}},
	}
	switch n % 50 {
	case 7:
		r.Key = nil
	case 8:
		r.Value = nil
	case 9:
		r.Headers = nil
	}
	return r
}

// payload is text that compresses like text.
func payload(n int) []byte {
	words := []string{"amber ", "birch ", "cedar ", "delta ", "ember ", "fjord ", "grove ", "haven "}
	var b []byte
	for len(b) < n {
		b = append(b, words[rand.IntN(len(words))]...)
	}
	return b[:n]
}

// codecClients are five producers of clicks, each with its codec, for the partition of the same number.
func (w *world) codecClients() (clients []*kgo.Client, err error) {
	for _, codec := range codecs {
		cl, err := w.client(kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return clients, err
		}
		clients = append(clients, cl)
	}
	return clients, nil
}

func click(partition int, n int64, at time.Time) *kgo.Record {
	return &kgo.Record{Topic: "clicks", Partition: int32(partition), Timestamp: at, Key: fmt.Appendf(nil, "user-%d", n%5000), Value: payload(120)}
}

func (w *world) pastClicks(ctx context.Context) error {
	clients, err := w.codecClients()
	for _, cl := range clients {
		defer cl.Close()
	}
	if err != nil {
		return err
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	for p, cl := range clients {
		var records []*kgo.Record
		for n := range int64(8000) {
			records = append(records, click(p, n, yesterday.Add(time.Duration(n)*time.Millisecond)))
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// pastPayments interleaves two transactional producers; every third transaction is aborted.
func (w *world) pastPayments(ctx context.Context) error {
	for p := range int32(3) {
		if err := w.advance(ctx, "payments", p, 1_000_000); err != nil {
			return err
		}
		if err := w.source.DeleteRecords("payments", p, 1_000_000); err != nil {
			return err
		}
	}
	var cashiers []*cashier
	for i := range 2 {
		c, err := w.newCashier(fmt.Sprintf("cashier-%d", i))
		if err != nil {
			return err
		}
		defer c.client.Close()
		cashiers = append(cashiers, c)
	}
	for range 60 {
		for _, c := range cashiers {
			if err := c.begin(ctx, 12); err != nil {
				return err
			}
		}
		for _, c := range cashiers {
			if err := c.end(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// pastCustomers writes each key many times in small batches and lets the source compact them away.
func (w *world) pastCustomers(ctx context.Context) error {
	cl, err := w.client(kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for range 80 {
		if err := cl.ProduceSync(ctx, customers(100, time.Now().Add(-time.Hour))...).FirstErr(); err != nil {
			return err
		}
	}
	w.source.Compact()
	return nil
}

// customers are n updates of random customers; a few are deletions.
func customers(n int, at time.Time) []*kgo.Record {
	var records []*kgo.Record
	for i := range n {
		r := &kgo.Record{
			Topic: "customers", Key: fmt.Appendf(nil, "customer-%03d", rand.IntN(600)),
			Value: payload(80), Timestamp: at.Add(time.Duration(i) * time.Millisecond),
		}
		if rand.IntN(40) == 0 {
			r.Value = nil
		}
		records = append(records, r)
	}
	return records
}

func (w *world) pastArchive(ctx context.Context) error {
	if err := w.advance(ctx, "archive", 0, 500_000); err != nil {
		return err
	}
	return w.source.DeleteRecords("archive", 0, 500_000)
}

// idleGroup stopped reading long ago; its position must not be forgotten.
const idleGroup = "monthly-report"

func (w *world) pastGroup(ctx context.Context) error {
	cl, err := w.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: "orders", Partition: 2, At: 2_000_100, LeaderEpoch: -1, Metadata: "as of last month"})
	o.Add(kadm.Offset{Topic: "customers", Partition: 0, At: 0, LeaderEpoch: -1})
	return kadm.NewClient(cl).CommitAllOffsets(ctx, idleGroup, o)
}
