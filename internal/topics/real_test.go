package topics

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func connect(t *testing.T, alias string, c *testbed.Cluster) *kafka.Cluster {
	t.Helper()
	cluster, err := kafka.Open(t.Context(), kafka.Connection{Alias: alias, Bootstrap: c.Addrs()})
	must(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

// strange are keys with values that no broker has by default. All releases from 2.8 on know them.
var strange = map[string]string{
	"cleanup.policy": "compact,delete", "compression.type": "gzip", "delete.retention.ms": "77000", "file.delete.delay.ms": "5000",
	"flush.messages": "12345", "flush.ms": "54321", "index.interval.bytes": "8192", "max.compaction.lag.ms": "900000000", "max.message.bytes": "54321",
	"message.timestamp.type": "LogAppendTime", "min.cleanable.dirty.ratio": "0.21", "min.compaction.lag.ms": "1000", "preallocate": "true",
	"retention.bytes": "123456789", "retention.ms": "123456789", "segment.bytes": "2000000", "segment.index.bytes": "20000", "segment.jitter.ms": "10",
	"segment.ms": "100000", "unclean.leader.election.enable": "true",
}

func also(extra map[string]string) map[string]string {
	m := maps.Clone(strange)
	maps.Copy(m, extra)
	return m
}

// TestEffectiveConfigsSurvive carries topics between releases and back, from and to brokers whose own
// defaults are not Kafka's, and compares every key as the brokers show it.
func TestEffectiveConfigsSurvive(t *testing.T) {
	t.Parallel()
	kafka28 := connect(t, "kafka28", testbed.Shared(t, testbed.V28))
	kafka39 := connect(t, "kafka39", testbed.Shared(t, testbed.V39))
	// Units differ between a broker's keys and a topic's, so the defaults that are set here are in hours.
	kafka43 := connect(t, "kafka43", testbed.New(t, testbed.Options{Version: testbed.V43, Config: map[string]string{
		"log.retention.hours": "5", "log.roll.hours": "3", "log.cleanup.policy": "compact", "message.max.bytes": "2000000",
		"log.message.timestamp.after.max.ms": "70000", "compression.type": "lz4",
	}}))
	const unlimited = "9223372036854775807"
	for _, c := range []struct {
		name           string
		source, target *kafka.Cluster
		configs        map[string]string // of the topic that has everything set
		expect         map[string]string // effective on the target where that is not the source's value
		notes          []string          // parts of the notes for that topic
	}{
		{
			name: "2.8 to 4.3", source: kafka28, target: kafka43,
			configs: also(map[string]string{
				"message.format.version": "0.10.2", "message.downconversion.enable": "false", "message.timestamp.difference.max.ms": "5000", "segment.bytes": "300000",
			}),
			expect: map[string]string{"message.timestamp.before.max.ms": "5000", "message.timestamp.after.max.ms": "5000", "segment.bytes": "1048576"},
			notes:  []string{"message.format.version=0.10.2", "message.downconversion.enable=false", "segment.bytes is 1048576, the target refuses 300000"},
		},
		{
			name: "3.9 to 4.3", source: kafka39, target: kafka43,
			configs: also(map[string]string{"message.timestamp.before.max.ms": "6000", "compression.gzip.level": "3", "message.timestamp.difference.max.ms": "5000"}),
			expect:  map[string]string{"message.timestamp.before.max.ms": "6000", "message.timestamp.after.max.ms": "5000"},
		},
		{
			name: "4.3 to 2.8", source: kafka43, target: kafka28,
			configs: also(map[string]string{"message.timestamp.before.max.ms": "6000", "message.timestamp.after.max.ms": "7000", "compression.gzip.level": "3"}),
			expect:  map[string]string{"message.timestamp.difference.max.ms": "7000"},
			notes:   []string{"compression.gzip.level=3 is not carried", "message.timestamp.difference.max.ms is 7000"},
		},
		{
			name: "4.3 to 3.9", source: kafka43, target: kafka39,
			configs: also(map[string]string{"message.timestamp.after.max.ms": "7000", "remote.log.copy.disable": "false"}),
			expect:  map[string]string{"message.timestamp.difference.max.ms": unlimited},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			odd, plain := "odd-"+strings.ReplaceAll(c.name, " ", "-"), "plain-"+strings.ReplaceAll(c.name, " ", "-")
			createOn(t, c.source, odd, c.configs)
			createOn(t, c.source, plain, nil)
			names := []string{odd, plain}
			for _, o := range ensured(t, NewKeeper(c.source, c.target, Options{}), names) {
				if o.Finalized || !o.Created || o.MaxMessage != 8<<20 {
					t.Errorf("%+v", o)
				}
				if diff := cmp.Diff(copying, shows(t, c.target, o.Topic, guarded...)); diff != "" {
					t.Errorf("%s while it is copied (-want +got):\n%s", o.Topic, diff)
				}
			}
			finalized, err := Finalize(t.Context(), c.source, c.target, names, FinalizeOptions{})
			must(t, err)
			for _, f := range finalized {
				if f.Err != nil {
					t.Fatal(f.Err)
				}
			}
			for _, want := range c.notes {
				if !slices.ContainsFunc(finalized[0].Notes, func(n string) bool { return strings.Contains(n, want) }) {
					t.Errorf("notes %q do not say %q", finalized[0].Notes, want)
				}
			}
			sameEffect(t, c.source, c.target, odd, c.expect)
			sameEffect(t, c.source, c.target, plain, nil)
			again, err := Finalize(t.Context(), c.source, c.target, names, FinalizeOptions{DryRun: true})
			must(t, err)
			for _, f := range again {
				for _, change := range f.Changes {
					if change.Key != "segment.bytes" {
						t.Errorf("%s: finalizing again would change %+v", f.Topic, change)
					}
				}
			}
		})
	}
}

// ensured calls Ensure as the engine does, until every topic is ready. A broker may hear of a topic a moment
// after its creation was answered.
func ensured(t *testing.T, k *Keeper, names []string) []Outcome {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		outcomes, err := k.Ensure(t.Context(), names)
		must(t, err)
		waits := slices.ContainsFunc(outcomes, func(o Outcome) bool { return !o.Ready })
		for _, o := range outcomes {
			if o.Fault != nil || waits && time.Now().After(end) {
				t.Fatalf("%+v, fault %v", o, o.Fault)
			}
		}
		if !waits {
			return outcomes
		}
	}
}

