package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// sampler watches the target's log ends and remembers the longest time in which none of them moved, from the
// first record copied until the last one. Producers write all the while, so not to move is to stand still.
type sampler struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	sum    int64
	moved  time.Time
	stall  time.Duration
	behind bool // nothing was seen to move yet
}

const sampleTurn = 100 * time.Millisecond

func watchTarget(ctx context.Context, admin *kadm.Client, topics []string) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, behind: true}
	s.done.Go(func() {
		for ctx.Err() == nil {
			one, stop := context.WithTimeout(ctx, 2*time.Second)
			sum, ok := sumOfEnds(one, admin, topics)
			stop()
			if ok {
				s.note(sum)
			}
			select {
			case <-ctx.Done():
			case <-time.After(sampleTurn):
			}
		}
	})
	return s
}

// sumOfEnds adds up the log ends that can be told.
func sumOfEnds(ctx context.Context, admin *kadm.Client, topics []string) (sum int64, ok bool) {
	lists, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0, false
	}
	lists.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			sum += o.Offset
			ok = true
		}
	})
	return sum, ok
}

func (s *sampler) note(sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum <= s.sum { // less where a partition could not be asked
		return
	}
	now := time.Now()
	if !s.behind {
		s.stall = max(s.stall, now.Sub(s.moved))
	}
	s.sum, s.moved, s.behind = sum, now, false
}

// copied is the sum of the log ends.
func (s *sampler) copied() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

// still is for how long nothing has moved.
func (s *sampler) still() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind {
		return 0
	}
	return time.Since(s.moved)
}

// stop ends watching and returns the longest standstill.
func (s *sampler) stop() time.Duration {
	s.cancel()
	s.done.Wait()
	return s.stall
}
