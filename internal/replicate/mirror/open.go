package mirror

import (
	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
)

// Tail says what the last batch of the target is.
type Tail int

// What the target's log ends with.
const (
	TailEmpty  Tail = iota // no batch at all
	TailFiller             // filler of a seeding that was interrupted
	TailOurs               // a batch of the flow's producer id, or a control marker
	TailOther              // a batch of somebody else, or of an earlier producer id of the flow
)

// Ends is the answer to Open: both logs as they are, read while nothing of ours was on its way.
type Ends struct {
	SourceStart, SourceHigh, SourceStable int64
	TargetStart, TargetEnd                int64 // TargetEnd is the leader's log end, not the high watermark
	TargetTail                            Tail
	Sequence                              int32 // last sequence of our producer id there, -1 if the broker holds none
	Known                                 bool  // the topic was made or taken over by this flow before
	Unwritten                             bool  // the target's log never held a record; implied by a TargetEnd of 0
}

// Opened is the answer to Open.
func (m *Machine) Opened(generation int, e Ends) {
	if generation != m.generation || m.phase != Opening {
		return
	}
	m.opened++
	if m.unguarded || m.settle && e.Sequence < 0 { // the driver waited for them
		m.late = false
	}
	m.settle, m.unguarded = false, false
	m.source = Log{e.SourceStart, e.SourceHigh, e.SourceStable}
	m.target = Log{Start: e.TargetStart, High: m.target.High}
	m.acked, m.next, m.fetchFrom = e.TargetEnd, e.TargetEnd, e.TargetEnd
	m.epoch = -1
	m.takeSequence(e)
	empty := e.TargetStart == e.TargetEnd
	switch {
	case e.TargetEnd > e.SourceHigh:
		m.targetAhead(e)
	case e.TargetStart > e.SourceStart:
		m.ahead = 0
		m.stop(fault.NotAPrefix, e.SourceStart, e.TargetStart-e.SourceStart,
			"copy it from the start: "+fault.Rebuild(m.cfg.Topic),
			"the target's log starts at %d, the source's at %d: %d offsets are missing on the target", e.TargetStart, e.SourceStart, e.TargetStart-e.SourceStart)
	case e.TargetEnd < e.SourceStart && (empty || e.TargetTail == TailFiller):
		m.seed()
	case e.TargetEnd < e.SourceStart:
		m.overtaken(e)
	default:
		m.overtook = false
		m.compareTail(empty)
	}
}

// takeSequence goes on where the broker says our producer id stands.
func (m *Machine) takeSequence(e Ends) {
	m.live = e.Sequence >= 0
	if m.live {
		m.producer.Sequence = batch.NextSequence(e.Sequence, 1)
		return
	}
	m.producer.Sequence = firstSequence(e.TargetEnd)
	if m.unwritten = e.Unwritten || e.TargetEnd == 0; m.unwritten {
		// From KAFKA-15591 on, brokers take nothing else from a producer they do not know into a log that never
		// held a record.
		m.producer.Sequence = 0
	}
}

// firstSequence is what appends begin with where the broker remembers nothing and takes any sequence. It depends on
// the log end alone, so that two kferrys that begin there send the same one, and the second of two equal batches
// is recognised as a duplicate. And it is scattered, so that it hardly ever fits behind what another kferry has
// counted up since it began elsewhere: the offset itself would, for that one counts records and the log end
// counts gaps too.
func firstSequence(end int64) int32 {
	return int32(uint64(end) * 0x9e3779b97f4a7c15 >> 33) // the golden ratio: multiplicative hashing
}

// targetAhead: the target holds offsets that the source does not have. A new leader on the source may not
// know its high watermark yet, so look again a few times before calling it a fault.
func (m *Machine) targetAhead(e Ends) {
	if m.ahead++; m.ahead < aheadPatience {
		m.reset(false)
		return
	}
	over := e.TargetEnd - e.SourceHigh
	switch {
	case !e.Known:
		m.stop(fault.NotAPrefix, e.SourceHigh, over,
			"leave the topic out of the flow, or "+m.repair(),
			"the target's log ends at %d, the source's at %d: the target holds %d offsets that the source does not have", e.TargetEnd, e.SourceHigh, over)
	case e.TargetTail == TailOther:
		m.stop(fault.ForeignAppend, e.SourceHigh, over,
			"find who writes to the target (its last producer id is not kferry's) and stop it, then "+m.repair(),
			"the target's log ends at %d, the source's at %d, and the last batch there is not kferry's", e.TargetEnd, e.SourceHigh)
	default:
		m.stop(fault.Truncation, e.SourceHigh, over,
			"the source lost records that were already copied: decide which side is right, then "+m.repair(),
			"the source's log ends at %d, before the %d offsets that were already copied up to %d", e.SourceHigh, over, e.TargetEnd)
	}
}

