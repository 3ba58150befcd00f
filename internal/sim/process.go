package main

import (
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// producerID is the flow's, and every kferry's of it.
const producerID = 7000

// process is one kferry: a machine, and the driver around it as package replicate has it.
type process struct {
	w         *world
	name      int
	startedAt int64
	m         *mirror.Machine
	dead      bool
	paused    bool     // stopped by SIGSTOP
	missed    []func() // what came in while it was

	sourceEpoch, targetEpoch int32 // as its metadata says
	sourceID, targetID       int
	refreshing, refreshAgain bool

	data        *conn   // to the target's leader, nil if there is none
	conns       []*conn // that one, and those to former leaders on which something may still come
	connecting  bool
	outbox      []mirror.Action
	outstanding int      // requests that change the target's log, sent and not answered, of all generations
	quiet       []func() // wait until there are none
	chores      int      // under way

	// When the broker is known to have held the producer's sequence as the machine thinks it does, when late
	// requests were last waited for, and when an append was last refused for a reason that passes.
	// A machine that has nothing to do is told the target's high watermark: from then on it does not rely on the
	// sequence any more.
	confirmedAt, settledAt, refusedAt, restedAt int64

	fetching  bool
	empty     bool  // the last fetch brought nothing
	fetchedTo int64 // as far as the source ever answered it

	readAt, reportedAt int64 // when the source was last read, and when the target's high watermark was last told
}

func newProcess(w *world) *process {
	w.tally[didStart]++
	return &process{w: w, name: int(w.tally[didStart]), startedAt: w.now, sourceEpoch: w.src.Epoch, targetEpoch: w.leader.Epoch, sourceID: w.sourceID, targetID: w.targetID}
}

// producer is the id of the flow's data.
func (p *process) producer() int64 {
	if p.w.mutant == ownProducer {
		return producerID + int64(p.name)
	}
	return producerID
}

func (p *process) begin() {
	if p.w.loud {
		p.w.say("kferry %d starts", p.name)
	}
	p.m = mirror.New(p.w.cfg, batch.Producer{ID: p.producer()}, p.w.decoder)
	if p.w.ledger.has(recreated) { // what is remembered of the topic does not fit
		p.recreated()
		return
	}
	p.settleTransactions()
}

// settleTransactions waits, as a starting kferry does, until no transaction of an earlier one is under way.
func (p *process) settleTransactions() {
	if p.w.transactions > 0 && p.w.mutant != unsettledStart {
		p.after(100, p.settleTransactions)
		return
	}
	if p.w.now >= p.w.metadataAt { // where the leaders are is asked after that
		p.sourceEpoch, p.targetEpoch = p.w.src.Epoch, p.w.leader.Epoch
	}
	p.obey()
	p.lookAround()
	p.report()
}

// after lets something happen in this process after a while, if it is alive then; while it is stopped, things
// wait.
func (p *process) after(ms int64, do func()) {
	p.w.after(ms, func() { p.run(do) })
}

func (p *process) run(do func()) {
	switch {
	case p.dead:
	case p.paused:
		p.missed = append(p.missed, do)
	default:
		do()
	}
}

// proceed ends a pause.
func (p *process) proceed() {
	if !p.paused {
		return
	}
	p.paused = false
	missed := p.missed
	p.missed = nil
	for _, do := range missed {
		p.run(do)
	}
}

// step brings the machine an event and obeys.
func (p *process) step(event func(*mirror.Machine)) {
	event(p.m)
	p.obey()
}

// obey takes the machine's actions as the driver does.
func (p *process) obey() {
	w := p.w
	for _, a := range p.m.Take() {
		if w.loud {
			w.say("  %d: %s", p.name, a)
		}
		switch a.Kind {
		case mirror.Append:
			if a.Append == mirror.Seed {
				a.Bytes = p.seedBatch(int(a.Count), a.Sequence)
			}
			p.outbox = append(p.outbox, a)
		case mirror.Mark:
			w.tally[didMark]++
			p.mark(a)
		case mirror.Stop:
			p.outbox = nil
			w.justify(p, *a.Fault)
		case mirror.Open:
			p.outbox = nil
			w.tally[didOpen]++
			p.chore(a)
		default:
			p.chore(a)
		}
	}
	p.flush()
	p.fetch()
}

func (p *process) wants(a mirror.Action) bool { return a.Generation == p.m.Generation() }

// done says whether it has nothing more to do in a calm world.
func (p *process) done() bool {
	if p.m.Phase() == mirror.Faulted {
		return true
	}
	w := p.w
	informed := p.sourceID == w.sourceID && p.targetID == w.targetID && p.sourceEpoch == w.src.Epoch && p.targetEpoch == w.leader.Epoch && min(p.readAt, p.reportedAt) > w.ledger.calmAt
	return informed && p.m.CaughtUp() && p.m.Position() == w.src.Stable() && p.m.Position() == w.leader.End() && p.chores == 0 && (p.m.Target().Start == w.leader.Start || w.ledger.has(wentBack)) &&
		w.leader.High == w.leader.End() && p.m.Target().High == w.leader.High && w.startsRight()
}

// log is the replica that the process takes for the target's leader, nil if that would not answer.
func (p *process) log() *model.Target {
	switch {
	case p.targetID != p.w.targetID:
		return nil
	case p.targetEpoch == p.w.leader.Epoch:
		return p.w.leader
	case p.w.ghost != nil && p.targetEpoch == p.w.ghost.Epoch:
		return p.w.ghost
	}
	return nil
}

// lookAround refreshes the metadata every now and then.
func (p *process) lookAround() {
	p.after(20*second, func() {
		p.refresh()
		p.lookAround()
	})
}

// refresh asks for the metadata.
func (p *process) refresh() {
	if p.refreshing {
		p.refreshAgain = true
		return
	}
	p.refreshing = true
	p.after(250+p.w.latency(), func() {
		p.refreshing = false
		p.see()
		if p.refreshAgain {
			p.refreshAgain = false
			p.refresh()
		}
	})
}

// refreshed calls then when the metadata was read that is true now or later.
func (p *process) refreshed(then func()) {
	p.after(250+p.w.latency(), func() {
		p.see()
		then()
	})
}

// see takes the metadata in.
func (p *process) see() {
	w := p.w
	if w.now < w.metadataAt { // the brokers do not know yet
		return
	}
	if p.sourceID != w.sourceID || p.targetID != w.targetID {
		p.recreated()
		return
	}
	sourceMoved, targetMoved := p.sourceEpoch != w.src.Epoch, p.targetEpoch != w.leader.Epoch
	p.sourceEpoch, p.targetEpoch = w.src.Epoch, w.leader.Epoch
	if targetMoved {
		p.data = nil
	}
	if targetMoved || sourceMoved {
		p.step(func(m *mirror.Machine) {
			if sourceMoved && w.mutant != unmoved {
				m.SourceMoved()
			}
			if targetMoved {
				m.Unknown(m.Generation())
			}
		})
	}
}

func (p *process) recreated() {
	p.step(func(m *mirror.Machine) {
		m.Stop(fault.Fault{Kind: fault.TopicRecreated, Offset: -1, Detail: "another topic id"})
	})
}

// report tells the machine the target's high watermark every now and then.
func (p *process) report() {
	w := p.w
	p.after(500+w.rng.Int64N(4*second), func() {
		if log := p.log(); log != nil && p.m.Phase() != mirror.Faulted {
			high, asked := log.High, w.now
			p.after(w.latency(), func() {
				p.reportedAt = asked
				if p.m.Idle() {
					p.restedAt = w.now
				}
				p.step(func(m *mirror.Machine) { m.TargetHigh(high) })
			})
		}
		p.report()
	})
}

// seedBatch is a batch of filler.
func (p *process) seedBatch(n int, sequence int32) []byte {
	raw := slices.Clone(filler(n))
	if err := batch.Rewrite(raw, batch.Producer{ID: p.producer(), Sequence: sequence}); err != nil {
		panic(err)
	}
	return raw
}
