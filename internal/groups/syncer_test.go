package groups

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
)

// pair is two clusters with a syncer between them. The test speaks to the clusters through clients of its own.
type pair struct {
	t              *testing.T
	source, target *kafka.Cluster
	a, b           *kadm.Client
	marks          map[estate.TopicPartition]Mark
	now            time.Time
	syncer         *Syncer
	// suffix is added to the names of topics and groups, so that tests can share clusters. The methods add it
	// and take it away.
	suffix string
}

func newPair(t *testing.T, a, b []string) *pair {
	t.Helper()
	p := &pair{t: t, marks: map[estate.TopicPartition]Mark{}, now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	p.source, p.a = connect(t, "a", a)
	p.target, p.b = connect(t, "b", b)
	p.restart(Options{})
	return p
}

func connect(t *testing.T, alias string, addrs []string) (*kafka.Cluster, *kadm.Client) {
	t.Helper()
	c, err := kafka.Open(t.Context(), kafka.Connection{Alias: alias, Bootstrap: addrs})
	must(t, err)
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ClientID("test"))
	must(t, err)
	t.Cleanup(client.Close)
	return c, kadm.NewClient(client)
}

func (p *pair) restart(o Options) {
	o.Exclude = DefaultExclude
	if o.Now == nil {
		o.Now = func() time.Time { return p.now }
	}
	p.syncer = New(p.source, p.target, o)
}

// topic makes a topic on both sides that the flow carries, with this high watermark on the target.
func (p *pair) topic(name string, partitions int32, high int64) {
	p.t.Helper()
	name += p.suffix
	for _, c := range []*kadm.Client{p.a, p.b} {
		_, err := c.CreateTopic(p.t.Context(), partitions, 1, nil, name)
		must(p.t, err)
	}
	for i := range partitions {
		p.marks[estate.TopicPartition{Topic: name, Partition: i}] = Mark{High: high}
	}
}

// set changes the mark of one partition.
func (p *pair) set(topic string, partition int32, m Mark) {
	p.marks[estate.TopicPartition{Topic: topic + p.suffix, Partition: partition}] = m
}

func (p *pair) mark(topic string, partition int32) (Mark, bool) {
	m, ok := p.marks[estate.TopicPartition{Topic: topic, Partition: partition}]
	return m, ok
}

// commit stores a position as somebody else than kferry would, with a leader epoch.
func (p *pair) commit(on *kadm.Client, group, topic string, partition int32, offset int64, metadata string) {
	p.t.Helper()
	var os kadm.Offsets
	os.Add(kadm.Offset{Topic: topic + p.suffix, Partition: partition, At: offset, LeaderEpoch: 0, Metadata: metadata})
	p.eventually("commit", func() error { return on.CommitAllOffsets(p.t.Context(), group+p.suffix, os) })
}

// eventually tries for a while what a fresh broker may refuse at first.
func (p *pair) eventually(what string, f func() error) {
	p.t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	p.t.Fatalf("%s: %v", what, err)
}

// stored is what a group has on the target, as topic-partition=offset@epoch/metadata.
func (p *pair) stored(group string) []string {
	p.t.Helper()
	os, err := p.b.FetchOffsets(p.t.Context(), group+p.suffix)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return []string{}
	}
	must(p.t, err)
	out := []string{}
	for _, o := range os.Sorted() {
		out = append(out, fmt.Sprintf("%s-%d=%d@%d/%s", strings.TrimSuffix(o.Topic, p.suffix), o.Partition, o.At, o.LeaderEpoch, o.Metadata))
	}
	return out
}

func (p *pair) holds(group string, want ...string) {
	p.t.Helper()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, p.stored(group)); diff != "" {
		p.t.Errorf("group %s on the target (-want +got):\n%s", group, diff)
	}
}

