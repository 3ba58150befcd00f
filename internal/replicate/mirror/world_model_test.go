package mirror_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// world is a machine between a source and a target, with everything in between that may go wrong. It plays
// the driver: it obeys the machine's actions as package replicate does, and answers late, never, or twice.
type world struct {
	rng *rand.Rand
	src *sourceLog
	tgt *targetLog
	cfg mirror.Config
	m   *mirror.Machine

	sent    []mirror.Action // appends on the connection that the broker has not seen yet, in order
	answers []answer        // of the broker, not delivered yet, in order
	mark    *mirror.Action  // the Mark that is out
	limbo   []mirror.Action // requests of dead connections that the broker may still find in a queue
	chores  []mirror.Action

	known    bool                  // the flow copied here before
	all      map[int64]record      // what the source ever had, by offset
	ever     map[record]int64      // and where; values are unique
	excuses  map[fault.Kind]string // faults that may come of what was done, and of what
	foreign  int64                 // first offset that somebody else wrote or moved; -1
	calm     bool                  // nothing goes wrong any more
	log      []string
	restarts int
	twice    bool // a coordinator wrote a marker more than it was asked for
	lately   bool // a late request arrived since both ends were read
	forgot   bool // the broker forgot the producer since then
	refused  bool // the broker refused an append since then
	// blind: the topic is compacted, and somebody wrote to the target, or the source lost a tail while kferry was
	// not running. What is on the target and not on the source counts as compacted away, so it cannot always be
	// found out, and the ending is not judged.
	blind bool
}

type answer struct {
	generation int
	base       int64
	err        error
}

const producerID = 7000

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{rng: rng, src: newSourceLog(), tgt: &targetLog{}, all: map[int64]record{}, ever: map[record]int64{}, excuses: map[fault.Kind]string{}, foreign: -1}
	one := func(n int) bool { return rng.IntN(n) == 0 }
	w.cfg = mirror.Config{
		Topic: "t", MaxBatchBytes: 1 << 20, Compacted: !one(3), FillExpired: one(2), CanMark: !one(3), CanAbort: true,
		WideGap: int64(3 + rng.IntN(20)), WideHoles: []mirror.HoleFiller{mirror.HolesAuto, mirror.HolesEcho, mirror.HolesAborted, mirror.HolesMarkers}[rng.IntN(4)],
	}
	if w.cfg.CanMark && one(4) {
		w.cfg.CanAbort = false
	}
	if one(3) {
		w.cfg.WindowBytes = 300
	}
	if one(4) {
		w.cfg.MaxBatchBytes, w.cfg.SplitOversized = 250, true
	}
	for range rng.IntN(20) {
		w.growSource()
	}
	if one(3) {
		w.src.raise(rng.Int64N(w.src.high + 1))
	}
	w.restart()
	return w
}

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) say(format string, args ...any) {
	if *oneSeed != 0 {
		w.log = append(w.log, fmt.Sprintf(format, args...))
	}
}

// growSource lets the source grow and remembers every record that it ever had.
func (w *world) growSource() {
	before := w.src.high
	w.src.grow(w.rng)
	for _, b := range w.src.batches {
		if b.base < before || b.control() {
			continue
		}
		for at, r := range b.records {
			if b.attributes&bitLogAppendTime != 0 {
				r.timestamp = b.appended
			}
			w.all[at], w.ever[r] = r, at
		}
	}
}

// restart kills kferry, if one runs, and starts another.
func (w *world) restart() {
	if w.m != nil {
		w.say("killed")
		w.cut(true)
	}
	w.chores = nil
	w.m = mirror.New(w.cfg, batch.Producer{ID: producerID}, decoder)
	w.obey()
}

// obey takes the machine's actions as the driver does.
func (w *world) obey() {
	for _, a := range w.m.Take() {
		w.say("  %s", a)
		switch a.Kind {
		case mirror.Append:
			if a.Append == mirror.Seed {
				a.Bytes = batch.Filler(int(a.Count))
				if err := batch.Rewrite(a.Bytes, batch.Producer{ID: producerID, Sequence: a.Sequence}); err != nil {
					panic(err)
				}
			}
			a.Bytes = slices.Clone(a.Bytes)
			w.sent = append(w.sent, a)
		case mirror.Mark:
			w.mark = &a
		case mirror.Stop:
			w.say("  %s", a.Fault.Detail)
		default:
			w.chores = append(w.chores, a)
		}
	}
}

