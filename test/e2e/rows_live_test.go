package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify/digest"
)

// A8: a transaction that no coordinator knows of, as brokers before 3.6 let it happen, holds the last stable offset
// for ever. What is behind it is not copied, the lag says so, and positions behind it are held until it is ended.
func TestRowHangingTransaction(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V28), cluster(t, testbed.V43))
	ctx, topic := t.Context(), f.topic("a")
	f.create("a", "b")
	f.feed("a", 0, 10)
	f.feed("b", 0, 3)
	who := f.hang(topic)
	f.feed("a", 0, 6)
	f.commitAt(f.name+"-behind", "a", 0, 14)
	f.commitAt(f.name+"-before", "a", 0, 8)

	running := f.start()
	f.groupAt(f.name+"-behind", "a", 0, 10) // as far as the log goes
	f.groupAt(f.name+"-before", "a", 0, 8)
	f.carriesOn("b", 0)
	e := running.stop()
	if _, to := f.ends("a", 0); to != 10 || e.code != 0 {
		t.Errorf("code %d, faults %v; the target has %d records, want the 10 stable ones", e.code, e.report.Faults, to)
	}
	p := e.report.Topics[0].Partitions[0]
	if p.SourceStable != 10 || p.SourceEnd != 17 || p.LagRecords != 7 {
		t.Errorf("the lag is not told: %+v", p)
	}
	for _, g := range e.report.Groups {
		if behind := strings.HasSuffix(g.ID, "behind"); behind != (g.Held == 1) || behind && g.Reason == "" {
			t.Errorf("group %+v", g)
		}
	}

	// kafka-transactions.sh abort does this.
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch = who.ID, who.Epoch
	mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	mt.Topic, mt.Partitions = topic, []int32{0}
	m.Topics = append(m.Topics, mt)
	req.Markers = append(req.Markers, m)
	resp, err := f.from.Client().Broker(0).Request(ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.mustCatchUp()
	f.equal(history.Rules{}, topic, f.topic("b"))
	f.sameGroups([]string{f.name + "-behind", f.name + "-before"}, topic)
}

// hang writes one record in a transaction of which only the partition knows.
func (f *flow) hang(topic string) batch.Producer {
	f.t.Helper()
	id := topic + "-hanging"
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = &id, 60_000
	var who *kmsg.InitProducerIDResponse
	f.eventually("a producer id", func() bool {
		var err error
		who, err = init.RequestWith(f.t.Context(), f.from.Client())
		return err == nil && who.ErrorCode == 0
	})
	var b batch.Builder
	if err := b.Append(&batch.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: []byte("never ended")}); err != nil {
		f.t.Fatal(err)
	}
	raw, err := b.Finish(batch.None)
	if err != nil {
		f.t.Fatal(err)
	}
	p := batch.Producer{ID: who.ProducerID, Epoch: who.ProducerEpoch, Transactional: true}
	if err := batch.Rewrite(raw, p); err != nil {
		f.t.Fatal(err)
	}
	if _, err := appendRaw(f.t.Context(), f.from.Client(), topic, 0, raw, &id); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// A6: a key is deleted on the source, and its tombstone is gone as well before it could be copied. The key lives on
// the target, and verify names it.
func TestRowTombstoneGone(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	ctx, topic := t.Context(), f.topic("a")
	if err := f.from.Create(ctx, topic, 1, map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "60000", "segment.jitter.ms": "0", "delete.retention.ms": "0",
	}); err != nil {
		t.Fatal(err)
	}
	clock := time.Now().Add(-24 * time.Hour)
	put := func(key string, value []byte) {
		t.Helper()
		clock = clock.Add(2 * time.Minute) // a segment each
		cl, err := kgo.NewClient(kgo.SeedBrokers(f.source.Addrs()...), kgo.DisableIdempotentWrite(), kgo.DisableClientMetrics())
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Timestamp: clock}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("stays", []byte("1"))
	put("deleted", []byte("1"))
	put("other", []byte("1"))
	f.mustCatchUp()
	put("deleted", nil)
	n := 0
	f.eventually("key and tombstone are gone", func() bool {
		n++
		put("other", fmt.Append(nil, n)) // something to clean
		rs, err := committed(ctx, f.source, topic, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			if string(r.Key) == "deleted" {
				return false
			}
		}
		return true
	})
	f.mustCatchUp()
	got := f.verified(3)
	if len(got.Differences) != 1 || got.Differences[0].Kind != digest.StaleKey || got.Differences[0].Offset != 1 {
		t.Errorf("verify says %s, differences %+v, want the stale key at offset 1", got.Result, got.Differences)
	}
}

