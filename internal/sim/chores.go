package main

import (
	"fmt"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// chore runs one action that takes questions and answers, again and again until there is an answer or the machine
// wants none any more.
func (p *process) chore(a mirror.Action) {
	p.chores++
	wait := int64(50)
	var try func()
	done := func(ok bool) {
		if ok || !p.wants(a) {
			p.chores--
			return
		}
		p.refresh()
		p.after(wait, try)
		wait = min(2*wait, 3*second)
	}
	try = func() {
		if !p.wants(a) {
			p.chores--
			return
		}
		switch a.Kind {
		case mirror.Open:
			p.open(a, done)
		case mirror.Compare:
			p.after(p.w.latency(), func() { p.compare(a, done) })
		case mirror.Delete:
			p.after(p.w.latency(), func() { p.delete(a, done) })
		case mirror.Probe:
			p.after(p.w.latency(), func() { p.probe(a, done) })
		case mirror.Abort:
			p.after(p.w.latency(), func() { p.abort(a, done) })
		}
	}
	p.after(0, try)
}

// lost says whether a question or its answer is lost.
func (w *world) lost() bool { return w.habits.flaky && !w.calm && w.one(25) }

// open reads both ends while nothing of this process is on its way to the target. Every question takes its time,
// so that the answers need not fit each other.
func (p *process) open(a mirror.Action, done func(bool)) {
	if p.outstanding > 0 {
		p.quiet = append(p.quiet, func() { p.after(0, func() { p.open(a, done) }) })
		return
	}
	w := p.w
	asked := w.now
	p.readTarget(func(ends mirror.Ends, ok bool) {
		if !ok {
			done(false)
			return
		}
		wait := a.Settle && (a.Unguarded || ends.Sequence < 0)
		if w.mutant == unsettledAppends && !a.Unguarded || w.mutant == unsettledMarks && a.Unguarded {
			wait = false
		}
		if !wait {
			p.readEnds(a, ends, asked, false, done)
			return
		}
		w.tally[didSettle]++
		p.after(settleTime, func() {
			asked = w.now
			p.readTarget(func(again mirror.Ends, ok bool) {
				if !ok || again.TargetEnd != ends.TargetEnd {
					done(false)
					return
				}
				p.readEnds(a, again, asked, true, done)
			})
		})
	})
}

// readTarget reads the target's end: log end, the sequence, log start and high watermark, and the last batch, one
// after another.
func (p *process) readTarget(then func(mirror.Ends, bool)) {
	w := p.w
	var e mirror.Ends
	ask := func(read func(*model.Target) bool, next func()) {
		p.after(w.latency(), func() {
			log := p.log()
			if log == nil || w.lost() || !read(log) {
				then(e, false)
				return
			}
			next()
		})
	}
	ask(func(t *model.Target) bool {
		e.TargetEnd = t.End()
		if w.mutant == highAsEnd {
			e.TargetEnd = t.High
		}
		return true
	}, func() {
		ask(func(t *model.Target) bool { e.Sequence = t.Sequence(p.producer()); return true }, func() {
			again := func(t *model.Target) bool {
				return t.End() == e.TargetEnd || w.mutant == highAsEnd || w.mutant == tornRead
			}
			ask(again, func() { // else the sequence may be that of a longer log
				ask(func(t *model.Target) bool {
					e.TargetStart = t.Start
					return t.High == e.TargetEnd
				}, func() {
					ask(func(t *model.Target) bool { e.TargetTail = t.Tail(e.TargetEnd); return true }, func() {
						if e.TargetStart >= e.TargetEnd {
							e.TargetTail = mirror.TailEmpty
						}
						then(e, true)
					})
				})
			})
		})
	})
}

// readEnds reads the source's ends and opens the machine. asked is when the reading of the target began,
// waited whether late requests were waited for before that.
func (p *process) readEnds(a mirror.Action, e mirror.Ends, asked int64, waited bool, done func(bool)) {
	w := p.w
	ask := func(next func()) {
		p.after(w.latency(), func() {
			if w.lost() || p.sourceID != w.sourceID || p.sourceEpoch != w.src.Epoch && !w.sameNode {
				done(false)
				return
			}
			next()
		})
	}
	ask(func() {
		e.SourceHigh = w.src.High()
		ask(func() {
			e.SourceStable = min(w.src.Stable(), e.SourceHigh)
			ask(func() {
				e.SourceStart = w.src.Start
				wait := w.latency()
				if e.TargetEnd > e.SourceHigh {
					wait += 300
				}
				p.after(wait, func() {
					e.Known = w.known
					if p.wants(a) {
						p.confirmedAt = asked
						if waited {
							p.settledAt = asked
						}
					}
					if w.loud {
						w.say("  %d: opened: %+v", p.name, e)
					}
					done(true)
					p.step(func(m *mirror.Machine) { m.Opened(a.Generation, e) })
				})
			})
		})
	})
}

// compare is the comparison of the tails.
func (p *process) compare(a mirror.Action, done func(bool)) {
	w := p.w
	log := p.log()
	to := a.Base + a.Count
	switch {
	case log == nil || w.lost() || p.sourceID != w.sourceID:
		done(false)
		return
	case a.Base < w.src.Start:
		done(true)
		p.step(func(m *mirror.Machine) { m.SourceReadFailed() })
		return
	case p.sourceEpoch != w.src.Epoch || to > w.src.Stable() || to > log.High: // cannot be read
		done(false)
		return
	}
	diff := w.difference(log, a.Base, to)
	if w.mutant == trusting {
		diff = nil
	}
	w.tally[didCompare]++
	p.after(w.latency(), func() {
		if w.loud {
			w.say("  %d: compared %d to %d: %v", p.name, a.Base, to, diff)
		}
		done(true)
		known := w.known
		p.step(func(m *mirror.Machine) { m.Compared(a.Generation, diff, known) })
		w.known = w.known || diff == nil
	})
}

// difference is the first in a range, as verification sees it: what a compacted source has no more may be there.
func (w *world) difference(log *model.Target, from, to int64) *mirror.Difference {
	for at := max(from, log.Start); at < to; at++ {
		r, ok := w.src.Committed(at)
		e := &log.Entries[at]
		switch {
		case ok && (!e.Holds() || e.Record != r):
			return &mirror.Difference{Offset: at, Detail: fmt.Sprintf("source %v, target %+v", r, *e)}
		case !ok && e.Holds() && !w.cfg.Compacted:
			return &mirror.Difference{Offset: at, Detail: fmt.Sprintf("source nothing, target %+v", *e)}
		}
	}
	return nil
}

// delete moves the target's log start.
func (p *process) delete(a mirror.Action, done func(bool)) {
	w := p.w
	if w.ledger.has(policy) {
		done(true)
		p.step(func(m *mirror.Machine) {
			m.Stop(fault.Fault{Kind: fault.TopicRefused, Offset: a.Base, Detail: "policy violation"})
		})
		return
	}
	if p.log() != w.leader || a.Base > w.leader.High {
		done(false)
		return
	}
	if a.Base > w.maxStart {
		w.fail("kferry %d deletes the target's records before %d, the source's log started at %d at most", p.name, a.Base, w.maxStart)
	}
	w.deletedTo = max(w.deletedTo, a.Base)
	if w.lost() {
		w.tally[didDeleteUnknown]++
		if w.one(2) {
			w.leader.Start = max(w.leader.Start, a.Base)
		}
		done(false)
		return
	}
	w.tally[didDelete]++
	w.leader.Start = max(w.leader.Start, a.Base)
	start := w.leader.Start
	p.after(w.latency(), func() {
		done(true)
		p.step(func(m *mirror.Machine) { m.Deleted(a.Generation, start) })
	})
}

// probe reads from the source for this partition alone.
func (p *process) probe(a mirror.Action, done func(bool)) {
	w := p.w
	switch {
	case w.lost() || p.sourceID != w.sourceID || p.sourceEpoch != w.src.Epoch:
		done(false)
		return
	case a.Base < w.src.Start || a.Base > w.src.End:
		done(true)
		p.step(func(m *mirror.Machine) { m.SourceReadFailed() })
		return
	}
	w.tally[didProbe]++
	f := p.readSource(a.Base, 1<<20)
	if !w.calm && w.one(4) || w.mutant == emptyIsHole {
		f.Records, f.Aborted, f.Throttled = nil, nil, w.mutant != emptyIsHole
	}
	p.after(w.latency(), func() {
		done(true)
		if w.loud {
			w.say("  %d: probed from %d: %d bytes, stable %d", p.name, a.Base, len(f.Records), f.Stable)
		}
		p.step(func(m *mirror.Machine) { m.Probed(a.Generation, f) })
	})
}
