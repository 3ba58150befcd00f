package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// Times, ms. The clock of a world begins at 0; record timestamps and the brokers' clocks count from epochMillis.
const (
	second      = 1000
	minute      = 60 * second
	day         = 24 * 60 * minute
	epochMillis = 1_700_000_000_000

	settleTime   = 3 * second          // of the driver: how long what guards nothing is waited for
	lateness     = settleTime - 500    // how long a request whose connection is gone lies in a broker's queue
	requestTime  = 30 * second         // of a produce request, at the broker
	choreTime    = 45 * second         // of the driver's other requests
	startTime    = settleTime + second // from the end of a kferry to the first question of the next
	mostPatience = 10 * minute         // from the last disturbance to the end of the copy
	mostEvents   = 60_000
)

// world is one seed's world.
type world struct {
	rng     *rand.Rand
	decoder *batch.Decoder
	mutant  mutant
	loud    bool // tell what happens
	story   []string

	now     int64
	queue   queue
	events  int
	planned int
	calm    bool // nothing goes wrong any more
	err     error

	cfg    mirror.Config
	habits habits
	can    []int // disturbances that this world knows

	src                *model.Source
	leader             *model.Target // of the target
	ghost              *model.Target // a deposed leader of the target that does not know it yet, or nil
	sourceID, targetID int           // grow when a topic is made anew
	known              bool          // the flow copied here before
	metadataAt         int64         // when everybody can know the leaders
	sameNode           bool          // the source's new leader is the broker that the old one was
	stalledTo          int64         // until then the target's followers are out
	coordinatorDownTo  int64
	transactions       int      // under way at the target's coordinator
	waiters            []waiter // for replication
	tookAt             int64    // when a late request was last taken
	zombies            int      // requests of dead connections that may still arrive

	procs  []*process // those that are alive, stopped or not
	second bool       // two kferrys were alive at once
	starts int        // kferrys that are about to start

	noticed   bool // a kferry stopped because the logs do not fit each other
	ledger    ledger
	deletedTo int64 // up to where the target was ever told to delete
	maxStart  int64 // where the source's log start ever was
	tally     tally
}

// habits are what a world is like.
type habits struct {
	transactions, large, old, acks1, flaky, slow, twice, veryLate, sameTime bool
	checkEvery                                                              int64 // how often the broker forgets old producers
	most                                                                    int   // bytes of a fetch answer
}

// waiter waits until a log is replicated up to an offset, or until it never will be.
type waiter struct {
	log  *model.Target
	need int64
	then func(replicated bool)
}

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

// latency is how long something takes over the network or in a broker, ms.
func (w *world) latency() int64 {
	if w.habits.slow && !w.calm && w.one(16) {
		return int64(w.rng.IntN(3000))
	}
	return int64(1 + w.rng.IntN(4))
}

func (w *world) say(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%8.3f  ", float64(w.now)/1000)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %.3f s: %w", float64(w.now)/1000, fmt.Errorf(format, args...))
	}
}

// live lets a world happen and judges it.
func (w *world) live() error {
	for w.err == nil && len(w.queue) > 0 && !w.over() {
		e := w.queue.pop()
		w.now = e.at
		w.events++
		e.do()
		if w.events > mostEvents {
			w.stuck("%d events", w.events)
		}
	}
	if w.err == nil {
		w.judge()
	}
	w.count()
	return w.err
}

// over says whether nothing more will happen that matters.
func (w *world) over() bool {
	if w.starts > 0 {
		return false
	}
	if !w.calm {
		return len(w.procs) > 0 && !w.habits.sameTime && w.allFaulted()
	}
	if w.now > w.ledger.calmAt+mostPatience {
		w.stuck("%d virtual minutes", mostPatience/minute)
	}
	for _, p := range w.procs {
		if !p.done() {
			return false
		}
	}
	return w.zombies == 0 || w.allFaulted()
}

// stuck tells what a world that does not come to an end is waiting for.
func (w *world) stuck(format string, args ...any) {
	how := ""
	for _, p := range w.procs {
		how += fmt.Sprintf("; kferry %d is in phase %d at %d, has %d chores, believes in a target %+v", p.name, p.m.Phase(), p.m.Position(), p.chores, p.m.Target())
	}
	w.fail("it does not come to an end in %s: source %d..%d, stable %d, target %d..%d, replicated %d%s",
		fmt.Sprintf(format, args...), w.src.Start, w.src.End, w.src.Stable(), w.leader.Start, w.leader.End(), w.leader.High, how)
}

func (w *world) allFaulted() bool {
	return !slices.ContainsFunc(w.procs, func(p *process) bool { return p.m.Phase() != mirror.Faulted })
}

