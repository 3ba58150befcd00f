package topics

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
)

// bench is two embedded clusters and a keeper between them, with a clock that the test moves.
type bench struct {
	t              *testing.T
	fakeA, fakeB   *kfake.Cluster
	source, target *kafka.Cluster
	memory         map[string]Memory
	now            time.Time
	keeper         *Keeper
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, memory: map[string]Memory{}, now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	b.fakeA, b.source = embedded(t, "a")
	b.fakeB, b.target = embedded(t, "b")
	b.restart(Options{})
	return b
}

func embedded(t *testing.T, alias string, opts ...kfake.Opt) (*kfake.Cluster, *kafka.Cluster) {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID(alias)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c, err := kafka.Open(t.Context(), kafka.Connection{Alias: alias, Bootstrap: fake.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return fake, c
}

// restart begins anew with what is remembered, as another process would.
func (b *bench) restart(o Options) {
	o.Now = func() time.Time { return b.now }
	o.Remembered = func(topic string) (Memory, bool) { m, ok := b.memory[topic]; return m, ok }
	b.keeper = NewKeeper(b.source, b.target, o)
}

// ensure returns the only outcome for one topic.
func (b *bench) ensure(topic string) Outcome {
	b.t.Helper()
	out, err := b.keeper.Ensure(b.t.Context(), []string{topic})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(out) != 1 || out[0].Topic != topic {
		b.t.Fatalf("outcomes %+v, want one of %s", out, topic)
	}
	return out[0]
}

func (b *bench) ready(topic string) Outcome {
	b.t.Helper()
	o := b.ensure(topic)
	if !o.Ready || o.Fault != nil || o.Waiting != "" {
		b.t.Fatalf("not ready: %+v, fault %v", o, o.Fault)
	}
	return o
}

func (b *bench) faulted(topic string, kind fault.Kind, words ...string) {
	b.t.Helper()
	o := b.ensure(topic)
	if o.Fault == nil || o.Fault.Kind != kind || o.Ready {
		b.t.Fatalf("outcome %+v with fault %v, want %s", o, o.Fault, kind)
	}
	for _, w := range words {
		if !strings.Contains(o.Fault.Error(), w) {
			b.t.Errorf("fault %q does not say %q", o.Fault, w)
		}
	}
}

func (b *bench) create(fake *kfake.Cluster, topic string, partitions int32, configs map[string]string) {
	b.t.Helper()
	if err := fake.CreateTopic(topic, partitions, configs); err != nil {
		b.t.Fatal(err)
	}
}

// shows is what the target says of some keys: the value, with a star if it is set on the topic.
func (b *bench) shows(topic string, keys ...string) map[string]string {
	b.t.Helper()
	return shows(b.t, b.target, topic, keys...)
}

func shows(t *testing.T, c *kafka.Cluster, topic string, keys ...string) map[string]string {
	t.Helper()
	d, err := describe(t.Context(), c, []string{topic})
	if err != nil || d[topic].err != nil {
		t.Fatal(err, d[topic].err)
	}
	out := map[string]string{}
	for _, k := range keys {
		v := d[topic].topic[k]
		out[k] = v.Value
		if v.Set {
			out[k] += "*"
		}
	}
	return out
}

func (b *bench) noted(o Outcome, words string) {
	b.t.Helper()
	if !slices.ContainsFunc(o.Notes, func(n string) bool { return strings.Contains(n, words) }) {
		b.t.Errorf("notes %q do not say %q", o.Notes, words)
	}
}

var guarded = []string{"cleanup.policy", "compression.type", "message.timestamp.type", "retention.bytes", "retention.ms"}

var copying = map[string]string{
	"cleanup.policy": "delete*", "compression.type": "producer*", "message.timestamp.type": "CreateTime*", "retention.bytes": "-1*", "retention.ms": "-1*",
}

var odd = map[string]string{"cleanup.policy": "compact", "retention.ms": "1000", "compression.type": "lz4", "max.message.bytes": "2000"}

var oddFinal = map[string]string{
	"cleanup.policy": "compact*", "compression.type": "lz4*", "message.timestamp.type": "CreateTime", "retention.bytes": "-1", "retention.ms": "1000*",
}

func TestCreatesInTheStateOfACopy(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 3, odd)
	o := b.ready("x")
	if diff := cmp.Diff(copying, b.shows("x", guarded...)); diff != "" {
		t.Errorf("configs (-want +got):\n%s", diff)
	}
	want := SourcePolicy{Compacted: true, RetentionMillis: 1000, RetentionBytes: -1, MaxMessage: 2000}
	if !o.Created || o.Partitions != 3 || o.Replicas != 1 || o.Finalized || o.SourcePolicy != want || o.MaxMessage != 8<<20 {
		t.Errorf("outcome %+v", o)
	}
	if o.SourceID != b.fakeA.TopicInfo("x").TopicID || o.TargetID != b.fakeB.TopicInfo("x").TopicID {
		t.Errorf("ids %s %s", o.SourceID, o.TargetID)
	}
}

func TestKnownTopicsCostMetadataOnly(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, nil)
	b.ready("x")
	var others atomic.Int64
	for _, fake := range []*kfake.Cluster{b.fakeA, b.fakeB} {
		for _, key := range []kmsg.Key{kmsg.CreateTopics, kmsg.DescribeConfigs, kmsg.IncrementalAlterConfigs, kmsg.CreatePartitions} {
			fake.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				fake.KeepControl()
				others.Add(1)
				return nil, nil, false
			})
		}
	}
	for range 5 {
		b.ready("x")
	}
	if n := others.Load(); n != 0 {
		t.Errorf("%d requests for a topic that is in order", n)
	}
	b.now = b.now.Add(DefaultRefresh)
	if o := b.ready("x"); len(o.Changed) != 0 {
		t.Errorf("changed %v", o.Changed)
	}
	if n := others.Load(); n != 2 {
		t.Errorf("%d requests to look again, want 2", n)
	}
}

