package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
)

func trimmed(prefix string) []history.LoadTopic {
	return []history.LoadTopic{
		{Name: prefix + "-plain", Partitions: 3, Trim: true},
		{Name: prefix + "-txn", Partitions: 2, Transactions: true, Trim: true},
	}
}

func storm(prefix string) []history.LoadTopic {
	return []history.LoadTopic{
		{Name: prefix + "-plain", Partitions: 3, Compact: true},
		{Name: prefix + "-txn", Partitions: 2, Transactions: true, Compact: true},
	}
}

func mixed(prefix string) []history.LoadTopic {
	return []history.LoadTopic{
		{Name: prefix + "-txn", Partitions: 4, Transactions: true},
		{Name: prefix + "-compact", Partitions: 2, Transactions: true, Compact: true},
	}
}

func truncatable(prefix string) []history.LoadTopic {
	return []history.LoadTopic{{Name: prefix + "-cut", Partitions: 1, Idle: true}, {Name: prefix + "-other", Partitions: 1, Idle: true}}
}

// noGroups leaves the brokers' own topics out where they may lose something too.
func noGroups(o *history.LoadOptions) { o.Groups = nil }

// end is a partition's log end on one side, -1 while it cannot be told.
func (s *side) end(ctx context.Context, topic string, partition int32) int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lists, err := s.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return -1
	}
	if o, ok := lists.Lookup(topic, partition); ok && o.Err == nil {
		return o.Offset
	}
	return -1
}

// awaitEnd waits until a partition of the target ends there.
func (t *trial) awaitEnd(ctx context.Context, topic string, partition int32, want int64) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got := t.target.end(ctx, topic, partition)
		if got == want || t.row.peer != "" && got >= want {
			return nil
		}
		if time.Now().After(deadline) {
			md, err := t.source.admin.Metadata(ctx, topic)
			return fmt.Errorf("%s-%d of the target ends at %d, want %d; the source's at %d (%+v, %v)", topic, partition, got, want,
				t.source.end(ctx, topic, partition), md.Topics[topic].Partitions[partition], err)
		}
	}
}

// awaitTopic waits until a topic can be read.
func awaitTopic(ctx context.Context, admin *kadm.Client, topic string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		lists, err := admin.ListEndOffsets(ctx, topic)
		if err == nil && lists.Error() == nil && len(lists[topic]) > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("topic %s cannot be read: %v, %v", topic, err, lists.Error())
		}
	}
}

// away stops the copy for a while, by freezing or by killing it.
func (t *trial) away(frozen bool, do func() error) error {
	if frozen {
		t.copier.pause()
		defer t.copier.resume()
		return do()
	}
	t.copier.kill()
	if err := do(); err != nil {
		return err
	}
	return t.copier.start()
}

// overtake deletes records that are not copied yet.
func overtake(ctx context.Context, t *trial) error {
	topic := t.name + "-over"
	copied := int64(20 + t.rng.IntN(60))
	if err := t.load.Burst(ctx, topic, 0, int(copied), false); err != nil {
		return err
	}
	if err := t.awaitEnd(ctx, topic, 0, copied); err != nil {
		return err
	}
	more := int64(20 + t.rng.IntN(100))
	until := copied + 1 + t.rng.Int64N(more)
	frozen := t.row.peer != "" || t.chance(2)
	t.notef("%d copied, %d more written, deleted up to %d, frozen %v", copied, more, until, frozen)
	err := t.away(frozen, func() error {
		if err := t.load.Burst(ctx, topic, 0, int(more), false); err != nil {
			return err
		}
		var os kadm.Offsets = map[string]map[int32]kadm.Offset{}
		os.Add(kadm.Offset{Topic: topic, Partition: 0, At: until})
		done, err := t.source.admin.DeleteRecords(ctx, os)
		if err == nil {
			err = done.Error()
		}
		return err
	})
	if err != nil {
		return err
	}
	t.expect = map[string]int64{"offset": copied, "count": until - copied}
	t.rest(500*time.Millisecond, time.Second)
	return t.load.Burst(ctx, topic, 0, 20, false)
}

// overtaken wants the fault to name what is gone to the record, and the target to stand where it stood.
func overtaken(t *trial, faults []fault.Fault) {
	for _, f := range faults {
		if f.Offset != t.expect["offset"] || f.Count != t.expect["count"] {
			t.failf("%d records from offset %d on are gone, the fault says %d from %d on", t.expect["count"], t.expect["offset"], f.Count, f.Offset)
		}
	}
	t.stands(t.name+"-over", t.expect["offset"])
}

// stands wants partition 0 of a topic to end where it ended.
func (t *trial) stands(topic string, want int64) {
	if got := t.target.end(context.Background(), topic, 0); got != want {
		t.failf("%s-0 of the target ends at %d, want it to stand at %d", topic, got, want)
	}
}