// settle ends all trouble.
func (w *world) settle() {
	if w.loud {
		w.say("from here on nothing goes wrong")
	}
	w.calm, w.ledger.calmAt = true, w.now
	w.src.EndAll(w.rng)
	w.src.Known = w.src.End
	w.stalledTo, w.coordinatorDownTo, w.metadataAt = w.now, w.now, w.now
	w.layGhost()
	w.replicate()
	for _, p := range w.procs {
		p.proceed()
	}
	if len(w.procs) == 0 && w.starts == 0 {
		w.start()
	}
}

// grow lets the source grow.
func (w *world) grow() {
	s := w.src
	s.Size = 0
	if w.habits.large && w.one(8) {
		s.Size = 400
		if w.cfg.MaxBatchBytes < s.Size || w.leader.MaxBytes < s.Size {
			w.ledger.note(oversized)
		}
	}
	codec := batch.None
	if w.one(12) {
		codec = []batch.Codec{batch.LZ4, batch.Snappy}[w.rng.IntN(2)]
	}
	pid := int64(100 + w.rng.IntN(3))
	switch k := w.rng.IntN(100); {
	case k < 12:
		for range 2 + w.rng.IntN(8) { // what is worth merging
			s.Data(w.rng, 1, batch.None, 0, -1)
		}
	case k < 18:
		s.Data(w.rng, 1+w.rng.IntN(4), codec, model.BitLogAppendTime, -1)
	case k < 60 || !w.habits.transactions:
		s.Data(w.rng, 1+w.rng.IntN(8), codec, 0, -1)
	case k < 80:
		s.Data(w.rng, 1+w.rng.IntN(6), codec, model.BitTransactional, pid)
	default:
		s.EndTxn(pid, w.one(2))
	}
	if w.loud {
		w.say("the source ends at %d, stable %d", s.End, s.Stable())
	}
}

// raiseTo deletes the source's records before an offset.
func (w *world) raiseTo(to int64) {
	w.src.Raise(to)
	w.maxStart = max(w.maxStart, w.src.Start)
	w.noteOvertaken()
}

// noteOvertaken notes whether the source's log starts beyond the target's end.
func (w *world) noteOvertaken() {
	for _, t := range []*model.Target{w.leader, w.ghost} {
		if t != nil && w.src.Start > t.End() {
			w.ledger.note(overtaken)
			if !w.known && t.Start < t.End() {
				w.ledger.note(wasThere) // nothing is left to compare it with
			}
			if w.cfg.SeedLimit > 0 && w.src.Start-t.End() > w.cfg.SeedLimit {
				w.ledger.note(farOut)
			}
		}
	}
}

// forget lets the broker forget old producers every now and then.
func (w *world) forget() {
	w.at(w.now+w.habits.checkEvery, func() {
		for _, t := range []*model.Target{w.leader, w.ghost} {
			if t != nil && t.Expire(epochMillis+w.now-day, w.now) {
				w.tally[didForget]++
				if w.loud {
					w.say("the broker forgets the producer")
				}
			}
		}
		w.forget()
	})
}

// replicateSoon lets the followers have what the leader has.
func (w *world) replicateSoon() {
	w.at(max(w.now+1+w.rng.Int64N(6), w.stalledTo), w.replicate)
}

func (w *world) replicate() {
	if w.now < w.stalledTo {
		return
	}
	w.leader.High = w.leader.End()
	w.wake()
}

// wake tells those who wait for replication.
func (w *world) wake() {
	for i := 0; i < len(w.waiters); {
		t := w.waiters[i]
		if gone := t.log != w.leader && t.log != w.ghost; gone || t.log.High >= t.need {
			w.waiters = slices.Delete(w.waiters, i, i+1)
			t.then(!gone)
			i = 0
			continue
		}
		i++
	}
}

func (w *world) whenReplicated(log *model.Target, need int64, then func(bool)) {
	if log.High >= need {
		then(true)
		return
	}
	w.waiters = append(w.waiters, waiter{log, need, then})
}

// layGhost lets a deposed leader of the target notice.
func (w *world) layGhost() {
	if w.ghost == nil {
		return
	}
	old := w.ghost
	w.ghost = nil
	w.dropConnections(old)
	w.wake()
}

// dropConnections cuts every connection to a replica.
func (w *world) dropConnections(log *model.Target) {
	for _, p := range w.procs {
		for _, c := range slices.Clone(p.conns) {
			if c.log == log {
				c.cut(false, w.latency())
			}
		}
	}
}

func (w *world) kill(p *process) {
	p.dead = true
	for _, c := range slices.Clone(p.conns) {
		c.cut(true, 0)
	}
	w.procs = slices.DeleteFunc(w.procs, func(q *process) bool { return q == p })
}

// start starts a kferry.
func (w *world) start() {
	p := newProcess(w)
	w.procs = append(w.procs, p)
	if len(w.procs) > 1 {
		w.second = true
	}
	p.begin()
}