func TestAThousandTopicsCostFewRequests(t *testing.T) {
	b := newBench(t)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("topic-%04d", i))
		b.create(b.fakeA, names[i], 8, odd)
	}
	var requests atomic.Int64
	for key := range kmsg.MaxKey + 1 {
		b.fakeB.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.fakeB.KeepControl()
			requests.Add(1)
			return nil, nil, false
		})
	}
	began := time.Now()
	out, err := b.keeper.Ensure(t.Context(), names)
	must(t, err)
	for _, o := range out {
		if !o.Ready {
			t.Fatalf("%+v", o)
		}
	}
	first := requests.Swap(0)
	t.Logf("first: %v, %d requests", time.Since(began), first)
	began = time.Now()
	_, err = b.keeper.Ensure(t.Context(), names)
	must(t, err)
	t.Logf("then: %v, %d requests", time.Since(began), requests.Load())
	// 8,000 partitions and 5,000 keys in requests of 2,000 records; configs of 200 topics in each request,
	// read, set and read again.
	if most := int64(8 + 3*5 + 6); first > most {
		t.Errorf("%d requests, want at most %d", first, most)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests when nothing is to be done, want 1", n)
	}
}

func TestFollowsPartitions(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, nil)
	b.ready("x")
	refused, err := b.source.CreatePartitions(t.Context(), map[string]int32{"x": 4})
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if o := b.ready("x"); o.Partitions != 4 {
		t.Errorf("partitions %d, want 4", o.Partitions)
	}
	if n := len(b.fakeB.PartitionInfos("x")); n != 4 {
		t.Errorf("the target has %d partitions, want 4", n)
	}
	b.create(b.fakeA, "y", 2, nil)
	b.create(b.fakeB, "y", 3, nil)
	b.faulted("y", fault.PartitionMismatch, "has 3 partitions", "source's 2")
	first := b.ensure("y").Fault.At
	b.now = b.now.Add(time.Hour)
	if at := b.ensure("y").Fault.At; !at.Equal(first) {
		t.Errorf("the fault's time moved from %s to %s", first, at)
	}
	if _, err := b.source.CreatePartitions(t.Context(), map[string]int32{"y": 3}); err != nil {
		t.Fatal(err)
	}
	b.ready("y")
}

