package verify

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

// world is two clusters and the means to write to them. What is on the target is written here by hand, with
// franz-go and single requests, and not by kferry's engine.
type world struct {
	t     testing.TB
	fake  [2]*kfake.Cluster // nil on real brokers
	addr  [2][]string
	kafka [2]*kafka.Cluster
	plain [2]*kgo.Client
}

const (
	source = digest.Source
	target = digest.Target
)

func fakeWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	for side := range w.fake {
		fake, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.ClusterID(fmt.Sprintf("cluster-%d", side)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		w.fake[side], w.addr[side] = fake, fake.ListenAddrs()
	}
	w.connect()
	return w
}

// in is the same world for a subtest.
func (w *world) in(t testing.TB) *world {
	sub := *w
	sub.t = t
	return &sub
}

func (w *world) connect() {
	w.t.Helper()
	for side := range w.addr {
		c, err := kafka.Open(context.Background(), kafka.Connection{Alias: digest.Side(side).String(), Bootstrap: w.addr[side]})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(c.Close)
		w.kafka[side] = c
		w.plain[side] = w.client(digest.Side(side))
	}
}

func (w *world) client(side digest.Side, opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(w.addr[side]...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(900_000),
	}, opts...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) create(topic string, partitions int32, configs map[string]string) {
	w.t.Helper()
	w.createOn(source, topic, partitions, configs)
	w.createOn(target, topic, partitions, configs)
}

func (w *world) createOn(side digest.Side, topic string, partitions int32, configs map[string]string) {
	w.t.Helper()
	out, err := w.kafka[side].CreateTopics(context.Background(), []kafka.NewTopic{{Name: topic, Partitions: partitions, Replication: 1, Configs: configs}}, false)
	if err == nil {
		err = out[topic].Err
	}
	if err != nil {
		w.t.Fatalf("create %s on the %s: %v", topic, side, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		md, err := w.kafka[side].Metadata(context.Background(), []string{topic})
		ready := err == nil && len(md.Topics[topic].Partitions) == int(partitions)
		var leaders []kafka.Leader
		for i, p := range md.Topics[topic].Partitions {
			ready = ready && p.Leader >= 0
			leaders = append(leaders, sideOf(w.kafka[side], md.Topics[topic], i).Leader)
		}
		if ready { // the metadata may know a leader before it knows itself
			for _, e := range w.kafka[side].Ends(context.Background(), leaders) {
				ready = ready && e.Err == nil
			}
		}
		if ready {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("topic %s on the %s does not appear: %v", topic, side, err)
		}
	}
}

func (w *world) leader(side digest.Side, topic string, partition int32) kafka.Leader {
	w.t.Helper()
	return w.sideOf(side, topic, partition).Leader
}

func (w *world) sideOf(side digest.Side, topic string, partition int32) Side {
	w.t.Helper()
	md, err := w.kafka[side].Metadata(context.Background(), []string{topic})
	if err != nil {
		w.t.Fatal(err)
	}
	return sideOf(w.kafka[side], md.Topics[topic], int(partition))
}

func (w *world) ends(side digest.Side, topic string, partition int32) kafka.Ends {
	w.t.Helper()
	l := w.leader(side, topic, partition)
	e := w.kafka[side].Ends(context.Background(), []kafka.Leader{l})[l.TopicPartition]
	if e.Err != nil {
		w.t.Fatal(e.Err)
	}
	return e
}

// produce writes records and returns the offset behind the last one.
func (w *world) produce(c *kgo.Client, records ...*kgo.Record) int64 {
	w.t.Helper()
	results := c.ProduceSync(context.Background(), records...)
	if err := results.FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	var end int64
	for _, r := range results {
		end = max(end, r.Record.Offset+1)
	}
	return end
}

func kv(topic string, partition int32, key, value string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(1_700_000_000_000)}
	if value == "" {
		r.Value = nil
	}
	return r
}

func kvs(topic string, partition int32, from, n int) (out []*kgo.Record) {
	for i := range n {
		r := kv(topic, partition, "key "+strconv.Itoa(from+i), "value "+strconv.Itoa(from+i))
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte{byte(i)}}, {Key: "null"}}
		r.Timestamp = r.Timestamp.Add(time.Duration(from+i) * time.Second)
		out = append(out, r)
	}
	return out
}

