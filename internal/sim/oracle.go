package main

import (
	"fmt"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// cause is something that happened in a world and that copying exactly cannot survive, or need not: a fault must
// have one, and only then may what lies on the target be wrong for a moment.
type cause int

// The causes.
const (
	foreign    cause = iota // somebody else wrote to the target
	wasThere                // something else was on the target before the flow came
	lostTail                // the source lost records that were read
	doubleMark              // a coordinator wrote a marker twice
	collided                // two kferrys filled the same gap: no sequence holds fillers apart
	unguarded               // a late or second copy of an append, or one behind a refused one, while the broker had forgotten the sequence
	tooLate                 // a request arrived after the time that is waited for, and nothing held it off
	misled                  // a coordinator took a marker to a leader that had lost committed offsets
	overtaken               // the source deleted what the target does not have
	farOut                  // and it is more than may be seeded
	wentBack                // the source's log start went back, to where the target has nothing any more
	oversized               // the source has a record that the target does not take
	lowered                 // the target takes smaller batches than it did
	damaged                 // a batch of the source does not match its checksum
	noFillers               // neither markers nor transactions are permitted
	markDenied              // markers are not permitted any more
	denied                  // writing is not
	policy                  // the target's records cannot be deleted
	recreated               // a topic was made anew
	causes
)

var causeNames = [causes]string{
	"foreign append", "was there before", "source lost a tail", "marker twice", "fillers collided", "unguarded", "too late", "marker misled", "overtaken", "far out",
	"log start went back", "oversized", "limit lowered", "damaged", "no fillers", "markers denied", "writing denied", "policy", "recreated",
}

// tainting causes can put wrong offsets onto the target: from then on the machine must stop, or find everything
// right after all.
const tainting = 1<<foreign | 1<<wasThere | 1<<lostTail | 1<<doubleMark | 1<<collided | 1<<unguarded | 1<<tooLate | 1<<misled

// deserved says which faults may come of which causes.
var deserved = map[fault.Kind]uint32{
	fault.ForeignAppend:     tainting | 1<<wentBack,
	fault.NotAPrefix:        tainting | 1<<wentBack,
	fault.Truncation:        tainting,
	fault.RetentionOvertook: 1 << overtaken,
	fault.SeedLimit:         1 << farOut,
	fault.BatchRefused:      1<<oversized | 1<<lowered,
	fault.CorruptBatch:      1 << damaged,
	fault.GapRefused:        1<<noFillers | 1<<markDenied,
	fault.Unauthorized:      1 << denied,
	fault.TopicRefused:      1 << policy,
	fault.TopicRecreated:    1 << recreated,
}

// ledger is what happened in a world.
type ledger struct {
	set    uint32
	calmAt int64
	cutOff bool  // the source lost a tail, read or not: a cleaner may have gone by what was in it
	lostAt int64 // when the target last lost committed offsets
}

func (l *ledger) note(c cause)     { l.set |= 1 << c }
func (l *ledger) has(c cause) bool { return l.set&(1<<c) != 0 }
func (l *ledger) tainted() bool    { return l.set&tainting != 0 }

// justify judges a fault when it is raised.
func (w *world) justify(p *process, f fault.Fault) {
	switch f.Kind {
	case fault.ForeignAppend, fault.Truncation, fault.NotAPrefix:
		w.noticed = true
	}
	if w.loud {
		w.say("  %d: %s at %d, %d offsets: %s", p.name, f.Kind, f.Offset, f.Count, f.Detail)
	}
	if deserved[f.Kind]&w.ledger.set == 0 {
		w.fail("kferry %d has a fault without a cause: %s at offset %d: %s", p.name, f.Kind, f.Offset, f.Detail)
	}
}

// appended judges what a batch wrote to the target's leader, which ended at the expected offset before.
func (w *world) appended(r *request, before int64) {
	if w.ledger.tainted() || w.ledger.has(recreated) {
		return
	}
	if r.a.Append == mirror.Seed {
		w.seeded(before)
		return
	}
	for at := before; at < w.leader.End(); at++ {
		if why := w.wrong(at, r.a.Append == mirror.Echo); why != "" {
			w.fail("kferry %d wrote the wrong record: %s: %s", r.p.name, r.a, why)
			return
		}
	}
}

// wrong says what is wrong with the target's record at an offset: it must be what the source wrote there, decided
// and not aborted, whether a cleaner took it away since or not.
func (w *world) wrong(at int64, echo bool) string {
	e := &w.leader.Entries[at]
	if echo {
		if why := w.noEcho(at); why != "" {
			return why
		}
		return ""
	}
	if at >= w.src.Undecided() {
		return fmt.Sprintf("offset %d is beyond what is decided, %d", at, w.src.Undecided())
	}
	if ever := &w.src.Ever[at]; !ever.Here || ever.Record != e.Record {
		return fmt.Sprintf("offset %d has %+v, the source wrote %+v", at, *e, *ever)
	}
	return ""
}

// noEcho says why the target's record at an offset is no copy of the next record of the source.
func (w *world) noEcho(at int64) string {
	e := &w.leader.Entries[at]
	of := e.WrittenAt()
	if of <= at || of >= int64(len(w.src.Ever)) || w.src.Ever[of].Record != e.Record {
		return fmt.Sprintf("offset %d has %+v, which is no copy of a later record", at, *e)
	}
	for next := at; next < of; next++ {
		if r, ok := w.src.Committed(next); ok {
			return fmt.Sprintf("offset %d has a copy of %d, but the source has %+v at %d", at, of, r, next)
		}
	}
	return ""
}

// seeded judges filler, which belongs below the source's log start, and on top of data only where expired offsets
// may be filled.
func (w *world) seeded(before int64) {
	if w.leader.End() > w.maxStart {
		w.fail("filler up to %d, the source's log started at %d at most", w.leader.End(), w.maxStart)
	}
	if w.cfg.FillExpired {
		return
	}
	for at := max(w.leader.Start, w.deletedTo); at < before; at++ {
		if w.leader.Entries[at].Kind != model.OfSeed {
			w.fail("filler on top of data at offset %d, which nobody permitted", at)
			return
		}
	}
}

// misplaced judges an append that got another offset than the one it was meant for.
func (w *world) misplaced(log *model.Target, r *request) {
	forgotten := log.ForgotAt > r.holds
	waited := r.sentAt < r.p.settledAt && !r.veryLate
	behind := r.p.refusedAt >= r.holds && r.p.restedAt <= r.holds
	switch {
	case w.ledger.tainted():
	case r.veryLate:
		w.ledger.note(tooLate)
	case w.second && forgotten:
		w.ledger.note(unguarded)
	case w.second && w.tally[didMark]+w.tally[didAbort] > 0:
		w.ledger.note(collided)
	case forgotten && !waited && (r.late || behind || w.tookAt > r.holds):
		w.ledger.note(unguarded)
	default:
		w.fail("kferry %d's %s landed at offset %d, and nothing explains it (sent %d, held %d, settled %d, refused %d, rested %d, forgotten %d, late %t)", r.p.name, r.a, r.base, r.sentAt, r.holds, r.p.settledAt, r.p.refusedAt, r.p.restedAt, log.ForgotAt, r.late)
	}
}

// fill writes fillers, and judges them: they must lie in the gap that they were meant for.
func (w *world) fill(p *process, log *model.Target, a mirror.Action, n int64, kind model.Kind) {
	at := log.End()
	log.Fill(n, kind)
	if kind == model.OfMarker {
		w.tally[didWriteMarks]++
	}
	if log != w.leader {
		return
	}
	w.replicateSoon()
	if w.loud {
		w.say("%d fillers of %d at %d", n, p.name, at)
	}
	if w.ledger.tainted() || w.ledger.has(recreated) {
		return
	}
	if at != a.Base {
		switch {
		case w.second:
			w.ledger.note(collided)
		case at < a.Base && w.ledger.lostAt >= p.startedAt && w.ledger.lostAt > 0:
			w.ledger.note(misled)
		default:
			w.fail("kferry %d's filler for offset %d was written at %d, and nothing explains it", p.name, a.Base, at)
		}
		return
	}
	for o := at; o < at+n; o++ {
		if r, ok := w.src.Committed(o); ok {
			w.fail("kferry %d wrote a filler at offset %d, where the source has %+v", p.name, o, r)
			return
		}
		if o >= w.src.Undecided() {
			w.fail("kferry %d wrote a filler at offset %d, where nothing is decided yet", p.name, o)
			return
		}
	}
}

// judge judges the end of a world.
func (w *world) judge() {
	for _, p := range w.procs {
		if p.m.Phase() == mirror.Faulted {
			continue
		}
		switch {
		case w.ledger.has(recreated):
			w.fail("kferry %d goes on with a topic that was made anew", p.name)
		case w.leader.End() != w.src.Stable():
			w.fail("the target's log ends at %d, the source's at %d", w.leader.End(), w.src.Stable())
		case !w.startsRight():
			w.fail("the target's log starts at %d, the source's at %d", w.leader.Start, w.src.Start)
		case w.noticed && w.second && w.ledger.tainted():
			// One of two kferrys has stopped: that is notice enough, whatever the other makes of it.
			w.tally[endOtherNoticed]++
		default:
			w.equal()
		}
		return
	}
}

// startsRight says whether the target's log starts where the source's does. What the source deleted and has again
// stays deleted on the target: kferry stops for that only when it opens the partition anew.
func (w *world) startsRight() bool {
	return w.leader.Start == w.src.Start || w.ledger.has(wentBack) && w.leader.Start > w.src.Start && w.leader.Start <= w.maxStart
}

// equal compares the logs, all of them, record by record.
func (w *world) equal() {
	blind := false
	for at := w.leader.Start; at < w.leader.End(); at++ {
		e := &w.leader.Entries[at]
		r, has := w.src.Committed(at)
		switch {
		case has && (!e.Holds() || e.Record != r):
			w.fail("offset %d: the source has %+v, the target %+v, and nobody noticed", at, r, *e)
			return
		case !has && e.Holds() && !w.cfg.Compacted:
			w.fail("offset %d: the source has nothing, the target %+v, and nobody noticed", at, *e)
			return
		case !has && e.Holds() && (at >= int64(len(w.src.Ever)) || w.src.Ever[at].Record != e.Record) && w.noEcho(at) != "":
			if !w.ledger.tainted() {
				w.fail("offset %d: the target has %+v, which the source never had there", at, *e)
				return
			}
			blind = true
		}
	}
	if why := w.latest(); why != "" && !w.ledger.cutOff {
		if !w.ledger.tainted() {
			w.fail("%s", why)
			return
		}
		w.tally[endStaleKey]++
	}
	if blind {
		w.tally[endBlind]++
	}
	if w.ledger.tainted() {
		w.tally[endExactAfterAll]++
	}
}

// latest compares the latest record of every key.
func (w *world) latest() string {
	var source, target [model.Keys]int64
	for at := w.leader.Start; at < w.leader.End(); at++ {
		if r, ok := w.src.Committed(at); ok {
			source[r.Key[1]-'0'] = at + 1
		}
		if e := &w.leader.Entries[at]; e.Holds() && len(e.Key) == 2 && e.Key[1]-'0' < model.Keys {
			target[e.Key[1]-'0'] = at + 1
		}
	}
	for k := range source {
		if source[k] != target[k] {
			return fmt.Sprintf("the latest record of key k%d is at %d on the source, at %d on the target", k, source[k]-1, target[k]-1)
		}
	}
	return ""
}
