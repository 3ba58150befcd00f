package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/verify"
)

// farStart is a log start that nobody wants to seed.
const farStart = int64(5_000_000_000)

// farOut moves the logs of a topic that was just created out to an offset, as years of writing and deleting would:
// with the broker stopped, an empty segment takes the place of the first one.
func farOut(c *testbed.Cluster, dir, topic string, partitions int32) error {
	b := c.Broker(0)
	if err := b.Stop(); err != nil {
		return err
	}
	logs := filepath.Join(dir, "broker-0")
	for p := range partitions {
		at := filepath.Join(logs, fmt.Sprintf("%s-%d", topic, p))
		files, err := os.ReadDir(at)
		if err != nil {
			return err
		}
		for _, f := range files {
			if f.Name() != "partition.metadata" {
				if err := os.Remove(filepath.Join(at, f.Name())); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(at, fmt.Sprintf("%020d.log", farStart+int64(p))), nil, 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"replication-offset-checkpoint", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"} {
		if err := forget(filepath.Join(logs, name), topic); err != nil {
			return err
		}
	}
	return b.Start()
}

// forget takes a topic's lines out of one of the broker's checkpoint files: version, number of lines, lines.
func forget(file, topic string) error {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) < 2 {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(lines[2:]), func(l string) bool { return strings.HasPrefix(l, topic+" ") })
	text := fmt.Sprintf("%s\n%d\n%s", lines[0], len(rest), strings.Join(append(rest, ""), "\n"))
	return os.WriteFile(file, []byte(text), 0o600)
}

// committed reads all committed records of a partition, in order.
func committed(ctx context.Context, c *testbed.Cluster, topic string, partition int32) ([]*kgo.Record, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.DisableClientMetrics(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	lists, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, start := lists[topic][partition].Offset, starts[topic][partition].Offset
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out []*kgo.Record
	for at := start; at < end; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read %s-%d: at %d of %d: %w", topic, partition, at, end, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
		})
	}
	return out, nil
}

// sameRecord compares what a consumer sees of a record.
func sameRecord(a, b *kgo.Record) bool {
	return bytes.Equal(a.Key, b.Key) && (a.Key == nil) == (b.Key == nil) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil) &&
		a.Timestamp.Equal(b.Timestamp) && slices.EqualFunc(a.Headers, b.Headers, func(x, y kgo.RecordHeader) bool {
		return x.Key == y.Key && bytes.Equal(x.Value, y.Value)
	})
}

// equalShifted compares committed records at the distances of m: each record of the source in a segment is on the
// target there, and what the target has beyond them is an echo of the next one, or in a foreign stretch.
func (f *flow) equalShifted(topic string, partition int32, m shift.Map) int {
	f.t.Helper()
	source, err := committed(f.t.Context(), f.source, topic, partition)
	if err != nil {
		f.t.Fatal(err)
	}
	target, err := committed(f.t.Context(), f.target, topic, partition)
	if err != nil {
		f.t.Fatal(err)
	}
	foreign := func(offset int64) bool {
		for i := range m {
			if s := m.Foreign(i); offset >= s.From && offset < s.To {
				return true
			}
		}
		return false
	}
	next := 0
	for _, s := range source {
		want, exact := m.Position(s.Offset)
		if !exact {
			continue // lost, and the map says so
		}
		for next < len(target) && target[next].Offset < want {
			if r := target[next]; !foreign(r.Offset) && !sameRecord(r, s) {
				f.t.Fatalf("%s-%d: the target has a record at %d that is not the source's", topic, partition, r.Offset)
			}
			next++
		}
		if next == len(target) || target[next].Offset != want || !sameRecord(target[next], s) {
			f.t.Fatalf("%s-%d: the source's record at %d is not at %d of the target", topic, partition, s.Offset, want)
		}
		next++
	}
	if next < len(target) && !foreign(target[len(target)-1].Offset) {
		f.t.Fatalf("%s-%d: the target goes on behind the source's end", topic, partition)
	}
	return len(source)
}

// verified runs kferry verify.
func (f *flow) verified(wantCode int) verify.Result {
	f.t.Helper()
	var r verify.Result
	f.tool(wantCode, &r, "verify", "-f", f.file, "-o", "json")
	return r
}