// The target has added the partitions already and the broker that was asked does not know: nothing was refused.
func TestPartitionsThatWereAddedUnseen(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, nil)
	b.ready("x")
	if refused, err := b.source.CreatePartitions(t.Context(), map[string]int32{"x": 3}); err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	b.fakeB.ControlKey(int16(kmsg.CreatePartitions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = "x", kerr.InvalidPartitions.Code, kmsg.StringPtr("Topic already has 3 partition(s).")
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	if o := b.ensure("x"); o.Fault != nil || o.Ready || !strings.Contains(o.Waiting, "does not show them yet") {
		t.Errorf("%+v", o)
	}
	if o := b.ready("x"); o.Partitions != 3 {
		t.Errorf("partitions %d, want 3", o.Partitions)
	}
}

func TestNoticesOtherTopicsUnderTheSameName(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, nil)
	b.create(b.fakeA, "y", 1, nil)
	b.memory["x"] = Memory{SourceID: b.ready("x").SourceID, TargetID: b.ready("x").TargetID}
	b.ready("y")

	must(t, b.fakeA.DeleteTopic("x"))
	if o := b.ensure("x"); o.Ready || o.Fault != nil || !strings.Contains(o.Waiting, "source") {
		t.Errorf("missing for a moment: %+v", o)
	}
	b.now = b.now.Add(goneAfter)
	b.faulted("x", fault.TopicGone, "no longer on the source")
	b.create(b.fakeA, "x", 1, nil)
	b.faulted("x", fault.TopicRecreated, "the source's topic x was deleted and created again")
	b.restart(Options{})
	b.faulted("x", fault.TopicRecreated, b.memory["x"].SourceID.String())
	must(t, b.fakeB.DeleteTopic("x"))
	b.restart(Options{})
	b.ready("x") // nothing is left of the old one

	b.ready("y")
	must(t, b.fakeB.DeleteTopic("y"))
	b.ensure("y")
	b.now = b.now.Add(goneAfter)
	b.faulted("y", fault.TopicGone, "no longer on the target", "kferry repair --topic y --rebuild")
	if b.fakeB.TopicInfo("y") != nil {
		t.Error("a deleted target topic was created again")
	}
	b.create(b.fakeB, "y", 1, nil)
	b.faulted("y", fault.TopicRecreated, "while it was being copied")
}

func TestFinalizedTopicsAreNotTurnedBack(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, odd)
	o := b.ready("x")
	finalize := func(dry bool) Finalized {
		t.Helper()
		out, err := Finalize(t.Context(), b.source, b.target, []string{"x"}, FinalizeOptions{
			DryRun: dry, Remember: func(_ context.Context, topic string, source, target estate.TopicID) error {
				b.memory[topic] = Memory{source, target, true}
				return nil
			},
		})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out[0].Err)
		}
		return out[0]
	}
	final := func(when string) {
		t.Helper()
		if diff := cmp.Diff(oddFinal, b.shows("x", guarded...)); diff != "" {
			t.Errorf("%s: configs (-want +got):\n%s", when, diff)
		}
	}

	dry := finalize(true)
	if len(b.memory) != 0 || !cmp.Equal(copying, b.shows("x", guarded...)) {
		t.Error("a dry run changed something")
	}
	done := finalize(false)
	if diff := cmp.Diff(dry.Changes, done.Changes); diff != "" || len(done.Changes) == 0 || len(done.Differ) > 0 {
		t.Errorf("announced and made differ:\n%s%v", diff, done.Differ)
	}
	final("finalized")
	if again := finalize(false); len(again.Changes) != 0 {
		t.Errorf("finalizing again changes %v", again.Changes)
	}

	b.ready("x")
	b.now = b.now.Add(DefaultRefresh)
	o = b.ready("x")
	if !o.Finalized || o.MaxMessage != 2000 {
		t.Errorf("the running keeper did not notice: %+v", o)
	}
	b.noted(o, "was finalized and keeps")
	final("looked at by the running keeper")

	b.restart(Options{})
	b.produce("x")
	if o = b.ready("x"); !o.Finalized {
		t.Errorf("remembered: %+v", o)
	}
	clear(b.memory)
	b.restart(Options{})
	if o = b.ready("x"); !o.Finalized {
		t.Errorf("not remembered: %+v", o)
	}
	b.noted(o, "nothing is remembered")
	final("nothing remembered")

	b.restart(Options{Reopen: true})
	if o = b.ready("x"); o.Finalized {
		t.Errorf("reopened: %+v", o)
	}
	b.noted(o, "reopened")
	if diff := cmp.Diff(copying, b.shows("x", guarded...)); diff != "" {
		t.Errorf("reopened (-want +got):\n%s", diff)
	}
}

func (b *bench) produce(topic string) {
	b.t.Helper()
	must(b.t, b.target.Append(b.t.Context(), topic, []kafka.Record{{Key: []byte("k"), Value: []byte("v")}}))
}

