package verify

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify/digest"
)

// cleanerNow makes a broker's cleaner look every 200 ms, and segments go at once.
var cleanerNow = map[string]string{
	"log.cleaner.backoff.ms": "200", "log.segment.delete.delay.ms": "100", "log.initial.task.delay.ms": "500",
}

func realWorld(t *testing.T, from, to testbed.Version) *world {
	t.Helper()
	w := &world{t: t}
	for side, v := range []testbed.Version{from, to} {
		config := map[string]string{}
		for k, val := range cleanerNow {
			if k != "log.initial.task.delay.ms" || v != testbed.V28 {
				config[k] = val
			}
		}
		c := testbed.New(t, testbed.Options{Version: v, Config: config})
		w.addr[side] = c.Addrs()
	}
	w.connect()
	return w
}

// TestRealBrokers is the judge: everything that embedded clusters are asked as well, on brokers.
func TestRealBrokers(t *testing.T) {
	w := realWorld(t, testbed.V39, testbed.V43)
	t.Run("mutations", func(t *testing.T) { mutations(t, w.in(t)) })
	t.Run("transactions", func(t *testing.T) { transactions(t, w) })
	t.Run("foreign transactions", func(t *testing.T) { foreignTransactions(t, w) })
	t.Run("fillers in compacted topics", func(t *testing.T) { fillersInCompactedTopics(t, w) })
	t.Run("compaction", func(t *testing.T) { compaction(t, w, func(digest.Side) {}) })
	t.Run("codecs and sizes", func(t *testing.T) { codecs(t, w.in(t)) })
	t.Run("identical batches", func(t *testing.T) { identicalBatches(t, w.in(t)) })
	t.Run("LogAppendTime", func(t *testing.T) { logAppendTime(t, w.in(t)) })
	t.Run("many partitions", func(t *testing.T) { manyPartitions(t, w.in(t)) })
}

// codecs copies batches of every codec and of very different sizes to batches of others.
func codecs(t *testing.T, w *world) {
	w.create("codecs", 1, nil)
	all := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	n := 0
	for round := range 3 {
		for _, codec := range all {
			c := w.client(source, kgo.ProducerBatchCompression(codec))
			records := kvs("codecs", 0, n, 200)
			for i, r := range records {
				r.Value = append(r.Value, make([]byte, round*i*20)...)
			}
			records = append(records, &kgo.Record{Topic: "codecs", Timestamp: time.UnixMilli(5)}) // null key, null value
			large := kv("codecs", 0, "large", "x")
			large.Value = make([]byte, 700_000)
			w.produce(c, append(records, large)...)
			n += len(records) + 1
			c.Close()
		}
	}
	for i, codec := range all[1:] {
		t.Logf("copying as %d", i+1)
		topic := fmt.Sprintf("codecs-%d", i)
		w.createOn(source, topic, 1, nil)
		w.createOn(target, topic, 1, nil)
		for _, r := range w.visible(source, "codecs", 0) {
			w.plain[source].Produce(context.Background(), &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}, nil)
		}
		if err := w.plain[source].Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.copyByHand(topic, 0, nil, codec)
		wantEqual(t, w.run(topic, func(o *Options) { o.MemoryBytes = 1 }), int64(n))
	}
}

