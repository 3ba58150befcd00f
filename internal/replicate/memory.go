package replicate

import (
	"context"
	"sync/atomic"

	"github.com/kferry/kferry/internal/kafka"
)

// memory shares the byte budget for fetched data among the fetchers, whatever the number of partitions: one
// half of a share for what was fetched and not yet written to the target, one half for the fetch under way.
// Each fetcher has a share of its own, so that a slow target broker holds up nobody else.
type memory struct {
	budget   int64
	fetchers atomic.Int64
}

// share is how many bytes one fetcher may hold, and how large one answer may be.
func (m *memory) share() int64 {
	return m.budget / 2 / max(m.fetchers.Load(), 1)
}

// hold is what one fetcher has of the budget.
type hold struct {
	memory *memory
	held   atomic.Int64
	freed  chan struct{}
}

func newHold(m *memory) *hold { return &hold{memory: m, freed: make(chan struct{}, 1)} }

// take counts an answer until its last reference is gone.
func (h *hold) take(b *kafka.Buffer) {
	n := int64(len(b.B))
	h.held.Add(n)
	b.OnFree = func() {
		h.held.Add(-n)
		select {
		case h.freed <- struct{}{}:
		default:
		}
	}
}

// wait returns when there is room for another answer; false if ctx ended.
func (h *hold) wait(ctx context.Context) bool {
	for h.held.Load() >= h.memory.share() {
		select {
		case <-h.freed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