// D5: whoever reads a compacted topic with filled holes, in whichever isolation level, ends with the same value for
// each key; and when the copy is over the target's own cleaner removes the fillers.
func TestRowFillersSeen(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43), "gaps: {wide: 30, compacted: echo}")
	topics := f.write(history.Topic{Name: "a", Partitions: 1, Compacted: true, Configs: map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "60000", "segment.jitter.ms": "0",
	}, Write: writeOf(history.Hard(), "compacted-wide")})
	f.mustCatchUp()
	before := f.equal(history.Rules{Echoes: true}, topics...)
	if before.Echoes == 0 {
		t.Fatalf("there are no fillers to be seen: %s", before)
	}
	for _, isolation := range []string{"read_committed", "read_uncommitted"} {
		last := func(c *testbed.Cluster) map[string]string {
			log, err := testbed.JavaConsume(t.Context(), testbed.V43, "topic="+topics[0], "bootstrap="+c.Bootstrap(), "isolation="+isolation)
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]string{}
			for _, r := range log.Records {
				values[r.Key] = r.Value
			}
			return values
		}
		source, target := last(f.source), last(f.target)
		if len(source) < 3 || fmt.Sprint(source) != fmt.Sprint(target) {
			t.Errorf("%s: the last values differ: %v on the source, %v on the target", isolation, source, target)
		}
	}
	f.tool(0, nil, "finalize", "-f", f.file, "--yes")
	// The cleaner takes nothing from the active segment: a later record begins another one.
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.target.Addrs()...), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	later := &kgo.Record{Topic: topics[0], Key: []byte("moved"), Value: []byte("1"), Timestamp: time.Now()}
	if err := cl.ProduceSync(t.Context(), later).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var left int
	f.eventually("the target's cleaner has removed the fillers", func() bool {
		rs, err := committed(t.Context(), f.target, topics[0], 0)
		if err != nil {
			t.Fatal(err)
		}
		left = len(rs)
		return int64(left) < before.Committed+3
	})
	t.Logf("%d committed and %d echoes before, %d records left", before.Committed, before.Echoes, left)
}

