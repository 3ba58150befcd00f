package main

import (
	"errors"
	"slices"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// conn is a process's connection to the replica that it takes for the target's leader: requests arrive in order,
// and are answered in order.
type conn struct {
	p          *process
	log        *model.Target
	dead       bool // nothing arrives any more; the process may not know yet
	arrived    int64
	answered   int64
	travelling []*request // sent, not seen by the broker
	waiting    []*request // seen, not answered
	answers    []*request // those, oldest first
}

// request is one append on its way.
type request struct {
	p        *process
	a        mirror.Action
	sentAt   int64
	seenAt   int64 // by the broker
	holds    int64 // confirmedAt of the process when it was sent
	late     bool  // its connection is gone, or it is a second copy
	acksAll  bool
	veryLate bool
	base     int64
	need     int64 // log end that must be replicated before it is answered
	fresh    bool  // it was appended, not taken for a duplicate
	err      error
}

var (
	errTooFewReplicas = errors.New("not enough replicas")
	errTimedOut       = errors.New("request timed out after append")
	errDenied         = errors.New("topic authorization failed")
)

// flush sends what is in the outbox.
func (p *process) flush() {
	for len(p.outbox) > 0 {
		a := p.outbox[0]
		if !p.wants(a) {
			p.outbox = p.outbox[1:]
			continue
		}
		if p.data == nil {
			p.connect()
			return
		}
		p.outbox = p.outbox[1:]
		p.data.send(a)
	}
}

func (p *process) connect() {
	if p.connecting {
		return
	}
	p.connecting = true
	p.after(p.w.latency(), func() {
		p.connecting = false
		log := p.log()
		if log == nil {
			p.refresh()
			p.after(second, p.flush)
			return
		}
		p.data = &conn{p: p, log: log}
		p.conns = append(p.conns, p.data)
		p.flush()
	})
}

func (c *conn) send(a mirror.Action) {
	w, p := c.p.w, c.p
	r := &request{p: p, a: a, sentAt: w.now, holds: p.confirmedAt, acksAll: !w.habits.acks1 || w.one(2)}
	if w.mutant == hastyMarks { // "it will be acknowledged"
		w.after(0, func() { p.run(func() { p.step(func(m *mirror.Machine) { m.Appended(a.Generation, a.Base) }) }) })
	}
	p.outstanding++
	c.travelling = append(c.travelling, r)
	if c.dead {
		return
	}
	c.arrived = max(c.arrived, w.now+w.latency())
	w.at(c.arrived, func() {
		if !c.dead {
			c.travelling = c.travelling[1:]
			c.receive(r)
		}
	})
	if w.habits.flaky && !w.calm && w.one(40) { // while something is on its way
		w.after(w.rng.Int64N(6), func() { c.cut(c.p.dead, w.latency()) })
	}
	if w.habits.twice && !w.calm && w.one(12) {
		w.tally[didDuplicate]++
		r.late = true // as far as the other copy is concerned
		w.sendLate(r, c.log, w.rng.Int64N(lateness))
	}
}

// receive lets the broker see a request.
func (c *conn) receive(r *request) {
	w := c.p.w
	if r.acksAll && w.now < w.stalledTo && c.log == w.leader && w.one(2) {
		w.tally[didRefuse]++
		r.err = errTooFewReplicas
		c.p.refusedAt = w.now
	} else if w.ledger.has(denied) {
		r.err = errDenied
	} else {
		w.append(c.log, r)
	}
	r.need = c.log.End()
	c.waiting = append(c.waiting, r)
	c.answer()
	if len(c.waiting) > 0 && r.err == nil {
		w.whenReplicated(c.log, r.need, func(ok bool) {
			if ok && !c.dead {
				c.answer()
			}
		})
		w.after(requestTime, func() {
			if c.log.High < r.need && !c.dead {
				r.err = errTimedOut
				c.answer()
			}
		})
	}
}

// answer sends the answers that may go.
func (c *conn) answer() {
	w := c.p.w
	for len(c.waiting) > 0 {
		r := c.waiting[0]
		if r.err == nil && r.acksAll && c.log.High < r.need {
			return
		}
		c.waiting = c.waiting[1:]
		c.answers = append(c.answers, r)
		c.answered = max(c.answered, w.now+w.latency())
		w.at(c.answered, func() { c.p.run(c.hear) })
	}
}

// hear brings the oldest answer.
func (c *conn) hear() {
	if c.dead {
		return
	}
	r := c.answers[0]
	c.answers = c.answers[1:]
	c.p.settled(1)
	c.p.heard(r)
}

// heard steps the machine with an answer.
func (p *process) heard(r *request) {
	w := p.w
	if w.loud {
		w.say("  %d: answer to %s: base %d, %v", p.name, r.a, r.base, r.err)
	}
	gen, current := r.a.Generation, p.wants(r.a)
	if r.err == nil && r.fresh {
		p.confirmedAt = max(p.confirmedAt, r.seenAt)
	}
	p.step(func(m *mirror.Machine) {
		switch {
		case r.err == nil && w.mutant == hastyMarks:
		case r.err == nil && w.mutant == anyBase:
			m.Appended(gen, r.a.Base)
		case r.err == nil:
			m.Appended(gen, r.base)
		case errors.Is(r.err, model.ErrTooLarge):
			m.Refused(gen, r.a.Base, fault.BatchRefused, "-", r.err.Error())
		case errors.Is(r.err, model.ErrDamaged):
			m.Refused(gen, r.a.Base, fault.CorruptBatch, "-", r.err.Error())
		case errors.Is(r.err, errDenied):
			m.Refused(gen, r.a.Base, fault.Unauthorized, "-", r.err.Error())
		default:
			p.refresh()
			m.Unknown(gen)
		}
	})
	if current && r.err == nil && r.base != r.a.Base && p.m.Phase() != mirror.Faulted {
		w.fail("kferry %d was told that %s landed at offset %d, and goes on", p.name, r.a, r.base)
	}
}

// settled notes that requests were answered, or never will be.
func (p *process) settled(n int) {
	p.outstanding -= n
	if p.outstanding > 0 {
		return
	}
	quiet := p.quiet
	p.quiet = nil
	for _, then := range quiet {
		then()
	}
}

// cut ends a connection. Some of what the broker has not seen arrives later, without anybody hearing the answer,
// and the rest never: a connection has no holes. The process learns of it after a while.
func (c *conn) cut(killed bool, notice int64) {
	if c.dead {
		return
	}
	c.dead = true
	w, p := c.p.w, c.p
	p.conns = slices.DeleteFunc(p.conns, func(o *conn) bool { return o == c })
	w.tally[didCut]++
	if w.loud {
		w.say("%d's connection is cut: %d unseen, %d unanswered, %d unheard", p.name, len(c.travelling), len(c.waiting), len(c.answers))
	}
	late := int64(0)
	for _, r := range c.travelling[:w.rng.IntN(len(c.travelling)+1)] {
		late = min(late+w.rng.Int64N(lateness/2), lateness)
		if w.habits.veryLate && !w.calm && late < lateness && w.one(4) {
			late = settleTime + w.rng.Int64N(60*second)
		}
		r.veryLate = late > lateness
		w.tally[didLate]++
		w.sendLate(r, c.log, late)
	}
	if killed {
		return
	}
	p.after(notice, func() {
		if p.data == c {
			p.data = nil
		}
		lost := append(append(c.answers, c.waiting...), c.travelling...)
		p.settled(len(lost))
		if w.mutant == blindRetry && len(lost) > 0 {
			p.resend(lost)
			return
		}
		p.step(func(m *mirror.Machine) {
			for _, r := range lost {
				m.Unknown(r.a.Generation)
			}
			m.ConnectionLost()
		})
	})
}

// resend is what must not be done: to send again what may be there already.
func (p *process) resend(lost []*request) {
	var again []mirror.Action
	for _, r := range lost {
		again = append(again, r.a)
	}
	p.outbox = append(again, p.outbox...)
	p.flush()
}

// sendLate lets a request arrive after a while, whose answer nobody hears.
func (w *world) sendLate(r *request, log *model.Target, ms int64) {
	w.zombies++
	w.after(ms, func() {
		w.zombies--
		if log != w.leader && log != w.ghost {
			return
		}
		late := *r
		late.err, late.late = nil, true
		w.append(log, &late)
		if w.loud {
			w.say("late or twice, of %d: %s: base %d, %v", r.p.name, r.a, late.base, late.err)
		}
	})
}

// append gives a request to a replica's log.
func (w *world) append(log *model.Target, r *request) {
	before := log.End()
	base, fresh, err := log.Produce(w.decoder, r.a.Bytes, r.a.Append == mirror.Seed)
	r.base, r.fresh, r.err, r.seenAt = base, fresh, err, w.now
	switch {
	case errors.Is(err, model.ErrMalformed):
		w.fail("%s: %w", r.a, err)
	case err == nil && !fresh:
		w.tally[didDeduplicate]++
		if base != r.a.Base {
			w.misplaced(log, r)
		}
	case errors.Is(err, model.ErrTooLarge), errors.Is(err, model.ErrDamaged):
		r.p.refusedAt = w.now
	case errors.Is(err, model.ErrOutOfOrder):
		w.tally[didOutOfOrder]++
	case fresh:
		w.tally[didRaw+int(r.a.Append)-1]++
		if base != r.a.Base {
			w.misplaced(log, r)
		} else if log == w.leader {
			w.appended(r, before)
		}
		if r.late {
			w.tookAt = w.now
		}
		w.replicateSoon()
	}
}
