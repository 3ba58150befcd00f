package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// administered opens an embedded cluster.
func administered(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, *Cluster) {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c, err := Open(t.Context(), Connection{Alias: "east", Bootstrap: fake.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return fake, c
}

func TestTopicsAndTheirConfigs(t *testing.T) {
	ctx := t.Context()
	_, c := administered(t)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	topics := []NewTopic{
		{Name: "plain", Partitions: 2, Replication: 3, Configs: map[string]string{"retention.ms": "1000"}},
		{Name: "placed", Assignment: [][]int32{{2, 0}, {1, 2}, {0, 1}}},
	}
	created, err := c.CreateTopics(ctx, topics, true)
	check("validate", err)
	if created["plain"].Err != nil || !created["plain"].ID.IsZero() {
		t.Errorf("validated: %+v", created["plain"])
	}
	created, err = c.CreateTopics(ctx, topics, false)
	check("create", err)
	again, err := c.CreateTopics(ctx, topics[:1], false)
	check("create again", err)
	if !errors.Is(again["plain"].Err, ErrTopicExists) || created["plain"].ID.IsZero() {
		t.Errorf("created %+v, again %+v", created["plain"], again["plain"])
	}
	md, err := c.Metadata(ctx, []string{"plain", "placed"})
	check("metadata", err)
	if n := len(md.Topics["placed"].Partitions); n != 3 || len(md.Topics["plain"].Partitions[0].Replicas) != 3 {
		t.Errorf("topics %+v", md.Topics)
	}

	grown, err := c.CreatePartitions(ctx, map[string]int32{"plain": 5, "placed": 1, "absent": 3})
	check("grow", err)
	if grown["plain"] != nil || grown["placed"] == nil || !errors.Is(grown["absent"], ErrUnknownTopic) {
		t.Errorf("grown: %v", grown)
	}

	refused, err := c.AlterTopicConfigs(ctx, map[string][]ConfigChange{
		"plain": {{Key: "cleanup.policy", Value: "compact"}, {Key: "retention.ms", Remove: true}}, "absent": {{Key: "retention.ms", Value: "1"}},
	}, false)
	check("alter", err)
	if refused["plain"] != nil || !errors.Is(refused["absent"], ErrUnknownTopic) {
		t.Errorf("altered: %v", refused)
	}
	configs, err := c.TopicConfigs(ctx, []string{"plain", "absent"})
	check("describe", err)
	if !errors.Is(configs["absent"].Err, ErrUnknownTopic) {
		t.Errorf("absent: %v", configs["absent"].Err)
	}
	got := configs["plain"].Configs
	if p := got["cleanup.policy"]; p.Value != "compact" || p.Source != FromTopic || len(p.Fallbacks) != 1 || p.Fallbacks[0].Value != "delete" {
		t.Errorf("cleanup.policy %+v", p)
	}
	if r := got["retention.ms"]; r.Value != "604800000" || r.Source != FromDefault {
		t.Errorf("retention.ms %+v", r)
	}
	broker, err := c.BrokerConfigs(ctx, md.Controller)
	check("broker", err)
	if broker["offsets.retention.minutes"].Value != "10080" {
		t.Errorf("broker configs %v", broker)
	}

	gone, err := c.DeleteTopics(ctx, []string{"plain", "absent"})
	check("delete", err)
	if gone["plain"] != nil || gone["absent"] == nil {
		t.Errorf("deleted: %v", gone)
	}
}

// One request must stay below what a KRaft controller does in one operation.
func TestLargeCreationsAreSplit(t *testing.T) {
	fake, c := administered(t)
	var sizes []int
	fake.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		sizes = append(sizes, len(kreq.(*kmsg.CreateTopicsRequest).Topics))
		return nil, nil, false
	})
	topics := []NewTopic{{Name: "huge", Partitions: createBatch + 1, Replication: 1}}
	for i := range 5 {
		topics = append(topics, NewTopic{Name: fmt.Sprint("t", i), Partitions: createBatch / 2, Replication: 1})
	}
	created, err := c.CreateTopics(t.Context(), topics, true)
	if err != nil || len(created) != len(topics) {
		t.Fatalf("%d of %d: %v", len(created), len(topics), err)
	}
	if diff := cmp.Diff([]int{1, 2, 2, 1}, sizes); diff != "" {
		t.Errorf("topics in each request (-want +got):\n%s", diff)
	}
}

