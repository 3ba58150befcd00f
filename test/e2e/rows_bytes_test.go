package e2e

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// The tests whose names begin with TestRow show rows of the table in docs/reliability-rows.md for which no other test
// is at hand.

// leastLimit is the max.message.bytes that a target topic has during the copy, at least.
const leastLimit = 8 << 20

// exactly builds an uncompressed batch of one record that has so many bytes.
func exactly(t *testing.T, size int) []byte {
	t.Helper()
	value := size - 100
	for {
		var b batch.Builder
		if err := b.Append(&batch.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: make([]byte, value)}); err != nil {
			t.Fatal(err)
		}
		raw, err := b.Finish(batch.None)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) == size {
			return raw
		}
		value += size - len(raw)
	}
}

// appendRaw gives a batch to a broker as it is, and returns its offset or the broker's refusal.
func appendRaw(ctx context.Context, cl *kgo.Client, topic string, partition int32, raw []byte, txn *string) (int64, error) {
	md, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return -1, err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.TransactionID = -1, 30_000, txn
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, md.Topics[topic].ID
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := cl.Broker(int(md.Topics[topic].Partitions[partition].Leader)).Request(ctx, req)
	if err != nil {
		return -1, err
	}
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, kerr.ErrorForCode(p.ErrorCode)
}

// B1: a batch of exactly the target's limit passes, one of a byte more stops its partition and nothing else.
func TestRowBatchAtTheLimit(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	sizes := map[string]int{"less": leastLimit - 1, "limit": leastLimit, "more": leastLimit + 1}
	for name, size := range sizes {
		topic := f.topic(name)
		if err := f.from.Create(t.Context(), topic, 1, map[string]string{"max.message.bytes": "20000000"}); err != nil {
			t.Fatal(err)
		}
		f.feed(name, 0, 2)
		if _, err := appendRaw(t.Context(), f.from.Client(), topic, 0, exactly(t, size), nil); err != nil {
			t.Fatal(err)
		}
		f.feed(name, 0, 2)
		if err := f.from.Configure(t.Context(), topic, "max.message.bytes", "1000000"); err != nil {
			t.Fatal(err)
		}
	}
	ft := f.wantFault(f.catchUp(), exitFaults, fault.BatchRefused, f.topic("more"), 0)
	if _, to := f.ends("more", 0); ft.Offset != 2 || to != 2 {
		t.Errorf("%+v; the target has %d records, want 2", ft, to)
	}
	f.equal(history.Rules{}, f.topic("less"), f.topic("limit"))
	f.extra = []string{"oversizedBatches: split"}
	f.configure()
	// One record alone cannot be split.
	f.wantFault(f.catchUp(), exitFaults, fault.BatchRefused, f.topic("more"), 0)
}

// B2, B3, C8: target topics that somebody made before, in every combination of clocks, with a codec of their own, with
// fewer partitions, as a consumer that came too early makes them. They are empty, so they are prepared.
func TestRowTargetTopicsMadeByOthers(t *testing.T) {
	for _, pair := range [][2]testbed.Version{{testbed.V39, testbed.V43}, {testbed.V43, testbed.V28}} {
		t.Run(string(pair[0]+" to "+pair[1]), func(t *testing.T) {
			f := newFlow(t, cluster(t, pair[0]), cluster(t, pair[1]))
			const clock, codec = "message.timestamp.type", "compression.type"
			made := map[string][2]map[string]string{ // configs of source and target
				"create-append": {nil, {clock: "LogAppendTime"}},
				"append-create": {{clock: "LogAppendTime"}, {clock: "CreateTime"}},
				"append-append": {{clock: "LogAppendTime"}, {clock: "LogAppendTime"}},
				"codec":         {nil, {codec: "gzip"}},
				"codecs":        {{codec: "gzip"}, {codec: "zstd", "cleanup.policy": "compact"}},
			}
			var topics []string
			for name, configs := range made {
				topics = append(topics, f.write(history.Topic{Name: name, Partitions: 3, Configs: configs[0], Write: everyCodec})...)
				if err := f.to.Create(t.Context(), f.topic(name), 1, configs[1]); err != nil {
					t.Fatal(err)
				}
			}
			doc := f.mustCatchUp()
			t.Log(f.equal(history.Rules{}, topics...))
			if doc.Totals.BytesRaw == 0 {
				t.Errorf("nothing was passed as it is: %+v", doc.Totals.Traffic)
			}
			f.sameCodecs(f.topic("codec"), 3)
			f.tool(0, nil, "finalize", "-f", f.file, "--yes")
			for topic, want := range map[string][2]string{
				"create-append": {clock, "CreateTime"}, "append-create": {clock, "LogAppendTime"}, "append-append": {clock, "LogAppendTime"},
				"codec": {codec, "producer"}, "codecs": {codec, "gzip"},
			} {
				f.eventually(topic+" has the source's configuration", func() bool { return f.config(f.to, topic, want[0]) == want[1] })
			}
			f.equal(history.Rules{}, topics...)
		})
	}
}

