package mirror

import (
	"github.com/kferry/kferry/internal/batch"
)

// item is a stretch of offsets [base, end) that was fetched and not yet sent: data, or a gap.
type item struct {
	base, end int64
	batch     batch.Batch // the source batch, where it still has to be judged
	from      int64       // first offset of batch that is wanted
	ready     []byte      // wire bytes to append, where the batch was written anew; header fields still to be set
	kind      AppendKind  // of ready
	gap       gapCounts   // a gap if not zero
	owner     Owner
	bytes     int
}

func (it *item) isGap() bool { return it.gap.total() > 0 }

func (it *item) release() {
	if it.owner != nil {
		it.owner.Release()
		it.owner = nil
	}
}

// gapKind says why offsets hold no record to copy.
type gapKind int

const (
	gapMarker  gapKind = iota // a control marker of the source
	gapAborted                // records of an aborted transaction
	gapHole                   // compacted away
)

// gapCounts are the offsets of a gap by kind.
type gapCounts [3]int64

func (g gapCounts) total() int64 { return g[gapMarker] + g[gapAborted] + g[gapHole] }

// take removes n offsets from the counts and returns them by kind: markers first, holes last.
func (g *gapCounts) take(n int64) gapCounts {
	var out gapCounts
	for k := range g {
		d := min(n, g[k])
		g[k] -= d
		out[k] = d
		n -= d
	}
	return out
}

// addGap queues a gap, joined with the one before it.
func (m *Machine) addGap(kind gapKind, from, to int64) {
	if to <= from {
		return
	}
	if n := len(m.items); n > 0 && m.items[n-1].isGap() && m.items[n-1].end == from {
		m.items[n-1].end = to
		m.items[n-1].gap[kind] += to - from
		return
	}
	it := item{base: from, end: to}
	it.gap[kind] = to - from
	m.items = append(m.items, it)
}

// addData queues a batch whose records from offset from on are wanted.
func (m *Machine) addData(b batch.Batch, from int64, owner Owner) {
	if owner != nil {
		owner.Retain()
	}
	m.items = append(m.items, item{base: from, end: b.NextOffset(), batch: b, from: from, owner: owner, bytes: b.Size()})
	m.itemBytes += b.Size()
}

// replaceHead puts items in the place of the first one, which must cover the same offsets.
func (m *Machine) replaceHead(with []item) {
	m.itemBytes -= m.items[0].bytes
	m.items[0].release()
	for i := range with {
		m.itemBytes += with[i].bytes
	}
	m.items = append(with, m.items[1:]...)
}

func (m *Machine) popHead() {
	m.itemBytes -= m.items[0].bytes
	m.items[0] = item{}
	m.items = m.items[1:]
	if len(m.items) == 0 {
		m.items = nil
	}
}