// tool runs another command of kferry and reads its JSON.
func (f *flow) tool(wantCode int, into any, args ...string) (stderr string) {
	f.t.Helper()
	e, err := runTool(args...)
	if err != nil || e.code != wantCode {
		f.t.Fatalf("kferry %v ended with %d (%v), want %d\n%s\n%s", args, e.code, err, wantCode, tail(e.stdout, 3000), tail(e.stderr, 3000))
	}
	if into != nil {
		if err := e.json(into); err != nil {
			f.t.Fatalf("kferry %v: %v\n%s", args, err, e.stdout)
		}
	}
	return e.stderr
}

// positions are a group's positions on a cluster.
func positions(t *testing.T, w *history.Writer, group string) kadm.OffsetResponses {
	t.Helper()
	o, err := kadm.NewClient(w.Client()).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// groupsShifted checks positions by subtraction. Those before the first copied offset are at the first.
func (f *flow) groupsShifted(groups []string, maps map[string]shift.Map) (exact int) {
	f.t.Helper()
	for _, g := range groups {
		there := positions(f.t, f.to, g)
		positions(f.t, f.from, g).Each(func(o kadm.OffsetResponse) {
			want, ok := maps[fmt.Sprintf("%s-%d", o.Topic, o.Partition)].Position(o.At)
			if ok {
				exact++
			}
			got, found := there.Lookup(o.Topic, o.Partition)
			if !found || got.At != want || got.Metadata != o.Metadata {
				f.t.Errorf("group %s in %s-%d: the source's %d is %d on the target (found %v), want %d", g, o.Topic, o.Partition, o.At, got.At, found, want)
			}
		})
	}
	return exact
}

func TestShifted(t *testing.T) {
	dir := t.TempDir()
	source, err := testbed.Start(t.Context(), testbed.Options{Version: testbed.V39, Config: quickCleaner, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	f := newFlow(t, source, cluster(t, testbed.V43), "gaps: {wide: 30}", "mode: shifted")
	var topics []string
	maps := map[string]shift.Map{}
	for _, h := range history.Hard() {
		if !slices.Contains([]string{"codecs", "transactions", "compacted", "compacted-transactions"}, h.Name) {
			continue
		}
		name, write := f.topic(h.Name), h.Write
		h.Write = func(ctx context.Context, p *history.Pen) error {
			if err := farOut(source, dir, name, h.Partitions); err != nil {
				return err
			}
			return write(ctx, p)
		}
		if err := f.from.Write(t.Context(), name, h); err != nil {
			t.Fatal(err)
		}
		topics = append(topics, name)
		for p := range h.Partitions {
			maps[fmt.Sprintf("%s-%d", name, p)] = shift.Begin(farStart + int64(p))
		}
	}
	groups, err := f.from.WriteGroups(t.Context(), f.name+"-", topics)
	if err != nil {
		t.Fatal(err)
	}
	all := func(when string, code int) {
		t.Helper()
		records := 0
		for _, topic := range topics {
			for p := range int32(3) {
				if m, ok := maps[fmt.Sprintf("%s-%d", topic, p)]; ok {
					records += f.equalShifted(topic, p, m)
				}
			}
		}
		exact := f.groupsShifted(groups, maps)
		r := f.verified(code)
		if r.Result != verify.Equal || r.RecordsCompared == 0 || r.PerTopic[0].Mode != "shifted" {
			t.Errorf("%s: verify says %s of %d records, %+v, skipped %+v", when, r.Result, r.RecordsCompared, r.PerTopic, r.Skipped)
		}
		t.Logf("%s: %d records and %d positions are where they should be; verify compared %d records", when, records, exact, r.RecordsCompared)
	}

	doc := f.mustCatchUp()
	if doc.Totals.OffsetsSeeded != 0 {
		t.Errorf("%d offsets were seeded", doc.Totals.OffsetsSeeded)
	}
	if p := doc.Topics[0].Partitions[0]; doc.Topics[0].Mode != "shifted" || p.Shift != farStart || p.TargetEnd >= farStart || p.SourceEnd < farStart {
		t.Errorf("the report says %+v of topic %s, mode %s", p, doc.Topics[0].Name, doc.Topics[0].Mode)
	}
	all("copied", 0)

	// kill -9 again and again while producers write.
	live := f.topic(topics[0][len(f.prefix)+1:])
	writing, err := f.from.GoLive(t.Context(), map[string]int32{live: 3}, 300)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r := f.start()
		time.Sleep(1500 * time.Millisecond)
		r.kill()
	}
	if err := writing.Stop(); err != nil {
		t.Fatal(err)
	}
	f.mustCatchUp()
	all("after four kills", 0)

	// The source's log start moves, and the target's by the same distance.
	if err := f.from.DeleteBefore(t.Context(), live, 0, farStart+100); err != nil {
		t.Fatal(err)
	}
	f.feed("codecs", 0, 5)
	f.mustCatchUp()
	f.eventually("the log start follows", func() bool {
		lists, err := kadm.NewClient(f.to.Client()).ListStartOffsets(t.Context(), live)
		o, _ := lists.Lookup(live, 0)
		return err == nil && o.Offset == 100
	})

	// Without the state topic the ledger knows.
	if err := f.to.Delete(t.Context(), "__kferry-state"); err != nil {
		t.Fatal(err)
	}
	f.feed("codecs", 1, 5)
	f.mustCatchUp()
	all("state topic deleted", 0)

	// Without the ledger the state topic knows, and the ledger is written again.
	f.forgetLedger()
	f.feed("codecs", 2, 5)
	r := f.start()
	f.eventually("the ledger is there again", func() bool {
		return len(positions(t, f.to, "__kferry-shift-"+f.name)) > 0
	})
	if e := r.stop(); e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	all("ledger deleted", 0)

	// The flow says another mode than the topics were begun with.
	f.extra = []string{"gaps: {wide: 30}"}
	f.configure()
	e := f.catchUp()
	for _, ft := range e.report.Faults {
		if ft.Kind != fault.ModeChanged || !strings.Contains(ft.Next, "repair") {
			t.Errorf("%+v", ft)
		}
	}
	if len(e.report.Faults) != len(topics) || e.code != exitRefused {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	f.extra = []string{"gaps: {wide: 30}", "mode: shifted"}
	f.configure()

	// With both lost kferry does not guess.
	f.forgetLedger()
	if err := f.to.Delete(t.Context(), "__kferry-state"); err != nil {
		t.Fatal(err)
	}
	_, before := f.ends("codecs", 0)
	f.feed("codecs", 0, 5)
	e = f.catchUp()
	if ft := faultOf(e.report, live, 0); ft == nil || ft.Kind != fault.ShiftUnknown {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	if _, after := f.ends("codecs", 0); after != before {
		t.Errorf("something was written at an unknown distance: %d, then %d", before, after)
	}
}

// forgetLedger deletes the group that holds the ledger.
func (f *flow) forgetLedger() {
	f.t.Helper()
	group := "__kferry-shift-" + f.name
	if _, err := kadm.NewClient(f.to.Client()).DeleteGroups(f.t.Context(), group); err != nil {
		f.t.Fatal(err)
	}
	f.eventually("the group is gone", func() bool { return len(positions(f.t, f.to, group)) == 0 })
}

// A topic that was begun identical is not gone on with as shifted, unless nothing was written to it yet.
func TestIdenticalStaysIdentical(t *testing.T) {
	f := faulty(t)
	f.mustCatchUp()
	f.extra = []string{"shifted: ['.*-a']"}
	f.configure()
	f.feed("a", 0, 3)
	e := f.catchUp()
	if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || ft.Kind != fault.ModeChanged || e.code != exitFaults {
		t.Fatalf("code %d, faults %v", e.code, e.report.Faults)
	}
	f.equal(history.Rules{}, f.topic("b"))
	if _, to := f.ends("a", 0); to != 10 {
		t.Errorf("the target has %d records, want 10", to)
	}
}

// What is too far out to be seeded is said, and then shifted.
func TestSeedLimitThenShifted(t *testing.T) {
	f := newFlow(t, cluster(t, testbed.V39), cluster(t, testbed.V43), "seedLimit: 50")
	if err := f.from.Create(t.Context(), f.topic("a"), 1, nil); err != nil {
		t.Fatal(err)
	}
	f.feed("a", 0, 100)
	if err := f.from.DeleteBefore(t.Context(), f.topic("a"), 0, 90); err != nil {
		t.Fatal(err)
	}
	e := f.catchUp()
	if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || ft.Kind != fault.SeedLimit || !strings.Contains(ft.Next, "shifted") {
		t.Fatalf("code %d, faults %v", e.code, e.report.Faults)
	}
	f.extra = []string{"seedLimit: 50", "shifted: ['.*']"}
	f.configure()
	doc := f.mustCatchUp()
	if n := f.equalShifted(f.topic("a"), 0, shift.Begin(90)); n != 10 {
		t.Errorf("compared %d records, want 10", n)
	}
	if p := doc.Topics[0].Partitions[0]; p.State != report.Following || p.Shift != 90 {
		t.Errorf("%+v", p)
	}
}
