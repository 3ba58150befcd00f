package mirror

import (
	"fmt"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

// Phase is where a partition is on its way.
type Phase int

// The phases, in the order in which a partition normally passes them.
const (
	Opening Phase = iota
	Comparing
	Seeding
	Copying
	Faulted
)

// Machine is one partition's state. It is not safe for concurrent use. After each event the caller takes the
// actions with Take.
type Machine struct {
	cfg Config

	phase      Phase
	generation int  // grows with every reset, so that answers to dropped requests are recognised
	opened     int  // how often both ends were read
	ahead      int  // how often in a row the target was ahead of the source
	overtook   bool // the source's log start was beyond the target's end when both were read last
	fault      *fault.Fault

	// Invariant while Copying: acked <= next <= fetchFrom. inflight covers [acked, next), items cover
	// [next, fetchFrom).
	acked     int64 // the target's log end as far as it was acknowledged
	next      int64 // base offset of the next append or filler
	fetchFrom int64 // where the next fetch begins

	producer  batch.Producer // Sequence is that of the next append
	live      bool           // the broker holds our sequence for this partition: appends are conditional
	unwritten bool           // the target's log never held a record
	filledBy  ActionKind     // of the last filler that went out: Mark or Abort
	fillEnd   int64          // where the log ends at most after it
	barrier   bool           // a filler without a sequence is out: nothing may follow it yet
	probing   bool           // a Probe is out
	deleting  bool           // a Delete is out

	settle    bool // what was sent may still arrive: said with every Open until one is answered
	unguarded bool // and a filler without a sequence is among it
	late      bool // appends of an earlier generation may still arrive, held off by nothing but their sequence

	inflight      []sent // appends that were not answered, oldest first
	inflightBytes int
	items         []item // fetched and not yet sent, in offset order
	itemBytes     int

	source Log
	target Log
	epoch  int32 // leader epoch of the last batch taken in, -1 if none

	transactions bool // batches of transactions were read

	decoder *batch.Decoder
	actions []Action
	traffic report.Traffic
}

// Log is what is known of one side.
type Log struct {
	Start  int64 // log start
	High   int64 // high watermark; for the target as far as it was read
	Stable int64 // last stable offset (source only)
}

type sent struct {
	base  int64
	count int64
	bytes int
	kind  AppendKind
}

// New returns a machine that begins by opening its partition. producer is the flow's producer id; its
// sequence is found out. decoder may be shared by machines that are never stepped at the same time.
func New(cfg Config, producer batch.Producer, decoder *batch.Decoder) *Machine {
	m := &Machine{cfg: cfg.withDefaults(), producer: producer, decoder: decoder, epoch: -1}
	m.source, m.target = Log{-1, -1, -1}, Log{-1, -1, -1}
	m.do(Action{Kind: Open})
	return m
}

// Take returns the actions since the last Take. The slice is valid until the next event.
func (m *Machine) Take() []Action {
	a := m.actions
	m.actions = m.actions[len(m.actions):]
	return a
}

func (m *Machine) do(a Action) {
	a.Generation = m.generation
	m.actions = append(m.actions, a)
}

// Phase is where the partition is.
func (m *Machine) Phase() Phase { return m.phase }

// Fault is why the partition stopped, nil if it did not.
func (m *Machine) Fault() *fault.Fault { return m.fault }

// Generation numbers the machine's fresh starts.
func (m *Machine) Generation() int { return m.generation }

// Traffic counts what was acknowledged so far.
func (m *Machine) Traffic() report.Traffic { return m.traffic }

// Source is what is known of the source's log, -1 where nothing is.
func (m *Machine) Source() Log { return m.source }

// Target is what is known of the target's log, -1 where nothing is.
func (m *Machine) Target() Log { return m.target }

// Position is the target's log end as far as it was acknowledged.
func (m *Machine) Position() int64 { return m.acked }

// LastEpoch is the source's leader epoch of the last batch taken in, -1 if none was.
func (m *Machine) LastEpoch() int32 { return m.epoch }

// Wants says whether to fetch, and from where.
func (m *Machine) Wants() (from int64, ok bool) {
	ok = m.phase == Copying && !m.probing && m.inflightBytes+m.itemBytes < m.cfg.WindowBytes
	return m.fetchFrom, ok
}

// Idle says whether everything taken in was acknowledged.
func (m *Machine) Idle() bool {
	return m.phase == Copying && len(m.inflight) == 0 && len(m.items) == 0 && !m.barrier
}

// CaughtUp says whether the target holds everything that can be copied at the moment.
func (m *Machine) CaughtUp() bool {
	return m.Idle() && m.source.Stable >= 0 && m.acked >= m.source.Stable
}

// reset drops everything in hand and opens the partition again. settle: something may be on its way without
// the machine's waiting for it. What it does wait for may yet be cut off, and its answer would be of the past.
func (m *Machine) reset(settle bool) {
	m.settle = m.settle || settle || m.barrier || len(m.inflight) > 0
	m.unguarded = m.unguarded || m.barrier
	m.late = m.late || len(m.inflight) > 0
	m.drop()
	m.generation++
	m.phase = Opening
	m.do(Action{Kind: Open, Settle: m.settle, Unguarded: m.unguarded})
}

func (m *Machine) drop() {
	for i := range m.items {
		m.items[i].release()
	}
	m.items, m.inflight = nil, nil
	m.itemBytes, m.inflightBytes = 0, 0
	m.barrier, m.probing, m.deleting, m.live = false, false, false, false
	// Actions that were not taken yet belong to the past as well.
	for _, a := range m.actions {
		if a.Owner != nil {
			a.Owner.Release()
		}
	}
	m.actions = m.actions[:0]
}

// Stop faults the partition from outside, for what only the driver can see (a recreated topic, a denied
// operation). The first fault stays.
func (m *Machine) Stop(f fault.Fault) {
	if m.phase == Faulted {
		return
	}
	m.drop()
	m.generation++
	m.phase = Faulted
	f.Topic, f.Partition = m.cfg.Topic, m.cfg.Partition
	m.fault = &f
	m.do(Action{Kind: Stop, Fault: m.fault})
}

func (m *Machine) stop(kind fault.Kind, offset, count int64, next, format string, args ...any) {
	m.Stop(fault.Fault{Kind: kind, Offset: offset, Count: count, Detail: fmt.Sprintf(format, args...), Next: next})
}

// repair names the commands that settle what cannot be undone.
func (m *Machine) repair() string {
	return fault.Rebuild(m.cfg.Topic) + ", or go on behind it: " + fault.Reattach(m.cfg.Topic)
}

// SetMaxBatchBytes changes the largest batch that the target takes.
func (m *Machine) SetMaxBatchBytes(n int) {
	if n > 0 {
		m.cfg.MaxBatchBytes = n
	}
}