// process lets the broker see a request. It returns what it answers.
func (w *world) process(a mirror.Action) answer {
	if a.Kind == mirror.Mark {
		n := a.Count
		if !w.cfg.CanMark && !w.calm && w.one(20) {
			n++ // a coordinator that tries again writes a second one
			w.twice = true
			w.excuses[fault.ForeignAppend] = "a coordinator wrote a marker twice"
			w.excuses[fault.NotAPrefix] = "a coordinator wrote a marker twice"
		}
		w.tgt.fill(n, entryMarker)
		return answer{generation: a.Generation, base: w.tgt.end()}
	}
	kind := entryRecord
	if a.Append == mirror.Seed {
		kind = entrySeed
	}
	base, err := w.tgt.produce(a.Bytes, kind)
	return answer{a.Generation, base, err}
}

// cut ends the connections to the target; markers go over one of their own, which may live on. What the broker
// has not seen is lost, or arrives later.
func (w *world) cut(markers bool) {
	w.say("connections cut: %d unseen, %d unanswered, markers %t", len(w.sent), len(w.answers), markers)
	arriving := w.rng.IntN(len(w.sent) + 1)
	w.limbo = append(w.limbo, w.sent[:arriving]...)
	w.sent, w.answers = nil, nil
	if !markers {
		return
	}
	if w.mark != nil && (w.cfg.CanMark || w.tgt.high >= w.mark.Base) && w.one(2) {
		w.limbo = append(w.limbo, *w.mark)
	}
	w.mark = nil
}

// arrive lets a request of a dead connection reach the broker, whose answer nobody hears.
func (w *world) arrive() {
	a := w.limbo[0]
	w.limbo = w.limbo[1:]
	ans := w.process(a)
	w.lately = true
	w.say("late: %s: %d %v", a, ans.base, ans.err)
}

// lateRequests lets what is still on its way arrive up to some request, and the rest never: a connection has no
// holes.
func (w *world) lateRequests() {
	for n := w.rng.IntN(len(w.limbo) + 1); n > 0; n-- {
		w.arrive()
	}
	w.limbo = nil
}

// quiet says whether no request that changes the target is without an answer.
func (w *world) quiet() bool { return len(w.sent) == 0 && len(w.answers) == 0 && w.mark == nil }

// errand runs one chore. It says whether it could.
func (w *world) errand(i int) bool {
	a := w.chores[i]
	if a.Generation != w.m.Generation() {
		w.chores = slices.Delete(w.chores, i, i+1)
		return true
	}
	if a.Kind == mirror.Open && (!w.quiet() || w.tgt.high != w.tgt.end()) {
		return false // waits for the answers, those to markers included, and for the followers
	}
	if a.Kind == mirror.Abort && w.tgt.high < a.Base {
		return false // as with markers of a coordinator
	}
	if a.Kind == mirror.Compare && a.Base+a.Count > w.src.stable() {
		return false // cannot be read in read_committed
	}
	w.chores = slices.Delete(w.chores, i, i+1)
	switch a.Kind {
	case mirror.Open:
		w.open(a)
	case mirror.Compare:
		if a.Base < w.src.start {
			w.say("compare from %d: out of range", a.Base)
			w.m.SourceReadFailed()
			break
		}
		diff := w.compare(a.Base, a.Base+a.Count)
		w.say("compared: %v", diff)
		w.m.Compared(a.Generation, diff, w.known)
		w.known = w.known || diff == nil
	case mirror.Delete:
		if a.Base > w.tgt.high {
			w.chores = append(w.chores, a)
			return true
		}
		w.tgt.start = max(w.tgt.start, a.Base)
		w.m.Deleted(a.Generation, w.tgt.start)
	case mirror.Probe:
		w.say("probed")
		if a.Base < w.src.start {
			w.m.SourceReadFailed()
		} else {
			f := w.src.fetch(w.rng, a.Base, 1<<20)
			if !w.calm && w.one(4) {
				f.Records, f.Aborted, f.Throttled = nil, nil, true
			}
			w.m.Probed(a.Generation, f)
		}
	case mirror.Abort:
		w.abort(a)
	}
	w.obey()
	return true
}