// everyCodec writes a few batches in each codec to three partitions.
func everyCodec(ctx context.Context, p *history.Pen) error {
	for i := range 10 {
		for partition := range int32(3) {
			if err := p.Batch(ctx, partition, i%5, p.Records(30, 200)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// config is a topic's effective value of a key.
func (f *flow) config(w *history.Writer, topic, key string) string {
	f.t.Helper()
	described, err := kadm.NewClient(w.Client()).DescribeTopicConfigs(f.t.Context(), f.topic(topic))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range described[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

// sameCodecs checks that each record is compressed on the target as it is on the source.
func (f *flow) sameCodecs(topic string, partitions int32) {
	f.t.Helper()
	seen := map[uint8]bool{}
	for p := range partitions {
		source, err := committed(f.t.Context(), f.source, topic, p)
		if err != nil {
			f.t.Fatal(err)
		}
		target, err := committed(f.t.Context(), f.target, topic, p)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(source) != len(target) {
			f.t.Fatalf("%s-%d: %d records on the source, %d on the target", topic, p, len(source), len(target))
		}
		for i := range source {
			seen[source[i].Attrs.CompressionType()] = true
			if a, b := source[i].Attrs.CompressionType(), target[i].Attrs.CompressionType(); a != b {
				f.t.Fatalf("%s-%d at offset %d: codec %d on the source, %d on the target", topic, p, source[i].Offset, a, b)
			}
		}
	}
	if len(seen) != 5 {
		f.t.Errorf("%s has %d codecs, want all 5", topic, len(seen))
	}
}

// B4: times that no clock shows.
func TestRowOddTimes(t *testing.T) {
	now := time.Now().UnixMilli()
	times := []int64{0, -1, 1, now + 2*3600_000, now + 2*24*3600_000, 9_223_372_036_854, math.MaxInt64, now - 40*365*24*3600_000, now}
	for _, pair := range [][2]testbed.Version{{testbed.V28, testbed.V43}, {testbed.V39, testbed.V43}, {testbed.V43, testbed.V28}} {
		t.Run(string(pair[0]+" to "+pair[1]), func(t *testing.T) {
			f := newFlow(t, cluster(t, pair[0]), cluster(t, pair[1]))
			if err := f.from.Create(t.Context(), f.topic("a"), 1, nil); err != nil {
				t.Fatal(err)
			}
			for _, ms := range times {
				var b batch.Builder
				for i := range 2 { // the second so that the head's greatest time is another than the first
					if err := b.Append(&batch.Record{Offset: int64(i), Timestamp: ms - int64(i), Key: []byte("k"), Value: fmt.Append(nil, ms)}); err != nil {
						t.Fatal(err)
					}
				}
				raw, err := b.Finish(batch.None)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := appendRaw(t.Context(), f.from.Client(), f.topic("a"), 0, raw, nil); err != nil {
					t.Logf("the source does not take %d: %v", ms, err)
				}
			}
			if from, _ := f.ends("a", 0); from < 12 {
				t.Fatalf("the source took only %d records", from)
			}
			f.mustCatchUp()
			t.Log(f.equal(history.Rules{}, f.topic("a")))
		})
	}
}

// B5: a topic that is compacted today begins with records that have no key, from a time when it was not.
func TestRowNullKeysThenCompacted(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	f.write(history.Topic{Name: "a", Partitions: 1, Write: func(ctx context.Context, p *history.Pen) error {
		// All in one segment, which is the active one: the source's cleaner would take records without a key away.
		var rs []*kgo.Record
		for range 30 {
			r := p.Keyed("", 100)
			r.Key = nil
			rs = append(rs, r)
		}
		if err := p.Batch(ctx, 0, 3, rs...); err != nil {
			return err
		}
		if err := f.from.Configure(ctx, f.topic("a"), "cleanup.policy", "compact"); err != nil {
			return err
		}
		return p.Batch(ctx, 0, 3, p.Keyed("a", 100), p.Keyed("b", 100))
	}})
	f.mustCatchUp()
	if res := f.equal(history.Rules{}, f.topic("a")); res.Committed != 32 {
		t.Errorf("%s, want 32 records", res)
	}
	f.tool(0, nil, "finalize", "-f", f.file, "--yes")
	f.eventually("the target is compacted", func() bool { return f.config(f.to, "a", "cleanup.policy") == "compact" })
}
