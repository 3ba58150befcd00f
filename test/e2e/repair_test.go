package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/repair"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify"
)

// somebody writes n records to a partition of the target, whose time is that long ago.
func (f *flow) somebody(topic string, partition int32, n int, ago time.Duration) {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.target.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		r := &kgo.Record{Topic: f.topic(topic), Partition: partition, Value: fmt.Appendf(nil, "foreign %d", i), Timestamp: time.Now().Add(-ago)}
		if err := cl.ProduceSync(f.t.Context(), r).FirstErr(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// commitAt stores a group's position on the source.
func (f *flow) commitAt(group, topic string, partition int32, at int64) {
	f.t.Helper()
	var o kadm.Offsets = map[string]map[int32]kadm.Offset{}
	o.Add(kadm.Offset{Topic: f.topic(topic), Partition: partition, At: at, LeaderEpoch: -1, Metadata: "m"})
	if err := kadm.NewClient(f.from.Client()).CommitAllOffsets(f.t.Context(), group, o); err != nil {
		f.t.Fatal(err)
	}
}

// groupAt waits until a group's position on the target is at.
func (f *flow) groupAt(group, topic string, partition int32, at int64) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("group %s is at %d in %s-%d", group, at, topic, partition), func() bool {
		o, ok := positions(f.t, f.to, group).Lookup(f.topic(topic), partition)
		return ok && o.At == at
	})
}

// broken is a flow that runs, whose partition a-0 has 15 equal records and then a fault: two records are somebody
// else's. A group has read 12 and one 15.
func broken(t *testing.T) (*flow, *ferry) {
	t.Helper()
	f := faulty(t)
	r := f.start()
	f.carriesOn("a", 0)
	f.carriesOn("a", 1)
	f.commitAt(f.name+"-behind", "a", 0, 12)
	f.commitAt(f.name+"-at-the-end", "a", 0, 15)
	f.groupAt(f.name+"-at-the-end", "a", 0, 15)
	f.somebody("a", 0, 2, time.Hour)
	f.feed("a", 0, 3)
	f.eventually("the fault is said", func() bool { return strings.Contains(r.stderr.String(), string(fault.ForeignAppend)) })
	f.eventually("the fault is published", func() bool { return f.status().FaultyPartitions == 1 })
	return f, r
}

// status is what kferry status says.
func (f *flow) status() report.Totals {
	f.t.Helper()
	e, err := runTool("status", "-f", f.file, "-o", "json")
	var doc report.Document
	if err != nil || e.code != 0 && e.code != exitFaults || e.json(&doc) != nil {
		f.t.Fatalf("kferry status ended with %d, %v\n%s", e.code, err, e.stderr)
	}
	return doc.Totals
}

func TestRepairRebuild(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "while running", false: "while stopped"}[running], func(t *testing.T) {
			f, r := broken(t)
			if !running {
				r.stop()
			}
			var plan repair.Plan
			f.tool(0, &plan, "repair", "-f", f.file, "--topic", f.topic("a"), "--rebuild", "--dry-run", "-o", "json")
			p := plan.Partitions[0]
			if p.Fault != fault.ForeignAppend || p.Agreed != 15 || p.Foreign < 2 || p.Copy != 18 || plan.Running != running || len(plan.Groups) != 2 || !plan.Groups[0].OnSource {
				t.Fatalf("the dry run says %+v", plan)
			}
			if _, to := f.ends("a", 0); to != p.TargetEnd {
				t.Fatalf("the dry run changed something: the target ends at %d, not at %d", to, p.TargetEnd)
			}
			f.tool(0, nil, "repair", "-f", f.file, "--topic", f.topic("a"), "--rebuild", "--yes")
			if running {
				f.carriesOn("a", 0)
				f.carriesOn("a", 1)
				f.carriesOn("b", 0)
				f.groupAt(f.name+"-behind", "a", 0, 12)
				if e := r.stop(); e.code != 0 || len(e.report.Faults) != 0 {
					t.Fatalf("code %d, faults %v\n%s", e.code, e.report.Faults, tail(e.stderr, 3000))
				}
			}
			f.mustCatchUp()
			f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
			f.sameGroups([]string{f.name + "-behind", f.name + "-at-the-end"}, f.topic("a"))
			if got := f.verified(0); got.Result != verify.Equal {
				t.Errorf("verify says %s", got.Result)
			}
		})
	}
}

