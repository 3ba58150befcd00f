package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

// The histories below are lived through on embedded clusters and on real brokers.

func TestTransactions(t *testing.T) { transactions(t, fakeWorld(t)) }

// transactions interleaves two transactional producers and a plain one.
func transactions(t *testing.T, w *world) {
	w = w.in(t)
	ctx := context.Background()
	w.create("txn", 1, nil)
	a := w.client(source, kgo.TransactionalID("txn-a"), kgo.ProducerLinger(0))
	b := w.client(source, kgo.TransactionalID("txn-b"), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	begin := func(c *kgo.Client) {
		t.Helper()
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(c *kgo.Client, how kgo.TransactionEndTry) {
		t.Helper()
		if err := c.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	aborted := int64(0)
	for i := range 8 {
		begin(a)
		begin(b)
		w.produce(a, kvs("txn", 0, 10*i, 3)...)
		w.produce(b, kvs("txn", 0, 10*i+3, 2)...)
		w.produce(w.plain[source], kvs("txn", 0, 10*i+5, 1)...)
		w.produce(a, kvs("txn", 0, 10*i+6, 2)...)
		w.produce(b, kvs("txn", 0, 10*i+8, 1)...)
		how := [2]kgo.TransactionEndTry{kgo.TransactionEndTry(i&1 == 0), kgo.TransactionEndTry(i&2 == 0)}
		if !how[0] {
			aborted += 5
		}
		if !how[1] {
			aborted += 3
		}
		end(a, how[0])
		end(b, how[1])
	}
	all := int64(8 * 11)
	w.await(source, "txn", 0, all)
	w.copyByHand("txn", 0, nil, kgo.NoCompression())
	res := w.run("txn")
	wantEqual(t, res, 8*9-aborted)
	if res.AbortedNotCopied != aborted || res.MarkersSource != 16 || res.MarkersTarget != 16+aborted {
		t.Errorf("%d aborted records counted of %d, %d and %d markers", res.AbortedNotCopied, aborted, res.MarkersSource, res.MarkersTarget)
	}
	if len(res.Notes) != 1 || !strings.Contains(res.Notes[0], "aborted transactions on the source") {
		t.Errorf("notes %q", res.Notes)
	}

	// A transaction that stays open hides everything behind it.
	begin(a)
	w.produce(a, kvs("txn", 0, 100, 2)...)
	w.produce(w.plain[source], kvs("txn", 0, 102, 3)...)
	wantIncomplete(t, w.run("txn"), fmt.Sprintf("offsets %d to %d", all, all+4), "transactions that are still open")
	// A target that went on regardless is ahead of what the source holds for certain.
	w.produce(w.plain[target], kvs("txn", 0, 100, 5)...)
	if res := w.run("txn"); res.Result != Different || res.Differences[0].Kind != digest.LogEnd || res.Differences[0].Offset != all {
		t.Errorf("%s", text(res))
	}
	// When it is aborted it shows that the target has what no consumer of the source sees.
	end(a, kgo.TryAbort)
	w.await(source, "txn", 0, all+6)
	w.markers(target, "txn", 0, 1)
	wantDifferent(t, w.run("txn"), digest.Phantom, 0, all)
}

func TestForeignTransactions(t *testing.T) { foreignTransactions(t, fakeWorld(t)) }

// foreignTransactions puts a transaction of somebody else on the target, where the source has markers.
func foreignTransactions(t *testing.T, w *world) {
	w = w.in(t)
	w.create("foreign", 1, nil)
	w.produce(w.plain[source], kvs("foreign", 0, 0, 10)...)
	w.copyByHand("foreign", 0, nil, kgo.NoCompression())
	w.markers(source, "foreign", 0, 3)
	w.await(source, "foreign", 0, 13)
	c := w.client(target, kgo.TransactionalID("foreign"))
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	w.produce(c, kvs("foreign", 0, 10, 2)...)
	if err := c.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	w.await(target, "foreign", 0, 13)
	wantDifferent(t, w.run("foreign"), digest.Phantom, 0, 10)
	res := w.run("foreign", func(o *Options) { o.AbortedForeign = true })
	wantEqual(t, res, 10)
	if res.AbortedOnTarget != 2 {
		t.Errorf("%d aborted records on the target", res.AbortedOnTarget)
	}
	// The engine asks for the committed view only where it says so.
	s, d := w.sideOf(source, "foreign", 0), w.sideOf(target, "foreign", 0)
	for _, accept := range []bool{false, true} {
		diff, err := CompareRange(t.Context(), s, d, 5, 13, RangeOptions{AbortedForeign: accept})
		if err != nil || (diff == nil) != accept {
			t.Errorf("accepting %v: difference %+v, error %v", accept, diff, err)
		}
	}
}

// lazy is a topic that may be compacted and is not: its segment does not roll. The embedded cluster deletes by
// retention.ms whatever the policy.
var lazy = map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}

// eager makes the cleaner take all that it can.
var eager = []kafka.ConfigChange{
	{Key: "segment.ms", Value: "100"}, {Key: "min.cleanable.dirty.ratio", Value: "0.01"}, {Key: "delete.retention.ms", Value: "0"},
}

func TestFillersInCompactedTopics(t *testing.T) { fillersInCompactedTopics(t, fakeWorld(t)) }

func fillersInCompactedTopics(t *testing.T, w *world) {
	w = w.in(t)
	w.create("fillers", 1, lazy)
	// A hole is made of markers here; for what the target has instead it is all the same.
	w.produce(w.plain[source], kv("fillers", 0, "a", "1"))
	w.markers(source, "fillers", 0, 5)
	w.produce(w.plain[source], kv("fillers", 0, "b", "2"))
	w.markers(source, "fillers", 0, 4)
	w.produce(w.plain[source], kv("fillers", 0, "c", "3"))
	w.await(source, "fillers", 0, 12)

	w.produce(w.plain[target], kv("fillers", 0, "a", "1"))
	w.abortedFiller("fillers", 0, 5)
	w.produce(w.plain[target], kv("fillers", 0, "b", "2"))
	for range 4 {
		w.produce(w.plain[target], kv("fillers", 0, "c", "3")) // echoes
	}
	w.produce(w.plain[target], kv("fillers", 0, "c", "3"))
	res := w.run("fillers")
	wantEqual(t, res, 3)
	if res.Echoes != 4 || res.AbortedFillers != 4 || res.MarkersSource != 9 || res.MarkersTarget != 1 || len(res.Notes) != 2 {
		t.Errorf("result %+v", res)
	}
	// A topic that is not compacted on the source excuses no echo.
	w.create("not-compacted", 1, nil)
	w.markers(source, "not-compacted", 0, 1)
	w.produce(w.plain[source], kv("not-compacted", 0, "c", "3"))
	w.produce(w.plain[target], kv("not-compacted", 0, "c", "3"), kv("not-compacted", 0, "c", "3"))
	wantDifferent(t, w.run("not-compacted"), digest.Phantom, 0, 0)
}

func TestCompaction(t *testing.T) {
	w := fakeWorld(t)
	compaction(t, w, func(side digest.Side) { w.fake[side].Compact() })
}

// compaction lets a cleaner run at different moments of the copy. nudge makes it run now, if that can be done.
//
// A record with a key of its own stays at offset 0, because the embedded cluster moves the log start when the
// first record goes; a broker does not.
func compaction(t *testing.T, w *world, nudge func(side digest.Side)) {
	t.Run("before the copy", func(t *testing.T) {
		h := newCleaning(t, w, "before", nudge)
		h.put("a", "1", "a", "2", "b", "1", "b", "", "a", "3", "c", "1")
		h.clean(source, func() bool { return !h.has(source, "a", "2") })
		h.copy()
		h.equal(source)
	})
	t.Run("after the copy", func(t *testing.T) {
		h := newCleaning(t, w, "after", nudge)
		h.put("a", "1", "a", "2", "b", "1", "a", "3", "c", "1", "b", "", "d", "1")
		h.copy()
		wantEqual(t, h.run("after"), 8)
		h.put("c", "2") // c goes on behind what is copied
		h.clean(source, func() bool { return !h.has(source, "c", "1") && !h.has(source, "b", "1") })
		res := h.run("after")
		wantIncomplete(t, res, "offsets 8 to", "not yet copied")
		if res.CompactedSource < 3 {
			t.Errorf("%d target records explained by the source's cleaner\n%s", res.CompactedSource, text(res))
		}
		// With room for fewer keys than there are to look up, nothing is claimed.
		res = h.run("after", func(o *Options) { o.KeyLimit = 1 })
		if res.Result != Incomplete || !slices.ContainsFunc(res.Skipped, func(s Skip) bool { return strings.Contains(s.Why, "more than 1 keys") }) {
			t.Errorf("%s", text(res))
		}
		h.copy()
		h.equal(source)
		// The engine's question takes the cleaner's word for it.
		end := h.ends(target, "after", 0).Stable
		diff, err := CompareRange(t.Context(), h.sideOf(source, "after", 0), h.sideOf(target, "after", 0), 0, end, RangeOptions{SourceMayThin: true, TargetMayThin: true})
		if diff != nil || err != nil {
			t.Errorf("difference %+v, error %v", diff, err)
		}
	})
	t.Run("a tombstone expires after it was copied", func(t *testing.T) {
		h := newCleaning(t, w, "expired", nudge)
		h.put("a", "1", "b", "1", "b", "", "c", "1")
		h.copy()
		h.clean(source, func() bool { return !h.has(source, "b", "") && !h.has(source, "b", "1") })
		h.copy()
		res := h.equal(source)
		if res.Tombstones != 1 {
			t.Errorf("%d tombstones\n%s", res.Tombstones, text(res))
		}
	})
	t.Run("a tombstone expires before it is copied", func(t *testing.T) {
		h := newCleaning(t, w, "zombie", nudge)
		h.put("a", "1", "b", "1", "c", "1")
		h.copy()
		h.put("b", "", "d", "1")
		h.clean(source, func() bool { return !h.has(source, "b", "") && !h.has(source, "b", "1") })
		h.copy()
		wantDifferent(t, h.run("zombie"), digest.StaleKey, 0, 2)
	})
	t.Run("on the target", func(t *testing.T) {
		h := newCleaning(t, w, "finalized", nudge)
		h.put("a", "1", "a", "2", "b", "1", "b", "2")
		h.copy()
		h.clean(target, func() bool { return !h.has(target, "a", "1") && !h.has(target, "b", "1") })
		res := h.equal(target)
		if want := h.count(source) - res.RecordsCompared; res.CompactedTarget != want || want < 2 {
			t.Errorf("%d source records explained by the target's cleaner, want %d", res.CompactedTarget, want)
		}
	})
}

// cleaning is a topic of one partition that a cleaner works on.
type cleaning struct {
	*world
	topic string
	nudge func(digest.Side)
	clock time.Time // of records: a segment rolls by their time, not by the broker's
}

func newCleaning(t *testing.T, w *world, topic string, nudge func(digest.Side)) *cleaning {
	h := &cleaning{world: w.in(t), topic: topic, nudge: nudge, clock: time.UnixMilli(1_700_000_000_000)}
	h.create(topic, 1, lazy)
	h.put("first", "1")
	return h
}

// put writes pairs of key and value to the source, each as a batch of its own; no value is a tombstone.
func (h *cleaning) put(pairs ...string) {
	h.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		r := kv(h.topic, 0, pairs[i], pairs[i+1])
		h.clock = h.clock.Add(time.Second)
		r.Timestamp = h.clock
		h.produce(h.plain[source], r)
	}
}

func (h *cleaning) copy() {
	h.t.Helper()
	h.copyByHand(h.topic, 0, nil, kgo.NoCompression())
}

// clean sets the cleaner to work and waits until it has done what it is to do. It begins only when there is
// something new.
func (h *cleaning) clean(side digest.Side, done func() bool) {
	h.t.Helper()
	refused, err := h.kafka[side].AlterTopicConfigs(context.Background(), map[string][]kafka.ConfigChange{h.topic: eager}, false)
	if err != nil || len(refused) > 0 {
		h.t.Fatal(err, refused)
	}
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("the cleaner of the %s did not do its work: %d records are left", side, h.count(side))
		}
		h.put("pad", "1")
		if side == target {
			h.copy()
		}
		h.nudge(side)
	}
}

// equal verifies the topic. What is compared is what the cleaned side has, and its cleaner may still be at it.
func (h *cleaning) equal(cleaned digest.Side) *Result {
	h.t.Helper()
	most := h.count(cleaned)
	res := h.run(h.topic)
	least := h.count(cleaned)
	wantEqual(h.t, res, min(max(res.RecordsCompared, least), most))
	return res
}

func (h *cleaning) has(side digest.Side, key, value string) bool {
	for _, r := range h.visible(side, h.topic, 0) {
		if string(r.Key) == key && string(r.Value) == value {
			return true
		}
	}
	return false
}

func (h *cleaning) count(side digest.Side) int64 { return int64(len(h.visible(side, h.topic, 0))) }