// overtaken: retention on the source deleted records before they were copied. Or the target's end is out of date,
// because another kferry went on while this one was stopped between its questions: look again before anything is
// said to be lost.
func (m *Machine) overtaken(e Ends) {
	if !m.overtook {
		m.reset(false)
		m.overtook = true
		return
	}
	lost := e.SourceStart - e.TargetEnd
	if !e.Known && e.TargetTail == TailOther { // nothing on the source is left to compare it with
		m.stop(fault.NotAPrefix, e.TargetStart, e.TargetEnd-e.TargetStart,
			"leave the topic out of the flow, or "+m.repair(),
			"the target holds offsets %d to %d, which kferry did not write and the source does not have: its log starts at %d", e.TargetStart, e.TargetEnd-1, e.SourceStart)
		return
	}
	if m.cfg.FillExpired {
		m.traffic.GapsExpired += lost
		m.seed()
		return
	}
	m.stop(fault.RetentionOvertook, e.TargetEnd, lost,
		"raise retention on the source until the copy has caught up; set onRetentionOvertake: fill in the flow to go on without these offsets, or "+m.repair(),
		"the source deleted offsets %d to %d before they were copied", e.TargetEnd, e.SourceStart-1)
}

// compareTail checks by content that the target's end is the source's history before anything is written.
func (m *Machine) compareTail(empty bool) {
	m.ahead = 0
	from := max(m.target.Start, m.source.Start, m.acked-tailOffsets)
	if empty || from >= m.acked {
		m.begin()
		return
	}
	m.phase = Comparing
	m.do(Action{Kind: Compare, Base: from, Count: m.acked - from})
}

// Difference is the first place where the compared tails differ.
type Difference struct {
	Offset int64
	Detail string
}

// Compared is the answer to Compare; nil means equal.
func (m *Machine) Compared(generation int, diff *Difference, known bool) {
	if generation != m.generation || m.phase != Comparing {
		return
	}
	if diff == nil {
		m.begin()
		return
	}
	kind, next := fault.NotAPrefix, "leave the topic out of the flow, or "+m.repair()
	if known {
		kind, next = fault.ForeignAppend, "find who wrote to the target or what the source lost, then "+m.repair()
	}
	m.stop(kind, diff.Offset, m.acked-diff.Offset, next, "target and source differ at offset %d: %s", diff.Offset, diff.Detail)
}

// begin starts copying from the target's log end.
func (m *Machine) begin() {
	m.phase = Copying
	m.next, m.fetchFrom = m.acked, m.acked
	m.followLogStart()
}

// seed brings a partition without content to the source's log start: filler up to there, then deleted.
func (m *Machine) seed() {
	m.ahead = 0
	n := m.source.Start - m.acked
	if m.cfg.SeedLimit > 0 && n > m.cfg.SeedLimit {
		if !m.overtook { // as in overtaken
			m.reset(false)
			m.overtook = true
			return
		}
		m.stop(fault.SeedLimit, m.acked, n,
			"raise seedLimit in the flow if the target may take about a byte an offset for a while; or put the topic under shifted in the flow",
			"the source's log starts at %d: %d offsets to seed, allowed are %d", m.source.Start, n, m.cfg.SeedLimit)
		return
	}
	m.phase = Seeding
	if !m.live && !m.unwritten {
		// Not as for data: filler that is taken for a duplicate of what another kferry copied before the source
		// deleted it would end on top of that, as if it were not there.
		m.producer.Sequence = firstSequence(^m.acked)
	}
	m.seedMore()
}

func (m *Machine) seedMore() {
	left := m.source.Start - m.next
	if left <= 0 {
		m.deleting = true
		m.do(Action{Kind: Delete, Base: m.source.Start})
		return
	}
	n := min(left, maxSeed, int64(max(m.cfg.MaxBatchBytes-minFillerMargin, 1)))
	m.append(Action{Append: Seed, Base: m.next, Count: n}, 0)
}

// Deleted is the answer to Delete: the target's log starts at start now. A refusal that may pass is not
// reported; the machine asks again when the source's log start is next seen.
func (m *Machine) Deleted(generation int, start int64) {
	if generation != m.generation || m.phase == Faulted {
		return
	}
	m.deleting = false
	if start > m.target.Start {
		m.target.Start = start
	}
	if m.phase != Seeding {
		return
	}
	if m.target.Start < m.source.Start { // not yet: the high watermark may lag behind
		m.deleting = true
		m.do(Action{Kind: Delete, Base: m.source.Start})
		return
	}
	m.begin()
	m.pump()
}

// followLogStart deletes on the target what the source no longer has, so that fillers and markers, whose
// timestamps are younger, do not make old segments live longer than on the source.
func (m *Machine) followLogStart() {
	if m.deleting || m.phase != Copying || m.source.Start <= m.target.Start || m.source.Start > m.acked {
		return
	}
	m.deleting = true
	m.do(Action{Kind: Delete, Base: m.source.Start})
}

// TargetHigh tells the target's high watermark. When nothing is on its way it cannot be beyond our own
// appends unless somebody else wrote.
func (m *Machine) TargetHigh(high int64) {
	if m.phase == Faulted {
		return
	}
	m.target.High = high
	if !m.Idle() {
		return
	}
	// While nothing is sent, the broker may forget the producer id, and would then take the second of two appends
	// in the place of a first one that it refuses. The next append goes out alone.
	m.live = false
	if high > m.acked {
		m.reset(false)
	}
}
