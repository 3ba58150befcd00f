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

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

const (
	exitRefused = 4
	exitFaults  = 6
)

// faulty is a flow with topic a of two partitions and topic b of one, each with a little in it.
func faulty(t *testing.T, extra ...string) *flow {
	t.Helper()
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43), extra...)
	for topic, partitions := range map[string]int32{"a": 2, "b": 1} {
		if err := f.from.Create(t.Context(), f.topic(topic), partitions, nil); err != nil {
			t.Fatal(err)
		}
		for p := range partitions {
			f.feed(topic, p, 10)
		}
	}
	return f
}

// feed writes n records to a partition of the source.
func (f *flow) feed(topic string, partition int32, n int) {
	f.t.Helper()
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("%s-%d %d at %d", topic, partition, i, time.Now().UnixNano()))
	}
	if err := produce(f.t.Context(), f.source, f.topic(topic), partition, values...); err != nil {
		f.t.Fatal(err)
	}
}

// ends are the log ends of a partition on both sides.
func (f *flow) ends(topic string, partition int32) (source, target int64) {
	f.t.Helper()
	return end(f.t, f.from, f.topic(topic), partition), end(f.t, f.to, f.topic(topic), partition)
}

// end is a partition's log end, -1 if it does not exist.
func end(t *testing.T, w *history.Writer, topic string, partition int32) int64 {
	t.Helper()
	lists, err := kadm.NewClient(w.Client()).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := lists.Lookup(topic, partition); ok && o.Err == nil {
		return o.Offset
	}
	return -1
}

// carriesOn checks that what is not faulted is still copied.
func (f *flow) carriesOn(topic string, partition int32) {
	f.t.Helper()
	f.feed(topic, partition, 5)
	f.eventually(topic+" is copied on", func() bool {
		s, t := f.ends(topic, partition)
		return s == t
	})
}

// stands checks that a faulted partition's end on the target does not move.
func (f *flow) stands(topic string, partition int32) {
	f.t.Helper()
	_, before := f.ends(topic, partition)
	f.feed(topic, partition, 5)
	time.Sleep(time.Second)
	if _, after := f.ends(topic, partition); after != before {
		f.t.Errorf("%s-%d of the target goes on from %d to %d after its fault", topic, partition, before, after)
	}
}

func TestForeignAppendWhileRunning(t *testing.T) {
	f := faulty(t)
	r := f.start()
	f.carriesOn("a", 0)
	f.carriesOn("a", 1)
	if err := produce(t.Context(), f.target, f.topic("a"), 0, "not from the source"); err != nil {
		t.Fatal(err)
	}
	f.feed("a", 0, 3)
	f.eventually("the fault is said", func() bool { return strings.Contains(r.stderr.String(), string(fault.ForeignAppend)) })
	f.stands("a", 0)
	f.carriesOn("a", 1)
	f.carriesOn("b", 0)
	f.wantFault(r.stop(), exitFaults, fault.ForeignAppend, f.topic("a"), 0)
	f.equal(history.Rules{}, f.topic("b"))
	// It stays faulted when kferry is started again.
	f.wantFault(f.catchUp(), exitFaults, fault.ForeignAppend, f.topic("a"), 0)
}

func TestForeignAppendWhileStopped(t *testing.T) {
	for _, c := range []struct {
		name    string
		foreign int // records that somebody writes to the target, beside the three of the source
	}{
		{"as many", 3}, {"fewer", 1}, {"more", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := faulty(t)
			f.mustCatchUp()
			f.feed("a", 0, 3)
			for i := range c.foreign {
				if err := produce(t.Context(), f.target, f.topic("a"), 0, fmt.Sprintf("foreign %d", i)); err != nil {
					t.Fatal(err)
				}
			}
			f.feed("a", 1, 3)
			ft := f.wantFault(f.catchUp(), exitFaults, fault.ForeignAppend, f.topic("a"), 0)
			if c.foreign <= 3 && ft.Offset != 10 {
				t.Errorf("found at offset %d, want 10: %+v", ft.Offset, ft)
			}
			_, to := f.ends("a", 1)
			if from, _ := f.ends("a", 1); from != to {
				t.Errorf("the other partition stands at %d of %d", to, from)
			}
		})
	}
}