// sync runs the syncer over all groups and returns the rows by id.
func (p *pair) sync() map[string]report.Group {
	p.t.Helper()
	return p.rows(p.syncer.SyncAll(p.t.Context(), p.mark))
}

func (p *pair) rows(groups []report.Group, err error) map[string]report.Group {
	p.t.Helper()
	must(p.t, err)
	rows := map[string]report.Group{}
	for _, g := range groups {
		if g.At.IsZero() {
			p.t.Errorf("no time in %+v", g)
		}
		g.Reason = strings.ReplaceAll(g.Reason, p.suffix, "")
		rows[strings.TrimSuffix(g.ID, p.suffix)] = g
	}
	return rows
}

// row checks one group's line: how many positions are equal and not, and a part of the reason.
func (p *pair) row(rows map[string]report.Group, id string, synced, held int, reason string) {
	p.t.Helper()
	g, ok := rows[id]
	if !ok || g.Synced != synced || g.Held != held || !strings.Contains(g.Reason, reason) || (reason == "") != (g.Reason == "") {
		p.t.Errorf("%s: %+v (there: %v), want %d synced, %d held, reason %q", id, g, ok, synced, held, reason)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestCarriesPositions(t *testing.T) {
	for name, opts := range map[string][]kfake.Opt{
		"all at once": nil,
		"one by one":  {kfake.MaxVersions(kversion.V2_8_0())},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, fake(t, opts...).ListenAddrs(), fake(t, opts...).ListenAddrs())
			carries(p)
		})
	}
}

// carries is what must hold on any pair of clusters.
func carries(p *pair) {
	p.topic("orders", 3, 100)
	p.topic("elsewhere", 1, 100)
	delete(p.marks, estate.TopicPartition{Topic: "elsewhere" + p.suffix})
	p.set("orders", 2, Mark{High: 100, Hold: "the partition is faulted"})
	p.commit(p.a, "g", "orders", 0, 0, "")
	p.commit(p.a, "g", "orders", 1, 40, "some metadata")
	p.commit(p.a, "g", "elsewhere", 0, 7, "")
	p.commit(p.a, "ahead", "orders", 0, 150, "x")
	p.commit(p.a, "faulty", "orders", 2, 5, "")
	p.commit(p.a, "not-ours", "elsewhere", 0, 7, "")
	p.commit(p.a, "console-consumer-123", "orders", 0, 7, "")
	p.commit(p.a, "__kferry-x", "orders", 0, 7, "")
	p.commit(p.b, "only-there", "orders", 0, 3, "theirs")

	rows := p.sync()
	p.row(rows, "g", 2, 0, "")
	p.row(rows, "ahead", 0, 1, "1 of 1 positions held; orders-0: the target is behind: 100 of 150")
	p.row(rows, "faulty", 0, 1, "the partition is faulted")
	if len(rows) != 3 {
		p.t.Errorf("lines for %d groups, want 3: %v", len(rows), rows)
	}
	p.holds("g", "orders-0=0@-1/", "orders-1=40@-1/some metadata")
	p.holds("ahead", "orders-0=100@-1/x")
	p.holds("faulty")
	p.holds("not-ours")
	p.holds("console-consumer-123")
	p.holds("only-there", "orders-0=3@0/theirs")

	p.set("orders", 0, Mark{High: 200})
	p.commit(p.a, "g", "orders", 1, 60, "")
	rows = p.sync()
	p.row(rows, "ahead", 1, 0, "")
	p.row(rows, "g", 2, 0, "")
	p.holds("ahead", "orders-0=150@-1/x")
	p.holds("g", "orders-0=0@-1/", "orders-1=60@-1/")

	// A rewind is followed, unless somebody went on on the target meanwhile.
	p.commit(p.a, "g", "orders", 1, 10, "")
	p.commit(p.a, "ahead", "orders", 0, 20, "")
	p.commit(p.b, "ahead", "orders", 0, 160, "")
	rows = p.sync()
	p.row(rows, "g", 2, 0, "")
	p.row(rows, "ahead", 0, 1, "the target is newer: 160")
	p.holds("g", "orders-0=0@-1/", "orders-1=10@-1/")
	p.holds("ahead", "orders-0=160@0/")

	_, err := p.a.DeleteGroup(p.t.Context(), "g"+p.suffix)
	must(p.t, err)
	p.row(p.sync(), "g", 0, 2, "deleted on the source")
	p.holds("g", "orders-0=0@-1/", "orders-1=10@-1/")
}