func TestFinalizedWithLogAppendTimeIsAFault(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	if o := b.ready("x"); !o.SourcePolicy.LogAppendTime {
		t.Errorf("outcome %+v", o)
	}
	if _, err := Finalize(t.Context(), b.source, b.target, []string{"x"}, FinalizeOptions{}); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(DefaultRefresh)
	b.faulted("x", fault.TopicRefused, "replace the time of every record", "reopen")
}

func TestEmptyForeignTopicIsPrepared(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 2, nil)
	b.create(b.fakeB, "x", 1, odd)
	if o := b.ready("x"); o.Finalized || o.Created {
		t.Errorf("outcome %+v", o)
	}
	if diff := cmp.Diff(copying, b.shows("x", guarded...)); diff != "" {
		t.Errorf("configs (-want +got):\n%s", diff)
	}
	if n := len(b.fakeB.PartitionInfos("x")); n != 2 {
		t.Errorf("%d partitions, want 2", n)
	}
}

// A node that has not heard of what the controller did makes a topic wait; it is neither a fault nor taken for
// what somebody else did.
func TestStaleConfigsAreWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(b.fakeA, "x", 1, odd)
	b.create(b.fakeB, "x", 1, nil)
	stale := true
	b.fakeB.ControlKey(int16(kmsg.DescribeConfigs), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.fakeB.KeepControl()
		if !stale {
			return nil, nil, false
		}
		req := kreq.(*kmsg.DescribeConfigsRequest)
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "x"
		for key, value := range map[string]string{"cleanup.policy": "compact", "retention.ms": "5", "retention.bytes": "-1", "compression.type": "producer", "message.timestamp.type": "CreateTime"} {
			c := kmsg.NewDescribeConfigsResponseResourceConfig()
			c.Name, c.Value, c.Source = key, &value, kmsg.ConfigSourceDefaultConfig
			r.Configs = append(r.Configs, c)
		}
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
	if o := b.ensure("x"); o.Ready || o.Fault != nil || !strings.Contains(o.Waiting, "does not show it yet") {
		t.Errorf("outcome %+v, fault %v", o, o.Fault)
	}
	stale = false
	if o := b.ready("x"); o.Finalized {
		t.Errorf("outcome %+v", o)
	}
}

func TestMeddlingIsPutRight(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, odd)
	b.ready("x")
	b.produce("x")
	_, err := b.target.AlterTopicConfigs(t.Context(), map[string][]kafka.ConfigChange{"x": {{Key: "retention.ms", Value: "5000"}}}, false)
	must(t, err)
	b.now = b.now.Add(DefaultRefresh)
	o := b.ready("x")
	b.noted(o, "somebody changed")
	if diff := cmp.Diff(copying, b.shows("x", guarded...)); diff != "" || len(o.Changed) != 1 {
		t.Errorf("changed %v, configs (-want +got):\n%s", o.Changed, diff)
	}
}

// refusing makes the target refuse some keys, as a managed service does by policy.
func (b *bench) refusing(err *kerr.Error, keys ...string) {
	refuses := func(key string) bool { return slices.Contains(keys, key) }
	b.fakeB.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.fakeB.KeepControl()
		req := kreq.(*kmsg.CreateTopicsRequest)
		for _, c := range req.Topics[0].Configs {
			if refuses(c.Name) {
				resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
				rt := kmsg.NewCreateTopicsResponseTopic()
				rt.Topic, rt.ErrorCode = req.Topics[0].Topic, err.Code
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
	b.fakeB.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.fakeB.KeepControl()
		req := kreq.(*kmsg.IncrementalAlterConfigsRequest)
		for _, c := range req.Resources[0].Configs {
			if refuses(c.Name) {
				resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
				rr := kmsg.NewIncrementalAlterConfigsResponseResource()
				rr.ResourceName, rr.ResourceType, rr.ErrorCode = req.Resources[0].ResourceName, kmsg.ConfigResourceTypeTopic, err.Code
				resp.Resources = append(resp.Resources, rr)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
}

func TestRefusedKeys(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     *kerr.Error
		keys    []string
		configs map[string]string // on the source
		kind    fault.Kind        // empty: ready
		note    string
	}{
		{"one that may be missed", kerr.PolicyViolation, []string{"max.message.bytes"}, nil, "", "max.message.bytes could not be set to 8388608"},
		{"compression", kerr.PolicyViolation, []string{"compression.type"}, nil, "", "compression.type could not be set"},
		{"retention like the source's", kerr.InvalidConfig, []string{"retention.ms"}, nil, "", "retention.ms could not be set to -1"},
		{"retention shorter than the source's", kerr.InvalidConfig, []string{"retention.ms"}, map[string]string{"retention.ms": "-1"}, fault.TopicRefused, ""},
		{"denied and not needed", kerr.TopicAuthorizationFailed, []string{"max.message.bytes"}, nil, "", "denies AlterConfigs on Topic x"},
		{"denied and needed", kerr.TopicAuthorizationFailed, []string{"retention.ms"}, map[string]string{"retention.ms": "-1"}, fault.Unauthorized, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.create(b.fakeA, "x", 1, c.configs)
			if c.err == kerr.TopicAuthorizationFailed {
				b.create(b.fakeB, "x", 1, nil)
			}
			b.refusing(c.err, c.keys...)
			if c.kind != "" {
				b.faulted("x", c.kind)
				return
			}
			b.noted(b.ready("x"), c.note)
			// What was refused once is not offered again.
			b.fakeB.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
				t.Error("asked again")
				return nil, nil, false
			})
			b.now = b.now.Add(DefaultRefresh)
			b.noted(b.ready("x"), c.note)
		})
	}
}

