package verify

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/verify/digest"
)

func TestEqualTopics(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 3, nil)
	w.create("empty", 2, nil)
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for p := range int32(3) {
		for i := range 20 {
			w.produce(w.plain[source], kvs("orders", p, 50*i, 50)...)
		}
		w.copyByHand("orders", p, nil, codecs[p])
	}
	var last Progress
	res := w.run("orders|empty", func(o *Options) {
		o.OnProgress = func(p Progress) { last = p }
		o.MemoryBytes = 1 // the least there is
	})
	wantEqual(t, res, 3000)
	if res.Topics != 2 || res.Partitions != 5 || res.BytesCompared == 0 {
		t.Errorf("result %+v", res)
	}
	if !last.Final || last.Records != 3000 || last.Offsets != 3000 || last.OffsetsDone != 3000 || last.PartitionsDone != 5 {
		t.Errorf("last progress %+v", last)
	}
}

func TestMutations(t *testing.T) { mutations(t, fakeWorld(t)) }

// mutations changes one record of the copy and looks for the difference.
func mutations(t *testing.T, w *world) {
	cases := []struct {
		topic  string
		kind   digest.Kind
		change func(*kgo.Record) *kgo.Record
	}{
		{"key", digest.Key, func(r *kgo.Record) *kgo.Record { r.Key = append(r.Key, 'x'); return r }},
		{"key-null", digest.Key, func(r *kgo.Record) *kgo.Record { r.Key = nil; return r }},
		{"value", digest.Value, func(r *kgo.Record) *kgo.Record { r.Value[3] ^= 1; return r }},
		{"value-empty", digest.Value, func(r *kgo.Record) *kgo.Record { r.Value = []byte{}; return r }},
		{"headers-order", digest.Headers, func(r *kgo.Record) *kgo.Record { r.Headers[0], r.Headers[1] = r.Headers[1], r.Headers[0]; return r }},
		{"headers-null", digest.Headers, func(r *kgo.Record) *kgo.Record { r.Headers[1].Value = []byte{}; return r }},
		{"headers-more", digest.Headers, func(r *kgo.Record) *kgo.Record { r.Headers = append(r.Headers, kgo.RecordHeader{Key: "x"}); return r }},
		{"timestamp", digest.Timestamp, func(r *kgo.Record) *kgo.Record { r.Timestamp = r.Timestamp.Add(time.Millisecond); return r }},
		{"missing", digest.Missing, func(*kgo.Record) *kgo.Record { return nil }},
	}
	for _, c := range cases {
		t.Run(c.topic, func(t *testing.T) {
			w := w.in(t)
			w.create(c.topic, 1, nil)
			w.produce(w.plain[source], kvs(c.topic, 0, 0, 100)...)
			w.copyByHand(c.topic, 0, func(r *kgo.Record) *kgo.Record {
				if r.Offset != 57 {
					return r
				}
				return c.change(r)
			}, kgo.SnappyCompression())
			res := w.run(c.topic)
			wantDifferent(t, res, c.kind, 0, 57)
			if res.RecordsCompared != 57 {
				t.Errorf("%d records compared before offset 57", res.RecordsCompared)
			}
			res = w.run(c.topic, func(o *Options) { o.CountAll = true })
			wantDifferent(t, res, c.kind, 0, 57)
			if res.RecordsCompared != 99 || res.DifferingRecords != 1 {
				t.Errorf("counting all: %d equal, %d different", res.RecordsCompared, res.DifferingRecords)
			}
		})
	}
}