func TestRepairShifted(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "while running", false: "while stopped"}[running], func(t *testing.T) {
			f, r := broken(t)
			if !running {
				r.stop()
			}
			var plan repair.Plan
			f.tool(0, &plan, "repair", "-f", f.file, "--topic", f.topic("a"), "--shifted", "--yes", "-o", "json")
			p := plan.Partitions[0]
			if !p.Attach || p.From != 15 || p.Shift >= 0 || plan.Partitions[1].Attach {
				t.Fatalf("the plan says %+v", plan)
			}
			m := p.Map
			if !running {
				r = f.start()
			}
			f.carriesOn("a", 1)
			f.feed("a", 0, 4)
			f.eventually("a-0 is copied on", func() bool { s, to := f.ends("a", 0); return s-p.Shift == to })
			f.commitAt(f.name+"-at-the-end", "a", 0, 20)
			f.groupAt(f.name+"-at-the-end", "a", 0, 20-p.Shift)
			f.groupAt(f.name+"-behind", "a", 0, 12)
			if e := r.stop(); e.code != 0 || len(e.report.Faults) != 0 {
				t.Fatalf("code %d, faults %v\n%s", e.code, e.report.Faults, tail(e.stderr, 3000))
			}
			if n := f.equalShifted(f.topic("a"), 0, m); n != 22 {
				t.Errorf("compared %d records, want 22", n)
			}
			// verify compares what there is to compare, and names the rest.
			got := f.verified(5)
			if got.Result != verify.Incomplete || len(got.Differences) != 0 || len(got.Skipped) != 1 || got.Skipped[0].What != fmt.Sprintf("target offsets 15 to %d", 15-p.Shift-1) {
				t.Errorf("verify says %s, differences %v, skipped %+v", got.Result, got.Differences, got.Skipped)
			}
			// It stays so after kill -9, and without the state topic.
			k := f.start()
			f.feed("a", 0, 5)
			time.Sleep(500 * time.Millisecond)
			k.kill()
			if err := f.to.Delete(t.Context(), "__kferry-state"); err != nil {
				t.Fatal(err)
			}
			f.feed("a", 0, 5)
			f.mustCatchUp()
			if n := f.equalShifted(f.topic("a"), 0, m); n != 32 {
				t.Errorf("compared %d records, want 32", n)
			}
			f.equal(history.Rules{}, f.topic("b"))
		})
	}
}

// The source deleted what was not copied yet: going on leaves a distance, and says what is gone.
func TestRepairOvertaken(t *testing.T) {
	f := faulty(t)
	f.mustCatchUp()
	f.feed("a", 0, 20)
	f.commitAt(f.name+"-inside", "a", 0, 13)
	f.commitAt(f.name+"-behind", "a", 0, 20)
	if err := f.from.DeleteBefore(t.Context(), f.topic("a"), 0, 17); err != nil {
		t.Fatal(err)
	}
	f.wantFault(f.catchUp(), exitFaults, fault.RetentionOvertook, f.topic("a"), 0)
	var plan repair.Plan
	f.tool(0, &plan, "repair", "-f", f.file, "--topic", f.topic("a"), "--shifted", "--yes", "-o", "json")
	want := shift.Map{{From: 0, Until: 10, Shift: 0}, {From: 17, Until: shift.Open, Shift: 7}}
	if p := plan.Partitions[0]; p.Gone != 7 || p.Map.String() != want.String() {
		t.Fatalf("the plan says %+v", plan)
	}
	e := f.start()
	f.eventually("a-0 is copied on", func() bool { s, to := f.ends("a", 0); return s-7 == to })
	f.groupAt(f.name+"-behind", "a", 0, 13)
	f.groupAt(f.name+"-inside", "a", 0, 10)
	end := e.stop()
	clamped := false
	for _, g := range end.report.Groups {
		clamped = clamped || g.ID == f.name+"-inside" && g.Held == 1 && strings.Contains(g.Reason, "clamped")
	}
	if end.code != 0 || !clamped {
		t.Errorf("code %d, faults %v, groups %+v", end.code, end.report.Faults, end.report.Groups)
	}
	f.equalShifted(f.topic("a"), 0, want)
	if got := f.verified(0); got.Result != verify.Equal { // the target's log start has followed: nothing of the first segment is left
		t.Errorf("verify says %s, skipped %+v, differences %+v", got.Result, got.Skipped, got.Differences)
	}
}

