package history

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say where and how a Writer writes.
type Options struct {
	Bootstrap []string
	Seed      uint64 // what is written follows from it and from the topic's name

	// OldFormats: the cluster still writes message formats v0 and v1 (Kafka 2.8).
	OldFormats bool
	// Compact makes the cluster's log cleaner run over a topic at once. Nil: the writer waits until a real
	// broker's cleaner has been there, which is quick with log.cleaner.backoff.ms=500 or so.
	Compact func(topic string) error
	// Scale multiplies how much is written; 0 means 1, which is a few thousand records a topic.
	Scale int
}

// Writer writes histories to one cluster. It is not safe for concurrent use.
type Writer struct {
	o      Options
	client *kgo.Client // for requests
	admin  *kadm.Client
}

// NewWriter opens a writer; Close ends it.
func NewWriter(o Options) (*Writer, error) {
	o.Scale = max(o.Scale, 1)
	cl, err := NewClient(o.Bootstrap...)
	if err != nil {
		return nil, err
	}
	return &Writer{o: o, client: cl, admin: kadm.NewClient(cl)}, nil
}

// Close ends the writer's connections.
func (w *Writer) Close() { w.client.Close() }

// Client is the writer's client, for questions beside the histories.
func (w *Writer) Client() *kgo.Client { return w.client }

// Write creates the topic with the name given and writes the story to it.
func (w *Writer) Write(ctx context.Context, name string, t Topic) error {
	if err := w.Create(ctx, name, t.Partitions, t.Configs); err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write([]byte(t.Name))
	p := &Pen{w: w, topic: name, partitions: t.Partitions, rng: rand.New(rand.NewPCG(w.o.Seed, h.Sum64())), producers: map[producerKind]*kgo.Client{}, now: firstTime}
	defer p.close()
	if err := t.Write(ctx, p); err != nil {
		return fmt.Errorf("write history %s (seed %d): %w", name, w.o.Seed, err)
	}
	return nil
}

// firstTime is where a topic's clock begins: some weeks ago, so that a copy cannot rely on a broker's
// remembering producers of fresh records only.
const firstTime = 1_760_000_000_000

// Create makes a topic of one replica that keeps what is written, whatever its timestamps, and returns when
// every partition has a leader.
func (w *Writer) Create(ctx context.Context, name string, partitions int32, configs map[string]string) error {
	all := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
	for k, v := range configs {
		all[k] = kadm.StringPtr(v)
	}
	if _, err := w.admin.CreateTopic(ctx, partitions, 1, all, name); err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	if err := w.awaitLeaders(ctx, name); err != nil {
		return err
	}
	return w.takeFuture(ctx, name)
}

func (w *Writer) awaitLeaders(ctx context.Context, name string) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		lists, err := w.admin.ListEndOffsets(ctx, name)
		if err == nil && lists.Error() == nil && len(lists[name]) > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the leaders of topic %s: %v, %v", name, err, lists.Error())
		}
	}
}

// takeFuture lets timestamps of the far future in, where a broker (4.0 and newer) would not.
func (w *Writer) takeFuture(ctx context.Context, name string) error {
	const key = "message.timestamp.after.max.ms"
	described, err := w.admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return fmt.Errorf("describe topic %s: %w", name, err)
	}
	for _, c := range described[0].Configs {
		if c.Key == key {
			return w.Configure(ctx, name, key, strconv.FormatInt(math.MaxInt64, 10))
		}
	}
	return nil
}

// Configure sets one config of a topic.
func (w *Writer) Configure(ctx context.Context, name, key, value string) error {
	done, err := w.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, name)
	if err == nil {
		err = done[0].Err
	}
	if err != nil {
		return fmt.Errorf("set %s of topic %s: %w", key, name, err)
	}
	return nil
}

// DeleteBefore raises a partition's log start; offset -1 means the high watermark.
func (w *Writer) DeleteBefore(ctx context.Context, topic string, partition int32, offset int64) error {
	var os kadm.Offsets = map[string]map[int32]kadm.Offset{}
	os.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
	for attempt := 0; ; attempt++ {
		done, err := w.admin.DeleteRecords(ctx, os)
		if err == nil {
			err = done.Error()
		}
		if err == nil {
			return nil
		}
		if attempt > 20 || !kerr.IsRetriable(err) { // a leader that has just moved
			return fmt.Errorf("delete records of %s-%d before %d: %w", topic, partition, offset, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Delete removes a topic and returns when the cluster has forgotten it.
func (w *Writer) Delete(ctx context.Context, name string) error {
	if _, err := w.admin.DeleteTopic(ctx, name); err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		md, err := w.admin.Metadata(ctx, name)
		if err == nil && md.Topics[name].Err != nil && md.Topics[name].Err == kerr.UnknownTopicOrPartition {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait until topic %s is gone: %v", name, err)
		}
	}
}
