package mirror

import (
	"errors"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
)

// filler is what a gap is filled with.
type filler int

const (
	fillWait    filler = iota // more must be known first
	fillEcho                  // appended like data
	fillMarkers               // WriteTxnMarkers, or one EndTxn each
	fillAborted               // filler records in an aborted transaction
	fillNone                  // not permitted
)

// fillGap works on the gap at the head. False means: nothing more can be done now.
func (m *Machine) fillGap() bool {
	it := &m.items[0]
	how := m.choose(it)
	if how == fillEcho {
		return m.echo()
	}
	if how == fillWait || len(m.inflight) > 0 { // a filler without a sequence waits for all before it
		return false
	}
	if m.late && m.cfg.Compacted {
		// A record whose append was cut off may have been compacted away since. That append would still fit the
		// sequence, and a marker does not stop it: wait until it cannot arrive any more.
		m.unguarded = true
		m.reset(true)
		return false
	}
	width := it.end - it.base
	switch how {
	case fillMarkers:
		n := int64(1) // EndTxn writes one
		if m.cfg.CanMark {
			n = min(width, maxMarks)
		}
		m.barrier, m.filledBy, m.fillEnd = true, Mark, it.base+n
		m.do(Action{Kind: Mark, Base: it.base, Count: n})
	case fillAborted:
		m.barrier, m.filledBy, m.fillEnd = true, Abort, it.end
		m.do(Action{Kind: Abort, Base: it.base, Count: width})
	case fillNone:
		m.stop(fault.GapRefused, it.base, width,
			"grant ALTER on the cluster (Kafka 3.8 and newer) or CLUSTER_ACTION, or WRITE on the transactional ids of kferry, on the target",
			"%d offsets without records cannot be filled: neither control markers nor transactions are permitted", width)
	}
	return false
}

// choose picks the filler for a gap, by width, by why it is a gap, and by permission.
func (m *Machine) choose(it *item) filler {
	width := it.end - it.base
	holesOnly := it.gap.total() == it.gap[gapHole]
	wide := width >= m.cfg.WideGap || (!m.cfg.CanMark && width >= 3)
	if wide && holesOnly && m.cfg.Compacted {
		switch m.cfg.WideHoles {
		case HolesEcho:
			if how := m.chooseEcho(); how != fillNone {
				return how
			}
		case HolesAuto:
			how := m.chooseEcho()
			if how == fillWait || (how == fillEcho && m.nextIsSmall()) {
				return how
			}
		}
	}
	marks := m.cfg.WideHoles == HolesMarkers && holesOnly && m.cfg.CanMark
	switch {
	case wide && m.cfg.CanAbort && !marks:
		return fillAborted
	case m.cfg.CanMark || m.cfg.CanAbort:
		return fillMarkers
	}
	return fillNone
}

// chooseEcho says whether a record follows the gap that could be echoed, or may still come.
func (m *Machine) chooseEcho() filler {
	if len(m.items) > 1 {
		return fillEcho // a gap is always followed by data
	}
	if m.fetchFrom < m.source.Stable {
		return fillWait
	}
	return fillNone // a hole at the very end: nothing to echo
}

func (m *Machine) nextIsSmall() bool {
	next := &m.items[1]
	size := len(next.ready)
	if next.ready == nil {
		size = next.batch.Size()
	}
	return size <= maxEchoRecord
}

var errFirstOnly = errors.New("first record taken")

// echo replaces the gap at the head by batches of copies of the next surviving record. Every consumer
// understands them (the same key and value again), and the target's cleaner removes them because the real
// record follows. Copies of the record before would make the cleaner keep the copy and drop the original.
func (m *Machine) echo() bool {
	gap, next := m.items[0], &m.items[1]
	src := next.batch
	if next.ready != nil {
		b, _, err := batch.Next(next.ready)
		if err != nil {
			m.corrupt(next.base, err)
			return false
		}
		src = b
	} else if err := src.CheckCRC(); err != nil {
		m.corrupt(src.BaseOffset, err)
		return false
	}
	var items []item
	err := m.decoder.Records(&src, func(r *batch.Record) error {
		if next.ready == nil && r.Offset < next.from {
			return nil
		}
		var err error
		if items, err = echoes(gap.base, gap.end, r, m.cfg.MaxBatchBytes); err != nil {
			return err
		}
		return errFirstOnly
	})
	if !errors.Is(err, errFirstOnly) {
		if err == nil {
			err = errors.New("the batch after the hole has no record")
		}
		m.corrupt(next.base, err)
		return false
	}
	m.replaceHead(items)
	return true
}

// echoes builds batches of copies of r for [base, end).
func echoes(base, end int64, r *batch.Record, maxBytes int) ([]item, error) {
	size := int64(len(r.Key) + len(r.Value) + 64)
	for _, h := range r.Headers {
		size += int64(len(h.Key) + len(h.Value) + 16)
	}
	per := max(min(maxEchoBytes/size, maxEchoes), 1)
	var items []item
	var builder batch.Builder
	for base < end {
		n := min(per, end-base)
		builder.Reset()
		for i := range n {
			c := *r
			c.Offset = base + i
			if err := builder.Append(&c); err != nil {
				return nil, err
			}
		}
		raw, err := builder.Finish(batch.Zstd)
		if err != nil {
			return nil, err
		}
		if len(raw) > maxBytes && n > 1 { // incompressible after all: fewer at a time
			per = max(n/2, 1)
			continue
		}
		items = append(items, item{base: base, end: base + n, ready: raw, kind: Echo, bytes: len(raw)})
		base += n
	}
	return items, nil
}

// Filled is the answer to Mark and Abort: the target's log ends at end now, by how.
func (m *Machine) Filled(generation int, end int64) {
	if generation != m.generation || m.phase != Copying || !m.barrier {
		return
	}
	m.barrier = false
	it := &m.items[0]
	if end > it.end || end < it.base {
		// A marker too many, somebody else's records, or another kferry that went on from here; or the target has
		// lost what was before the gap. What lies there decides.
		m.reset(false)
		return
	}
	n := end - it.base
	taken := it.gap.take(n)
	it.base = end
	m.acked, m.next = end, end
	t := &m.traffic
	t.GapsMarkers += taken[gapMarker]
	t.GapsAborted += taken[gapAborted]
	t.GapsHoles += taken[gapHole]
	if m.filledBy == Abort {
		t.FillersAborted += n
	} else {
		t.FillersMarkers += n
	}
	if it.base == it.end {
		m.popHead()
	}
	if end > m.fillEnd { // a coordinator's second marker, which fits the gap, or somebody else's record: look
		m.reset(false)
		return
	}
	m.pump()
	m.followLogStart()
}