// The source's disk is restored from a copy that is older than what was copied.
func TestRepairTruncation(t *testing.T) {
	actions := []repair.Action{repair.Reattach}
	if long() {
		actions = append(actions, repair.Rebuild)
	}
	for _, action := range actions {
		t.Run(string(action), func(t *testing.T) {
			dir := t.TempDir()
			source, err := testbed.Start(t.Context(), testbed.Options{Version: testbed.V39, DataDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = source.Close() })
			f := newFlow(t, source, cluster(t, testbed.V43))
			if err := f.from.Create(t.Context(), f.topic("a"), 1, nil); err != nil {
				t.Fatal(err)
			}
			f.feed("a", 0, 10)
			logs, kept := filepath.Join(dir, "broker-0"), filepath.Join(dir, "kept")
			stopped(t, source, func() error { return os.CopyFS(kept, os.DirFS(logs)) })
			f.feed("a", 0, 6)
			f.mustCatchUp()
			stopped(t, source, func() error {
				if err := os.RemoveAll(logs); err != nil {
					return err
				}
				return os.CopyFS(logs, os.DirFS(kept))
			})
			ft := f.wantFault(f.catchUp(), exitFaults, fault.Truncation, f.topic("a"), 0)
			if ft.Offset != 10 || ft.Count != 6 || !strings.Contains(ft.Next, "kferry repair") {
				t.Errorf("%+v", ft)
			}
			f.feed("a", 0, 8) // what takes the place of the lost
			var plan repair.Plan
			flag := "--" + string(action)
			f.tool(exitRefused, nil, "repair", "-f", f.file, "--topic", f.topic("b"), flag, "--yes")
			f.tool(0, &plan, "repair", "-f", f.file, "--topic", f.topic("a"), flag, "--yes", "-o", "json")
			if p := plan.Partitions[0]; p.Agreed != 10 || p.Foreign != 6 {
				t.Fatalf("the plan says %+v", plan)
			}
			f.mustCatchUp()
			m := shift.Map(nil).Attach(10, 10, 16)
			if action == repair.Rebuild {
				m = nil
			}
			if n := f.equalShifted(f.topic("a"), 0, m); n != 18 {
				t.Errorf("compared %d records, want 18", n)
			}
		})
	}
}

