package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
	}
	Main(m)
}

// client makes a client of the cluster that the test closes.
func client(t *testing.T, bootstrap string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(bootstrap, ",")...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// deadline bounds whatever one test asks of a cluster.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustCreateTopic(t *testing.T, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), partitions, -1, nil, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

func mustProduce(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Value: []byte(v)}
		if err := cl.ProduceSync(deadline(t), r).FirstErr(); err != nil {
			t.Fatalf("produce %q to %s: %v", v, topic, err)
		}
	}
}

// mustConsume reads n values from the start of the topic's partitions.
func mustConsume(t *testing.T, bootstrap, topic string, n int, opts ...kgo.Opt) []string {
	t.Helper()
	cl := client(t, bootstrap, append(opts, kgo.ConsumeTopics(topic))...)
	var values []string
	for len(values) < n {
		fetches := cl.PollFetches(deadline(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s after %d of %d records: %v", topic, len(values), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestSharedClusterTakesAndGivesRecords(t *testing.T) {
	for _, v := range Versions() {
		t.Run(string(v), func(t *testing.T) {
			c := Shared(t, v)
			cl := client(t, c.Bootstrap(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			mustCreateTopic(t, cl, "shared", 1)
			mustProduce(t, cl, "shared", "a", "b")
			if got := mustConsume(t, c.Bootstrap(), "shared", 2); got[0] != "a" || got[1] != "b" {
				t.Errorf("consumed %q, want a and b", got)
			}
			if again := Shared(t, v); again != c {
				t.Errorf("a second call started another cluster")
			}
			b := c.Broker(0)
			if cpu, err := b.CPU(); err != nil || cpu <= 0 {
				t.Errorf("CPU of a broker that has started: %v, %v", cpu, err)
			}
			if rss, err := b.RSS(); err != nil || rss < 50<<20 {
				t.Errorf("resident memory of a Java process: %d bytes, %v", rss, err)
			}
		})
	}
}

// No test may create a topic by mistyping its name.
func TestTopicsAreNotCreatedByUse(t *testing.T) {
	cl := client(t, Shared(t, V39).Bootstrap(), kgo.UnknownTopicRetries(0))
	err := cl.ProduceSync(deadline(t), kgo.StringRecord("x")).FirstErr()
	if err == nil {
		t.Fatal("a record without a topic was taken")
	}
	err = cl.ProduceSync(deadline(t), &kgo.Record{Topic: "nowhere"}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce to a topic that does not exist: %v", err)
	}
}

// 3.9 runs as 4.3 does; the other tests start it.
func TestBrokerSurvivesStopKillPauseAndRestart(t *testing.T) {
	for _, v := range []Version{V28, V43} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := New(t, Options{Version: v, HeapMB: 300})
			b := c.Broker(0)
			cl := client(t, c.Bootstrap())
			mustCreateTopic(t, cl, "kept", 1)
			mustProduce(t, cl, "kept", "first")

			b.Kill()
			if b.Running() || b.PID() != 0 {
				t.Fatalf("killed broker still runs as %d", b.PID())
			}
			if _, err := b.CPU(); !errors.Is(err, errNotRunning) {
				t.Errorf("CPU of a killed broker: %v", err)
			}
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			mustProduce(t, cl, "kept", "second")

			if err := b.Pause(); err != nil {
				t.Fatal(err)
			}
			if answers(t, c, 500*time.Millisecond) {
				t.Error("a paused broker answered")
			}
			if err := b.Resume(); err != nil {
				t.Fatal(err)
			}
			mustProduce(t, cl, "kept", "third")

			if err := b.Restart(map[string]string{"message.max.bytes": "4242"}); err != nil {
				t.Fatal(err)
			}
			if got := brokerConfig(t, cl, "message.max.bytes"); got != "4242" {
				t.Errorf("message.max.bytes after the restart is %q", got)
			}
			if got := mustConsume(t, c.Bootstrap(), "kept", 3); strings.Join(got, " ") != "first second third" {
				t.Errorf("consumed %q", got)
			}
		})
	}
}

// answers says whether the cluster answers a new connection within d.
func answers(t *testing.T, c *Cluster, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return client(t, c.Bootstrap()).Ping(ctx) == nil
}

func brokerConfig(t *testing.T, cl *kgo.Client, key string) string {
	t.Helper()
	rcs, err := kadm.NewClient(cl).DescribeBrokerConfigs(deadline(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := rcs.On("0", nil)
	if err != nil || rc.Err != nil {
		t.Fatalf("describe broker 0: %v, %v", err, rc.Err)
	}
	for _, kv := range rc.Configs {
		if kv.Key == key {
			return kv.MaybeValue()
		}
	}
	t.Fatalf("broker 0 has no config %s", key)
	return ""
}

func TestThreeBrokersReplicateAndLoseOne(t *testing.T) {
	for _, v := range []Version{V28, V39} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := New(t, Options{Version: v, Brokers: 3, HeapMB: 256, Config: map[string]string{"min.insync.replicas": "2"}})
			cl := client(t, c.Bootstrap())
			mustCreateTopic(t, cl, "spread", 3)
			if leaders := leadersOf(t, cl, "spread"); len(leaders) != 3 {
				t.Errorf("three partitions are led by %v", leaders)
			}
			c.Broker(1).Kill()
			for i := range 6 {
				mustProduce(t, cl, "spread", fmt.Sprint(i))
			}
			if err := c.Broker(1).Start(); err != nil {
				t.Fatal(err)
			}
			mustConsume(t, c.Bootstrap(), "spread", 6)
		})
	}
}

// leadersOf waits until all brokers know the topic's partitions and returns who
// leads them.
func leadersOf(t *testing.T, cl *kgo.Client, topic string) map[int32]bool {
	t.Helper()
	for ctx := deadline(t); ; time.Sleep(50 * time.Millisecond) {
		details, err := kadm.NewClient(cl).ListTopics(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]bool{}
		for _, p := range details[topic].Partitions {
			if len(p.Replicas) != 3 {
				t.Errorf("partition %d has replicas %v, want three", p.Partition, p.Replicas)
			}
			leaders[p.Leader] = true
		}
		if len(leaders) > 0 && !leaders[-1] {
			return leaders
		}
	}
}

// A transaction needs its coordinator's topic, and so its replication and its
// min ISR, to be right for one broker.
func TestTransactionsRunOnOneBroker(t *testing.T) {
	for _, v := range Versions() {
		t.Run(string(v), func(t *testing.T) {
			cl := client(t, Shared(t, v).Bootstrap(), kgo.TransactionalID("tx"))
			mustCreateTopic(t, cl, "tx", 1)
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			mustProduce(t, cl, "tx", "x")
			if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Options{Version: V39, HeapMB: 256})
	if err != nil {
		t.Fatal(err)
	}
	pid, dir, addr := c.Broker(0).PID(), c.dir, c.Bootstrap()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(fmt.Sprintf("/proc/%d", pid)) {
		t.Errorf("process %d still exists", pid)
	}
	if exists(dir) {
		t.Errorf("directory %s still exists", dir)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Errorf("%s still takes connections", addr)
	}
}

func TestDataDirOutlivesTheCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := Options{Version: V39, HeapMB: 256, DataDir: dir}
	c := New(t, o)
	cl := client(t, c.Bootstrap())
	mustCreateTopic(t, cl, "kept", 1)
	mustProduce(t, cl, "kept", "x")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if again := New(t, o); len(mustConsume(t, again.Bootstrap(), "kept", 1)) != 1 {
		t.Error("the record is gone")
	}
}

func TestStartTellsTheLogOfABrokerThatEnds(t *testing.T) {
	_, err := Start(t.Context(), Options{Version: V39, Config: map[string]string{"log.segment.bytes": "not-a-number"}})
	if err == nil || !strings.Contains(err.Error(), "log.segment.bytes") {
		t.Errorf("start with a bad line: %v; want the line named", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no version":         {},
		"unknown version":    {Version: "1.0"},
		"negative":           {Version: V39, Brokers: -1},
		"same name twice":    {Version: V39, Security: Security{Listeners: []Listener{{}, {}}}},
		"the test bed's own": {Version: V39, Security: Security{Listeners: []Listener{{Name: "internal"}}}},
	} {
		if c, err := Start(t.Context(), o); err == nil {
			c.Close()
			t.Errorf("%s: started", name)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]Version{"2.8": V28, "3.9.1": V39, "3.9.2": V39, "4.3": V43} {
		if got, err := ParseVersion(s); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %q, %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"", "4", "4.30", "2.7.1"} {
		if got, err := ParseVersion(s); err == nil {
			t.Errorf("ParseVersion(%q) = %q, want an error", s, got)
		}
	}
}

func TestScratchOfDeadProcessesIsSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, remove, err := scratchDir("mine")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	left, err := os.MkdirTemp("", scratchPrefix+"left-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left+"/owner.lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweepScratch()
	if exists(left) {
		t.Error("what a dead process left is still there")
	}
	if !exists(mine) {
		t.Error("what a living process uses was removed")
	}
}