// raw appends one batch as it is, and fails if it does not begin at the offset.
func (w *world) raw(side digest.Side, topic string, partition int32, base int64, raw []byte) {
	w.t.Helper()
	l := w.leader(side, topic, partition)
	conn, err := w.kafka[side].Dial(context.Background(), l.Node)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	err = conn.Produce([]kafka.ProduceBatch{{TopicPartition: l.TopicPartition, Batch: raw}}, kafka.AcksAll, 10_000, "", func(p []kafka.Produced, err error) {
		switch {
		case err != nil:
		case p[0].Err != nil:
			err = fmt.Errorf("%w: %s", p[0].Err, p[0].Message)
		case p[0].Base != base:
			err = fmt.Errorf("appended at %d, wanted at %d", p[0].Base, base)
		}
		done <- err
	})
	if err == nil {
		err = <-done
	}
	if err != nil {
		w.t.Fatalf("append to %s on the %s: %v", l.TopicPartition, side, err)
	}
}

// markers writes n control markers.
func (w *world) markers(side digest.Side, topic string, partition int32, n int) {
	w.t.Helper()
	l := w.leader(side, topic, partition)
	conn, err := w.kafka[side].Dial(context.Background(), l.Node)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	err = conn.WriteMarkers(kafka.ProducerID{ID: 987654}, 0, []kafka.Marks{{TopicPartition: l.TopicPartition, N: n}}, func(refused map[estate.TopicPartition]error, err error) {
		done <- errors.Join(err, refused[l.TopicPartition])
	})
	if err == nil {
		err = <-done
	}
	if err != nil {
		w.t.Fatalf("write markers to %s on the %s: %v", l.TopicPartition, side, err)
	}
}

// abortedFiller fills n offsets by filler and an abort marker.
func (w *world) abortedFiller(topic string, partition int32, n int) {
	w.t.Helper()
	ctx := context.Background()
	id := fmt.Sprintf("filler-%s-%d", topic, time.Now().UnixNano())
	tp := estate.TopicPartition{Topic: topic, Partition: partition}
	p, err := w.kafka[target].InitProducer(ctx, id, time.Minute)
	if err == nil {
		err = w.kafka[target].AddPartitions(ctx, id, p, []estate.TopicPartition{tp})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	base := w.ends(target, topic, partition).High
	raw := batch.KeyedFiller(n-1, 1_700_000_000_000)
	if err := batch.Rewrite(raw, batch.Producer{ID: p.ID, Epoch: p.Epoch, Transactional: true}); err != nil {
		w.t.Fatal(err)
	}
	l := w.leader(target, topic, partition)
	conn, err := w.kafka[target].Dial(ctx, l.Node)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	err = conn.Produce([]kafka.ProduceBatch{{TopicPartition: tp, Batch: raw}}, kafka.AcksAll, 10_000, id, func(p []kafka.Produced, err error) {
		if err == nil {
			err = p[0].Err
		}
		done <- err
	})
	if err == nil {
		err = <-done
	}
	if err == nil {
		err = w.kafka[target].EndTxn(ctx, id, p, false)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.await(target, topic, partition, base+int64(n))
}

// await waits until everything up to end is stable.
func (w *world) await(side digest.Side, topic string, partition int32, end int64) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); w.ends(side, topic, partition).Stable < end; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s-%d on the %s: ends are %+v, waited for %d", topic, partition, side, w.ends(side, topic, partition), end)
		}
	}
}

// deleteBefore moves the log start.
func (w *world) deleteBefore(side digest.Side, topic string, partition int32, offset int64) {
	w.t.Helper()
	if _, err := w.kafka[side].DeleteBefore(context.Background(), w.leader(side, topic, partition), offset); err != nil {
		w.t.Fatal(err)
	}
}

// visible is what a consumer that reads committed gets from one partition, up to its end.
func (w *world) visible(side digest.Side, topic string, partition int32) []*kgo.Record {
	w.t.Helper()
	end := w.ends(side, topic, partition)
	c := w.client(side, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(end.Start)}}))
	defer c.Close()
	var out []*kgo.Record
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for next := end.Start; next < end.Stable; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			if ctx.Err() != nil && len(out) > 0 {
				break // aborted records at the very end
			}
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
		})
	}
	return out
}

