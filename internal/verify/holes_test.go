package verify

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/verify/digest"
)

// emptyBehind makes a side answer fetches from offset on with nothing, although its last stable offset is
// ahead: the end of a log whose records were all compacted away, or a broker in trouble.
func (w *world) emptyBehind(side digest.Side, topic string, offset int64, throttleMillis int32) (asked *atomic.Int64) {
	end := w.ends(side, topic, 0).Stable
	asked = new(atomic.Int64)
	w.fake[side].ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		w.fake[side].KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) != 1 {
			return nil, nil, false
		}
		if p := &req.Topics[0].Partitions[0]; p.FetchOffset < offset {
			req.MaxBytes, p.PartitionMaxBytes = 1, 1 // one batch at a time, so that the next is asked for
			return nil, nil, false
		}
		asked.Add(1)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.SessionID, resp.ThrottleMillis = req.SessionID, throttleMillis
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset = end, end
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	return asked
}

func TestHoleAtTheEnd(t *testing.T) {
	setUp := func(t *testing.T, configs map[string]string) *world {
		w := fakeWorld(t)
		w.create("hole", 1, configs)
		w.produce(w.plain[source], kvs("hole", 0, 0, 10)...)
		w.produce(w.plain[source], kvs("hole", 0, 10, 10)...)
		return w
	}
	t.Run("filled by markers", func(t *testing.T) {
		w := setUp(t, nil)
		w.produce(w.plain[target], kvs("hole", 0, 0, 10)...)
		w.markers(target, "hole", 0, 10)
		asked := w.emptyBehind(source, "hole", 10, 0)
		wantEqual(t, w.run("hole"), 10)
		if n := asked.Load(); n < 3 {
			t.Errorf("a hole was believed after %d answers", n)
		}
	})
	t.Run("where the target has records", func(t *testing.T) {
		w := setUp(t, nil)
		w.copyByHand("hole", 0, nil, kgo.NoCompression())
		w.emptyBehind(source, "hole", 10, 0)
		wantDifferent(t, w.run("hole"), digest.Phantom, 0, 10)
	})
	t.Run("while a quota throttles", func(t *testing.T) {
		w := setUp(t, nil)
		w.produce(w.plain[target], kvs("hole", 0, 0, 10)...)
		w.markers(target, "hole", 0, 10)
		w.emptyBehind(source, "hole", 10, 1)
		wantIncomplete(t, w.run("hole", func(o *Options) { o.Patience = time.Second }), "offsets 10 to 19", "quota")
	})
	t.Run("with remote storage", func(t *testing.T) {
		w := setUp(t, map[string]string{"remote.storage.enable": "true"})
		w.copyByHand("hole", 0, nil, kgo.NoCompression())
		w.emptyBehind(source, "hole", 10, 0)
		w.emptyBehind(target, "hole", 10, 0)
		wantIncomplete(t, w.run("hole"), "offsets 10 to 19", "remote storage")
	})
	t.Run("told by the engine's question", func(t *testing.T) {
		w := setUp(t, nil)
		w.produce(w.plain[target], kvs("hole", 0, 0, 10)...)
		w.markers(target, "hole", 0, 10)
		w.emptyBehind(source, "hole", 10, 0)
		diff, err := CompareRange(t.Context(), w.sideOf(source, "hole", 0), w.sideOf(target, "hole", 0), 5, 20, RangeOptions{})
		if diff != nil || err != nil {
			t.Errorf("difference %+v, error %v", diff, err)
		}
	})
}

func TestPool(t *testing.T) {
	w := fakeWorld(t)
	w.create("orders", 8, nil)
	for side := range w.plain {
		for p := range int32(8) {
			w.produce(w.plain[side], kvs("orders", p, 0, 20)...)
		}
	}
	var pool Pool
	idle := func() (n int) {
		for _, k := range pool.idle {
			n += len(k)
		}
		return n
	}
	for p := range int32(8) {
		diff, err := CompareRange(t.Context(), w.sideOf(source, "orders", p), w.sideOf(target, "orders", p), 3, 20, RangeOptions{Pool: &pool})
		if diff != nil || err != nil {
			t.Fatalf("difference %+v, error %v", diff, err)
		}
	}
	if n := idle(); n == 0 || n > 4 {
		t.Errorf("%d idle connections after eight partitions on two brokers of two clusters", n)
	}
	for _, k := range pool.idle {
		k[0].conn.Close() // as a broker that was restarted
	}
	diff, err := CompareRange(context.Background(), w.sideOf(source, "orders", 0), w.sideOf(target, "orders", 0), 3, 20, RangeOptions{Pool: &pool})
	if diff != nil || err != nil {
		t.Fatalf("difference %+v, error %v", diff, err)
	}
	pool.Close()
	diff, err = CompareRange(context.Background(), w.sideOf(source, "orders", 0), w.sideOf(target, "orders", 0), 3, 20, RangeOptions{Pool: &pool})
	if diff != nil || err != nil || idle() != 0 {
		t.Errorf("after Close: difference %+v, error %v, %d idle connections", diff, err, idle())
	}
}
