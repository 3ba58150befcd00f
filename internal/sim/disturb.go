package main

import (
	"github.com/kferry/kferry/internal/sim/model"
)

// disturbance is a thing that happens to live clusters. A world knows one in rare of those of its kind, so that
// worlds differ in what they are made of and not only in its order.
type disturbance struct {
	name string
	rare int
	do   func(*world) bool // false: there was nothing to disturb
}

var disturbances = []disturbance{
	{"connection cut", 2, func(w *world) bool { return w.cutOne(0) }},
	{"half-open connection", 4, func(w *world) bool { return w.cutOne(20 * second) }},
	{"followers out", 3, (*world).stall},
	{"target leader change", 2, func(w *world) bool { return w.electTarget(false) }},
	{"target loses committed", 6, func(w *world) bool { return w.electTarget(true) }},
	{"source log start", 2, (*world).raise},
	{"source log start went back", 30, (*world).backStart},
	{"target log start went back", 6, (*world).backTargetStart},
	{"compaction", 2, (*world).clean},
	{"source leader change", 3, (*world).electSource},
	{"source loses a tail", 10, (*world).truncate},
	{"somebody writes", 12, (*world).intrude},
	{"pause", 4, (*world).pause},
	{"kill", 2, (*world).killOne},
	{"second kferry", 5, (*world).another},
	{"coordinator out", 4, (*world).stopCoordinator},
	{"source topic made anew", 25, func(w *world) bool { return w.recreate(true) }},
	{"target topic made anew", 25, func(w *world) bool { return w.recreate(false) }},
	{"batch limit lowered", 30, (*world).lower},
	{"batch limit changed", 6, (*world).limit},
	{"damaged batch", 25, (*world).damage},
	{"writing denied", 40, (*world).deny},
	{"markers denied", 25, (*world).denyMarks},
	{"delete forbidden", 25, (*world).forbidDelete},
	{"timestamps change", 6, (*world).changeTimes},
}

// disturb lets one thing happen that this world knows.
func (w *world) disturb() {
	i := w.can[w.rng.IntN(len(w.can))]
	if w.loud {
		w.say("-- %s", disturbances[i].name)
	}
	if disturbances[i].do(w) {
		w.tally[didDisturb+i]++
	}
}

// somebody is a living kferry, nil if there is none.
func (w *world) somebody() *process {
	if len(w.procs) == 0 {
		return nil
	}
	return w.procs[w.rng.IntN(len(w.procs))]
}

func (w *world) cutOne(notice int64) bool {
	p := w.somebody()
	if p == nil || p.data == nil || p.data.dead {
		return false
	}
	p.data.cut(false, w.latency()+w.rng.Int64N(notice+1))
	return true
}

// stall takes the followers out: nothing is replicated for a while.
func (w *world) stall() bool {
	w.stalledTo = w.now + w.rng.Int64N(40*second)
	w.at(w.stalledTo, w.replicate)
	return true
}

// electTarget makes another replica the leader of the target. It lacks what was not replicated, or more. The old
// one may not know for a while, and take what is sent to it.
func (w *world) electTarget(committed bool) bool {
	t := w.leader
	w.layGhost()
	next := t.Clone()
	to := t.High + w.rng.Int64N(t.End()-t.High+1)
	if committed {
		to = t.Start + w.rng.Int64N(t.High-t.Start+1)
		w.ledger.lostAt = w.now
	}
	next.Lose(to, w.now, w.one(3))
	w.leader, w.ghost = next, t
	w.noteOvertaken()
	w.metadataAt = w.now + w.rng.Int64N(3*second)
	if w.one(2) {
		w.layGhost()
	} else {
		w.tally[didGhost]++
		w.after(w.rng.Int64N(8*second), w.layGhostOf(t))
	}
	w.wake()
	return true
}

func (w *world) layGhostOf(t *model.Target) func() {
	return func() {
		if w.ghost == t {
			w.layGhost()
		}
	}
}

func (w *world) raise() bool {
	if w.src.High() == w.src.Start {
		return false
	}
	to := w.src.Start + w.rng.Int64N(w.src.High()-w.src.Start+1)
	if w.one(4) {
		to = w.src.High()
	}
	w.raiseTo(to)
	if w.loud {
		w.say("the source's log starts at %d", w.src.Start)
	}
	return true
}

// backStart elects a leader that has not heard of the last DeleteRecords.
func (w *world) backStart() bool {
	first := w.src.Start
	if len(w.src.Batches) > 0 {
		first = w.src.Batches[0].Base
	}
	if first >= w.src.Start || w.src.Lagging() {
		return false
	}
	w.src.Start = first
	w.ledger.note(wentBack)
	return w.electSource()
}

// backTargetStart is a restart of the target's broker before it wrote down where the log starts. It leads again, in
// another epoch.
func (w *world) backTargetStart() bool {
	if w.leader.Start == 0 {
		return false
	}
	w.leader.Start = w.rng.Int64N(w.leader.Start)
	w.leader.Epoch++
	w.metadataAt = w.now + w.rng.Int64N(second)
	w.layGhost()
	w.dropConnections(w.leader)
	return true
}

