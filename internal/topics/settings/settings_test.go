package settings

import (
	"maps"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func set(value, inherited string) Value {
	return Value{Value: value, Set: true, Default: inherited, Inherits: true}
}

// kafka28, kafka39 and kafka43 are the keys that matter here, as a fresh topic of these releases shows them.
func kafka28() Topic {
	return Topic{
		"cleanup.policy": Inherited("delete"), "compression.type": Inherited("producer"),
		"max.message.bytes": Inherited("1048588"), "message.timestamp.type": Inherited("CreateTime"),
		"message.timestamp.difference.max.ms": Inherited("9223372036854775807"),
		"message.format.version":              Inherited("2.8-IV1"), "message.downconversion.enable": Inherited("true"),
		"min.insync.replicas": Inherited("1"), "retention.ms": Inherited("604800000"), "retention.bytes": Inherited("-1"),
		"segment.bytes": Inherited("1073741824"), "segment.ms": Inherited("604800000"),
		"unclean.leader.election.enable":        Inherited("false"),
		"leader.replication.throttled.replicas": Inherited(""), "follower.replication.throttled.replicas": Inherited(""),
	}
}

func kafka39() Topic {
	t := kafka28()
	t["message.timestamp.before.max.ms"] = Inherited("9223372036854775807")
	t["message.timestamp.after.max.ms"] = Inherited("9223372036854775807")
	t["compression.zstd.level"] = Inherited("3")
	t["remote.storage.enable"] = Inherited("false")
	t["local.retention.ms"] = Inherited("-2")
	return t
}

func kafka43() Topic {
	t := kafka39()
	t["message.timestamp.after.max.ms"] = Inherited("3600000")
	delete(t, "message.timestamp.difference.max.ms")
	delete(t, "message.format.version")
	delete(t, "message.downconversion.enable")
	return t
}

func with(t Topic, changes Topic) Topic {
	t = maps.Clone(t)
	maps.Copy(t, changes)
	return t
}

func TestDesired(t *testing.T) {
	const for3 = 3
	for _, c := range []struct {
		name           string
		source, target Topic
		policy         Policy
		replicas       int
		set            map[string]string
		notes          []string
	}{
		{name: "nothing set, same release", source: kafka39(), target: kafka39(), set: map[string]string{}},
		{
			name:   "what is set stays set, even to the default",
			source: with(kafka39(), Topic{"segment.ms": set("604800000", "604800000"), "retention.ms": set("1000", "604800000")}),
			target: kafka39(), set: map[string]string{"segment.ms": "604800000", "retention.ms": "1000"},
		},
		{
			name:   "what the source's brokers make of it is set where the target's make something else",
			source: with(kafka39(), Topic{"retention.ms": Inherited("86400000"), "cleanup.policy": Inherited("compact")}),
			target: with(kafka39(), Topic{"retention.ms": Inherited("86400000")}), set: map[string]string{"cleanup.policy": "compact"},
		},
		{
			name:   "a default of the target that nobody tells is not relied on",
			source: kafka39(), target: with(kafka39(), Topic{"segment.ms": {Value: "604800000", Set: true}}),
			set: map[string]string{"segment.ms": "604800000"},
		},
		{
			name: "the target's own value is compared by its default, not by itself", source: kafka39(),
			target: with(kafka39(), Topic{"retention.ms": set("5", "604800000")}), set: map[string]string{},
		},
		{
			name:   "2.8 to 4.3: one limit becomes two, and the new limit for the future is lifted",
			source: kafka28(), target: kafka43(), set: map[string]string{"message.timestamp.after.max.ms": "9223372036854775807"},
		},
		{
			name:   "2.8 to 4.3: a limit that is set",
			source: with(kafka28(), Topic{"message.timestamp.difference.max.ms": set("5000", "9223372036854775807")}), target: kafka43(),
			set: map[string]string{"message.timestamp.before.max.ms": "5000", "message.timestamp.after.max.ms": "5000"},
		},
		{
			name:   "3.9 to 4.3: the limit for one direction counts, else the one for both",
			source: with(kafka39(), Topic{"message.timestamp.difference.max.ms": set("5000", ""), "message.timestamp.after.max.ms": set("70", "")}),
			target: kafka43(), set: map[string]string{"message.timestamp.before.max.ms": "5000", "message.timestamp.after.max.ms": "70"},
		},
		{
			name: "4.3 to 3.9: the old limit must not come through", source: kafka43(),
			target: with(kafka39(), Topic{"message.timestamp.difference.max.ms": Inherited("1000")}),
			set: map[string]string{
				"message.timestamp.difference.max.ms": "9223372036854775807",
				"message.timestamp.after.max.ms":      "3600000",
			},
		},
		{
			name: "4.3 to 2.8: the wider of two limits, said aloud", source: kafka43(), target: kafka28(), set: map[string]string{},
			notes: []string{"message.timestamp.difference.max.ms is 9223372036854775807: the target knows one limit for both directions, and the source has 9223372036854775807 before and 3600000 after"},
		},
		{
			name: "2.8 to 3.9 and back keep their meaning", source: with(kafka28(), Topic{"message.timestamp.difference.max.ms": Inherited("99")}), target: kafka39(),
			set: map[string]string{"message.timestamp.before.max.ms": "99", "message.timestamp.after.max.ms": "99"},
		},
		{
			name: "keys that mean nothing on the target are named if they were set",
			source: with(kafka28(), Topic{
				"message.format.version": set("0.10.0-IV1", "2.8-IV1"), "message.downconversion.enable": set("false", "true"),
				"leader.replication.throttled.replicas": set("0:1", ""), "vendor.key": set("x", ""), "follower.replication.throttled.replicas": set("", ""),
			}), target: kafka43(), set: map[string]string{"message.timestamp.after.max.ms": "9223372036854775807"},
			notes: []string{
				"leader.replication.throttled.replicas=0:1 is not carried: it names brokers of the source",
				"message.downconversion.enable=false is not carried: the target does not know this key",
				"message.format.version=0.10.0-IV1 is not carried: batches are written in format 2",
				"vendor.key=x is not carried: the target does not know this key",
			},
		},
		{
			name: "min.insync.replicas is capped", source: with(kafka39(), Topic{"min.insync.replicas": set("2", "1")}), target: kafka39(), replicas: 1,
			set:   map[string]string{"min.insync.replicas": "1"},
			notes: []string{"min.insync.replicas is 1 and not the source's 2: the topic has 1 replicas"},
		},
		{
			name: "min.insync.replicas from the source's brokers", source: with(kafka39(), Topic{"min.insync.replicas": Inherited("2")}), target: kafka39(),
			set: map[string]string{"min.insync.replicas": "2"},
		},
		{
			name: "min.insync.replicas exactly", source: with(kafka39(), Topic{"min.insync.replicas": Inherited("4")}), target: kafka39(),
			policy: Policy{MinInsync: Count{Exact: true}}, set: map[string]string{"min.insync.replicas": "4"},
		},
		{
			name: "min.insync.replicas by number", source: kafka39(), target: kafka39(),
			policy: Policy{MinInsync: Count{N: 2}}, set: map[string]string{"min.insync.replicas": "2"},
		},
		{
			name: "cleanup.policy is a set", source: with(kafka39(), Topic{"cleanup.policy": Inherited("delete, compact")}),
			target: with(kafka39(), Topic{"cleanup.policy": Inherited("compact,delete")}), set: map[string]string{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.replicas == 0 {
				c.replicas = for3
			}
			got := Desired(c.source, c.target, c.policy, c.replicas)
			if diff := cmp.Diff(c.set, got.Set); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplicas(t *testing.T) {
	for _, c := range []struct {
		count           Count
		source, brokers int
		want            int
		noted           bool
	}{
		{Count{}, 3, 5, 3, false},
		{Count{}, 3, 2, 2, true},
		{Count{}, 3, 0, 1, true}, // nothing known of the brokers
		{Count{Exact: true}, 3, 2, 3, false},
		{Count{N: 2}, 3, 5, 2, false},
		{Count{N: 4}, 3, 1, 4, false},
	} {
		got, note := Policy{Replication: c.count}.Replicas(c.source, c.brokers)
		if got != c.want || (note != "") != c.noted {
			t.Errorf("%+v of %d on %d brokers: %d, note %q; want %d", c.count, c.source, c.brokers, got, note, c.want)
		}
	}
}

func TestCopyTime(t *testing.T) {
	base := map[string]string{
		"cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": "8388608",
		"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": "9223372036854775807",
		"message.timestamp.after.max.ms": "9223372036854775807", "retention.ms": "-1", "retention.bytes": "-1",
		"unclean.leader.election.enable": "false",
	}
	but := func(changes map[string]string) map[string]string {
		m := maps.Clone(base)
		maps.Copy(m, changes)
		return m
	}
	for _, c := range []struct {
		name           string
		source, target Topic
		set            map[string]string
		notes          []string
	}{
		{name: "nothing set", source: kafka43(), target: kafka43(), set: base},
		{
			name: "everything that would hurt is set",
			source: with(kafka43(), Topic{
				"cleanup.policy": set("compact", "delete"), "compression.type": set("gzip", "producer"), "retention.ms": set("1", "604800000"),
				"message.timestamp.type": set("LogAppendTime", "CreateTime"), "max.message.bytes": set("20000000", "1048588"),
				"unclean.leader.election.enable": set("true", "false"), "message.timestamp.after.max.ms": set("1", "3600000"),
			}), target: kafka43(), set: but(map[string]string{"max.message.bytes": "20000000"}),
		},
		{
			name:   "small segments are raised to what a batch needs, frequent ones to a week",
			source: with(kafka43(), Topic{"segment.bytes": set("1048576", "1073741824"), "segment.ms": set("60000", "604800000")}), target: kafka43(),
			set: but(map[string]string{"segment.bytes": "8388608"}),
		},
		{
			name:   "a week that is not the target's default is set",
			source: with(kafka43(), Topic{"segment.ms": set("60000", "")}), target: with(kafka43(), Topic{"segment.ms": Inherited("1000")}),
			set: but(map[string]string{"segment.ms": "604800000"}),
		},
		{
			name:   "other keys are the final ones already",
			source: with(kafka43(), Topic{"compression.zstd.level": set("7", "3"), "min.insync.replicas": set("2", "1"), "segment.ms": set("900000000", "1")}), target: kafka43(),
			set: but(map[string]string{"compression.zstd.level": "7", "min.insync.replicas": "2", "segment.ms": "900000000"}),
		},
		{
			name:   "tiering waits",
			source: with(kafka43(), Topic{"remote.storage.enable": set("true", "false"), "local.retention.ms": set("1000", "-2")}), target: kafka43(), set: base,
			notes: []string{"tiered storage is off during the copy; finalizing turns it on"},
		},
		{
			name:   "tiering that is on stays on",
			source: with(kafka43(), Topic{"remote.storage.enable": set("true", "false")}), target: with(kafka43(), Topic{"remote.storage.enable": set("true", "false")}),
			set: but(map[string]string{"remote.storage.enable": "true"}),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := CopyTime(Desired(c.source, c.target, Policy{}, 3), c.target)
			if diff := cmp.Diff(c.set, got.Set); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// A 2.8 target whose brokers or topics write an old message format would convert every batch.
func TestCopyTimeRaisesOldFormats(t *testing.T) {
	for version, want := range map[string]string{"0.9.0": "2.1", "0.10.2-IV0": "2.1", "0.11.0": "", "2.8-IV1": "", "3.0-IV1": ""} {
		target := with(kafka28(), Topic{"message.format.version": Inherited(version)})
		got := CopyTime(Desired(kafka28(), target, Policy{}, 1), target)
		if got.Set["message.format.version"] != want {
			t.Errorf("%s: set to %q, want %q", version, got.Set["message.format.version"], want)
		}
	}
}

func TestObstacle(t *testing.T) {
	final := Desired(kafka39(), kafka39(), Policy{}, 3) // retention.ms 604800000, retention.bytes -1
	for _, c := range []struct {
		name     string
		target   Topic
		obstacle bool
	}{
		{"copy", applied(kafka39(), CopyTime(final, kafka39())), false},
		{"retention as the source's", kafka39(), false},
		{"retention longer than the source's", with(kafka39(), Topic{"retention.ms": set("604800001", "")}), false},
		{"retention shorter than the source's", with(kafka39(), Topic{"retention.ms": set("604799999", "")}), true},
		{"retention by size", with(kafka39(), Topic{"retention.bytes": set("1000000000000", "")}), true},
		{"compacted", with(kafka39(), Topic{"cleanup.policy": set("compact,delete", "")}), true},
		{"no policy at all", with(kafka39(), Topic{"cleanup.policy": set("", "")}), true},
		{"log append time", with(kafka39(), Topic{"message.timestamp.type": set("LogAppendTime", "")}), true},
	} {
		if got := Obstacle(c.target, final); (got != "") != c.obstacle {
			t.Errorf("%s: obstacle %q, want one: %v", c.name, got, c.obstacle)
		}
	}
}

// applied is what a cluster would show after the wanted keys were set and all others removed.
func applied(t Topic, want Wanted) Topic {
	for _, c := range Changes(t, want) {
		t = with(t, nil)
		v := t[c.Key]
		v.Value, v.Set = c.To, !c.Remove
		t[c.Key] = v
	}
	return t
}

// Whatever both sides show: after finalizing, every key that both know has the source's effective value
// (replicas and translated limits apart), and nothing is left to change.
func TestFinalEqualsSource(t *testing.T) {
	releases := []Topic{kafka28(), kafka39(), kafka43()}
	rapid.Check(t, func(t *rapid.T) {
		source, target := side(t, rapid.SampledFrom(releases).Draw(t, "source")), side(t, rapid.SampledFrom(releases).Draw(t, "target"))
		final := Desired(source, target, Policy{Replication: Count{Exact: true}, MinInsync: Count{Exact: true}}, 3)
		during := applied(target, CopyTime(final, target))
		if why := Obstacle(during, final); why != "" {
			t.Fatalf("a copy is not possible: %s", why)
		}
		if !Copying(during) {
			t.Fatalf("not in the state of a copy: %v", during)
		}
		after := applied(during, Desired(source, during, Policy{Replication: Count{Exact: true}, MinInsync: Count{Exact: true}}, 3))
		if d := Differences(after, final); len(d) > 0 {
			t.Fatalf("differences after finalizing: %v", d)
		}
		if c := Changes(after, Desired(source, after, Policy{MinInsync: Count{Exact: true}}, 3)); len(c) > 0 {
			t.Fatalf("finalizing twice changes %v", c)
		}
		if !AsFinal(after, final) {
			t.Fatalf("not recognised as finalized: %v", after)
		}
		for key, v := range source {
			now, known := after[key]
			if known && !private[key] && key != formatVersion && key != timestampBoth && key != timestampBefore && key != timestampAfter && !Equal(key, now.Value, v.Value) {
				t.Fatalf("%s is %s, the source has %s", key, now.Value, v.Value)
			}
		}
	})
}

// side varies what is set and inherited on a release.
func side(t *rapid.T, release Topic) Topic {
	values := map[string][]string{
		"cleanup.policy": {"delete", "compact", "compact,delete", "delete,compact"}, "compression.type": {"producer", "lz4", "uncompressed"},
		"message.timestamp.type": {"CreateTime", "LogAppendTime"}, "unclean.leader.election.enable": {"true", "false"},
		"message.format.version": {"2.8-IV1", "0.10.0"}, "remote.storage.enable": {"false", "true"},
	}
	out := Topic{}
	for key := range release {
		options, ok := values[key]
		if !ok {
			options = []string{"-1", "1", "1000", strconv.Itoa(1 << 20), "86400000", "9223372036854775807"}
		}
		v := Value{
			Value: rapid.SampledFrom(options).Draw(t, key), Set: rapid.Bool().Draw(t, key+" set"),
			Default: rapid.SampledFrom(options).Draw(t, key+" default"), Inherits: rapid.Bool().Draw(t, key+" inherits"),
		}
		if !v.Set {
			v.Default, v.Inherits = v.Value, true
		}
		out[key] = v
	}
	return out
}
