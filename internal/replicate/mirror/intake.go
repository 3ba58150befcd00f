package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
)

// Aborted is one aborted transaction that overlaps a fetched range: every transactional batch of ProducerID
// from FirstOffset up to its abort marker is to be skipped.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// Fetch is one partition's part of a fetch answer, read with isolation read_committed.
type Fetch struct {
	From                int64 // the offset asked for; answers for another one than the present are dropped
	Start, High, Stable int64
	Aborted             []Aborted // in any order
	Records             []byte
	Owner               Owner // of Records; the machine retains what it keeps
	Throttled           bool  // by a quota: an empty answer means nothing
}

// Fetched takes in what was fetched.
func (m *Machine) Fetched(f Fetch) {
	if m.phase != Copying || f.From != m.fetchFrom || m.probing {
		return
	}
	m.noteSource(f)
	m.takeIn(f)
	if m.phase != Copying {
		return
	}
	if m.fetchFrom == f.From && f.Stable > f.From && !f.Throttled {
		// Nothing usable although there are stable offsets ahead: either the answer had no room left for
		// this partition, or the rest of the log is a hole (everything was compacted away). Ask again, alone.
		m.probing = true
		m.do(Action{Kind: Probe, Base: f.From})
		return
	}
	m.pump()
	m.followLogStart()
}

// Silent says that nothing was heard of the partition for a while, although it was asked for at this offset. A broker
// leaves a partition out of the answers of a fetch session (KIP-227) while there is nothing new to tell of it: of an
// end that was compacted away it told together with the last records before it, and never again.
func (m *Machine) Silent(from int64) {
	if m.phase != Copying || from != m.fetchFrom || m.probing || m.source.Stable <= from {
		return
	}
	m.probing = true
	m.do(Action{Kind: Probe, Base: from})
}

// Probed is the answer to Probe: the same fetch for this partition alone, nothing competing for its size.
func (m *Machine) Probed(generation int, f Fetch) {
	if generation != m.generation || m.phase != Copying || !m.probing {
		return
	}
	m.probing = false
	m.noteSource(f)
	m.takeIn(f)
	if m.phase != Copying {
		return
	}
	if m.fetchFrom == f.From && f.Stable > f.From && !f.Throttled {
		m.addGap(gapHole, f.From, f.Stable)
		m.fetchFrom = f.Stable
		m.epoch = -1 // of what was there: to name an earlier one would pass for another history
	}
	m.pump()
	m.followLogStart()
}

// SourceReadFailed says that the source could not be read where the machine is, or where a comparison was to
// begin: the offset is out of range. Both ends are read again, and what is found there decides.
func (m *Machine) SourceReadFailed() {
	if m.phase == Copying || m.phase == Comparing {
		m.reset(false)
	}
}

// SourceMoved says that the source has another leader, or the same one in another epoch: one that may have lost a
// tail that was copied, and have another by now. A fetch is told so only where it names the epoch of what was read
// last (KIP-595), which a machine that has read nothing since it was opened cannot do. And it is never told that
// only the end of a transaction was lost, so that what was copied as committed is aborted now. Nor does a Probe name
// an epoch. In all these cases the tail is compared again.
func (m *Machine) SourceMoved() {
	if m.phase == Opening || m.phase == Comparing || m.phase == Copying && (m.epoch < 0 || m.transactions || m.probing) {
		m.reset(false)
	}
}

// Diverged says that the source's history parts from what was copied: its leader epoch `epoch` ended at
// `end`, before where the machine reads. If nothing of what is lost was sent yet, what was read is dropped and
// read anew.
func (m *Machine) Diverged(epoch int32, end int64) {
	if m.phase == Faulted {
		return
	}
	if end >= m.next {
		m.reset(false)
		return
	}
	m.stop(fault.Truncation, end, m.next-end,
		"the source lost records that were already copied (unclean leader election): decide which side is right, then "+m.repair(),
		"the source's leader epoch %d ended at offset %d, but offsets up to %d were already copied from it", epoch, end, m.next)
}

