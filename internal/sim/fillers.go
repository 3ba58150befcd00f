package main

import (
	"sync"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// fillers holds filler batches by size; worlds run beside each other.
var fillers sync.Map // int -> []byte

func filler(n int) []byte {
	raw, ok := fillers.Load(n)
	if !ok {
		raw, _ = fillers.LoadOrStore(n, batch.Filler(n))
	}
	return raw.([]byte)
}

// mark writes control markers: by WriteTxnMarkers where that is permitted, else one by a transaction without data.
func (p *process) mark(a mirror.Action) {
	if p.w.cfg.CanMark {
		p.after(p.w.latency(), func() { p.writeMarkers(a) })
		return
	}
	p.after(p.w.latency(), func() { p.endTxn(a) })
}

// unknown says that nobody knows what became of a filler.
func (p *process) unknown(a mirror.Action) {
	p.settled(1)
	p.refresh()
	p.step(func(m *mirror.Machine) { m.Unknown(a.Generation) })
}

// writeMarkers is one request over a connection of its own, answered when its markers are replicated.
func (p *process) writeMarkers(a mirror.Action) {
	if !p.wants(a) {
		return
	}
	w, log := p.w, p.log()
	p.outstanding++
	if log == nil {
		p.after(500, func() { p.unknown(a) })
		return
	}
	if w.ledger.has(markDenied) {
		p.after(w.latency(), func() {
			p.settled(1)
			p.step(func(m *mirror.Machine) { m.Refused(a.Generation, a.Base, fault.GapRefused, "-", "denied") })
		})
		return
	}
	write := func() bool {
		if log != w.leader && log != w.ghost {
			return false
		}
		w.fill(p, log, a, a.Count, model.OfMarker)
		return true
	}
	if w.habits.flaky && !w.calm && w.one(5) {
		w.tally[didLoseMark]++
		late := w.rng.Int64N(lateness)
		if w.habits.veryLate && w.one(4) {
			late = settleTime + w.rng.Int64N(60*second)
		}
		switch w.rng.IntN(3) {
		case 0: // the request is lost
			p.after(w.latency()+w.rng.Int64N(choreTime), func() { p.unknown(a) })
		case 1: // the answer is
			w.after(w.latency(), func() { write() })
			p.after(choreTime, func() { p.unknown(a) })
		default: // it lies in a queue when the connection is cut
			w.zombies++
			p.after(0, func() { p.unknown(a) })
			w.after(late, func() {
				w.zombies--
				if log == w.leader && late > lateness {
					w.ledger.note(tooLate)
				}
				write()
			})
		}
		return
	}
	answered := false
	settle := func(step func(*mirror.Machine)) {
		if !answered {
			answered = true
			p.settled(1)
			p.step(step)
		}
	}
	p.after(choreTime, func() { settle(func(m *mirror.Machine) { m.Unknown(a.Generation) }) })
	w.after(w.latency(), func() {
		if !write() {
			p.after(w.latency(), func() { settle(func(m *mirror.Machine) { m.Unknown(a.Generation) }) })
			return
		}
		w.whenReplicated(log, log.End(), func(ok bool) {
			p.after(w.latency(), func() {
				settle(func(m *mirror.Machine) {
					if ok {
						m.Filled(a.Generation, a.Base+a.Count)
					} else {
						m.Unknown(a.Generation)
					}
				})
			})
		})
	})
}

// coordinator calls then when the target's transaction coordinator is available.
func (w *world) coordinator(then func()) {
	if w.now < w.coordinatorDownTo {
		w.tally[didAwaitCoordinator]++
	}
	w.transactions++
	var try func()
	try = func() {
		if free := max(w.coordinatorDownTo, w.metadataAt); w.now < free { // it does not know the leader either
			w.at(free, try)
			return
		}
		w.transactions--
		then()
	}
	w.after(w.latency(), try)
}

// endTxn writes one marker by a transaction without data. A coordinator takes it to whatever leader there is, may
// write it twice, and may leave it out.
func (p *process) endTxn(a mirror.Action) {
	if !p.wants(a) {
		return
	}
	w := p.w
	if log := p.log(); log == nil || log.High < a.Base { // not everything before it is replicated
		p.refresh()
		p.after(50, func() { p.endTxn(a) })
		return
	}
	p.outstanding++
	w.tally[didEndTxn]++
	lost := w.lost() || w.now < w.coordinatorDownTo
	if lost && w.one(2) { // nothing was begun; but that is known only when the coordinator answers again
		w.coordinator(func() { p.after(w.latency(), func() { p.unknown(a) }) })
		return
	}
	w.coordinator(func() {
		n := int64(1)
		if w.habits.twice && !w.calm && w.one(6) {
			n = 2 * w.rng.Int64N(2)
			w.tally[map[int64]int{0: didSkipMark, 2: didDoubleMark}[n]]++
			if n == 2 {
				w.ledger.note(doubleMark)
			}
		}
		if n > 0 {
			w.fill(p, w.leader, a, n, model.OfMarker)
		}
		w.whenReplicated(w.leader, w.leader.End(), func(bool) {
			p.after(w.latency(), func() {
				log := p.log()
				if lost || log == nil {
					p.refreshed(func() { p.unknown(a) })
					return
				}
				end := log.End()
				if end <= a.Base { // left out, or this is a leader that was deposed
					p.refreshed(func() { p.unknown(a) })
					return
				}
				p.after(w.latency(), func() {
					p.settled(1)
					p.step(func(m *mirror.Machine) { m.Filled(a.Generation, end) })
				})
			})
		})
	})
}

// abort fills a gap by filler records in an aborted transaction, of kferry's own producer ids. Its produce
// requests wait for replication.
func (p *process) abort(a mirror.Action, done func(bool)) {
	w := p.w
	log := p.log()
	if log != w.leader || log.High < a.Base || w.now < w.stalledTo || w.now < w.coordinatorDownTo {
		done(false)
		return
	}
	done(true)
	p.outstanding++
	n, fits := a.Count-1, log.End() == a.Base
	if w.cfg.CanMark && a.Count > 4 {
		n -= 2 // room for markers that are written twice
	}
	failed := !fits || w.lost()
	switch {
	case !fits: // the base offset of the first batch tells
		n = min(n, 2)
	case failed:
		n = w.rng.Int64N(n + 1)
	}
	w.tally[didAbort]++
	w.fill(p, log, a, n, model.OfAborted)
	log.High = log.End()
	w.wake()
	next := log.End()
	w.coordinator(func() {
		a := a
		a.Base = next
		w.fill(p, w.leader, a, 1, model.OfMarker)
		w.whenReplicated(w.leader, w.leader.End(), func(bool) {
			p.after(w.latency(), func() {
				log := p.log()
				if failed || log == nil || log.End() <= next {
					p.refreshed(func() { p.unknown(a) })
					return
				}
				p.settled(1)
				p.step(func(m *mirror.Machine) { m.Filled(a.Generation, log.End()) })
			})
		})
	})
}