func createOn(t *testing.T, c *kafka.Cluster, topic string, configs map[string]string) {
	t.Helper()
	created, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: topic, Partitions: 2, Replication: 1, Configs: configs}}, false)
	must(t, err)
	must(t, created[topic].Err)
}

// sameEffect compares what the brokers show, key by key, without any of the product's translation: keys that
// only one side knows need no equal, those in expect have the given value.
func sameEffect(t *testing.T, source, target *kafka.Cluster, topic string, expect map[string]string) {
	t.Helper()
	effective := func(c *kafka.Cluster) map[string]string {
		d, err := describe(t.Context(), c, []string{topic})
		must(t, err)
		must(t, d[topic].err)
		m := map[string]string{}
		for key, v := range d[topic].topic {
			m[key] = v.Value
		}
		return m
	}
	want, got := effective(source), effective(target)
	for key := range want {
		if _, both := got[key]; !both || strings.HasPrefix(key, "message.format") {
			delete(want, key)
		}
	}
	maps.Copy(want, expect)
	for key := range got {
		if _, ok := want[key]; !ok {
			delete(got, key)
		}
	}
	if len(want) < 20 {
		t.Fatalf("only %d keys to compare: %v", len(want), want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: effective configs (-source +target):\n%s", topic, diff)
	}
}
