package mirror

import (
	"errors"
	"fmt"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
)

// pump sends what may be sent now.
func (m *Machine) pump() {
	for m.phase == Copying && len(m.items) > 0 && !m.barrier {
		if m.items[0].isGap() {
			if !m.fillGap() {
				return
			}
			continue
		}
		if !m.live && len(m.inflight) > 0 {
			// The broker takes a producer id it does not remember with any sequence: until the first append is
			// answered, a second one could land before it.
			return
		}
		if m.holdSmall() {
			return
		}
		if m.items[0].ready == nil && !m.merge() && m.phase == Copying && !m.prepare() {
			continue // the head was replaced, or the partition stopped
		}
		if m.phase != Copying {
			return
		}
		m.send()
	}
}

// prepare judges the batch at the head: true means that it goes out as it is, false that it was replaced by
// what it was written anew to.
func (m *Machine) prepare() bool {
	it := &m.items[0]
	switch reason := batch.Passable(&it.batch.Header, it.from, m.cfg.MaxBatchBytes); reason {
	case batch.ReasonNone:
		it.ready, it.kind = it.batch.Raw, Raw
		return true
	case batch.ReasonUnsupported:
		m.corrupt(it.batch.BaseOffset, errors.New(reason.String()))
		return false
	case batch.ReasonTooLarge:
		if !m.cfg.SplitOversized {
			m.oversized(it.batch.BaseOffset, int64(it.batch.Count), it.batch.Size())
			return false
		}
	}
	m.recode()
	return false
}

func (m *Machine) oversized(offset, count int64, size int) {
	m.stop(fault.BatchRefused, offset, count,
		"raise max.message.bytes of the target topic (and of the broker, where it caps topics), or set oversizedBatches: split in the flow",
		"the batch at offset %d has %d bytes, the target takes at most %d (max.message.bytes)", offset, size, m.cfg.MaxBatchBytes)
}

// recode writes the batch at the head anew: the same records at the same offsets, as batches without holes.
func (m *Machine) recode() {
	it := &m.items[0]
	if err := it.batch.CheckCRC(); err != nil { // nobody else would notice: the new batch gets a new checksum
		m.corrupt(it.batch.BaseOffset, err)
		return
	}
	runs, err := m.decoder.Recode(&it.batch, it.from, batch.RecodeOptions{MaxBytes: m.cfg.MaxBatchBytes})
	if errors.Is(err, batch.ErrTooLarge) {
		m.oversized(it.batch.BaseOffset, int64(it.batch.Count), it.batch.Size())
		return
	}
	if err != nil {
		m.corrupt(it.batch.BaseOffset, err)
		return
	}
	var items []item
	at := it.base
	hole := func(to int64) {
		if to > at {
			gap := item{base: at, end: to}
			gap.gap[gapHole] = to - at
			items = append(items, gap)
		}
	}
	for _, r := range runs {
		hole(r.Base)
		at = r.Base + int64(r.Count)
		items = append(items, item{base: r.Base, end: at, ready: r.Raw, kind: Recoded, bytes: len(r.Raw)})
	}
	hole(it.end)
	// A hole at the end joins the gap that follows, so that they are filled together.
	if n := len(items); n > 0 && items[n-1].isGap() && len(m.items) > 1 && m.items[1].isGap() {
		m.items[1].base = items[n-1].base
		m.items[1].gap[gapHole] += items[n-1].gap[gapHole]
		items = items[:n-1]
	}
	m.replaceHead(items)
}

// send appends the head.
func (m *Machine) send() {
	it := m.items[0]
	count := it.end - it.base
	if err := batch.Rewrite(it.ready, m.producer); err != nil {
		m.corrupt(it.base, fmt.Errorf("rewrite its header: %w", err))
		return
	}
	m.popHead()
	m.append(Action{Append: it.kind, Base: it.base, Count: count, Bytes: it.ready, Owner: it.owner}, len(it.ready))
}

// append emits an Append at the present position and sequence.
func (m *Machine) append(a Action, bytes int) {
	a.Kind, a.Sequence = Append, m.producer.Sequence
	m.inflight = append(m.inflight, sent{a.Base, a.Count, bytes, a.Append})
	m.inflightBytes += bytes
	m.next = a.Base + a.Count
	m.producer.Sequence = batch.NextSequence(a.Sequence, int32(a.Count))
	m.do(a)
}

// Appended is the answer to the oldest unanswered Append: the broker gave base to its first record.
func (m *Machine) Appended(generation int, base int64) {
	if generation != m.generation || len(m.inflight) == 0 {
		return
	}
	s := m.inflight[0]
	if base != s.base {
		m.stop(fault.ForeignAppend, s.base, s.count,
			"find who writes to the target topic and stop it, then "+m.repair(),
			"asked for offset %d, the broker appended at %d: somebody else wrote %d offsets", s.base, base, base-s.base)
		return
	}
	m.inflight = m.inflight[1:]
	m.inflightBytes -= s.bytes
	m.acked = s.base + s.count
	m.live = true
	m.count(s)
	switch m.phase {
	case Seeding:
		m.seedMore()
	case Copying:
		m.pump()
		m.followLogStart()
	}
}

func (m *Machine) count(s sent) {
	t := &m.traffic
	switch s.kind {
	case Raw:
		t.RecordsCopied += s.count
		t.BytesRaw += int64(s.bytes)
		t.BatchesRaw++
	case Recoded:
		t.RecordsCopied += s.count
		t.BytesRecoded += int64(s.bytes)
		t.BatchesRecoded++
	case Seed:
		t.OffsetsSeeded += s.count
	case Echo:
		t.GapsHoles += s.count
		t.FillersEchoes += s.count
	}
}

// Unknown says that the outcome of something sent is not known, or that it was not done for a reason that
// passes (no leader, not enough replicas, a sequence that does not fit any more). Nothing is repeated blind.
func (m *Machine) Unknown(generation int) {
	if generation != m.generation || m.phase == Faulted {
		return
	}
	m.traffic.ResyncsUnknown++
	m.reset(true)
}

// ConnectionLost says that the connection to the target broker is gone: the broker may come back with a
// shorter log, so both ends are read again even if nothing was on its way.
func (m *Machine) ConnectionLost() {
	if m.phase == Copying || m.phase == Seeding {
		m.Unknown(m.generation)
	}
}

// Refused says that the target will not take the oldest unanswered append or filler, now or later.
func (m *Machine) Refused(generation int, base int64, kind fault.Kind, next, detail string) {
	if generation != m.generation || m.phase == Faulted {
		return
	}
	var count int64
	if len(m.inflight) > 0 {
		count = m.inflight[0].count
	}
	m.stop(kind, base, count, next, "%s", detail)
}
