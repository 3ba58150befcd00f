package history

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome is what a producer knows of a record that it sent.
type Outcome int8

// The outcomes.
const (
	OutcomeUnknown   Outcome = iota // not answered, or the end of its transaction was not
	OutcomeCommitted                // acknowledged, and its transaction, if any, was committed
	OutcomeAborted                  // its transaction was aborted
	OutcomeDeleted                  // its topic was deleted
)

// Entry is one record of a ledger.
type Entry struct {
	ID        uint64
	Topic     string
	Partition int32
	Offset    int64 // -1 if no acknowledgement told it
	Outcome   Outcome
}

// Ledger is what the producers of a workload know: which record was acknowledged at which offset, and how its
// transaction ended. It tells loss on the source from loss by a copy, and a record that is twice from two
// records that are alike.
type Ledger struct {
	mu      sync.Mutex // guards entries
	entries map[uint64]*Entry
}

func newLedger() *Ledger { return &Ledger{entries: map[uint64]*Entry{}} }

// idHeader is the key of the header that carries a record's id.
const idHeader = "id"

// withID marks a record with an id of its own.
func withID(r *kgo.Record, id uint64) {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: idHeader, Value: binary.BigEndian.AppendUint64(nil, id)})
}

// idOf is the id that a record carries; 0 if it has none.
func idOf(r *kgo.Record) uint64 {
	for _, h := range r.Headers {
		if h.Key == idHeader && len(h.Value) == 8 {
			return binary.BigEndian.Uint64(h.Value)
		}
	}
	return 0
}

// sent notes a record before it is produced.
func (l *Ledger) sent(id uint64, topic string, partition int32) *Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &Entry{ID: id, Topic: topic, Partition: partition, Offset: -1}
	l.entries[id] = e
	return e
}

func (l *Ledger) set(e *Entry, offset int64, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset >= 0 {
		e.Offset = offset
	}
	e.Outcome = o
}

// get returns a copy; ok is false for an id that was never sent. A nil ledger knows nothing.
func (l *Ledger) get(id uint64) (Entry, bool) {
	if l == nil {
		return Entry{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[id]
	if !ok {
		return Entry{}, false
	}
	return *e, true
}

// Entries returns copies of everything that was sent to a topic's partition, by id.
func (l *Ledger) Entries(topic string, partition int32) []Entry {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for e := range maps.Values(l.entries) {
		if e.Topic == topic && e.Partition == partition {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Deleted notes that a topic was deleted, with everything that was sent to it so far.
func (l *Ledger) Deleted(topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range maps.Values(l.entries) {
		if e.Topic == topic {
			e.Outcome = OutcomeDeleted
		}
	}
}

// Count returns how many records have that outcome.
func (l *Ledger) Count(o Outcome) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range maps.Values(l.entries) {
		if e.Outcome == o {
			n++
		}
	}
	return n
}
