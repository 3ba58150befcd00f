package mirror

import (
	"github.com/kferry/kferry/internal/batch"
)

// A produce request carries one batch of a partition, and a broker spends some tens of microseconds on each
// batch however small. A backlog of the one-record batches that producers without linger write would go over
// more slowly raw than decoded: there, and only there, neighbours are written anew as one batch.
const (
	mergeBelow   = 4 << 10   // batches up to this size are worth merging
	mergeAtLeast = 12        // so many of them must wait in a row
	mergeUpTo    = 128 << 10 // uncompressed size at which a merged batch is closed
	smallAtOnce  = 4         // small batches that may be unanswered before the next ones wait to be joined
)

// holdSmall says whether the small batch at the head waits: several appends are unanswered, so the target is the
// slower side, and what comes meanwhile goes out as one batch with the next answer. Sent one by one, the
// batches of a producer without linger would pile up behind a broker that is busy.
func (m *Machine) holdSmall() bool {
	it := &m.items[0]
	return it.ready == nil && it.bytes <= mergeBelow && len(m.inflight) >= smallAtOnce && m.itemBytes < mergeUpTo
}

// merge joins the small batches at the head of the queue, if there are enough. It says whether it did.
func (m *Machine) merge() bool {
	n := m.mergeable()
	if n < mergeAtLeast {
		return false
	}
	var builder batch.Builder
	limit := min(mergeUpTo, m.cfg.MaxBatchBytes/2)
	end, taken := m.items[0].base, 0
	for ; taken < n && builder.Size() < limit; taken++ {
		it := &m.items[taken]
		if err := it.batch.CheckCRC(); err != nil {
			m.corrupt(it.base, err)
			return false
		}
		if err := m.decoder.Merge(&builder, &it.batch, it.from); err != nil {
			m.corrupt(it.base, err)
			return false
		}
		end = it.end
	}
	raw, err := builder.Finish(m.items[0].batch.Codec())
	if err != nil || len(raw) > m.cfg.MaxBatchBytes || int64(builder.Len()) != end-m.items[0].base {
		return false // as they are, then
	}
	merged := item{base: m.items[0].base, end: end, ready: raw, kind: Recoded, bytes: len(raw)}
	for range taken - 1 {
		m.items[0].release()
		m.popHead()
	}
	m.replaceHead([]item{merged})
	return true
}

// mergeable counts the small batches in a row at the head that could go out raw one by one.
func (m *Machine) mergeable() int {
	n := 0
	for i := range m.items {
		it := &m.items[i]
		if it.isGap() || it.ready != nil || it.bytes > mergeBelow ||
			batch.Passable(&it.batch.Header, it.from, m.cfg.MaxBatchBytes) != batch.ReasonNone ||
			it.batch.Codec() != m.items[0].batch.Codec() {
			break
		}
		if n++; n > mergeUpTo/batch.HeaderSize {
			break
		}
	}
	return n
}
