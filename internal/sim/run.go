package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kferry/kferry/internal/batch"
)

// result is what many worlds came to.
type result struct {
	tally  tally
	seeds  uint64 // that were run
	millis uint64 // of virtual time
	failed uint64 // the least seed that failed, if err is not nil
	err    error
	took   time.Duration
}

// run runs worlds from a seed on, on all cores, until one fails. tell is called about once a second, if not nil.
func run(from, n uint64, m mutant, tell func(*result)) *result {
	r := &result{}
	began := time.Now()
	var mu sync.Mutex // guards r and told
	told := began
	var next atomic.Uint64
	var stop atomic.Bool
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			decoder := batch.NewDecoder(batch.Limits{})
			for !stop.Load() {
				const chunk = 50
				first := next.Add(chunk) - chunk
				if first >= n {
					return
				}
				part := &result{}
				for seed := from + first; seed < from+min(first+chunk, n) && part.err == nil; seed++ {
					w := newWorld(seed, decoder, m, false)
					err := w.live()
					part.seeds++
					part.millis += uint64(w.now)
					part.tally.add(&w.tally)
					if err != nil {
						part.err, part.failed = err, seed
						stop.Store(true)
					}
				}
				mu.Lock()
				r.take(part)
				if now := time.Now(); tell != nil && now.Sub(told) >= time.Second {
					told, r.took = now, now.Sub(began)
					tell(r)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	r.took = time.Since(began)
	return r
}

func (r *result) take(part *result) {
	r.tally.add(&part.tally)
	r.seeds += part.seeds
	r.millis += part.millis
	if part.err != nil && (r.err == nil || part.failed < r.failed) {
		r.err, r.failed = part.err, part.failed
	}
}

// String is one line of progress.
func (r *result) String() string {
	return fmt.Sprintf("%d seeds, %.0f a second, %.1f logical hours", r.seeds, float64(r.seeds)/max(r.took.Seconds(), 1e-9), float64(r.millis)/3_600_000)
}

// retell runs one world again and tells what happens in it.
func retell(seed uint64, m mutant) (story string, err error) {
	w := newWorld(seed, batch.NewDecoder(batch.Limits{}), m, true)
	err = w.live()
	return fmt.Sprintf("%+v\n%+v\n%s", w.cfg, w.habits, strings.Join(w.story, "\n")), err
}