// D6: markers on the target have the time of the copy. The log start follows the source's all the same, and a search
// by time never leads behind the record that is looked for, so that nothing is skipped.
func TestRowMarkersAndTime(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	topics := f.write(history.Topic{Name: "a", Partitions: 1, Write: func(ctx context.Context, p *history.Pen) error {
		tr, err := p.Transactor(0, 3)
		if err != nil {
			return err
		}
		defer tr.Close()
		for i := range 40 {
			var rs []*kgo.Record
			for range 8 {
				rs = append(rs, p.Keyed("k", 50)) // each a little later than the one before
			}
			if err := tr.Write(ctx, 0, rs...); err != nil {
				return err
			}
			if err := tr.End(ctx, i%3 != 0); err != nil {
				return err
			}
		}
		return nil
	}})
	running := f.start()
	f.eventually("all is copied", func() bool { from, to := f.ends("a", 0); return from == to })
	records, err := committed(t.Context(), f.source, topics[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	search := func(when string) {
		t.Helper()
		earlier := 0
		for i := len(records) / 2; i < len(records); i += 7 {
			r := records[i]
			lists, err := kadm.NewClient(f.to.Client()).ListOffsetsAfterMilli(t.Context(), r.Timestamp.UnixMilli(), topics[0])
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := lists.Lookup(topics[0], 0); o.Offset > r.Offset {
				t.Errorf("%s: a search for the time of the record at %d leads behind it, to %d", when, r.Offset, o.Offset)
			} else if o.Offset < r.Offset {
				earlier++
			}
		}
		t.Logf("%s: %d searches lead to a marker before the record", when, earlier)
	}
	search("whole")
	cut := records[len(records)/2].Offset
	if err := f.from.DeleteBefore(t.Context(), topics[0], 0, cut); err != nil {
		t.Fatal(err)
	}
	f.eventually("the log start follows", func() bool {
		lists, err := kadm.NewClient(f.to.Client()).ListStartOffsets(t.Context(), topics[0])
		o, _ := lists.Lookup(topics[0], 0)
		return err == nil && o.Offset == cut
	})
	if e := running.stop(); e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	f.equal(history.Rules{}, topics...)
	search("log start moved")
}

// E2, E4, E5, E6, E8: a group's life, from the source to the target.
func TestRowGroupsMove(t *testing.T) {
	f := faulty(t)
	topic := f.topic("a")
	commit := func(w *history.Writer, group string, at int64, epoch int32) {
		t.Helper()
		var o kadm.Offsets = map[string]map[int32]kadm.Offset{}
		o.Add(kadm.Offset{Topic: topic, Partition: 0, At: at, LeaderEpoch: epoch})
		if err := kadm.NewClient(w.Client()).CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	at := func(group string, want int64) { t.Helper(); f.groupAt(f.name+"-"+group, "a", 0, want) }
	for _, group := range []string{"classic", "new", "deleted"} {
		commit(f.from, f.name+"-"+group, 4, 1000) // an epoch that the target will not reach
	}
	f.mustCatchUp()
	f.sameGroups([]string{f.name + "-classic", f.name + "-new", f.name + "-deleted"}, topic) // without an epoch

	// The group is gone on the source: its positions stay where they are (E8).
	if _, err := kadm.NewClient(f.from.Client()).DeleteGroups(t.Context(), f.name+"-deleted"); err != nil {
		t.Fatal(err)
	}
	// A position at the end, of which the target does not have everything yet, is never beyond the target's end (E5).
	f.feed("a", 0, 3000)
	commit(f.from, f.name+"-ahead", 3010, -1)
	f.extra = []string{"limits: {bytesPerSecond: 30KB}"}
	f.configure()
	running := f.start()
	for seen := int64(-1); seen < 3010; time.Sleep(50 * time.Millisecond) {
		if o, ok := positions(t, f.to, f.name+"-ahead").Lookup(topic, 0); ok {
			seen = o.At
		}
		if _, to := f.ends("a", 0); seen > to {
			t.Fatalf("the group is at %d, the log ends at %d", seen, to)
		}
	}
	e := running.stop()
	if e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	at("deleted", 4)

	// Consumers of both protocols go on where they were (E2, E4).
	for group, opts := range map[string][]kgo.Opt{"classic": nil, "new": {kgo.ServerSideBalancer()}} {
		first := f.goesOn(f.name+"-"+group, opts...)
		if first != 4 {
			t.Errorf("group %s goes on at %d on the target, it was at 4 on the source", group, first)
		}
		at(group, 3010)
	}
	// kferry starts again after the move: nobody is turned back (E6).
	f.extra = nil
	f.configure()
	f.feed("b", 0, 2)
	doc := f.mustCatchUp()
	at("classic", 3010)
	at("new", 3010)
	for _, g := range doc.Groups {
		if moved := strings.HasSuffix(g.ID, "-classic") || strings.HasSuffix(g.ID, "-new"); moved && (g.Held == 0 || !strings.Contains(g.Reason, "newer")) {
			t.Errorf("the line of a group that has moved: %+v", g)
		}
	}
}

// goesOn lets a member of the group read partition 0 of topic a on the target to its end and commit. It returns the
// first offset that it was given.
func (f *flow) goesOn(group string, opts ...kgo.Opt) int64 {
	f.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(f.target.Addrs()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(f.topic("a")),
		kgo.DisableAutoCommit(), kgo.DisableClientMetrics(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	_, end := f.ends("a", 0)
	ctx, cancel := context.WithTimeout(f.t.Context(), 60*time.Second)
	defer cancel()
	first, next := int64(-1), int64(-1)
	for next < end {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			f.t.Fatalf("group %s hangs at %d of %d: %v", group, next, end, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Partition == 0 {
				if first < 0 {
					first = r.Offset
				}
				next = r.Offset + 1
			}
		})
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		f.t.Fatal(err)
	}
	return first
}

// F1: a producer stays behind on the source when everything else has moved.
func TestRowStraggler(t *testing.T) {
	f := faulty(t)
	f.mustCatchUp()
	f.tool(0, nil, "finalize", "-f", f.file, "--yes")
	// While nobody writes to the target, what it writes is copied as ever, also to finalized topics.
	f.feed("a", 0, 4)
	f.mustCatchUp()
	f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
	// When the others have begun there, it is said, and nothing is mixed.
	if err := produce(t.Context(), f.target, f.topic("a"), 0, "written after the move", "and another"); err != nil {
		t.Fatal(err)
	}
	f.feed("a", 0, 3)
	f.feed("b", 0, 3)
	f.wantFault(f.catchUp(), exitFaults, fault.ForeignAppend, f.topic("a"), 0)
	if _, to := f.ends("a", 0); to != 16 {
		t.Errorf("the target has %d records, want 14 and the 2 written there", to)
	}
	f.equal(history.Rules{}, f.topic("b"))
}

// F4: the state topic is deleted, or filled with what is none of it, while kferry runs and while it does not.
func TestRowStateTopicLost(t *testing.T) {
	f := faulty(t)
	const state = "__kferry-state"
	gone := func() {
		t.Helper()
		if err := f.to.Delete(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	running := f.start()
	f.carriesOn("a", 0)
	f.eventually("the state topic is there", func() bool { return end(t, f.to, state, 0) > 0 })
	gone()
	f.carriesOn("a", 0)
	f.carriesOn("b", 0)
	f.patiently("the state topic is there again", func() bool { return end(t, f.to, state, 0) > 0 })
	f.patiently("status is told again", func() bool {
		var doc report.Document
		e, err := runTool("status", "-f", f.file, "-o", "json")
		return err == nil && e.code == 0 && e.json(&doc) == nil && doc.Running
	})
	if e := running.stop(); e.code != 0 {
		t.Errorf("code %d, faults %v\n%s", e.code, e.report.Faults, tail(e.stderr, 2000))
	}
	gone()
	f.feed("a", 1, 5)
	f.mustCatchUp()

	// Rubbish with the key of this flow, and with no key that means anything.
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.target.Addrs()...), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	kept, err := committed(t.Context(), f.target, state, 0)
	if err != nil || len(kept) == 0 {
		t.Fatalf("%d records in the state topic, %v", len(kept), err)
	}
	rubbish := []byte("{\"version\":1,\"flow\":\xff")
	for _, key := range [][]byte{kept[len(kept)-1].Key, kept[0].Key, []byte("rubbish")} {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: state, Key: key, Value: rubbish}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	f.feed("a", 0, 5)
	f.mustCatchUp()
	f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
}

// patiently is eventually for what a running kferry looks after only now and then.
func (f *flow) patiently(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within 90 s: %s", what)
		}
	}
}
