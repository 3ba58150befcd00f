package replicate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/names"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/state"
	"github.com/kferry/kferry/internal/topics"
)

// Shifted offsets live here, at the border: the machine thinks in the source's offsets, the wire in the target's.

// by is how far the source's offsets lie above the target's where the partition copies now. The caller holds p.mu.
func (p *partition) by() int64 { return p.shift.Last().Shift }

// distance is the segment that is being copied.
func (p *partition) distance() shift.Segment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shift.Last()
}

// atSource brings both ends, as they were read, to the source's offsets. A partition that is begun shifted is
// attached here, before anything is written to it. A fault says why it cannot be.
func (e *Engine) atSource(ctx context.Context, p *partition, ends *mirror.Ends) (*fault.Fault, error) {
	p.mu.Lock()
	mode, m := p.mode, p.shift
	p.targetStart = ends.TargetStart
	p.mu.Unlock()
	ends.Unwritten = ends.TargetEnd == 0
	if mode == report.ModeShifted {
		pristine := ends.TargetEnd == 0
		switch begun := shift.Begin(ends.SourceStart); {
		case pristine && !slices.Equal(m, begun):
			if err := e.attach(ctx, p, begun); err != nil {
				return nil, err
			}
			m = begun
		case len(m) == 0:
			return shiftUnknown(p.TopicPartition, ends), nil
		}
	}
	if len(m) == 0 {
		return nil, nil
	}
	last := m.Last()
	if ends.TargetEnd < last.Target() {
		return &fault.Fault{
			Kind: fault.NotAPrefix, Offset: last.From, Count: last.Target() - ends.TargetEnd,
			Detail: fmt.Sprintf("the target's log ends at %d, before offset %d, where the copy was attached: the target lost what was there", ends.TargetEnd, last.Target()),
			Next:   "rebuild it: " + fault.Rebuild(p.Topic),
		}, nil
	}
	start := ends.TargetStart
	if ends.TargetStart = m.StartSeen(start); start == m.Start(ends.SourceStart) {
		ends.TargetStart = min(ends.SourceStart, ends.TargetEnd+last.Shift)
	}
	ends.TargetEnd += last.Shift
	return nil, nil
}

func shiftUnknown(tp estate.TopicPartition, ends *mirror.Ends) *fault.Fault {
	return &fault.Fault{
		Kind: fault.ShiftUnknown, Offset: ends.SourceStart, Count: ends.TargetEnd - ends.TargetStart,
		Detail: fmt.Sprintf("the target holds offsets %d to %d, and how far they are shifted is neither in the state topic nor in the ledger: kferry does not guess", ends.TargetStart, ends.TargetEnd-1),
		Next:   "copy it anew: " + fault.Rebuild(tp.Topic) + "; or copy everything once more behind what is there: " + fault.Reattach(tp.Topic),
	}
}

// attach stores how a partition's offsets will be shifted, before the first of them is used. One of the two
// memories must have it.
func (e *Engine) attach(ctx context.Context, p *partition, m shift.Map) error {
	p.mu.Lock()
	p.shift = m
	entry := e.entryOf(p)
	p.mu.Unlock()
	entries := map[estate.TopicPartition]ledger.Entry{p.TopicPartition: entry}
	err := e.ledger.Put(ctx, entries)
	if err != nil && e.store != nil && kafka.TroubleOf(err) == kafka.Denied {
		err = e.store.PutMemory(ctx, e.memories()...)
	}
	if err != nil {
		return fmt.Errorf("remember that %s is shifted by %d: %w", p.TopicPartition, m.Last().Shift, err)
	}
	e.log.Info("partition attached", "topic", p.Topic, "partition", p.Partition, "from", m.Last().From, "shift", m.Last().Shift)
	return nil
}

// entryOf is what the ledger should hold. The caller holds p.mu.
func (e *Engine) entryOf(p *partition) ledger.Entry {
	return ledger.Entry{Mode: p.mode, SourceID: p.sourceID, TargetID: p.targetID, Map: p.shift}
}

// startFor is where the target's log should start when the source's starts at source, and whether it does not yet.
func (p *partition) startFor(source int64) (to int64, need bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to = p.shift.Start(source)
	return to, len(p.shift) == 0 || to > p.targetStart
}

// started notes the target's log start after it was asked to be at to, and gives it as the source's offset, which
// is then wanted. The caller holds p.mu.
func (p *partition) started(start, to, wanted int64) int64 {
	p.targetStart = max(p.targetStart, start)
	if start >= to && len(p.shift) > 0 {
		return max(p.shift.StartSeen(start), wanted)
	}
	return p.shift.StartSeen(start)
}

// modeWanted is how the flow wants a topic to be begun.
func modeWanted(shifted []*regexp.Regexp, topic string) string {
	if len(shifted) > 0 && names.NewFilter(shifted, nil).Takes(topic) {
		return report.ModeShifted
	}
	return report.ModeIdentical
}