// copyByHand writes on the target what the source shows to a consumer, at the same offsets, gaps as markers.
// change may alter a record, or drop it by returning nil; a marker then takes its place.
func (w *world) copyByHand(topic string, partition int32, change func(*kgo.Record) *kgo.Record, codec kgo.CompressionCodec) {
	w.t.Helper()
	c := w.client(target, kgo.ProducerBatchCompression(codec))
	defer c.Close()
	at := w.ends(target, topic, partition).High
	var run []*kgo.Record
	flush := func() {
		if len(run) > 0 {
			if at = w.produce(c, run...); run[0].Offset != at-int64(len(run)) {
				w.t.Fatalf("records of %s-%d went to offset %d", topic, partition, run[0].Offset)
			}
			run = nil
		}
	}
	for _, r := range w.visible(source, topic, partition) {
		offset := r.Offset
		if offset < at {
			continue // copied before
		}
		copied := &kgo.Record{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Headers: slices.Clone(r.Headers), Timestamp: r.Timestamp}
		if change != nil {
			copied.Offset = offset
			if copied = change(copied); copied == nil {
				continue
			}
		}
		if gap := offset - at - int64(len(run)); gap > 0 {
			flush()
			w.markers(target, topic, partition, int(gap))
			at += gap
		}
		run = append(run, copied)
		if len(run) == 500 {
			flush()
		}
	}
	flush()
	if gap := w.ends(source, topic, partition).Stable - at; gap > 0 {
		w.markers(target, topic, partition, int(gap))
	}
}

// run verifies the topics that match.
func (w *world) run(pattern string, change ...func(*Options)) *Result {
	w.t.Helper()
	o := Options{
		Source: w.kafka[source], Target: w.kafka[target], Include: []*regexp.Regexp{regexp.MustCompile(pattern)},
		Settle: 400 * time.Millisecond, Patience: 5 * time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	res, err := Run(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	checkSound(w.t, res)
	return res
}

// checkSound holds every result to what it must never claim.
func checkSound(t testing.TB, r *Result) {
	t.Helper()
	switch {
	case r.Differences == nil || r.Skipped == nil:
		t.Error("differences or skipped is null")
	case r.Result == Equal && (len(r.Differences) > 0 || len(r.Skipped) > 0):
		t.Errorf("equal with differences %v and skipped %v", r.Differences, r.Skipped)
	case r.Result == Different && len(r.Differences) == 0:
		t.Error("different without a difference")
	case r.Result == Incomplete && (len(r.Skipped) == 0 || len(r.Differences) > 0):
		t.Errorf("incomplete with differences %v and skipped %v", r.Differences, r.Skipped)
	}
	for _, topic := range r.PerTopic {
		if topic.Result == Equal && topic.Compared != topic.Partitions {
			t.Errorf("topic %s is equal with %d of %d partitions", topic.Topic, topic.Compared, topic.Partitions)
		}
	}
}

func wantEqual(t testing.TB, r *Result, records int64) {
	t.Helper()
	if r.Result != Equal || r.RecordsCompared != records {
		t.Fatalf("%s after %d records, want equal after %d\n%s", r.Result, r.RecordsCompared, records, text(r))
	}
}

// wantDifferent checks the only difference.
func wantDifferent(t testing.TB, r *Result, kind digest.Kind, partition int32, offset int64) Difference {
	t.Helper()
	if r.Result != Different || len(r.Differences) != 1 {
		t.Fatalf("want one difference\n%s", text(r))
	}
	d := r.Differences[0]
	if d.Kind != kind || d.Partition != partition || d.Offset != offset || d.Detail == "" {
		t.Fatalf("difference %+v, want %s in partition %d at offset %d", d, kind, partition, offset)
	}
	return d
}

// wantIncomplete checks the only thing skipped.
func wantIncomplete(t testing.TB, r *Result, what, why string) {
	t.Helper()
	if r.Result != Incomplete || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0].What, what) || !strings.Contains(r.Skipped[0].Why, why) {
		t.Fatalf("want incomplete: %q, because %q\n%s", what, why, text(r))
	}
}

func text(r *Result) string {
	var b strings.Builder
	r.WriteTable(&b)
	return b.String()
}