func TestBorders(t *testing.T) {
	w := fakeWorld(t)
	t.Run("lag", func(t *testing.T) {
		w := w.in(t)
		w.create("lag", 1, nil)
		w.produce(w.plain[source], kvs("lag", 0, 0, 50)...)
		w.copyByHand("lag", 0, nil, kgo.NoCompression())
		w.produce(w.plain[source], kvs("lag", 0, 50, 7)...)
		res := w.run("lag")
		wantIncomplete(t, res, "offsets 50 to 56", "7 offsets are not yet copied")
		if res.RecordsCompared != 50 {
			t.Errorf("%d records compared", res.RecordsCompared)
		}
	})
	t.Run("lag that is made up for", func(t *testing.T) {
		w := w.in(t)
		go func() {
			time.Sleep(500 * time.Millisecond)
			w.produce(w.plain[target], kvs("lag", 0, 50, 7)...)
		}()
		wantEqual(t, w.run("lag", func(o *Options) { o.Settle = 5 * time.Second }), 57)
	})
	t.Run("target ahead", func(t *testing.T) {
		w := w.in(t)
		w.create("ahead", 1, nil)
		for side := range w.plain {
			w.produce(w.plain[side], kvs("ahead", 0, 0, 5)...)
		}
		w.produce(w.plain[target], kvs("ahead", 0, 5, 1)...)
		wantDifferent(t, w.run("ahead"), digest.LogEnd, 0, 5)
	})
	t.Run("log starts", func(t *testing.T) {
		w := w.in(t)
		w.create("starts", 1, nil)
		w.produce(w.plain[source], kvs("starts", 0, 0, 20)...)
		w.copyByHand("starts", 0, nil, kgo.GzipCompression())
		w.deleteBefore(source, "starts", 0, 7)
		wantDifferent(t, w.run("starts"), digest.LogStart, 0, 0)
		w.deleteBefore(target, "starts", 0, 7)
		wantEqual(t, w.run("starts"), 13)
		w.deleteBefore(target, "starts", 0, 9)
		wantDifferent(t, w.run("starts"), digest.LogStart, 0, 7)
	})
	t.Run("emptied", func(t *testing.T) {
		w := w.in(t)
		w.create("emptied", 1, nil)
		for side := range w.plain {
			w.produce(w.plain[side], kvs("emptied", 0, 0, 20)...)
			w.deleteBefore(digest.Side(side), "emptied", 0, 20)
		}
		wantEqual(t, w.run("emptied"), 0)
	})
	t.Run("not yet seeded", func(t *testing.T) {
		w := w.in(t)
		w.create("unseeded", 1, nil)
		w.produce(w.plain[source], kvs("unseeded", 0, 0, 20)...)
		w.deleteBefore(source, "unseeded", 0, 5)
		wantIncomplete(t, w.run("unseeded"), "offsets 5 to 19", "15 offsets are not yet copied")
		w.deleteBefore(source, "unseeded", 0, 20)
		wantIncomplete(t, w.run("unseeded"), "the partition", "the target's log ends at 0, the source's starts at 20")
	})
	t.Run("missing topic and partitions", func(t *testing.T) {
		w := w.in(t)
		w.createOn(source, "alone", 2, nil)
		wantDifferent(t, w.run("alone"), digest.MissingTopic, -1, -1)
		w.createOn(source, "fewer", 3, nil)
		w.createOn(target, "fewer", 2, nil)
		wantDifferent(t, w.run("fewer"), digest.PartitionCount, -1, -1)
		w.createOn(source, "more", 2, nil)
		w.createOn(target, "more", 3, nil)
		wantDifferent(t, w.run("more"), digest.PartitionCount, -1, -1)
	})
}

func TestNothingToCompare(t *testing.T) {
	w := fakeWorld(t)
	var none *NoTopicsError
	o := Options{Source: w.kafka[source], Target: w.kafka[target], Include: []*regexp.Regexp{regexp.MustCompile("none")}}
	if _, err := Run(t.Context(), o); !errors.As(err, &none) {
		t.Errorf("error %v, want NoTopicsError", err)
	}
	var same *SameClusterError
	o.Target = o.Source
	if _, err := Run(t.Context(), o); !errors.As(err, &same) {
		t.Errorf("error %v, want SameClusterError", err)
	}
}

func TestTopicAskedForByName(t *testing.T) {
	w := fakeWorld(t)
	w.create("here", 1, nil)
	for side := range w.plain {
		w.produce(w.plain[side], kvs("here", 0, 0, 5)...)
	}
	more := func(pattern string) func(*Options) {
		return func(o *Options) { o.Include = append(o.Include, regexp.MustCompile(pattern)) }
	}
	wantEqual(t, w.run("here", more("none.*")), 5)
	wantIncomplete(t, w.run("here", more("gone")), "the topic", "the source does not have it")
}