func TestSourceTopicRecreated(t *testing.T) {
	t.Run("while running", func(t *testing.T) {
		f := faulty(t)
		r := f.start()
		f.carriesOn("a", 0)
		f.recreate(f.from, "a", 2)
		f.feed("a", 0, 30)
		f.eventually("the fault is said", func() bool { return strings.Contains(r.stderr.String(), string(fault.TopicRecreated)) })
		f.carriesOn("b", 0)
		e := r.stop()
		if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || ft.Kind != fault.TopicRecreated || e.code != exitFaults {
			t.Fatalf("code %d, faults %v", e.code, e.report.Faults)
		}
		if _, to := f.ends("a", 0); to != 15 {
			t.Errorf("the target has %d records of the old topic and of the new one, want 15", to)
		}
	})
	for _, c := range []struct {
		name string
		n    int
	}{
		{"while stopped with fewer records", 4}, {"while stopped with more records", 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := faulty(t)
			f.mustCatchUp()
			f.recreate(f.from, "a", 2)
			f.feed("a", 0, c.n)
			f.feed("b", 0, 3)
			e := f.catchUp()
			if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || ft.Kind != fault.TopicRecreated || e.code != exitFaults {
				t.Fatalf("code %d, faults %v", e.code, e.report.Faults)
			}
			if _, to := f.ends("a", 0); to != 10 {
				t.Errorf("the target has %d records, want the 10 of the old topic", to)
			}
			f.equal(history.Rules{}, f.topic("b"))
		})
	}
}

// Without anything remembered the content tells: the new topic is not what was copied.
func TestSourceTopicRecreatedAndMemoryLost(t *testing.T) {
	for _, n := range []int{4, 40} {
		t.Run(fmt.Sprintf("%d records", n), func(t *testing.T) {
			f := faulty(t)
			f.mustCatchUp()
			f.recreate(f.from, "a", 2)
			f.feed("a", 0, n)
			f.feed("b", 0, 3)
			if err := f.to.Delete(t.Context(), "__kferry-state"); err != nil {
				t.Fatal(err)
			}
			e := f.catchUp()
			for p := range int32(2) { // partition 1 is empty now
				if ft := faultOf(e.report, f.topic("a"), p); ft == nil || ft.Kind != fault.NotAPrefix || e.code != exitFaults {
					t.Fatalf("partition %d: code %d, faults %v", p, e.code, e.report.Faults)
				}
			}
			if _, to := f.ends("a", 0); to != 10 {
				t.Errorf("the target has %d records, want the 10 of the old topic", to)
			}
			f.equal(history.Rules{}, f.topic("b"))
		})
	}
}

func (f *flow) recreate(w *history.Writer, topic string, partitions int32) {
	f.t.Helper()
	if err := w.Delete(f.t.Context(), f.topic(topic)); err != nil {
		f.t.Fatal(err)
	}
	if err := w.Create(f.t.Context(), f.topic(topic), partitions, nil); err != nil {
		f.t.Fatal(err)
	}
}