func (m *Machine) noteSource(f Fetch) {
	m.source.High = f.High
	m.source.Stable = f.Stable
	if f.Start > m.source.Start {
		m.source.Start = f.Start
	}
}

// takeIn turns batches into items and moves fetchFrom past them.
func (m *Machine) takeIn(f Fetch) {
	aborted := newAbortedSet(f.Aborted)
	rest, last := f.Records, int64(-1)
	for len(rest) > 0 {
		b, after, err := batch.Next(rest)
		if errors.Is(err, batch.ErrPartial) {
			return // a fetch may end inside a batch
		}
		if err != nil {
			m.corrupt(m.fetchFrom, err)
			return
		}
		if b.BaseOffset <= last { // its offsets are taken, or passed for a hole
			m.corrupt(b.BaseOffset, fmt.Errorf("it begins at offset %d, behind a batch that ends at %d", b.BaseOffset, last))
			return
		}
		rest, last = after, b.LastOffset()
		if b.LastOffset() < m.fetchFrom {
			continue // a fetch begins with the batch that contains the offset asked for, or before it
		}
		if err := m.takeBatch(b, aborted, f.Owner); err != nil {
			m.corrupt(b.BaseOffset, err)
			return
		}
	}
}

func (m *Machine) corrupt(offset int64, err error) {
	m.stop(fault.CorruptBatch, offset, 0,
		"look at the batch on the source's disk (kafka-dump-log); restore the replica from a healthy one, then start kferry again",
		"a batch of the source cannot be read: %v", err)
}

func (m *Machine) takeBatch(b batch.Batch, aborted *abortedSet, owner Owner) error {
	from := max(b.BaseOffset, m.fetchFrom)
	if b.BaseOffset > m.fetchFrom {
		if b.BaseOffset > m.source.High { // compaction, which makes holes, ends long before; the field has no checksum
			return fmt.Errorf("it begins at offset %d, where %d is due and the high watermark is %d", b.BaseOffset, m.fetchFrom, m.source.High)
		}
		m.addGap(gapHole, m.fetchFrom, b.BaseOffset)
	}
	aborted.advance(b.LastOffset())
	filled := b.Control() || b.Count == 0 || b.Transactional() && aborted.has(b.ProducerID)
	if filled { // what is passed on has its checksum checked by the target, or before it is written anew
		if err := b.CheckCRC(); err != nil {
			return err
		}
	}
	switch {
	case b.Control():
		typ, err := b.ControlType()
		if err != nil {
			return fmt.Errorf("control batch at offset %d: %w", b.BaseOffset, err)
		}
		if typ == batch.Abort {
			aborted.end(b.ProducerID)
		}
		m.addGap(gapMarker, from, b.NextOffset())
	case b.Transactional() && aborted.has(b.ProducerID):
		m.addGap(gapAborted, from, b.NextOffset())
	case b.Count == 0: // compaction emptied it but kept it for its producer's sequence
		m.addGap(gapHole, from, b.NextOffset())
	default:
		m.addData(b, from, owner)
	}
	m.fetchFrom = b.NextOffset()
	m.epoch = b.PartitionLeaderEpoch
	m.transactions = m.transactions || b.Transactional()
	return nil
}

// abortedSet follows, batch by batch, which producers are inside an aborted transaction.
type abortedSet struct {
	list   []Aborted
	active map[int64]bool
}

// newAbortedSet takes a broker's list, which is in the order in which the transactions ended, not began.
func newAbortedSet(list []Aborted) *abortedSet {
	s := &abortedSet{}
	if len(list) > 0 {
		s.list = slices.SortedFunc(slices.Values(list), func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
		s.active = make(map[int64]bool, len(list))
	}
	return s
}

func (s *abortedSet) advance(last int64) {
	for len(s.list) > 0 && s.list[0].FirstOffset <= last {
		s.active[s.list[0].ProducerID] = true
		s.list = s.list[1:]
	}
}

func (s *abortedSet) has(id int64) bool { return s.active[id] }
func (s *abortedSet) end(id int64)      { delete(s.active, id) }