func TestCancelled(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 2, nil)
	for side := range w.plain {
		for p := range int32(2) {
			w.produce(w.plain[side], kvs("orders", p, 0, 10)...)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.fake[target].ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.fake[target].KeepControl()
		cancel()
		return nil, nil, false
	})
	res, err := Run(ctx, Options{Source: w.kafka[source], Target: w.kafka[target], Include: []*regexp.Regexp{regexp.MustCompile("orders")}, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	checkSound(t, res)
	if res.Result != Incomplete || len(res.Skipped) != 2 {
		t.Fatalf("%s", text(res))
	}
}

func TestTroubleWhileReading(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 1, nil)
	for i := range 30 {
		records := kvs("orders", 0, 50*i, 50)
		for _, r := range records {
			r.Value = make([]byte, 4<<10) // 6 MB in all, some 25 of the smallest fetches
		}
		w.produce(w.plain[source], records...)
	}
	w.copyByHand("orders", 0, nil, kgo.NoCompression())
	small := func(o *Options) { o.MemoryBytes = 1 }
	t.Run("leader changes and lost connections", func(t *testing.T) {
		w := w.in(t)
		n := 0
		w.fake[source].ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.fake[source].KeepControl()
			if n++; n%3 == 0 {
				w.fake[source].MoveTopicPartition("orders", 0, int32(n/3%2))
			}
			if n%5 == 0 {
				return nil, errors.New("cut"), true
			}
			return nil, nil, false
		})
		wantEqual(t, w.run("orders", small), 1500)
		if n < 20 {
			t.Errorf("only %d fetches", n)
		}
		w.fake[source].DropControl()
	})
	t.Run("no answer that helps", func(t *testing.T) {
		w := w.in(t)
		h := w.fake[target].Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Count: -1})
		res := w.run("orders", func(o *Options) { o.Patience = time.Second })
		wantIncomplete(t, res, "offsets 0 to 1499", "no progress for 1s")
		h.Remove()
	})
	t.Run("denied", func(t *testing.T) {
		w := w.in(t)
		h := w.fake[target].Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Count: -1, Err: kerr.TopicAuthorizationFailed})
		began := time.Now()
		res := w.run("orders", func(o *Options) { o.Patience = time.Minute })
		wantIncomplete(t, res, "offsets 0 to 1499", "TOPIC_AUTHORIZATION_FAILED")
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %s over a denial", took)
		}
		h.Remove()
	})
	t.Run("the log start moves", func(t *testing.T) {
		w := w.in(t)
		var asked, done bool // a fetch of the run before may still be under way: only those after the ends were read count
		w.fake[source].ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.fake[source].KeepControl()
			asked = true
			return nil, nil, false
		})
		w.fake[source].ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			if w.fake[source].KeepControl(); asked && !done {
				done = true
				go w.deleteBefore(source, "orders", 0, 700)
				return nil, errors.New("cut"), true
			}
			return nil, nil, false
		})
		res := w.run("orders", small)
		w.fake[source].DropControl()
		if res.Result != Incomplete || res.RecordsCompared != 800 {
			t.Fatalf("%s", text(res))
		}
		wantIncomplete(t, res, "offsets 0 to 699", "the source deleted them")
	})
}

func TestTopicCreatedAnew(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 1, nil)
	for side := range w.plain {
		w.produce(w.plain[side], kvs("orders", 0, 0, 50)...)
	}
	s := w.sideOf(source, "orders", 0)
	d := w.sideOf(target, "orders", 0)
	if err := w.fake[target].DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	w.createOn(target, "orders", 1, nil)
	w.produce(w.client(target), kvs("orders", 0, 0, 50)...)
	diff, err := CompareRange(t.Context(), s, d, 0, 50, RangeOptions{Patience: 3 * time.Second})
	if diff != nil || err == nil {
		t.Fatalf("difference %+v, error %v: want an error, because the topic is another one", diff, err)
	}
}

func TestCompareRange(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 2, nil)
	w.produce(w.plain[source], kvs("orders", 1, 0, 100)...)
	w.copyByHand("orders", 1, func(r *kgo.Record) *kgo.Record {
		if r.Offset == 60 {
			r.Value = []byte("other")
		}
		return r
	}, kgo.NoCompression())
	s, d := w.sideOf(source, "orders", 1), w.sideOf(target, "orders", 1)
	for _, c := range []struct{ from, to, offset int64 }{{0, 100, 60}, {0, 60, -1}, {61, 100, -1}, {60, 61, 60}, {50, 50, -1}} {
		diff, err := CompareRange(t.Context(), s, d, c.from, c.to, RangeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if (diff == nil) != (c.offset < 0) || (diff != nil && (diff.Offset != c.offset || diff.Kind != digest.Value || diff.Topic != "orders" || diff.Partition != 1)) {
			t.Errorf("offsets %d to %d: %+v, want one at %d", c.from, c.to, diff, c.offset)
		}
	}
	// Beyond the end nothing is decided.
	if diff, err := CompareRange(t.Context(), s, d, 90, 101, RangeOptions{Patience: time.Second}); err == nil {
		t.Errorf("difference %+v and no error beyond the end", diff)
	}
	w.deleteBefore(source, "orders", 1, 10)
	var moved *movedError
	if diff, err := CompareRange(t.Context(), s, d, 0, 20, RangeOptions{}); !errors.As(err, &moved) {
		t.Errorf("difference %+v, error %v below the log start", diff, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if diff, err := CompareRange(ctx, s, d, 20, 30, RangeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("difference %+v, error %v after cancelling", diff, err)
	}
}
