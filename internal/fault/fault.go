// Package fault names the situations in which kferry stops a partition instead of going on.
//
// A fault is data, not an error string: it has a kind that programs test, a place (topic, partition,
// offset), a count of what is concerned, and the next step for the operator. The package knows nothing of
// how faults are found or shown.
package fault

import (
	"fmt"
	"time"
)

// Kind is the stable name of a fault. It appears in status, JSON, metrics and the operator's book, and is
// never renamed.
type Kind string

const (
	// ForeignAppend: the target gave a record another offset than the one asked for, or its log holds what
	// the source does not: somebody else wrote there.
	ForeignAppend Kind = "foreign-append"
	// Truncation: the source lost a tail that was already copied (unclean leader election), or its history
	// diverged.
	Truncation Kind = "truncation"
	// TopicRecreated: the topic was deleted and created again under the same name; its offsets mean
	// something else now.
	TopicRecreated Kind = "topic-recreated"
	// RetentionOvertook: the source deleted records before they were copied.
	RetentionOvertook Kind = "retention-overtook"
	// BatchRefused: the target's broker will not take a batch, or the batch is larger than it may be.
	BatchRefused Kind = "batch-refused"
	// CorruptBatch: a batch read from the source does not match its own checksum or cannot be parsed.
	CorruptBatch Kind = "corrupt-batch"
	// NotAPrefix: the target topic held data before kferry came that is not a prefix of the source's.
	NotAPrefix Kind = "not-a-prefix"
	// PartitionMismatch: the target topic has more partitions than the source's.
	PartitionMismatch Kind = "partition-mismatch"
	// GapRefused: an offset range without records cannot be filled with the permissions there are.
	GapRefused Kind = "gap-refused"
	// SeedLimit: the source's log start is farther out than the configured most offsets to seed.
	SeedLimit Kind = "seed-limit"
	// Unauthorized: an operation on this topic was denied.
	Unauthorized Kind = "unauthorized"
	// TopicGone: the topic was deleted on the source or on the target while it was being copied.
	TopicGone Kind = "topic-gone"
	// ModeChanged: the target topic was begun in another mode than the flow says now.
	ModeChanged Kind = "mode-changed"
	// ShiftUnknown: the topic is carried with shifted offsets, and how far they are shifted is not known any more.
	ShiftUnknown Kind = "shift-unknown"
	// TopicRefused: the target topic cannot be created or given the configuration that a copy needs.
	TopicRefused Kind = "topic-refused"
)

// Kinds are all of them.
var Kinds = []Kind{
	ForeignAppend, Truncation, TopicRecreated, RetentionOvertook, BatchRefused, CorruptBatch, NotAPrefix, PartitionMismatch,
	GapRefused, SeedLimit, Unauthorized, TopicGone, ModeChanged, ShiftUnknown, TopicRefused,
}

// Page is the operator's page; it has a section for every kind.
const Page = "docs/operate/what-if.md"

// See is where an operator reads on about a kind.
func (k Kind) See() string { return Page + "#" + string(k) }

// Rebuild and Reattach are the commands that repair a topic, to be given with the flow's file or cluster flags.
func Rebuild(topic string) string { return "kferry repair --topic " + topic + " --rebuild" }

// Reattach is the command that goes on behind what the target holds, with shifted offsets.
func Reattach(topic string) string { return "kferry repair --topic " + topic + " --shifted" }

// Fault is one stopped partition, or a whole topic where Partition is -1.
type Fault struct {
	Kind      Kind      `json:"kind"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"` // -1: the whole topic
	Offset    int64     `json:"offset"`    // where it was noticed, -1 if that means nothing
	Count     int64     `json:"count"`     // how many offsets are concerned, 0 if unknown
	Detail    string    `json:"detail"`    // what was seen, in words
	Next      string    `json:"next"`      // what the operator does now
	At        time.Time `json:"at"`
}

// Error makes a fault usable as an error: place, kind, what was seen, what to do.
func (f *Fault) Error() string {
	place := f.Topic
	if f.Partition >= 0 {
		place = fmt.Sprintf("%s-%d", f.Topic, f.Partition)
	}
	s := fmt.Sprintf("%s: %s", place, f.Kind)
	if f.Offset >= 0 {
		s += fmt.Sprintf(" at offset %d", f.Offset)
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Next != "" {
		s += "; next: " + f.Next
	}
	return s + " (" + f.Kind.See() + ")"
}
