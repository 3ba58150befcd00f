package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// Connections to a target that forgets producers of old records at once are cut again and again: outcomes are not
// known, and no sequence protects what is tried again.
func TestConnectionsCut(t *testing.T) {
	cuts := 5
	if long() {
		cuts = 60
	}
	var proxy *testbed.Proxy
	target := testbed.New(t, testbed.Options{
		Version: testbed.V39,
		Config:  map[string]string{"producer.id.expiration.ms": "1000", "producer.id.expiration.check.interval.ms": "300"},
		Advertise: func(_ int, addr string) string {
			p, err := testbed.NewProxy(addr, 5*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			proxy = p
			return p.Addr()
		},
	})
	f := newFlow(t, cluster(t, testbed.V43), target, "limits: {bytesPerSecond: 60KB}")
	var hard []history.Topic
	for _, h := range history.Hard() {
		switch h.Name {
		case "codecs", "tiny", "transactions":
			hard = append(hard, h)
		}
	}
	topics := f.write(hard...)
	r := f.start()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	f.eventually("something is copied", func() bool { return end(t, f.to, topics[0], 0) > 0 })
	for range cuts {
		time.Sleep(time.Duration(300+rng.IntN(4500)) * time.Millisecond)
		proxy.Cut()
	}
	if e := r.stop(); e.report == nil || e.report.Totals.ResyncsUnknown == 0 {
		t.Errorf("no outcome was unknown; standard error:\n%s", tail(e.stderr, 3000))
	}
	proxy.SetDelay(0)
	f.targetLine = fmt.Sprintf(`{alias: new, bootstrapServers: "%s"}`, target.Internal())
	f.extra = nil
	f.configure()
	doc := f.mustCatchUp()
	t.Logf("%d copied after the last cut: %s", doc.Totals.RecordsCopied, f.equal(history.Rules{}, topics...))
}

// The source loses a tail that was copied already: its leader dies alone, and a replica that had fallen behind
// takes over (unclean leader election) and goes on with something else.
func TestSourceTruncated(t *testing.T) {
	source := testbed.New(t, testbed.Options{
		Version: testbed.V28, Brokers: 2,
		Config: map[string]string{"unclean.leader.election.enable": "true", "replica.lag.time.max.ms": "1500", "min.insync.replicas": "1"},
	})
	f := newFlow(t, source, cluster(t, testbed.V43), "replicationFactor: 1")
	ctx := t.Context()
	for _, topic := range []string{"a", "b"} {
		f.createLedByController(topic)
		f.eventually("the topic is there", func() bool { return end(t, f.from, f.topic(topic), 0) == 0 })
		f.feed(topic, 0, 10)
	}
	r := f.start()
	f.eventually("the first records are copied", func() bool { return end(t, f.to, f.topic("a"), 0) == 10 })
	leader := f.leader("a")
	follower := source.Broker(1 - leader)
	if err := follower.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := produceAlone(ctx, source, f.topic("a"), 5); err != nil {
		t.Fatal(err)
	}
	// When the follower is counted out, a 2.8 leader's high watermark moves with the next record only.
	for alone := int64(15); end(t, f.to, f.topic("a"), 0) < alone; alone++ {
		if alone > 60 {
			t.Fatalf("what only the leader has is not copied: the target ends at %d", end(t, f.to, f.topic("a"), 0))
		}
		time.Sleep(2 * time.Second)
		if err := produceAlone(ctx, source, f.topic("a"), 1); err != nil {
			t.Fatal(err)
		}
	}
	copied := end(t, f.to, f.topic("a"), 0)
	source.Broker(leader).Kill()
	if err := follower.Resume(); err != nil {
		t.Fatal(err)
	}
	f.eventually("the follower leads", func() bool { return f.leader("a") == 1-leader })
	f.feed("a", 0, 3)
	f.eventually("the fault is said", func() bool { return strings.Contains(r.stderr.String(), string(fault.Truncation)) })
	f.carriesOn("b", 0)
	ft := f.wantFault(r.stop(), exitFaults, fault.Truncation, f.topic("a"), 0)
	// A fetch of the follower was under way when it was frozen; it takes in what that brings when it goes on.
	if ft.Offset < 10 || ft.Offset >= copied || end(t, f.to, f.topic("a"), 0) != copied {
		t.Errorf("lost from about offset 10 on, the fault says %+v; the target has %d records", ft, end(t, f.to, f.topic("a"), 0))
	}
	// Started again it does not take the new history for the old one.
	f.feed("a", 0, 10)
	e := f.catchUp()
	if ft := faultOf(e.report, f.topic("a"), 0); ft == nil || e.code != exitFaults {
		t.Errorf("started again: code %d, faults %v", e.code, e.report.Faults)
	}
}

// createLedByController creates a topic of one partition and two replicas that the source's controller leads:
// brokers of 2.8 that wait for a frozen controller's leave to count a follower out sometimes wait for ever.
func (f *flow) createLedByController(topic string) {
	f.t.Helper()
	md, err := kadm.NewClient(f.from.Client()).BrokerMetadata(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = f.topic(topic), -1, -1
	assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assignment.Replicas = []int32{md.Controller, 1 - md.Controller}
	ct.ReplicaAssignment = append(ct.ReplicaAssignment, assignment)
	req.Topics = append(req.Topics, ct)
	resp, err := req.RequestWith(f.t.Context(), f.from.Client())
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// leader is the broker that leads a topic's partition 0 on the source, -1 while none does.
func (f *flow) leader(topic string) int {
	f.t.Helper()
	md, err := kadm.NewClient(f.from.Client()).Metadata(f.t.Context(), f.topic(topic))
	if err != nil {
		return -1
	}
	return int(md.Topics[f.topic(topic)].Partitions[0].Leader)
}

// produceAlone writes records that only the leader acknowledges.
func produceAlone(ctx context.Context, c *testbed.Cluster, topic string, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := range n {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, "only the leader has %d", i)}).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}