// member joins a group on a cluster and returns when it is in it; leave makes it go.
func member(t *testing.T, addrs []string, group, topic string, opts ...kgo.Opt) (leave func()) {
	t.Helper()
	joined := make(chan struct{}, 1)
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...), kgo.ClientID("somebody"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case joined <- struct{}{}:
			default:
			}
		}),
	}, opts...)...)
	must(t, err)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx)
		}
	}()
	left := false
	leave = func() {
		if left {
			return
		}
		left = true
		cancel()
		<-done
		client.Close() // leaves the group
	}
	t.Cleanup(leave)
	select {
	case <-joined:
	case <-time.After(60 * time.Second):
		t.Fatalf("nobody joined group %s", group)
	}
	return leave
}

func TestLiveGroupsAreLeftAlone(t *testing.T) {
	for name, opt := range map[string]kgo.Opt{"classic": kgo.ClientID("somebody"), "consumer": kgo.ServerSideBalancer()} {
		t.Run(name, func(t *testing.T) {
			a, b := fake(t), fake(t)
			p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
			liveGroups(p, b.ListenAddrs(), opt)
		})
	}
}

// liveGroups is what must hold on any pair of clusters.
func liveGroups(p *pair, target []string, opt kgo.Opt) {
	p.topic("orders", 1, 100)
	p.commit(p.a, "g", "orders", 0, 40, "")
	leave := member(p.t, target, "g"+p.suffix, "orders"+p.suffix, opt)
	rows := p.sync()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(rows["g"].Reason, "Stable") && time.Now().Before(end); rows = p.sync() {
		p.row(rows, "g", 0, 1, "live on the target: ") // Assigning and the like, for a moment
		time.Sleep(100 * time.Millisecond)
	}
	p.row(rows, "g", 0, 1, "live on the target: Stable, 1 members (somebody")
	p.holds("g")

	// The cluster refuses it as well, should the group have become live since it was listed.
	id := "g" + p.suffix
	outcome := p.target.GroupClient().Commit(p.t.Context(), map[string][]kafka.OffsetCommit{id: {{Topic: "orders" + p.suffix, Offset: 40}}})[id]
	if !isLive(outcome.Err) {
		p.t.Errorf("commit to a live group: %v", outcome)
	}
	p.holds("g")

	leave()
	p.eventually("carry after the member has left", func() error {
		if g := p.sync()["g"]; g.Synced != 1 {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	p.holds("g", "orders-0=40@-1/")
}

func TestGroupsOfTheNewProtocolAreCarried(t *testing.T) {
	a, b := fake(t), fake(t)
	p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 1, 100)
	newProtocol(p, a.ListenAddrs())
}

// newProtocol carries a KIP-848 group with a member on the source.
func newProtocol(p *pair, source []string) {
	leave := member(p.t, source, "new"+p.suffix, "orders"+p.suffix, kgo.ServerSideBalancer())
	leave()
	p.commit(p.a, "new", "orders", 0, 33, "")
	member(p.t, source, "new"+p.suffix, "orders"+p.suffix, kgo.ServerSideBalancer())
	rows := p.sync()
	p.row(rows, "new", 1, 0, "")
	if got := rows["new"]; got.Type != kafka.GroupConsumer || got.SourceState == "" || got.SourceState == "Empty" {
		p.t.Errorf("%+v", got)
	}
	p.holds("new", "orders-0=33@-1/")
}

func TestShareGroupsAreNamed(t *testing.T) {
	a, b := fake(t), fake(t)
	p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 1, 100)
	client, err := kgo.NewClient(kgo.SeedBrokers(a.ListenAddrs()...), kgo.ShareGroup("shared"), kgo.ConsumeTopics("orders"))
	must(t, err)
	defer client.Close()
	go client.PollFetches(t.Context())
	p.eventually("share group", func() error {
		if g, ok := p.sync()["shared"]; !ok || g.Type != kafka.GroupShare || !strings.Contains(g.Reason, "not built yet") {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	p.holds("shared")
}

func TestOpenTransactionsAreWaitedFor(t *testing.T) {
	a, b := fake(t), fake(t)
	p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 2, 100)
	// The embedded cluster holds all of the group's positions back, a broker only those of the transaction.
	openTransaction(p, a.ListenAddrs(), func(rows map[string]report.Group) {
		p.row(rows, "eos", 0, 2, "an open transaction on the source may still change it")
		p.holds("eos")
	})
}

// openTransaction commits a position inside a transaction and syncs before and after its end.
func openTransaction(p *pair, source []string, meanwhile func(map[string]report.Group)) {
	t := p.t
	p.commit(p.a, "eos", "orders", 0, 10, "")
	p.commit(p.a, "eos", "orders", 1, 11, "")
	client, err := kgo.NewClient(kgo.SeedBrokers(source...))
	must(t, err)
	defer client.Close()
	group, txn := "eos"+p.suffix, "eos-app"+p.suffix
	initProducer := kmsg.NewPtrInitProducerIDRequest()
	initProducer.TransactionalID, initProducer.TransactionTimeoutMillis = kmsg.StringPtr(txn), 60_000
	var id *kmsg.InitProducerIDResponse
	p.eventually("producer id", func() error {
		if id, err = initProducer.RequestWith(t.Context(), client); err == nil {
			err = kerr.ErrorForCode(id.ErrorCode)
		}
		return err
	})
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = txn, id.ProducerID, id.ProducerEpoch, group
	_, err = add.RequestWith(t.Context(), client)
	must(t, err)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = txn, id.ProducerID, id.ProducerEpoch, group, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	name := "orders" + p.suffix
	meta, err := p.a.Metadata(t.Context(), name)
	must(t, err)
	topic.Topic, topic.TopicID = name, meta.Topics[name].ID
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Offset, part.LeaderEpoch, part.Metadata = 50, -1, kmsg.StringPtr("")
	topic.Partitions = append(topic.Partitions, part)
	commit.Topics = append(commit.Topics, topic)
	p.eventually("commit inside the transaction", func() error {
		resp, err := commit.RequestWith(t.Context(), client)
		if err == nil && resp.Topics[0].Partitions[0].ErrorCode != 0 {
			err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		}
		return err
	})

	meanwhile(p.sync())

	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = txn, id.ProducerID, id.ProducerEpoch, true
	_, err = end.RequestWith(t.Context(), client)
	must(t, err)
	p.eventually("carry after the transaction", func() error {
		if g := p.sync()["eos"]; g.Synced != 2 {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	p.holds("eos", "orders-0=50@-1/", "orders-1=11@-1/")
}

func TestHeldAndIncluded(t *testing.T) {
	p := newPair(t, fake(t).ListenAddrs(), fake(t).ListenAddrs())
	p.topic("orders", 1, 100)
	for _, g := range []string{"app", "app-2", "moved"} {
		p.commit(p.a, g, "orders", 0, 5, "")
	}
	p.restart(Options{
		Include: []*regexp.Regexp{regexp.MustCompile("app"), regexp.MustCompile("moved")},
		Hold: func(group string) string {
			if group == "moved" {
				return "its home is the target"
			}
			return ""
		},
	})
	rows := p.sync()
	p.row(rows, "app", 1, 0, "")
	p.row(rows, "moved", 0, 1, "its home is the target")
	if len(rows) != 2 {
		t.Errorf("rows %v", rows)
	}
	p.holds("moved")
	p.holds("app-2")
}

// counted counts the requests of one kind that a cluster gets.
func counted(c *kfake.Cluster, key kmsg.Key) *atomic.Int64 {
	var n atomic.Int64
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return &n
}

func TestManyIdleGroupsCostLittle(t *testing.T) {
	const groups = 1000
	a, b := fake(t), fake(t)
	p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 4, 100)
	all := map[string][]kafka.OffsetCommit{}
	for i := range groups {
		for part := range int32(4) {
			id := fmt.Sprintf("group-%04d", i)
			all[id] = append(all[id], kafka.OffsetCommit{Topic: "orders", Partition: part, Offset: int64(i % 90)})
		}
	}
	for id, o := range p.source.GroupClient().Commit(t.Context(), all) {
		if o.Err != nil || len(o.Partitions) > 0 {
			t.Fatal(id, o)
		}
	}
	fetches, lists, commits := counted(a, kmsg.OffsetFetch), counted(a, kmsg.ListGroups), counted(b, kmsg.OffsetCommit)
	sync := func() map[string]report.Group {
		t.Helper()
		return p.rows(p.syncer.Sync(t.Context(), p.mark))
	}
	began := time.Now()
	if rows := sync(); len(rows) != groups || rows["group-0042"].Synced != 4 {
		t.Fatalf("%d groups, one of them %+v", len(rows), rows["group-0042"])
	}
	t.Logf("first sync of %d groups: %v, %d fetches, %d commits", groups, time.Since(began), fetches.Load(), commits.Load())
	if n := commits.Load(); n != groups {
		t.Errorf("%d commits, want %d", n, groups)
	}
	// Two minutes of calls every five seconds.
	fetches.Store(0)
	began = time.Now()
	for range 24 {
		p.now = p.now.Add(5 * time.Second)
		sync()
	}
	t.Logf("24 idle syncs: %v, %d fetches, %d lists", time.Since(began), fetches.Load(), lists.Load())
	if n := commits.Load(); n != groups {
		t.Errorf("%d commits for groups that did not move", n-groups)
	}
	// Looked at after 5, 10, 15, 25, 45, 75 and 105 seconds, or one more time, each by 6 requests: three nodes,
	// some 333 groups each, 200 in a request.
	if n := fetches.Load(); n > 8*6 {
		t.Errorf("%d fetches in two minutes", n)
	}
	// Whoever starts to move is noticed within the idle time.
	p.commit(p.a, "group-0042", "orders", 1, 77, "")
	p.now = p.now.Add(DefaultIdle)
	if rows := sync(); rows["group-0042"].Synced != 4 || commits.Load() != groups+1 {
		t.Errorf("%+v after %d commits", rows["group-0042"], commits.Load()-groups)
	}
}

func TestIdlePositionsAreStoredAgain(t *testing.T) {
	b := fake(t)
	p := newPair(t, fake(t).ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 2, 100)
	p.commit(p.a, "g", "orders", 0, 5, "m")
	p.commit(p.a, "g", "orders", 1, 6, "")
	p.sync()
	first := b.GroupInfo("g").Commits["orders"][0].At
	p.now = p.now.Add(DefaultRefresh - time.Second)
	p.sync()
	if at := b.GroupInfo("g").Commits["orders"][0].At; !at.Equal(first) {
		t.Error("stored again before it was time")
	}
	time.Sleep(10 * time.Millisecond)
	p.now = p.now.Add(time.Second)
	p.rows(p.syncer.Sync(t.Context(), p.mark)) // not SyncAll: it must be due by itself
	for part := range int32(2) {
		if at := b.GroupInfo("g").Commits["orders"][part].At; !at.After(first) {
			t.Errorf("partition %d was not stored again", part)
		}
	}
	p.holds("g", "orders-0=5@-1/m", "orders-1=6@-1/")
	// A target that has forgotten them gets them back without waiting for that time.
	_, err := p.b.DeleteGroup(t.Context(), "g")
	must(t, err)
	p.rows(p.syncer.Sync(t.Context(), p.mark))
	p.holds("g", "orders-0=5@-1/m", "orders-1=6@-1/")
}

func TestRefreshFollowsTheTargetsRetention(t *testing.T) {
	for minutes, want := range map[string]time.Duration{"10080": time.Hour, "60": 15 * time.Minute, "1": 15 * time.Second, "0": leastRefresh} {
		b := fake(t, kfake.BrokerConfigs(map[string]string{"offsets.retention.minutes": minutes}))
		p := newPair(t, fake(t).ListenAddrs(), b.ListenAddrs())
		p.sync()
		if got := p.syncer.o.Refresh; got != want {
			t.Errorf("retention of %s minutes: stored again every %v, want %v", minutes, got, want)
		}
	}
}

func TestCoordinatorsThatMove(t *testing.T) {
	a, b := fake(t), fake(t)
	p := newPair(t, a.ListenAddrs(), b.ListenAddrs())
	p.topic("orders", 1, 100)
	for i := range 20 {
		p.commit(p.a, fmt.Sprintf("g%d", i), "orders", 0, int64(i), "")
	}
	p.sync()
	a.RehashCoordinators()
	b.RehashCoordinators()
	for i := range 20 {
		p.commit(p.a, fmt.Sprintf("g%d", i), "orders", 0, int64(i+50), "")
	}
	rows := p.sync()
	for i := range 20 {
		p.row(rows, fmt.Sprintf("g%d", i), 1, 0, "")
		p.holds(fmt.Sprintf("g%d", i), fmt.Sprintf("orders-0=%d@-1/", i+50))
	}
}

func TestDenied(t *testing.T) {
	acl := func(r kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: r, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	b := fake(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "p"), kfake.User("PLAIN", "u", "p",
		acl(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationRead),
		acl(kmsg.ACLResourceTypeGroup, "no-read", kmsg.ACLOperationDescribe),
		acl(kmsg.ACLResourceTypeGroup, "no-topic", kmsg.ACLOperationRead),
	))
	p := &pair{t: t, marks: map[estate.TopicPartition]Mark{}, now: time.Now()}
	p.source, p.a = connect(t, "a", fake(t).ListenAddrs())
	var err error
	p.target, err = kafka.Open(t.Context(), kafka.Connection{Alias: "b", Bootstrap: b.ListenAddrs(),
		Security: kafka.Security{SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: kafka.NewSecret("p"), Insecure: true}}})
	must(t, err)
	t.Cleanup(p.target.Close)
	p.restart(Options{})
	for _, topic := range []string{"orders", "secret"} {
		_, err := p.a.CreateTopic(t.Context(), 1, 1, nil, topic)
		must(t, err)
		must(t, b.CreateTopic(topic, 1, nil))
		p.marks[estate.TopicPartition{Topic: topic}] = Mark{High: 100}
	}
	p.commit(p.a, "no-read", "orders", 0, 5, "")
	p.commit(p.a, "no-topic", "orders", 0, 5, "")
	p.commit(p.a, "no-topic", "secret", 0, 5, "")
	rows := p.sync()
	p.row(rows, "no-read", 0, 1, "cluster b denies Read on Group no-read")
	p.row(rows, "no-topic", 1, 1, "cluster b denies Read on Topic secret")
}

func TestUnreachableIsAnError(t *testing.T) {
	a := fake(t)
	p := newPair(t, a.ListenAddrs(), fake(t).ListenAddrs())
	a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := p.syncer.Sync(ctx, p.mark); err == nil {
		t.Error("no error although the source is gone")
	}
}