// recreate makes a topic anew under the same name.
func recreate(ctx context.Context, t *trial) error {
	topic := t.name + "-re"
	before := 40
	if err := t.load.Burst(ctx, topic, 0, before, false); err != nil {
		return err
	}
	if err := t.awaitEnd(ctx, topic, 0, int64(before)); err != nil {
		return err
	}
	after := []int{10, before, 100}[t.rng.IntN(3)]
	t.expect = map[string]int64{"end": int64(before)}
	anew := func() error {
		if err := t.load.Recreate(ctx, topic); err != nil {
			return err
		}
		return t.load.Burst(ctx, topic, 0, after, false)
	}
	running := t.row.peer != "" || t.chance(2)
	t.notef("created again with %d records, the copy running: %v", after, running)
	if t.row.peer == "" {
		t.gone = append(t.gone, topic)
	}
	if running {
		if err := anew(); err != nil {
			return err
		}
	} else if err := t.away(false, anew); err != nil {
		return err
	}
	t.rest(time.Second, 2*time.Second)
	return nil
}

func recreated(t *trial, _ []fault.Fault) { t.stands(t.name+"-re", t.expect["end"]) }

// truncate lets the source lose a tail that was copied, and go on with something else.
func truncate(ctx context.Context, t *trial) error {
	topic, other := t.name+"-cut", t.name+"-other"
	common, tail, anew := 10+t.rng.IntN(20), 5+t.rng.IntN(36), 1+t.rng.IntN(60)
	for _, name := range []string{topic, other} {
		if err := t.load.Burst(ctx, name, 0, common, false); err != nil {
			return err
		}
		if err := t.awaitEnd(ctx, name, 0, int64(common)); err != nil {
			return err
		}
	}
	leader, err := t.source.leadByController(ctx, topic)
	if err != nil {
		return err
	}
	follower := t.source.cluster.Broker(1 - leader)
	if err := follower.Pause(); err != nil {
		return err
	}
	if err := t.load.Burst(ctx, topic, 0, tail, true); err != nil {
		return err
	}
	// When the follower is counted out, the leader's high watermark moves with the next record only.
	for waited := 0; t.target.end(ctx, topic, 0) < int64(common+tail); waited++ {
		if waited%20 == 19 {
			if err := t.load.Burst(ctx, topic, 0, 1, true); err != nil {
				return err
			}
			tail++
		}
		if waited > 600 {
			return t.awaitEnd(ctx, topic, 0, int64(common+tail))
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.expect = map[string]int64{"end": int64(common + tail), "offset": int64(common)}
	running := t.chance(2)
	t.notef("%d records, %d on the leader alone and copied, then %d others; the copy running: %v", common, tail, anew, running)
	lose := func() error {
		t.source.cluster.Broker(leader).Kill()
		if err := follower.Resume(); err != nil {
			return err
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			if now, err := t.source.leader(ctx, topic); err == nil && now == 1-leader {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the follower does not become the leader of %s", topic)
			}
		}
		return t.load.Burst(ctx, topic, 0, anew, false)
	}
	if running {
		err = lose()
	} else {
		err = t.away(false, lose)
	}
	if err != nil {
		return err
	}
	return t.load.Burst(ctx, other, 0, 20, false)
}

// leadByController makes the controller lead a topic: brokers of 2.8 that wait for a frozen controller's leave to
// count a follower out sometimes wait for ever.
func (s *side) leadByController(ctx context.Context, topic string) (leader int, err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		md, err := s.admin.Metadata(ctx, topic)
		if err != nil {
			return -1, err
		}
		if leader = int(md.Topics[topic].Partitions[0].Leader); leader == int(md.Controller) {
			return leader, nil
		}
		if _, err := s.moveLeaders(ctx, []string{topic}); err != nil {
			return -1, err
		}
		time.Sleep(700 * time.Millisecond)
	}
	return -1, fmt.Errorf("the controller does not become the leader of %s", topic)
}

// leader is the broker that leads a topic's partition 0.
func (s *side) leader(ctx context.Context, topic string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	md, err := s.admin.Metadata(ctx, topic)
	if err != nil {
		return -1, err
	}
	return int(md.Topics[topic].Partitions[0].Leader), nil
}

// truncated wants the old tail to stand. The follower may have had some of the leader's records in its hands when
// it was frozen; that everything before the fault's offset is equal is for the checker to find.
func truncated(t *trial, faults []fault.Fault) {
	t.stands(t.name+"-cut", t.expect["end"])
	for _, f := range faults {
		if f.Offset < t.expect["offset"] || f.Offset >= t.expect["end"] {
			t.failf("the source differs from offset %d on or a little later, the fault says %d", t.expect["offset"], f.Offset)
		}
	}
}