func (w *world) open(a mirror.Action) {
	if a.Settle && (a.Unguarded || w.tgt.sequence() < 0) {
		w.lateRequests() // the driver waits until none can arrive any more
		w.tgt.high = w.tgt.end()
	}
	w.lately, w.forgot, w.refused = false, false, false
	e := mirror.Ends{
		SourceStart: w.src.start, SourceHigh: w.src.high, SourceStable: w.src.stable(),
		TargetStart: w.tgt.start, TargetEnd: w.tgt.end(), TargetTail: w.tgt.tail(), Sequence: w.tgt.sequence(), Known: w.known,
	}
	w.say("opened: %+v", e)
	w.m.Opened(a.Generation, e)
}

// abort fills a gap by filler records in an aborted transaction.
func (w *world) abort(a mirror.Action) {
	if w.tgt.end() != a.Base { // the first batch tells
		w.tgt.fill(2, entryAborted)
		w.m.Unknown(a.Generation)
		return
	}
	n := a.Count - 1
	if w.cfg.CanMark && a.Count > 4 {
		n -= 2
	}
	if !w.calm && w.one(4) { // something went wrong on the way; the driver ends the transaction before it says so
		w.tgt.fill(w.rng.Int64N(n+1), entryAborted)
		w.tgt.fill(1, entryMarker)
		w.say("aborted filler: unknown, log end %d", w.tgt.end())
		w.m.Unknown(a.Generation)
		return
	}
	w.tgt.fill(n, entryAborted)
	w.tgt.fill(1, entryMarker)
	w.m.Filled(a.Generation, w.tgt.end())
}

// compare is the comparison of the tails that the driver makes.
func (w *world) compare(from, to int64) *mirror.Difference {
	for at := from; at < to; at++ {
		r, ok := w.src.committed(at)
		e := w.tgt.entries[at]
		switch {
		case ok && (e.kind != entryRecord || e.record != r):
			return &mirror.Difference{Offset: at, Detail: fmt.Sprintf("source %v, target %v", r, e)}
		case !ok && (e.kind == entryForeign || e.kind == entryRecord && !w.cfg.Compacted):
			return &mirror.Difference{Offset: at, Detail: fmt.Sprintf("source nothing, target %v", e)}
		}
	}
	return nil
}

// fetch answers what the machine wants to read.
func (w *world) fetch() {
	from, ok := w.m.Wants()
	if !ok {
		return
	}
	if from < w.src.start || from > w.src.high {
		w.say("fetch from %d: out of range", from)
		w.m.SourceReadFailed()
		w.obey()
		return
	}
	f := w.src.fetch(w.rng, from, 100+w.rng.IntN(1500))
	if !w.calm && w.one(8) { // no room was left in the answer, or a quota held it back
		f.Records, f.Aborted, f.Throttled = nil, nil, w.one(2)
	}
	w.say("fetched from %d: %d bytes, stable %d, aborted %v", from, len(f.Records), f.Stable, f.Aborted)
	w.m.Fetched(f)
	w.obey()
}

// deliver brings the oldest answer.
func (w *world) deliver() {
	a := w.answers[0]
	w.answers = w.answers[1:]
	w.say("answer: base %d, %v", a.base, a.err)
	if a.err == nil {
		w.m.Appended(a.generation, a.base)
	} else {
		w.m.Unknown(a.generation)
	}
	w.obey()
}

// finishMark lets the broker write the markers that are out, and answers.
func (w *world) finishMark() {
	a := *w.mark
	w.mark = nil
	ans := w.process(a)
	w.say("marked: log end %d", ans.base)
	if w.cfg.CanMark { // the broker answers without an offset
		w.m.Filled(a.Generation, a.Base+a.Count)
	} else {
		w.m.Filled(a.Generation, ans.base)
	}
	w.obey()
}