func (w *world) clean() bool {
	if !w.cfg.Compacted {
		return false
	}
	w.src.Clean(w.rng)
	return true
}

// electSource makes another replica of the source the leader, which may not know its high watermark yet.
func (w *world) electSource() bool {
	known := w.src.End
	if w.one(2) {
		known = max(w.src.Start, known-w.rng.Int64N(8))
		w.after(w.rng.Int64N(900), w.knowHigh(w.src.Epoch+1))
	}
	w.src.Elect(known)
	w.sourceMoved()
	return true
}

func (w *world) knowHigh(epoch int32) func() {
	return func() {
		if w.src.Epoch == epoch {
			w.src.Known = w.src.End
		}
	}
}

func (w *world) sourceMoved() {
	w.metadataAt = w.now + w.rng.Int64N(2*second)
	w.sameNode = w.one(2)
}

// truncate elects a leader of the source that has lost a tail, which then gets another.
func (w *world) truncate() bool {
	s := w.src
	end := s.End
	w.ledger.cutOff = true
	s.Truncate(s.Start + w.rng.Int64N(s.End-s.Start+1))
	w.sourceMoved()
	read := w.leader.End()
	for _, p := range w.procs {
		read = max(read, p.fetchedTo)
	}
	if read > s.Undecided() || w.zombies > 0 || w.ghost != nil && w.ghost.End() > s.Undecided() {
		w.ledger.note(lostTail)
	}
	if w.loud {
		w.say("the source loses offsets %d to %d", s.End, end)
	}
	for range w.rng.IntN(6) {
		w.grow()
	}
	return true
}

// intrude writes to the target, or empties it.
func (w *world) intrude() bool {
	w.ledger.note(foreign)
	for range 1 + w.rng.IntN(3) {
		w.leader.Write(model.NewRecord(epochMillis+w.now, w.rng.IntN(model.Keys), -7, w.rng.Int64N(1000), 0))
	}
	w.replicateSoon()
	return true
}

func (w *world) pause() bool {
	p := w.somebody()
	if p == nil || p.paused {
		return false
	}
	p.paused = true
	w.after(w.rng.Int64N(30*second), p.proceed)
	return true
}

func (w *world) killOne() bool {
	p := w.somebody()
	if p == nil {
		return false
	}
	w.kill(p)
	if len(w.procs) == 0 {
		w.starts++
		w.after(startTime+w.rng.Int64N(5*second), func() {
			w.starts--
			w.start()
		})
	}
	return true
}

func (w *world) another() bool {
	if len(w.procs) != 1 {
		return false
	}
	w.start()
	return true
}

func (w *world) stopCoordinator() bool {
	w.coordinatorDownTo = w.now + w.rng.Int64N(20*second)
	return true
}

// recreate deletes a topic and makes it again.
func (w *world) recreate(source bool) bool {
	w.ledger.note(recreated)
	w.metadataAt = w.now + w.rng.Int64N(second)
	if source {
		w.sourceID++
		w.src = model.NewSource(w.src.Now)
		for range w.rng.IntN(10) {
			w.grow()
		}
		return true
	}
	w.targetID++
	w.layGhost()
	old := w.leader
	w.leader = model.NewTarget()
	w.leader.MaxBytes = old.MaxBytes
	w.dropConnections(old)
	w.wake()
	return true
}

// lower makes the target take less than kferry thinks.
func (w *world) lower() bool {
	w.ledger.note(lowered)
	w.leader.MaxBytes = 120
	return true
}

// limit changes what the target takes, and kferry sees it with the metadata.
func (w *world) limit() bool {
	w.leader.MaxBytes = 1 << 20
	if w.ghost != nil {
		w.ghost.MaxBytes = 1 << 20
	}
	for _, p := range w.procs {
		p.m.SetMaxBatchBytes(1 << 20)
	}
	return true
}

// damage flips a bit on the source's disk.
func (w *world) damage() bool {
	if n := len(w.src.Batches); n > 0 {
		if b := w.src.Batches[w.rng.IntN(n)]; !b.Control() && b.Records() > 0 {
			b.Spoil()
			w.ledger.note(damaged)
			return true
		}
	}
	return false
}

func (w *world) deny() bool         { w.ledger.note(denied); return true }
func (w *world) forbidDelete() bool { w.ledger.note(policy); return true }

func (w *world) denyMarks() bool {
	if w.cfg.CanMark {
		w.ledger.note(markDenied)
	}
	return w.cfg.CanMark
}

// changeTimes turns to producers that write old records, or new ones.
func (w *world) changeTimes() bool {
	w.habits.old = !w.habits.old
	w.src.Now = epochMillis + w.now
	if w.habits.old {
		w.src.Now -= 10 * day
	}
	return true
}
