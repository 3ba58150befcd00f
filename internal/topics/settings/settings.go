// Package settings decides what configuration a target topic gets: the one it ends with, whose effective
// values equal the source's, and the one it has while it is being copied. It compares and names differences.
//
// It is pure: the caller reads what both clusters show and applies what comes out. It does not know which
// keys exist in which release; the keys that the target shows are the ones it knows.
package settings

import (
	"maps"
	"slices"
	"strings"
)

// Value is one key of a topic as its cluster shows it.
type Value struct {
	Value   string // in effect
	Set     bool   // on the topic itself, not inherited
	Default string // what would be in effect if it were not set on the topic; valid if Inherits
	// Inherits says that Default is known. Where it is not, a key is set rather than left to chance.
	Inherits bool
}

// Topic is all keys that a cluster shows for one topic.
type Topic map[string]Value

// Inherited is a Value that is not set on the topic.
func Inherited(value string) Value { return Value{Value: value, Default: value, Inherits: true} }

// Wanted is a configuration to bring about on the target.
type Wanted struct {
	// Set are the keys to set on the topic, with their values. All other keys are to be unset.
	Set map[string]string
	// Effective are the values to be in effect, for every key that both sides can express.
	Effective map[string]string
	// Notes say what the target cannot have as the source has it, and why, in words.
	Notes []string
}

// Change is one key to set or to remove on the target topic.
type Change struct {
	Key    string
	From   string // the value in effect now
	To     string // the value in effect afterwards
	Remove bool   // by removing the topic's own value
}

// Changes are the steps from what the target shows to what is wanted, by key. Keys that belong to the
// target's own operation are left alone.
func Changes(target Topic, want Wanted) []Change {
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(target)) {
		now := target[key]
		value, set := want.Set[key]
		switch {
		case private[key] || key == formatVersion && !set:
		case set && (!now.Set || !Equal(key, now.Value, value)):
			changes = append(changes, Change{Key: key, From: now.Value, To: value})
		case !set && now.Set:
			changes = append(changes, Change{Key: key, From: now.Value, To: now.Default, Remove: true})
		}
	}
	return changes
}

// Differences are the keys whose effective value on the target is not the wanted one, whatever is set.
func Differences(target Topic, want Wanted) []Change {
	var out []Change
	for _, key := range slices.Sorted(maps.Keys(want.Effective)) {
		if now, ok := target[key]; ok && !Equal(key, now.Value, want.Effective[key]) {
			out = append(out, Change{Key: key, From: now.Value, To: want.Effective[key]})
		}
	}
	return out
}

// Equal compares two values of one key. cleanup.policy is a set.
func Equal(key, a, b string) bool {
	if a == b {
		return true
	}
	return key == cleanupPolicy && slices.Equal(policies(a), policies(b))
}

// Compacts says whether a cleanup.policy contains compact.
func Compacts(policy string) bool { return slices.Contains(policies(policy), "compact") }

func policies(value string) []string {
	var out []string
	for p := range strings.SplitSeq(value, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// private keys name brokers and partitions of one cluster and mean nothing on another; whoever throttles the
// target's own reassignments set them there.
var private = map[string]bool{
	"leader.replication.throttled.replicas":   true,
	"follower.replication.throttled.replicas": true,
}

// Keys that are looked at by name.
const (
	cleanupPolicy    = "cleanup.policy"
	compressionType  = "compression.type"
	formatVersion    = "message.format.version"
	maxMessageBytes  = "max.message.bytes"
	minInsync        = "min.insync.replicas"
	retentionBytes   = "retention.bytes"
	retentionMillis  = "retention.ms"
	segmentBytes     = "segment.bytes"
	segmentMillis    = "segment.ms"
	timestampType    = "message.timestamp.type"
	timestampAfter   = "message.timestamp.after.max.ms"      // since Kafka 3.6 (KIP-937)
	timestampBefore  = "message.timestamp.before.max.ms"     // since Kafka 3.6
	timestampBoth    = "message.timestamp.difference.max.ms" // until Kafka 3.9
	uncleanElection  = "unclean.leader.election.enable"
	remoteStorage    = "remote.storage.enable"
	remotePrefix     = "remote."
	localRetention   = "local.retention."
	unlimited        = "9223372036854775807"
	logAppendTime    = "LogAppendTime"
	createTime       = "CreateTime"
	producerDecides  = "producer"
	deleteOldRecords = "delete"
)