func TestDeniedNamesTheGrant(t *testing.T) {
	c := &Cluster{alias: "east"}
	for _, x := range []struct {
		code int16
		g    grant
		want string
	}{
		{kerr.TopicAuthorizationFailed.Code, grant{"AlterConfigs", "Topic", "orders"}, "cluster east denies AlterConfigs on Topic orders: grant AlterConfigs on Topic orders to kferry's principal there"},
		{kerr.ClusterAuthorizationFailed.Code, grant{"Create", "Topic", "orders"}, "cluster east denies Create on Cluster: grant Create on Cluster to kferry's principal there"},
		{kerr.GroupAuthorizationFailed.Code, grant{"Read", "Group", "g"}, "cluster east denies Read on Group g: grant Read on Group g to kferry's principal there"},
	} {
		err := c.refused(x.code, nil, x.g)
		if !IsDenied(err) || !IsRefusal(err) || err.Error() != x.want {
			t.Errorf("%d: %v, want %q", x.code, err, x.want)
		}
		if !errors.Is(err, kerr.ErrorForCode(x.code)) {
			t.Errorf("%d: Kafka's own error is lost", x.code)
		}
	}
	if err := c.refused(0, nil, grant{}); err != nil {
		t.Errorf("success: %v", err)
	}
	err := c.refused(kerr.InvalidConfig.Code, kmsg.StringPtr("segment.bytes must be at least 1048576"), grant{})
	if !errors.Is(err, ErrInvalidConfig) || IsDenied(err) || !strings.Contains(err.Error(), "must be at least 1048576") {
		t.Errorf("with the broker's words: %v", err)
	}
	if IsRefusal(c.refused(kerr.NotController.Code, nil, grant{})) {
		t.Error("what passes with time counts as refused")
	}
}

func TestRecordsOfASmallTopic(t *testing.T) {
	ctx := t.Context()
	fake, c := administered(t)
	if _, err := c.ReadAll(ctx, "small", 1<<20); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("absent: %v", err)
	}
	if err := fake.CreateTopic("small", 1, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ReadAll(ctx, "small", 1<<20); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
	var want []Record
	for i := range 300 {
		r := Record{Key: []byte(fmt.Sprint(i)), Value: []byte(strings.Repeat("v", i)), Offset: int64(i)}
		if i%10 == 9 {
			r.Value = nil
		}
		want = append(want, r)
	}
	for at := 0; at < len(want); at += 100 {
		if err := c.Append(ctx, "small", want[at:at+100]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.ReadAll(ctx, "small", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Time.IsZero() {
			t.Errorf("record %d has no time", i)
		}
		got[i].Time = want[i].Time
	}
	want[0].Value = nil // an empty value; a tombstone below must still be told from it
	if got[0].Value == nil || len(got[0].Value) != 0 {
		t.Errorf("the empty value became %v", got[0].Value)
	}
	got[0].Value = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if err := fake.DeleteRecords("small", 0, 250); err != nil {
		t.Fatal(err)
	}
	if got, err = c.ReadAll(ctx, "small", 1<<20); err != nil || len(got) != 50 || got[0].Offset != 250 {
		t.Errorf("%d records after a deletion: %v", len(got), err)
	}
}

func TestGroupsDescribed(t *testing.T) {
	_, c := administered(t, kfake.SeedTopics(1, "orders"))
	g := c.GroupClient()
	g.Commit(t.Context(), map[string][]OffsetCommit{"a": {{Topic: "orders", Offset: 3}}})
	list, err := g.List(t.Context())
	if err != nil || len(list) != 1 || list[0] != (Group{"a", GroupClassic, "Empty", ""}) {
		t.Fatalf("%+v, %v", list, err)
	}
	d := g.Describe(t.Context(), append(list, Group{ID: "s", Type: GroupStreams}))
	if d["a"].Err != nil || d["a"].State != "Empty" || len(d["a"].Members) != 0 {
		t.Errorf("a: %+v", d["a"])
	}
	if d["s"].Err == nil {
		t.Errorf("s: %+v", d["s"])
	}
	want := map[estate.TopicPartition]CommittedOffset{{Topic: "orders"}: {Offset: 3}}
	got := g.Offsets(t.Context(), []string{"a", "nobody"})
	if diff := cmp.Diff(want, got["a"].Offsets); diff != "" || got["nobody"].Err != nil || len(got["nobody"].Offsets) != 0 {
		t.Errorf("offsets (-want +got):\n%s%+v", diff, got["nobody"])
	}
	outcome := g.Commit(t.Context(), map[string][]OffsetCommit{"a": {{Topic: "absent", Offset: 1}, {Topic: "orders", Offset: 9}}})["a"]
	if outcome.Err != nil || len(outcome.Partitions) != 1 {
		t.Errorf("one topic is unknown: %+v", outcome)
	}
}

func TestBrokerVersions(t *testing.T) {
	_, c := administered(t)
	versions, err := c.BrokerVersions(t.Context())
	if err != nil || len(versions) != 3 {
		t.Errorf("%v, %v", versions, err)
	}
}