// stopped does something while the cluster's only broker is stopped.
func stopped(t *testing.T, c *testbed.Cluster, do func() error) {
	t.Helper()
	if err := c.Broker(0).Stop(); err != nil {
		t.Fatal(err)
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
}

// A source topic that was created anew is copied on behind the old one's records.
func TestRepairRecreated(t *testing.T) {
	f := faulty(t)
	f.mustCatchUp()
	f.recreate(f.from, "a", 2)
	f.feed("a", 0, 4)
	if ft := faultOf(f.catchUp().report, f.topic("a"), 0); ft == nil || ft.Kind != fault.TopicRecreated {
		t.Fatalf("%+v", ft)
	}
	var plan repair.Plan
	f.tool(0, &plan, "repair", "-f", f.file, "--topic", f.topic("a"), "--shifted", "--yes", "-o", "json")
	f.mustCatchUp()
	if n := f.equalShifted(f.topic("a"), 0, shift.Map{{From: 0, Until: shift.Open, Shift: -10}}); n != 4 {
		t.Errorf("compared %d records, want 4", n)
	}
	got := f.verified(5)
	if len(got.Differences) != 0 || len(got.Skipped) != 2 || got.Skipped[0].What != "target offsets 0 to 9" {
		t.Errorf("verify says %s, differences %v, skipped %+v", got.Result, got.Differences, got.Skipped)
	}
}

func TestRepairRefusals(t *testing.T) {
	f, r := broken(t)
	r.stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args := []string{"repair", "-f", f.file, "--topic", f.topic("a"), "--rebuild", "--yes"}

	// Somebody reads there.
	reader, err := kgo.NewClient(kgo.SeedBrokers(f.target.Addrs()...), kgo.ConsumerGroup(f.name+"-reader"), kgo.ConsumeTopics(f.topic("a")), kgo.DisableAutoCommit(), kgo.DisableClientMetrics(), kgo.ClientID("careless"))
	if err != nil {
		t.Fatal(err)
	}
	reader.PollFetches(ctx)
	if words := f.tool(exitRefused, nil, args...); !strings.Contains(words, "group "+f.name+"-reader is live on the target") || !strings.Contains(words, "careless") {
		t.Errorf("refused with: %s", words)
	}
	reader.Close()

	// Somebody writes there.
	f.somebody("a", 1, 1, 0)
	if words := f.tool(exitRefused, nil, args...); !strings.Contains(words, "wrote to "+f.topic("a")+"-1 on the target") {
		t.Errorf("refused with: %s", words)
	}

	// Nothing is wrong with b.
	if words := f.tool(exitRefused, nil, "repair", "-f", f.file, "--topic", f.topic("b"), "--shifted", "--yes"); !strings.Contains(words, "has no fault") {
		t.Errorf("refused with: %s", words)
	}
	if words := f.tool(exitRefused, nil, "repair", "-f", f.file, "--topic", "elsewhere", "--rebuild", "--yes"); !strings.Contains(words, "no flow carries topic elsewhere") {
		t.Errorf("refused with: %s", words)
	}
	if _, to := f.ends("a", 0); to == 0 {
		t.Error("a refused repair deleted the topic")
	}
}

// A repair that was killed with its hand on a topic: kferry lets go of the topic, and takes it up by itself when the
// time is over. The other topics are copied all the while.
func TestRepairKilled(t *testing.T) {
	f, r := broken(t)
	target, err := kafka.Open(t.Context(), kafka.Connection{Alias: "new", Bootstrap: f.target.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	book := ledger.Open(target, f.name)
	tp := estate.TopicPartition{Topic: f.topic("a"), Partition: 0}
	until := time.Now().Add(15 * time.Second)
	if err := book.Put(t.Context(), map[estate.TopicPartition]ledger.Entry{tp: {Mode: report.ModeIdentical, Held: until}}); err != nil {
		t.Fatal(err)
	}
	held := func() bool {
		var doc report.Document
		e, err := runTool("status", "-f", f.file, "-o", "json")
		if err != nil || e.json(&doc) != nil {
			t.Fatalf("kferry status: %v, code %d", err, e.code)
		}
		return doc.Topics[0].Held && doc.Topics[0].State == report.Paused
	}
	f.eventually("the topic is let go", held)
	f.stands("a", 1)
	f.carriesOn("b", 0)
	f.eventually("the topic is taken up again", func() bool { return !held() })
	f.carriesOn("a", 1)
	if time.Now().Before(until) {
		t.Error("it was taken up before the time was over")
	}
	f.wantFault(r.stop(), exitFaults, fault.ForeignAppend, f.topic("a"), 0)
}