func TestTargetTopicRecreatedWhileRunning(t *testing.T) {
	f := faulty(t)
	r := f.start()
	f.carriesOn("a", 0)
	f.recreate(f.to, "a", 2)
	f.eventually("the fault is said", func() bool { return strings.Contains(r.stderr.String(), string(fault.TopicRecreated)) })
	f.carriesOn("b", 0)
	if e := r.stop(); e.code != exitFaults {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	// Started again, it copies into the new topic, which is empty.
	f.mustCatchUp()
	f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
}

func TestRetentionOvertook(t *testing.T) {
	overtake := func(t *testing.T, extra ...string) *flow {
		f := faulty(t, extra...)
		f.mustCatchUp()
		f.feed("a", 0, 20)
		if err := f.from.DeleteBefore(t.Context(), f.topic("a"), 0, 17); err != nil {
			t.Fatal(err)
		}
		f.feed("a", 1, 3)
		return f
	}
	t.Run("stop", func(t *testing.T) {
		f := overtake(t)
		ft := f.wantFault(f.catchUp(), exitFaults, fault.RetentionOvertook, f.topic("a"), 0)
		if ft.Offset != 10 || ft.Count != 7 {
			t.Errorf("lost 7 offsets from 10 on, the fault says %+v", ft)
		}
		if s, to := f.ends("a", 1); s != to {
			t.Errorf("the other partition stands at %d of %d", to, s)
		}
	})
	t.Run("fill", func(t *testing.T) {
		f := overtake(t, "onRetentionOvertake: fill")
		doc := f.mustCatchUp()
		f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
		if doc.Totals.GapsExpired != 7 {
			t.Errorf("7 offsets expired, the report says %d", doc.Totals.GapsExpired)
		}
	})
	t.Run("while running", func(t *testing.T) {
		f := faulty(t)
		r := f.start()
		f.carriesOn("a", 0)
		if err := f.from.DeleteBefore(t.Context(), f.topic("a"), 0, 12); err != nil {
			t.Fatal(err)
		}
		f.carriesOn("a", 0)
		f.eventually("the log start follows", func() bool {
			lists, err := kadm.NewClient(f.to.Client()).ListStartOffsets(t.Context(), f.topic("a"))
			o, _ := lists.Lookup(f.topic("a"), 0)
			return err == nil && o.Offset == 12
		})
		if e := r.stop(); e.code != 0 {
			t.Errorf("code %d, faults %v", e.code, e.report.Faults)
		}
		f.equal(history.Rules{}, f.topic("a"))
	})
}

// A batch from before the source's limit was lowered, larger than what the target is given.
func TestBatchTooLarge(t *testing.T) {
	const size = 9 << 20
	prepare := func(t *testing.T, extra ...string) *flow {
		f := faulty(t, extra...)
		if err := f.from.Configure(t.Context(), f.topic("a"), "max.message.bytes", "20000000"); err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(f.source.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchMaxBytes(20_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		var rs []*kgo.Record
		for i := range 9 {
			rs = append(rs, &kgo.Record{Topic: f.topic("a"), Key: []byte{byte(i)}, Value: []byte(strings.Repeat(string(rune('a'+i)), size/9))})
		}
		if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		f.feed("a", 0, 2)
		if err := f.from.Configure(t.Context(), f.topic("a"), "max.message.bytes", "1000000"); err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("stop", func(t *testing.T) {
		f := prepare(t)
		ft := f.wantFault(f.catchUp(), exitFaults, fault.BatchRefused, f.topic("a"), 0)
		if _, to := f.ends("a", 0); to != 10 || ft.Offset != 10 {
			t.Errorf("the target has %d records, want 10; %+v", to, ft)
		}
	})
	t.Run("split", func(t *testing.T) {
		f := prepare(t, "oversizedBatches: split")
		f.mustCatchUp()
		f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
	})
}

func TestTargetIsNotAPrefix(t *testing.T) {
	f := faulty(t)
	ctx := t.Context()
	if err := f.to.Create(ctx, f.topic("a"), 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := produce(ctx, f.target, f.topic("a"), 0, "something else"); err != nil {
		t.Fatal(err)
	}
	ft := f.wantFault(f.catchUp(), exitFaults, fault.NotAPrefix, f.topic("a"), 0)
	if ft.Offset != 0 {
		t.Errorf("differs from offset 0 on: %+v", ft)
	}
	if end(t, f.to, f.topic("a"), 0) != 1 {
		t.Error("something was written to a topic that was refused")
	}
	f.equal(history.Rules{}, f.topic("b"))
}

// When nothing at all can be copied, the exit code says that it was refused.
func TestAllRefused(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	for w, partitions := range map[*history.Writer]int32{f.from: 2, f.to: 3} {
		if err := w.Create(t.Context(), f.topic("a"), partitions, nil); err != nil {
			t.Fatal(err)
		}
	}
	f.feed("a", 0, 3)
	e := f.catchUp()
	if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || ft.Kind != fault.PartitionMismatch || e.code != exitRefused {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
}

// A target that somebody filled with the very same records is a prefix, and is gone on from.
func TestTargetIsAPrefix(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	h := history.Hard()[0]
	f.write(h)
	if err := f.to.Write(t.Context(), f.topic(h.Name), h); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		f.feed(h.Name, p, 20)
	}
	doc := f.mustCatchUp()
	f.equal(history.Rules{}, f.topic(h.Name))
	if doc.Totals.RecordsCopied != 60 {
		t.Errorf("copied %d records, want 60", doc.Totals.RecordsCopied)
	}
}

// An idle stretch does not hide a foreign writer either: nothing is copied, and yet the target's end moves.
func TestForeignAppendToAnIdlePartition(t *testing.T) {
	f := faulty(t)
	r := f.start()
	f.carriesOn("a", 0)
	f.carriesOn("a", 1)
	if err := foreignMarker(t.Context(), f.to.Client(), f.topic("a"), 1); err != nil {
		t.Fatal(err)
	}
	f.eventually("the fault is said", func() bool {
		return strings.Contains(r.stderr.String(), "partition stopped")
	})
	f.carriesOn("a", 0)
	e := r.stop()
	if ft := faultOf(e.report, f.topic("a"), 1); ft == nil || e.code != exitFaults {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
}

// foreignMarker lets a transaction of somebody else end in a partition without a record.
func foreignMarker(ctx context.Context, cl *kgo.Client, topic string, partition int32) error {
	const id = "somebody-else"
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = kmsg.StringPtr(id), 60_000
	who, err := init.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(who.ErrorCode)
	}
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = id, who.ProducerID, who.ProducerEpoch
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	add.Topics = append(add.Topics, t)
	if _, err := add.RequestWith(ctx, cl); err != nil {
		return err
	}
	done := kmsg.NewPtrEndTxnRequest()
	done.TransactionalID, done.ProducerID, done.ProducerEpoch = id, who.ProducerID, who.ProducerEpoch
	_, err = done.RequestWith(ctx, cl)
	return err
}
