package main

import "github.com/kferry/kferry/internal/replicate/mirror"

// fetch asks the source for what the machine wants, one request at a time.
func (p *process) fetch() {
	if p.fetching {
		return
	}
	from, ok := p.m.Wants()
	if !ok {
		return
	}
	w := p.w
	p.fetching = true
	wait := w.latency()
	if p.empty {
		wait += w.rng.Int64N(2 * second)
	}
	last, epoch := p.m.LastEpoch(), p.sourceEpoch
	w.after(wait, func() { p.answerFetch(from, last, epoch) })
}

// answerFetch is the source's side of a fetch.
func (p *process) answerFetch(from int64, lastEpoch, epoch int32) {
	w := p.w
	if w.habits.flaky && !w.calm && w.one(30) { // the connection to the source is gone
		p.after(w.rng.Int64N(2*second), func() {
			p.fetching = false
			p.refresh()
			p.fetch()
		})
		return
	}
	if p.sourceID != w.sourceID || epoch != w.src.Epoch {
		p.after(w.latency()+200, func() {
			p.fetching = false
			p.refresh()
			p.fetch()
		})
		return
	}
	if at, end, diverged := w.src.Diverged(lastEpoch, from); diverged && w.mutant != deaf {
		w.tally[didDiverge]++
		p.fetched(func(m *mirror.Machine) { m.Diverged(at, end) })
		return
	}
	if from < w.src.Start || from > w.src.End {
		p.fetched(func(m *mirror.Machine) { m.SourceReadFailed() })
		return
	}
	f := p.readSource(from, w.habits.most)
	if !w.calm && w.one(10) { // no room was left in the answer, or a quota held it back
		f.Records, f.Aborted, f.Throttled = nil, nil, w.one(2)
		w.tally[map[bool]int{true: didThrottle, false: didLackRoom}[f.Throttled]]++
	}
	p.empty = len(f.Records) == 0
	asked := w.now
	p.fetched(func(m *mirror.Machine) {
		if w.loud {
			w.say("  %d: fetched from %d: %d bytes, source %d..%d, stable %d, aborted %v", p.name, from, len(f.Records), f.Start, f.High, f.Stable, f.Aborted)
		}
		p.readAt = asked
		m.Fetched(f)
	})
}

func (p *process) fetched(event func(*mirror.Machine)) {
	p.after(p.w.latency(), func() {
		p.fetching = false
		p.step(event)
	})
}

// readSource reads, and remembers how far anything was read.
func (p *process) readSource(from int64, most int) mirror.Fetch {
	f := p.w.src.Fetch(p.w.rng, from, most)
	if len(f.Records) > 0 || f.Stable > from {
		p.fetchedTo = max(p.fetchedTo, f.Stable)
	}
	return f
}