// modeBegun is how a topic was begun, as far as anybody remembers.
func (e *Engine) modeBegun(out topics.Outcome) string {
	if out.Created {
		return ""
	}
	if m, ok := e.recall(out.Topic); ok && m.TargetID == out.TargetID {
		if m.Mode == "" {
			return report.ModeIdentical
		}
		return m.Mode
	}
	e.recalling.Lock()
	defer e.recalling.Unlock()
	for tp, entry := range e.entries {
		if tp.Topic == out.Topic && entry.TargetID == out.TargetID && !out.TargetID.IsZero() {
			return entry.Mode
		}
	}
	return ""
}

// settleMode decides in which mode a topic is copied, once. False: not yet, or never.
func (e *Engine) settleMode(ctx context.Context, out topics.Outcome, target estate.Topic) bool {
	e.mu.Lock()
	settled := e.topics[out.Topic].mode != ""
	e.mu.Unlock()
	if settled {
		return true
	}
	wanted, begun := modeWanted(e.o.Shifted, out.Topic), e.modeBegun(out)
	if begun != "" && begun != wanted {
		pristine, err := e.pristine(ctx, target)
		if err != nil {
			e.trouble("look whether the target topic is empty", err, "topic", out.Topic)
			e.refreshSoon()
			return false
		}
		if !pristine {
			e.stopTopic(fault.Fault{
				Kind: fault.ModeChanged, Topic: out.Topic, Partition: -1, Offset: -1,
				Detail: fmt.Sprintf("the target topic was begun with %s offsets and the flow says %s", begun, wanted),
				Next: map[bool]string{true: "put the topic back under shifted in the flow", false: "take the topic out of shifted in the flow"}[begun == report.ModeShifted] +
					", or copy it anew the other way: " + fault.Rebuild(out.Topic),
			})
			return false
		}
	}
	e.mu.Lock()
	e.topics[out.Topic].mode = wanted
	e.mu.Unlock()
	return true
}

// pristine says whether nothing was ever written to a target topic.
func (e *Engine) pristine(ctx context.Context, target estate.Topic) (bool, error) {
	var leaders []kafka.Leader
	for _, p := range target.Partitions {
		leaders = append(leaders, kafka.Leader{TopicPartition: estate.TopicPartition{Topic: target.Name, Partition: p.ID}, Node: p.Leader, Epoch: p.LeaderEpoch})
	}
	for _, end := range e.o.Target.LogEnds(ctx, leaders) {
		if end.Err != nil || end.Offset > 0 {
			return false, end.Err
		}
	}
	return true, nil
}

// recallShift gives a new partition its mode and what is remembered of its offsets. Two memories that contradict
// each other are a fault; of one that goes on where the other ends, the longer is the later.
func (e *Engine) recallShift(p *partition, out topics.Outcome) *fault.Fault {
	e.mu.Lock()
	p.mode, p.targetID = e.topics[out.Topic].mode, out.TargetID
	e.mu.Unlock()
	if out.Created {
		return nil
	}
	known := &Shifts{Snapshot: state.Snapshot{Memory: map[string]state.Memory{}}, wanted: func(string) string { return report.ModeIdentical }}
	if m, ok := e.recall(out.Topic); ok {
		m.Mode = report.ModeIdentical // whether a shifted one may lack its map is seen when it is opened
		known.Snapshot.Memory[out.Topic] = m
	}
	e.recalling.Lock()
	if entry, ok := e.entries[p.TopicPartition]; ok {
		entry.Mode = report.ModeIdentical
		known.Entries = map[estate.TopicPartition]ledger.Entry{p.TopicPartition: entry}
	}
	e.recalling.Unlock()
	m, err := known.Of(p.TopicPartition, out.SourceID, out.TargetID)
	if err != nil {
		return &fault.Fault{Kind: fault.ShiftUnknown, Offset: -1, Detail: err.Error(), Next: "copy it anew: " + fault.Rebuild(out.Topic)}
	}
	p.shift = m
	return nil
}

// modeOf is the mode that is shown: one partition that was attached anew makes a topic shifted.
func modeOf(begun string, parts []report.Partition) string {
	for _, p := range parts {
		if !p.Segments.Plain() {
			return report.ModeShifted
		}
	}
	if begun == "" {
		return report.ModeIdentical
	}
	return begun
}

// stopTopic faults a topic as a whole.
func (e *Engine) stopTopic(f fault.Fault) {
	f.At = time.Now()
	e.mu.Lock()
	if t := e.topics[f.Topic]; t.fault == nil {
		t.fault = &f
	}
	e.mu.Unlock()
	e.log.Error("topic stopped", "topic", f.Topic, "fault", string(f.Kind), "detail", f.Detail, "next", f.Next, "see", f.Kind.See())
	for _, p := range e.all() {
		if p.Topic == f.Topic {
			p.stop(f)
		}
	}
}