// identicalBatches appends the same bytes on both sides, as the engine does.
func identicalBatches(t *testing.T, w *world) {
	w.create("identical", 1, nil)
	var base int64
	for i := range 20 {
		var b batch.Builder
		for j := range 50 {
			r := batch.Record{Offset: int64(j), Timestamp: 1_700_000_000_000 + int64(j), Key: fmt.Appendf(nil, "key %d", j), Value: make([]byte, 100*i)}
			if err := b.Append(&r); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := b.Finish(batch.Codec(i % 5))
		if err != nil {
			t.Fatal(err)
		}
		w.raw(source, "identical", 0, base, raw)
		if err := batch.Rewrite(raw, batch.Producer{ID: 5000, Epoch: 2, Sequence: int32(base)}); err != nil {
			t.Fatal(err)
		}
		w.raw(target, "identical", 0, base, raw)
		base += 50
	}
	res := w.run("identical")
	wantEqual(t, res, 1000)
	if res.BatchesIdentical != 20 || res.BatchesDecoded != 0 {
		t.Errorf("%d batches compared as they are, %d decoded", res.BatchesIdentical, res.BatchesDecoded)
	}
}

// logAppendTime copies a topic with the broker's time, as CreateTime and as what a careless copy makes of it.
func logAppendTime(t *testing.T, w *world) {
	for _, c := range []struct {
		topic, onTarget string
		shift           time.Duration
		kind            digest.Kind
	}{
		{"lat-good", "CreateTime", 0, ""},
		{"lat-shifted", "CreateTime", time.Millisecond, digest.Timestamp},
		{"lat-retimed", "LogAppendTime", 0, digest.Timestamp},
	} {
		w.createOn(source, c.topic, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
		w.createOn(target, c.topic, 1, map[string]string{"message.timestamp.type": c.onTarget})
		w.produce(w.plain[source], kvs(c.topic, 0, 0, 30)...)
		time.Sleep(5 * time.Millisecond)
		w.copyByHand(c.topic, 0, func(r *kgo.Record) *kgo.Record { r.Timestamp = r.Timestamp.Add(c.shift); return r }, kgo.NoCompression())
		res := w.run(c.topic)
		if c.kind != "" {
			wantDifferent(t, res, c.kind, 0, 0)
			continue
		}
		wantEqual(t, res, 30)
		if len(res.Notes) != 1 {
			t.Errorf("notes %q", res.Notes)
		}
	}
	w.createOn(source, "lat-made", 1, nil)
	w.createOn(target, "lat-made", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	w.produce(w.plain[target], kvs("lat-made", 0, 0, 1)...)
	r := w.visible(target, "lat-made", 0)[0]
	w.produce(w.plain[source], &kgo.Record{Topic: "lat-made", Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
	wantDifferent(t, w.run("lat-made"), digest.TimestampType, 0, 0)
}

// manyPartitions are mostly idle; one of them differs.
func manyPartitions(t *testing.T, w *world) {
	const n = 200
	w.create("many", n, nil)
	for side := range w.plain {
		for p := int32(0); p < n; p += 3 {
			records := kvs("many", p, 0, 5)
			if side == int(target) && p == 150 {
				records[3].Value = []byte("other")
			}
			w.produce(w.plain[side], records...)
		}
	}
	began := time.Now()
	res := w.run("many")
	wantDifferent(t, res, digest.Value, 150, 3)
	if res.PerTopic[0].Compared != n-1 || res.RecordsCompared != 67*5-2 {
		t.Errorf("%d partitions and %d records compared", res.PerTopic[0].Compared, res.RecordsCompared)
	}
	t.Logf("%d partitions in %s", n, time.Since(began))
}

// TestOldFormats compares topics written in message formats 0 and 1, which brokers before 3.0 still write.
func TestOldFormats(t *testing.T) {
	w := realWorld(t, testbed.V28, testbed.V43)
	for version, format := range map[string]string{"v0": "0.9.0", "v1": "0.10.2", "v2": "2.8"} {
		t.Run(version, func(t *testing.T) {
			w := w.in(t)
			w.createOn(source, version, 1, map[string]string{"message.format.version": format})
			w.createOn(target, version, 1, nil)
			// The target gets the same records and not what a client reads from the source: franz-go does not
			// read lz4 as magic 0 has it, with another checksum in its frame.
			for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.Lz4Compression()} {
				for side := range w.plain {
					records := kvs(version, 0, 20*i, 20)
					for _, r := range records {
						r.Headers = nil // no place for them before magic 2
						if version == "v0" && side == int(target) {
							r.Timestamp = time.UnixMilli(-1)
						}
					}
					c := w.client(digest.Side(side), kgo.ProducerBatchCompression(codec), kgo.DisableIdempotentWrite())
					w.produce(c, records...)
					c.Close()
				}
			}
			if got, want := w.magic(source, version), version[1]-'0'; got != want {
				t.Fatalf("the broker wrote magic %d", got)
			}
			res := w.run(version)
			wantEqual(t, res, 60)
			if (len(res.Notes) == 1) != (version == "v0") {
				t.Errorf("notes %q", res.Notes)
			}
		})
	}
}

// magic is the message format of the first batch.
func (w *world) magic(side digest.Side, topic string) byte {
	w.t.Helper()
	answer, err := w.kafka[side].FetchOne(context.Background(), w.leader(side, topic, 0), 0, 1<<20, false)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Buffer.Release()
	return answer.Partitions[0].Records[16]
}
