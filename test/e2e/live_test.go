package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// Topics that are created, and partitions that are added, while kferry runs are carried too.
func TestNewTopicsAndPartitions(t *testing.T) {
	f := faulty(t)
	r := f.start()
	f.carriesOn("a", 0)
	late := history.Random(2, 30, false)
	late.Name = "late"
	f.write(late)
	if _, err := kadm.NewClient(f.from.Client()).UpdatePartitions(t.Context(), 4, f.topic("a")); err != nil {
		t.Fatal(err)
	}
	f.eventually("the source has the new partitions", func() bool { return end(t, f.from, f.topic("a"), 3) == 0 })
	f.feed("a", 3, 7)
	f.carriesOn("a", 2)
	f.carriesOn("late", 1)
	f.eventually("all is copied", func() bool {
		res, err := history.Compare(t.Context(), f.from.Client(), f.to.Client(), []string{f.topic("a"), f.topic("b"), f.topic("late")}, history.Rules{})
		return err == nil && res.Equal()
	})
	if e := r.stop(); e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
}

// Groups follow while consumers are at work on the source; one that is live on the target is left alone; one
// that is ahead on the target is not turned back.
func TestGroupsFollow(t *testing.T) {
	f := faulty(t)
	ctx := t.Context()
	at := func(w *history.Writer, group string, partition int32) int64 {
		t.Helper()
		positions, err := history.Positions(ctx, w.Client(), f.name+"-"+group)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range positions {
			if p.Topic == f.topic("a") && p.Partition == partition {
				return p.Offset
			}
		}
		return -1
	}
	r := f.start()
	f.carriesOn("a", 0)

	// A consumer of the source that commits what it read.
	working := f.consume(f.source, "worker")
	f.eventually("the group's position on the source", func() bool { return at(f.from, "worker", 0) == 15 && at(f.from, "worker", 1) == 10 })
	f.eventually("the group's position on the target", func() bool { return at(f.to, "worker", 0) == 15 && at(f.to, "worker", 1) == 10 })
	f.feed("a", 0, 5)
	f.eventually("the group moves on", func() bool { return at(f.from, "worker", 0) == 20 && at(f.to, "worker", 0) == 20 })
	working.Close()

	// A group with a member on the target, which reads there and commits.
	if err := f.commit(f.source, "live", 0, 4); err != nil {
		t.Fatal(err)
	}
	f.eventually("the idle group is carried", func() bool { return at(f.to, "live", 0) == 4 })
	member := f.consume(f.target, "live")
	defer member.Close()
	f.eventually("the member on the target has committed", func() bool { return at(f.to, "live", 0) == 20 })
	if err := f.commit(f.source, "live", 0, 6); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // several rounds of group sync
	if got := at(f.to, "live", 0); got != 20 {
		t.Errorf("the position of a live group was set to %d", got)
	}
	e := r.stop()
	if e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	for _, g := range e.report.Groups {
		switch {
		case strings.HasSuffix(g.ID, "worker") && (g.Held != 0 || g.Synced != 2):
			t.Errorf("the worker's line: %+v", g)
		case strings.HasSuffix(g.ID, "live") && (g.Held == 0 || !strings.Contains(g.Reason, "live")):
			t.Errorf("the live group's line does not say why it is held: %+v", g)
		}
	}
}

// consume reads topic a in a group from the beginning and commits as it goes.
func (f *flow) consume(c *testbed.Cluster, group string) *kgo.Client {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.ConsumerGroup(f.name+"-"+group), kgo.ConsumeTopics(f.topic("a")),
		kgo.AutoCommitInterval(200*time.Millisecond), kgo.DisableClientMetrics(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		f.t.Fatal(err)
	}
	go func() {
		for !cl.PollFetches(context.Background()).IsClientClosed() {
		}
	}()
	f.t.Cleanup(cl.Close)
	return cl
}

func (f *flow) commit(c *testbed.Cluster, group string, partition int32, offset int64) error {
	cl, err := history.NewClient(c.Addrs()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var os kadm.Offsets = map[string]map[int32]kadm.Offset{}
	os.Add(kadm.Offset{Topic: f.topic("a"), Partition: partition, At: offset, LeaderEpoch: -1})
	return kadm.NewClient(cl).CommitAllOffsets(f.t.Context(), f.name+"-"+group, os)
}

// An open transaction on the source: kferry copies up to the last stable offset, is caught up with that, and
// goes on when the transaction ends.
func TestOpenTransaction(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43))
	topics := f.write(history.Open())
	f.mustCatchUp()
	res := f.equal(history.Rules{}, topics...)
	if res.Unstable == 0 || res.Committed != 20 {
		t.Errorf("nothing is unstable: %s", res)
	}
	// A producer with the same transactional id aborts what its predecessor left open.
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.source.Addrs()...), kgo.TransactionalID(topics[0]+"-0"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.mustCatchUp()
	if res := f.equal(history.Rules{}, topics...); res.Unstable != 0 || res.Committed != 27 || res.Uncommitted != 5 {
		t.Errorf("after the end of the transaction: %s", res)
	}
}
