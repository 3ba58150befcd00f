package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// leastMessageBytes is the least max.message.bytes during a copy. A topic may hold batches from before
	// its limit was lowered, and a filler batch needs up to 1 MiB. 8 MiB is what the strictest managed
	// service allows.
	leastMessageBytes = 8 << 20
	// leastSegmentMillis is the least segment.ms during a copy, Kafka's own default. Segments are rolled by
	// the times of the records: a year of sparse data under a segment.ms of minutes, as changelogs of Kafka
	// Streams have it, would become tens of thousands of files, which on the source the cleaner has merged.
	leastSegmentMillis = 7 * 24 * 3600 * 1000
)

// guard are the keys that make a copy exact, with what they must be. A topic on which all of them are set to
// this is in the state of a copy.
//
//   - cleanup.policy: DeleteRecords needs delete; a compacted topic refuses records without a key, of which an
//     older part of the source may be full, and its cleaner would take fillers and records at its own time.
//   - retention: the target's log start follows the source's, by DeleteRecords and by nothing else. Old data
//     would be deleted as it arrives.
//   - compression.type: any other value makes the broker rebuild every batch.
//   - message.timestamp.type: LogAppendTime would replace the time of every record.
var guard = map[string]string{
	cleanupPolicy:   deleteOldRecords,
	retentionMillis: "-1",
	retentionBytes:  "-1",
	compressionType: producerDecides,
	timestampType:   createTime,
}

// AtCreation are the keys that every release knows and that a topic is created with. The rest is set when
// the target has shown which keys it knows.
func AtCreation() map[string]string { return maps.Clone(guard) }

// Copying says whether the topic is in the state of a copy.
func Copying(target Topic) bool {
	for key, value := range guard {
		if v, ok := target[key]; !ok || !v.Set || v.Value != value {
			return false
		}
	}
	return true
}

// CopyTime is the configuration while the topic is being copied, given the one it ends with.
func CopyTime(final Wanted, target Topic) Wanted {
	want := Wanted{Set: maps.Clone(final.Set), Effective: maps.Clone(final.Effective)}
	set := func(key, value string) {
		if _, known := target[key]; known {
			want.Set[key], want.Effective[key] = value, value
		}
	}
	for key, value := range guard {
		set(key, value)
	}
	// Since Kafka 4.0 records from more than an hour ahead are refused by default.
	set(timestampBefore, unlimited)
	set(timestampAfter, unlimited)
	set(timestampBoth, unlimited)
	// A leader that lost what was acknowledged would have to be told from a diverged source.
	set(uncleanElection, "false")
	message := atLeast(final.value(maxMessageBytes, target), leastMessageBytes)
	set(maxMessageBytes, message)
	// A batch larger than a segment is refused (RECORD_LIST_TOO_LARGE).
	if n, ok := number(message); ok {
		want.raise(segmentBytes, final, target, n)
	}
	want.raise(segmentMillis, final, target, leastSegmentMillis)
	want.format(target)
	want.tiering(target)
	slices.Sort(want.Notes)
	return want
}

// value is what final makes effective, or else what is in effect.
func (w Wanted) value(key string, target Topic) string {
	if v, ok := w.Effective[key]; ok {
		return v
	}
	return target[key].Value
}

// raise sets a key to at least n where the final value is lower.
func (w *Wanted) raise(key string, final Wanted, target Topic, n int64) {
	now, known := target[key]
	value := atLeast(final.value(key, target), n)
	if !known || value == final.value(key, target) {
		return
	}
	w.Effective[key] = value
	if w.Set[key] = value; now.Inherits && now.Default == value {
		delete(w.Set, key)
	}
}

func atLeast(value string, n int64) string { return larger(value, strconv.FormatInt(n, 10)) }

// format keeps an old target from converting what it is given: until Kafka 2.8 message.format.version may
// stand below 0.11, for the topic or for the broker, and batches would be rewritten as messages.
func (w *Wanted) format(target Topic) {
	v, known := target[formatVersion]
	if !known || !strings.HasPrefix(v.Value, "0.") || strings.HasPrefix(v.Value, "0.11") {
		return
	}
	w.Set[formatVersion], w.Effective[formatVersion] = "2.1", "2.1" // the first that takes zstd
	w.Notes = append(w.Notes, fmt.Sprintf("%s is raised from %s to 2.1: older formats cannot hold batches", formatVersion, v.Value))
}

// tiering keeps tiered storage off during the copy: what was moved to remote storage cannot be undone before
// Kafka 3.9, and a compacted topic may not be tiered. Where it is on already it is left alone.
func (w *Wanted) tiering(target Topic) {
	if v := target[remoteStorage]; v.Set && v.Value == "true" {
		return
	}
	if w.Set[remoteStorage] == "true" {
		w.Notes = append(w.Notes, "tiered storage is off during the copy; finalizing turns it on")
	}
	for key := range target {
		if strings.HasPrefix(key, remotePrefix) || strings.HasPrefix(key, localRetention) {
			delete(w.Set, key)
			delete(w.Effective, key)
		}
	}
}

// Obstacle is why a topic that shows these effective values cannot be copied into exactly, empty if nothing
// stands in the way. final is the configuration that it ends with.
func Obstacle(target Topic, final Wanted) string {
	if v := target[timestampType].Value; v == logAppendTime {
		return "message.timestamp.type is LogAppendTime: the target would replace the time of every record"
	}
	if v := target[cleanupPolicy].Value; Compacts(v) || !slices.Contains(policies(v), deleteOldRecords) {
		return fmt.Sprintf("cleanup.policy is %q: records without a key may be refused, and the log start cannot follow the source's", v)
	}
	for _, key := range []string{retentionMillis, retentionBytes} {
		// Retention that is no shorter than the source's takes only what the source has lost by then too.
		have, wanted := target[key].Value, final.Effective[key]
		if n, ok := number(have); ok && n >= 0 && (wanted == "-1" || larger(have, wanted) != have) {
			return fmt.Sprintf("%s is %s and the source's is %s: the target would delete records that the source still has", key, have, wanted)
		}
	}
	return ""
}

// Nearest is a value close to the wanted one for a target that refuses it. Since Kafka 4.0 a segment has at
// least 1 MiB (KIP-1030).
func Nearest(key, value string) (string, bool) {
	if n, ok := number(value); ok && key == segmentBytes && n < 1<<20 {
		return "1048576", true
	}
	return "", false
}

// AsFinal says whether the keys that a copy needs stand as they do in the final configuration, set or unset.
func AsFinal(target Topic, final Wanted) bool {
	for key := range guard {
		now, value := target[key], final.Set[key]
		_, set := final.Set[key]
		if now.Set != set || set && !Equal(key, now.Value, value) {
			return false
		}
	}
	return true
}