func TestDenied(t *testing.T) {
	allow := func(op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "x", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	for _, c := range []struct {
		allowed []kfake.ACL
		exists  bool
		words   string
	}{
		{[]kfake.ACL{allow(kmsg.ACLOperationDescribe)}, false, "cluster b denies Create on Topic x"},
		{[]kfake.ACL{allow(kmsg.ACLOperationDescribe)}, true, "cluster b denies DescribeConfigs on Topic x"},
		{nil, true, "cluster b denies Describe on Topic x"},
	} {
		b := newBench(t)
		b.create(b.fakeA, "x", 1, map[string]string{"retention.ms": "-1"})
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "u", "p", c.allowed...))
		must(t, err)
		t.Cleanup(fake.Close)
		if c.exists {
			must(t, fake.CreateTopic("x", 1, nil))
		}
		target, err := kafka.Open(t.Context(), kafka.Connection{Alias: "b", Bootstrap: fake.ListenAddrs(),
			Security: kafka.Security{SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: kafka.NewSecret("p"), Insecure: true}}})
		must(t, err)
		t.Cleanup(target.Close)
		b.target = target
		b.restart(Options{})
		b.faulted("x", fault.Unauthorized, c.words)
	}
}

func TestFinalizeNamesWhatItCannotDo(t *testing.T) {
	b := newBench(t)
	b.create(b.fakeA, "x", 1, odd)
	b.create(b.fakeA, "only-here", 1, nil)
	b.ready("x")
	b.refusing(kerr.PolicyViolation, "cleanup.policy")
	out, err := Finalize(t.Context(), b.source, b.target, []string{"x", "only-here"}, FinalizeOptions{})
	must(t, err)
	if x := out[0]; x.Err != nil || len(x.Differ) != 1 || x.Differ[0].Key != "cleanup.policy" || len(x.Notes) != 1 || len(x.Changes) == 0 {
		t.Errorf("refused: %+v", x)
	}
	if !errors.Is(out[1].Err, kafka.ErrUnknownTopic) {
		t.Errorf("on one side only: %v", out[1].Err)
	}
}

func TestSelect(t *testing.T) {
	all := []estate.Topic{{Name: "orders.eu"}, {Name: "orders"}, {Name: "__consumer_offsets", Internal: true}, {Name: "__kferry-state"}, {Name: "__mine"}, {Name: "odd", Internal: true}}
	list := func(p ...string) (out []*regexp.Regexp) {
		for _, s := range p {
			out = append(out, regexp.MustCompile(s))
		}
		return out
	}
	for _, c := range []struct {
		include, exclude []*regexp.Regexp
		want             []string
	}{
		{list(`.*`), nil, []string{"orders", "orders.eu"}},
		{list(`orders`), nil, []string{"orders"}},
		{list(`orders.*`), list(`.*\.eu`), []string{"orders"}},
		{list(`__.*`), nil, nil},
		{list(`__mine`, `.*eu`), nil, []string{"__mine", "orders.eu"}},
		{list(`__kferry-state`), nil, []string{"__kferry-state"}},
		{list(`__mine`), list(`__.*`), nil},
	} {
		if diff := cmp.Diff(c.want, Select(all, c.include, c.exclude)); diff != "" {
			t.Errorf("%v without %v (-want +got):\n%s", c.include, c.exclude, diff)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
