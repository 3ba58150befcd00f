package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/testbed/faultproxy"
)

// rig is a pair of clusters whose disks, processes and connections may be meddled with.
type rig struct {
	source, target *testbed.Cluster
	dirs           map[*testbed.Cluster]string
	flipper        *flipper          // between kferry and the source
	proxy          *faultproxy.Proxy // between kferry and the target
}

// What happens below Kafka's protocol, each to a flow of its own on one pair of clusters. The target forgets
// transactional ids after seconds.
func TestRowRigged(t *testing.T) {
	r := newRig(t)
	t.Run("damaged on the way", r.damagedOnTheWay)
	t.Run("damaged on disk", r.damagedOnDisk)
	t.Run("sequences wrap", r.sequencesWrap)
	t.Run("broker killed with much in flight", r.brokerKilled)
	t.Run("target lost data", r.targetLostData)
	t.Run("transactional ids expire", r.transactionalIDsExpire)
	t.Run("acknowledgements lost and producers forgotten", r.producersForgotten)
	t.Run("empty tail", r.emptyTail)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dirs: map[*testbed.Cluster]string{}}
	start := func(o testbed.Options) *testbed.Cluster {
		o.DataDir = t.TempDir()
		c, err := testbed.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		r.dirs[c] = o.DataDir
		return c
	}
	r.source = start(testbed.Options{Version: testbed.V39, Config: quickCleaner, Advertise: func(_ int, addr string) string {
		r.flipper = newFlipper(t, addr)
		return r.flipper.listener.Addr().String()
	}})
	r.target = start(testbed.Options{
		Version: testbed.V43,
		Config: map[string]string{
			"transactional.id.expiration.ms": "3000", "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
			"producer.id.expiration.check.interval.ms": "300",
		},
		Advertise: func(_ int, addr string) string {
			p, err := faultproxy.New(addr, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			r.proxy = p
			return p.Addr()
		},
	})
	return r
}

func (r *rig) flow(t *testing.T, extra ...string) *flow {
	t.Helper()
	return newFlow(t, r.source, r.target, extra...)
}

// flipper forwards connections and, while it is armed, flips one bit of what it finds in an answer.
type flipper struct {
	listener net.Listener
	armed    atomic.Bool
	flipped  atomic.Int32
}

// needle is what is damaged. Records hold it many times, so that one is found whole.
var needle = []byte("this-was-sound-when-it-was-written")

func newFlipper(t *testing.T, to string) *flipper {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &flipper{listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(client, to)
		}
	}()
	return f
}

