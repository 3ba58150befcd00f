package replicate

import (
	"context"
	"fmt"
	"slices"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/state"
)

// Shifts are what both memories on the target say of a flow, for who looks at it from outside.
type Shifts struct {
	Snapshot state.Snapshot
	Entries  map[estate.TopicPartition]ledger.Entry
	stateErr error
	wanted   func(topic string) string
}

// LoadShifts reads both memories. The error says that one of them cannot be read; what the other says is there all
// the same.
func LoadShifts(ctx context.Context, o Options) (*Shifts, error) {
	o = o.withDefaults()
	s := &Shifts{wanted: func(topic string) string { return modeWanted(o.Shifted, topic) }}
	store, err := state.Open(ctx, o.Target, o.Flow, state.Options{Topic: o.StateTopic})
	if err == nil {
		s.Snapshot, err = store.Load(ctx)
	}
	s.stateErr = err
	if s.Entries, err = ledger.Open(o.Target, o.Flow).Load(ctx); err != nil && !kafka.IsDenied(err) {
		return s, err
	}
	return s, nil
}

// Of tells how a partition's offsets are shifted between these very topics; empty: they are equal. An error says
// that they are shifted and nobody knows how, or that the two memories contradict each other.
func (s *Shifts) Of(tp estate.TopicPartition, source, target estate.TopicID) (shift.Map, error) {
	var first, second shift.Map
	m, ok := s.Snapshot.Memory[tp.Topic]
	if ok = ok && m.TargetID == target; ok && int(tp.Partition) < len(m.Partitions) {
		first = m.Partitions[tp.Partition].Segments
	}
	entry, listed := s.Entries[tp]
	if listed = listed && entry.About(source, target); listed {
		second = entry.Map
	}
	if err := first.Check(); err != nil {
		first = nil
	}
	switch {
	case len(second) > len(first):
		return second, nil
	case len(first) == len(second) && !slices.Equal(first, second):
		return nil, fmt.Errorf("the state topic says that its offsets are shifted as %s, the ledger says %s", first, second)
	case len(first) == 0 && (ok && m.Mode == report.ModeShifted || listed && entry.Mode == report.ModeShifted || !ok && !listed && s.wanted(tp.Topic) == report.ModeShifted):
		return nil, fmt.Errorf("its offsets are shifted on the target, and how far is not known")
	}
	return first, nil
}

// mode is how a topic was begun, or will be.
func (s *Shifts) mode(topic string, target estate.Topic) string {
	if m, ok := s.Snapshot.Memory[topic]; ok && m.TargetID == target.ID && m.Mode != "" {
		return m.Mode
	}
	for tp, entry := range s.Entries {
		if tp.Topic == topic && entry.TargetID == target.ID {
			return entry.Mode
		}
	}
	return s.wanted(topic)
}

// DataID is the producer id of a flow's data on the target. Asking for it disturbs no copy: its epoch is not used.
func DataID(ctx context.Context, o Options) (int64, error) {
	id, err := o.Target.InitProducer(ctx, o.transactionalID("data"), transactionTimeout)
	return id.ID, err
}

// Begun is the mode in which a topic was begun, empty if nobody remembers.
func (s *Shifts) Begun(topic string) string {
	if m, ok := s.Snapshot.Memory[topic]; ok {
		if m.Mode == "" {
			return report.ModeIdentical
		}
		return m.Mode
	}
	for tp, entry := range s.Entries {
		if tp.Topic == topic {
			return entry.Mode
		}
	}
	return ""
}

// Wanted is the mode that the flow says.
func (s *Shifts) Wanted(topic string) string { return s.wanted(topic) }

// SourceID is the source topic that was copied, zero if nobody remembers.
func (s *Shifts) SourceID(topic string) estate.TopicID {
	if m, ok := s.Snapshot.Memory[topic]; ok {
		return m.SourceID
	}
	for tp, entry := range s.Entries {
		if tp.Topic == topic {
			return entry.SourceID
		}
	}
	return estate.TopicID{}
}
