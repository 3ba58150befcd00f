package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/shift"
)

// Schema is the version of what this kferry writes. It grows when an older kferry would misread it; fields
// that an older one may ignore do not count.
const Schema = 1

// Kinds of records, the first part of a key.
const (
	kindFlow      = "flow"
	kindMemory    = "memory"
	kindFinalized = "finalized"
	kindReport    = "report"
)

// Flow is what is remembered of a flow as a whole.
type Flow struct {
	SourceCluster string    `json:"sourceCluster"` // its cluster id
	TargetCluster string    `json:"targetCluster"`
	Created       time.Time `json:"created"`
	Written       string    `json:"written"` // by which kferry
}

// Memory is what is remembered of one topic of a flow.
type Memory struct {
	Topic    string         `json:"topic"`
	SourceID estate.TopicID `json:"sourceTopicId"`
	TargetID estate.TopicID `json:"targetTopicId"`
	// Mode is how the copy was begun, report.ModeIdentical or report.ModeShifted; empty means identical, from a
	// kferry that knew no other.
	Mode       string            `json:"mode,omitempty"`
	Partitions []PartitionMemory `json:"partitions,omitempty"` // by their number
	Faults     []fault.Fault     `json:"faults,omitempty"`
	// Finalized is when the target topic was given the source's configuration, nil while it has that of a copy.
	// It has a record of its own: a replication that runs meanwhile and has not heard of it, and so puts a
	// Memory without it, does not take it back. Only Reopened and Forget do.
	Finalized *time.Time `json:"-"`
}

// finalized is the marker of a topic that was finalized. It holds for one target topic only, not for another
// one that was created under the same name.
type finalized struct {
	SourceID estate.TopicID `json:"sourceTopicId"`
	TargetID estate.TopicID `json:"targetTopicId"`
	At       time.Time      `json:"at"`
}

// PartitionMemory is what was seen of one partition's history on the source.
type PartitionMemory struct {
	// LeaderEpoch is the source's leader epoch of the last record copied, -1 if none. The source knowing no
	// such epoch, or its end before the target's, is a truncation.
	LeaderEpoch int32 `json:"leaderEpoch"`
	// LogStart is the source's log start as it was seen last.
	LogStart int64 `json:"logStart"`
	// Segments tell how target offsets follow from the source's; none: they are equal, or nothing is copied yet.
	Segments shift.Map `json:"segments,omitempty"`
}

// envelope is the form of every value.
type envelope struct {
	Schema int             `json:"schema"`
	At     time.Time       `json:"at"`
	Data   json.RawMessage `json:"data"`
}

// NewerError says that a record was written by a kferry that knows more than this one.
type NewerError struct {
	Topic  string // the state topic
	Key    string
	Schema int
}

// Error says what to do about it.
func (e *NewerError) Error() string {
	return fmt.Sprintf("state topic %s: record %s has schema %d and this kferry knows %d: it was written by a newer kferry; use that one, or give this one a state topic of its own",
		e.Topic, e.Key, e.Schema, Schema)
}

// errGarbage is a record that is none of ours or was damaged.
var errGarbage = errors.New("not a record of kferry")

// encode puts data, which is JSON, into an envelope.
func encode(at time.Time, data []byte) []byte {
	value := fmt.Appendf(nil, `{"schema":%d,"at":%q,"data":`, Schema, at.UTC().Format(time.RFC3339Nano))
	value = append(value, data...)
	return append(value, '}')
}

// decode reads a value into data. Errors: *NewerError (without the topic's name), errGarbage.
func decode(key string, value []byte, data any) (at time.Time, err error) {
	var e envelope
	if err := json.Unmarshal(value, &e); err != nil || e.Schema < 1 {
		return time.Time{}, fmt.Errorf("%w: %v", errGarbage, err)
	}
	if e.Schema > Schema {
		return time.Time{}, &NewerError{Key: key, Schema: e.Schema}
	}
	if err := json.Unmarshal(e.Data, data); err != nil {
		return time.Time{}, fmt.Errorf("%w: %v", errGarbage, err)
	}
	return e.At, nil
}

// key joins the parts of a key, escaped.
func key(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// splitKey is the reverse of key; false for what key does not write.
func splitKey(s string) (kind string, parts []string, ok bool) {
	all := strings.Split(s, "/")
	if len(all) < 2 {
		return "", nil, false
	}
	for _, p := range all[1:] {
		part, err := url.PathUnescape(p)
		if err != nil {
			return "", nil, false
		}
		parts = append(parts, part)
	}
	return all[0], parts, key(all[0], parts...) == s
}
