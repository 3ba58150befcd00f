package verify

import (
	"sync"
	"time"

	"github.com/kferry/kferry/internal/verify/digest"
)

const (
	progressEvery = 500 * time.Millisecond
	rateWindow    = 10 // reports that a rate is taken over
)

// progress counts what is done and tells it twice a second.
type progress struct {
	mu      sync.Mutex
	now     Progress
	planned map[*partition][2]int64 // what is left of each partition: from, to
	began   time.Time
	samples []Progress
}

// begin starts telling; the returned function tells a last time and ends it.
func (g *progress) begin(parts []*partition, tell func(Progress)) (stop func()) {
	g.began = time.Now()
	g.planned = map[*partition][2]int64{}
	g.now.Partitions = len(parts)
	for _, p := range parts {
		g.replan(p, p.ends[digest.Source].Start, p.goal)
	}
	if tell == nil {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell(g.sample(false))
			case <-quit:
				tell(g.sample(true))
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// replan says anew which offsets of a partition are to be compared.
func (g *progress) replan(p *partition, from, to int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.planned[p]
	to = max(to, from)
	g.now.Offsets += (to - from) - (old[1] - old[0])
	g.planned[p] = [2]int64{from, to}
}

// add counts what was compared of a partition; everything before at is done.
func (g *progress) add(p *partition, records, bytes, at int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.Records += records
	g.now.Bytes += bytes
	g.advance(p, at)
}

func (g *progress) advance(p *partition, at int64) {
	plan := g.planned[p]
	if at = min(at, plan[1]); at > plan[0] {
		g.now.OffsetsDone += at - plan[0]
		plan[0] = at
		g.planned[p] = plan
	}
}

// finish takes the rest of a partition, compared or not, off the list.
func (g *progress) finish(p *partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(p, g.planned[p][1])
}

func (g *progress) partition() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.PartitionsDone++
}

// sample is the state now, with rates over the last few samples.
func (g *progress) sample(final bool) Progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now
	now.Elapsed, now.Final, now.ETA = time.Since(g.began), final, -1
	before := Progress{}
	if len(g.samples) > 0 && !final {
		before = g.samples[0]
	}
	if seconds := (now.Elapsed - before.Elapsed).Seconds(); seconds > 0 {
		now.RecordsPerSec = float64(now.Records-before.Records) / seconds
		now.BytesPerSec = float64(now.Bytes-before.Bytes) / seconds
		if rate := float64(now.OffsetsDone-before.OffsetsDone) / seconds; rate > 0 {
			now.ETA = time.Duration(float64(now.Offsets-now.OffsetsDone) / rate * float64(time.Second))
		}
	}
	g.samples = append(g.samples, now)
	if len(g.samples) > rateWindow {
		g.samples = g.samples[1:]
	}
	return now
}