func (f *flipper) serve(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	for buf := make([]byte, 64<<10); ; {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if at := bytes.Index(buf[:n], needle); at >= 0 && f.armed.Load() {
			buf[at] ^= 4
			f.flipped.Add(1)
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// feedNeedles writes one uncompressed batch full of what may be damaged.
func (f *flow) feedNeedles(topic string) {
	f.t.Helper()
	var b batch.Builder
	for i := range 40 {
		r := batch.Record{Offset: int64(i), Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: bytes.Repeat(needle, 10)}
		if err := b.Append(&r); err != nil {
			f.t.Fatal(err)
		}
	}
	raw, err := b.Finish(batch.None)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := appendRaw(f.t.Context(), f.from.Client(), f.topic(topic), 0, raw, nil); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flow) create(topics ...string) {
	f.t.Helper()
	for _, topic := range topics {
		if err := f.from.Create(f.t.Context(), f.topic(topic), 1, nil); err != nil {
			f.t.Fatal(err)
		}
	}
}

// B7: a bit flips between the source's broker and the target's, as it would in kferry's memory. The producer's
// checksum goes with the bytes, so the target's broker refuses them.
func (r *rig) damagedOnTheWay(t *testing.T) {
	f := r.flow(t)
	f.create("a", "b")
	f.feed("a", 0, 5)
	f.mustCatchUp()
	f.feedNeedles("a")
	f.feed("b", 0, 5)
	r.flipper.armed.Store(true)
	e := f.catchUp()
	r.flipper.armed.Store(false)
	ft := f.wantFault(e, exitFaults, fault.CorruptBatch, f.topic("a"), 0)
	if _, to := f.ends("a", 0); to != 5 || ft.Offset != 5 || !strings.Contains(ft.Detail, "CORRUPT_MESSAGE") {
		t.Errorf("the target has %d records; %+v", to, ft)
	}
	f.equal(history.Rules{}, f.topic("b"))
	t.Logf("%d bits flipped", r.flipper.flipped.Load())
	f.mustCatchUp() // on disk the batch is sound
	f.equal(history.Rules{}, f.topic("a"), f.topic("b"))
}

// B6: a byte changes on the source's disk. What passes as it is, is refused by the target; what kferry writes anew,
// it checks itself, because the new checksum would be right.
func (r *rig) damagedOnDisk(t *testing.T) {
	f := r.flow(t)
	f.create("raw", "anew", "sound")
	if err := f.from.Configure(t.Context(), f.topic("anew"), "message.timestamp.type", "LogAppendTime"); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"raw", "anew", "sound"} {
		f.feed(topic, 0, 3)
		f.feedNeedles(topic)
		f.feed(topic, 0, 3)
	}
	stopped(t, r.source, func() error {
		for _, topic := range []string{"raw", "anew"} {
			file := filepath.Join(r.dirs[r.source], "broker-0", f.topic(topic)+"-0", fmt.Sprintf("%020d.log", 0))
			log, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			at := bytes.Index(log, needle)
			if at < 0 {
				return fmt.Errorf("%s does not hold what was written", file)
			}
			log[at] ^= 4
			if err := os.WriteFile(file, log, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	e := f.catchUp()
	for topic, words := range map[string]string{"raw": "CORRUPT_MESSAGE", "anew": "checksum is"} {
		ft := faultOf(e.report, f.topic(topic), 0)
		if ft == nil || ft.Kind != fault.CorruptBatch || ft.Offset != 3 || ft.Next == "" || !strings.Contains(ft.Detail, words) {
			t.Errorf("code %d, %s: %+v", e.code, topic, ft)
		}
		// Where small batches are joined the damage is seen before what lies next to it is written.
		if _, to := f.ends(topic, 0); to > 3 || topic == "raw" && to != 3 {
			t.Errorf("%s: the target has %d records, want the 3 before the damage", topic, to)
		}
	}
	if e.code != exitFaults || len(e.report.Faults) != 2 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	f.equal(history.Rules{}, f.topic("sound"))
}

// outTo moves a partition's empty log out to an offset, as farOut does.
func (r *rig) outTo(t *testing.T, c *testbed.Cluster, topic string, at int64) {
	t.Helper()
	stopped(t, c, func() error {
		logs := filepath.Join(r.dirs[c], "broker-0")
		dir := filepath.Join(logs, topic+"-0")
		files, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			if file.Name() != "partition.metadata" {
				if err := os.Remove(filepath.Join(dir, file.Name())); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.log", at)), nil, 0o600); err != nil {
			return err
		}
		return r.forgetEnds(c, topic)
	})
}

// forgetEnds takes a topic out of what the broker noted about its logs when it stopped.
func (r *rig) forgetEnds(c *testbed.Cluster, topic string) error {
	for _, name := range []string{"replication-offset-checkpoint", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"} {
		if err := forget(filepath.Join(r.dirs[c], "broker-0", name), topic); err != nil {
			return err
		}
	}
	return nil
}

// C11: sequence numbers are the low 31 bits of offsets, and wrap with them.
func (r *rig) sequencesWrap(t *testing.T) {
	const start = 1<<31 - 40
	f := r.flow(t)
	f.create("a")
	if err := f.to.Create(t.Context(), f.topic("a"), 1, nil); err != nil {
		t.Fatal(err)
	}
	r.outTo(t, r.source, f.topic("a"), start)
	r.outTo(t, r.target, f.topic("a"), start)
	if from, to := f.ends("a", 0); from != start || to != start {
		t.Fatalf("the logs end at %d and %d, want %d", from, to, int64(start))
	}
	f.feed("a", 0, 10)
	f.mustCatchUp()
	running := f.start()
	f.feed("a", 0, 7)
	f.feedNeedles("a") // from before 2^31 to behind it
	f.feedNeedles("a")
	f.feed("a", 0, 20)
	f.eventually("the wrap is copied", func() bool { from, to := f.ends("a", 0); return from == to })
	if e := running.stop(); e.code != 0 || e.report.Totals.BatchesRaw == 0 {
		t.Errorf("code %d, faults %v, %+v", e.code, e.report.Faults, e.report.Totals.Traffic)
	}
	f.feed("a", 0, 3)
	f.mustCatchUp()
	if res := f.equal(history.Rules{}, f.topic("a")); res.Committed != 10+7+40+40+20+3 {
		t.Error(res)
	}
}

// C5: the target's only broker dies with more batches on their way than it remembers of a producer.
func (r *rig) brokerKilled(t *testing.T) {
	f := r.flow(t)
	live := map[string]int32{f.topic("live"): 3}
	if err := f.from.Create(t.Context(), f.topic("live"), 3, nil); err != nil {
		t.Fatal(err)
	}
	topics := append(f.write(history.Hard()[0], history.Random(2, 150, false)), f.topic("live"))
	writing, err := f.from.GoLive(t.Context(), live, 400)
	if err != nil {
		t.Fatal(err)
	}
	r.proxy.SetLink(faultproxy.Link{Delay: 40 * time.Millisecond}) // so that much is on its way
	running := f.start()
	for range 2 {
		f.eventually("something is copied", func() bool { return end(t, f.to, topics[0], 0) > 0 })
		time.Sleep(300 * time.Millisecond)
		r.target.Broker(0).Kill()
		if err := r.target.Broker(0).Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := writing.Stop(); err != nil {
		t.Fatal(err)
	}
	r.proxy.Clear()
	f.eventually("all is copied", func() bool {
		res, err := history.Compare(t.Context(), f.from.Client(), f.to.Client(), topics, history.Rules{})
		return err == nil && res.Equal()
	})
	if e := running.stop(); e.code != 0 || e.report.Totals.ResyncsUnknown == 0 {
		t.Errorf("code %d, faults %v, %+v", e.code, e.report.Faults, e.report.Totals.Traffic)
	}
	t.Log(f.equal(history.Rules{}, topics...))
}

// C6: the target's disk is replaced: one partition has lost its tail, another everything.
func (r *rig) targetLostData(t *testing.T) {
	f := r.flow(t)
	f.create("tail", "all")
	for _, topic := range []string{"tail", "all"} {
		f.feed(topic, 0, 10)
	}
	f.mustCatchUp()
	logs, kept := filepath.Join(r.dirs[r.target], "broker-0"), filepath.Join(t.TempDir(), "kept")
	dir := filepath.Join(logs, f.topic("tail")+"-0")
	stopped(t, r.target, func() error { return os.CopyFS(kept, os.DirFS(dir)) })
	for _, topic := range []string{"tail", "all"} {
		f.feed(topic, 0, 8)
		f.commitAt(f.name+"-at-the-end", topic, 0, 18)
	}
	f.mustCatchUp()
	stopped(t, r.target, func() error {
		for _, topic := range []string{"tail", "all"} {
			if err := os.RemoveAll(filepath.Join(logs, f.topic(topic)+"-0")); err != nil {
				return err
			}
			if err := r.forgetEnds(r.target, f.topic(topic)); err != nil {
				return err
			}
		}
		return os.CopyFS(dir, os.DirFS(kept))
	})
	if _, tail := f.ends("tail", 0); tail != 10 {
		t.Fatalf("the target's log ends at %d, want 10", tail)
	}
	if _, all := f.ends("all", 0); all != 0 {
		t.Fatalf("the target's log ends at %d, want 0", all)
	}
	f.feed("tail", 0, 2)
	f.mustCatchUp()
	f.equal(history.Rules{}, f.topic("tail"), f.topic("all"))
	f.sameGroups([]string{f.name + "-at-the-end"}, f.topic("tail"), f.topic("all"))
}

// D4: the target forgets kferry's transactional ids while nothing happens, those that fill gaps too.
func (r *rig) transactionalIDsExpire(t *testing.T) {
	f := r.flow(t, "gaps: {permission: endTxn, wide: 20}")
	transactions := func(name string) history.Topic {
		return history.Topic{Name: name, Partitions: 2, Write: writeOf(history.Hard(), "transactions")}
	}
	topics := f.write(transactions("a"))
	running := f.start()
	settled := func(topics ...string) {
		t.Helper()
		f.eventually("all is copied", func() bool {
			res, err := history.Compare(t.Context(), f.from.Client(), f.to.Client(), topics, history.Rules{AbortedFillers: true})
			return err == nil && res.Equal()
		})
	}
	settled(topics...)
	asker, err := kgo.NewClient(kgo.SeedBrokers(r.target.Addrs()...), kgo.DisableClientMetrics()) // the writer's speaks 2.8
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	f.eventually("the ids are forgotten", func() bool {
		ids, err := kadm.NewClient(asker).ListTransactions(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids.TransactionalIDs() {
			if strings.Contains(id, f.name) {
				return false
			}
		}
		return true
	})
	topics = append(topics, f.write(transactions("b"))...)
	f.feed("a", 0, 5)
	settled(topics...)
	if e := running.stop(); e.code != 0 {
		t.Errorf("code %d, faults %v", e.code, e.report.Faults)
	}
	time.Sleep(4 * time.Second) // forgotten again
	topics = append(topics, f.write(transactions("c"))...)
	f.mustCatchUp()
	t.Log(f.equal(history.Rules{AbortedFillers: true}, topics...))
}

// writeOf is how one of the histories is written.
func writeOf(all []history.Topic, name string) func(context.Context, *history.Pen) error {
	for _, h := range all {
		if h.Name == name {
			return h.Write
		}
	}
	panic("no history " + name) // a mistake in the test
}

// C2: the target forgets producers of old records at once, and acknowledgements get lost. First the hazard: an
// idempotent producer that sends again is taken twice. Then kferry under the same fault.
func (r *rig) producersForgotten(t *testing.T) {
	f := r.flow(t)
	set := func(c kadm.AlterConfig) {
		t.Helper()
		done, err := kadm.NewClient(f.to.Client()).AlterBrokerConfigs(context.Background(), []kadm.AlterConfig{c})
		if err == nil {
			err = done[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(kadm.AlterConfig{Op: kadm.SetConfig, Name: "producer.id.expiration.ms", Value: kadm.StringPtr("1000")})
	t.Cleanup(func() { set(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "producer.id.expiration.ms"}) })
	t.Cleanup(r.proxy.Clear)

	if err := f.to.Create(t.Context(), "hazard", 1, nil); err != nil {
		t.Fatal(err)
	}
	lost := r.proxy.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DropResponse, Most: 1})
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.target.Addrs()...), kgo.DisableClientMetrics(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 3 * time.Second }))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	old := &kgo.Record{Topic: "hazard", Value: []byte("once"), Timestamp: time.Now().Add(-72 * time.Hour)}
	if err := cl.ProduceSync(t.Context(), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if n := end(t, f.to, "hazard", 0); n != 2 || lost.Done() != 1 {
		t.Fatalf("a blind retry left %d records with %d acknowledgements lost: the hazard is not shown", n, lost.Done())
	}
	lost.Remove()

	// Histories are weeks old, so the broker has forgotten kferry whenever it sends again.
	topics := f.write(history.Hard()[0], history.Random(2, 100, false))
	lost = r.proxy.Add(faultproxy.Rule{APIs: []int16{faultproxy.Produce}, Action: faultproxy.DropResponse, Every: 2, Most: 4})
	doc := f.catchUp()
	t.Logf("%d acknowledgements lost: %s", lost.Done(), f.equal(history.Rules{}, topics...))
	if doc.code != 0 || lost.Done() == 0 || doc.report.Totals.ResyncsUnknown == 0 {
		t.Errorf("code %d, faults %v, %d acknowledgements lost, %d unknown outcomes", doc.code, doc.report.Faults, lost.Done(), doc.report.Totals.ResyncsUnknown)
	}
}

// A7: the high watermark is beyond the last batch: what stood there was cleaned away. While a quota of the source
// holds answers back, nothing is taken for empty that is not.
func (r *rig) emptyTail(t *testing.T) {
	f := r.flow(t, "gaps: {wide: 100}")
	f.create("empty", "full")
	f.feed("empty", 0, 20)
	h := history.Hard()[0]
	h.Name = "much"
	topics := append(f.write(h), f.topic("empty"), f.topic("full"))
	stopped(t, r.source, func() error {
		file := filepath.Join(r.dirs[r.source], "broker-0", f.topic("empty")+"-0", fmt.Sprintf("%020d.log", 50))
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
		return r.forgetEnds(r.source, f.topic("empty"))
	})
	if from, _ := f.ends("empty", 0); from != 50 {
		t.Fatalf("the source's log ends at %d, want 50", from)
	}
	who := "kferry"
	quota := func(op kadm.AlterClientQuotaOp) {
		t.Helper()
		done, err := kadm.NewClient(f.from.Client()).AlterClientQuotas(context.Background(), []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &who}}, Ops: []kadm.AlterClientQuotaOp{op},
		}})
		if err == nil {
			err = done[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	quota(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Value: 100_000})
	t.Cleanup(func() { quota(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Remove: true}) })
	began := time.Now()
	running := f.start()
	f.patiently("the tail is filled", func() bool { from, to := f.ends("empty", 0); return from == to })
	f.feed("full", 0, 30) // new data where there was none
	f.feed("empty", 0, 4)
	f.patiently("all is copied", func() bool {
		res, err := history.Compare(t.Context(), f.from.Client(), f.to.Client(), topics, history.Rules{AbortedFillers: true})
		return err == nil && res.Equal()
	})
	e := running.stop()
	t.Logf("%.1f s; %s", time.Since(began).Seconds(), f.equal(history.Rules{AbortedFillers: true}, topics...))
	if e.code != 0 || e.report.Totals.GapsHoles != 30 {
		t.Errorf("code %d, faults %v, %d offsets taken for holes, want the 30 of the empty tail", e.code, e.report.Faults, e.report.Totals.GapsHoles)
	}
}
