package mirror_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

var (
	seeds   = flag.Int("seeds", everyday, "random worlds to run")
	oneSeed = flag.Uint64("seed", 0, "run this world alone and print what happens in it")
)

// A machine between a random source and a target that loses answers, tails and memory: in the end the target
// equals the source, or the partition has a fault that somebody gave cause for.
func TestRandomWorlds(t *testing.T) {
	if *oneSeed != 0 {
		w := newWorld(*oneSeed)
		err := w.live()
		t.Logf("%+v\n%s\nending: %v, fault %v", w.cfg, strings.Join(w.log, "\n"), err, w.m.Fault())
		if err != nil {
			t.Fail()
		}
		return
	}
	first := uint64(time.Now().UnixNano()) % 1_000_000_000 * 100_000
	t.Logf("seeds from %d on", first+1)
	tally := map[string]int{}
	for seed := first + 1; seed <= first+uint64(*seeds); seed++ {
		w := newWorld(seed)
		if err := w.live(); err != nil {
			t.Fatalf("go test ./internal/replicate/mirror -run TestRandomWorlds -v -seed %d: %v", seed, err)
		}
		w.count(tally)
	}
	t.Log(tally)
	for _, what := range []string{"caught up", "resyncs", "seeded", "echoes", "aborted fillers", "recoded", "expired", "fault foreign-append", "fault retention-overtook", "fault truncation", "fault not-a-prefix"} {
		if tally[what] == 0 && *seeds >= 2000 {
			t.Errorf("no world had %s: %v", what, tally)
		}
	}
}

func (w *world) count(tally map[string]int) {
	tr := w.m.Traffic()
	for what, n := range map[string]int64{
		"resyncs": tr.ResyncsUnknown, "seeded": tr.OffsetsSeeded, "echoes": tr.FillersEchoes, "aborted fillers": tr.FillersAborted,
		"recoded": tr.BatchesRecoded, "expired": tr.GapsExpired, "restarts": int64(w.restarts),
	} {
		if n > 0 {
			tally[what]++
		}
	}
	if f := w.m.Fault(); f != nil {
		tally["fault "+string(f.Kind)]++
	} else {
		tally["caught up"]++
	}
}

// live lets a number of things happen, then calms down and judges.
func (w *world) live() error {
	for n := 60 + w.rng.IntN(200); n > 0 && w.m.Phase() != mirror.Faulted; n-- {
		w.happen()
		if n%4 != 0 && *oneSeed == 0 { // what is wrong stays wrong
			continue
		}
		if err := w.sound(); err != nil {
			return err
		}
	}
	w.calm = true
	w.src.settle(w.rng)
	w.lateRequests()
	for range 20_000 {
		if w.m.Phase() == mirror.Faulted {
			break
		}
		if w.m.CaughtUp() && w.m.Position() == w.src.stable() && len(w.chores) == 0 && w.m.Target().Start == w.src.start &&
			w.tgt.high == w.tgt.end() && w.m.Target().High == w.tgt.high {
			break
		}
		w.happen()
	}
	if err := w.sound(); err != nil {
		return err
	}
	return w.judge()
}

// happen lets one thing happen.
func (w *world) happen() {
	var can []func()
	add := func(weight int, ok bool, f func()) {
		for range weight {
			if ok {
				can = append(can, f)
			}
		}
	}
	add(6, true, w.fetch)
	add(8, len(w.sent) > 0, func() {
		a := w.sent[0]
		w.sent = w.sent[1:]
		if !w.calm && !w.forgot && w.one(30) {
			w.refused = true
			w.answers = append(w.answers, answer{generation: a.Generation, err: errTooFewReplicas})
			return
		}
		w.answers = append(w.answers, w.process(a))
	})
	add(8, len(w.answers) > 0, w.deliver)
	// A coordinator would take a marker to a new leader, even one that lost what was before it: the driver does
	// not ask it for one before all of that is replicated.
	replicated := w.mark != nil && w.tgt.high >= w.mark.Base
	add(6, w.mark != nil && (w.cfg.CanMark || replicated), w.finishMark)
	add(6, w.mark != nil && !w.cfg.CanMark && !replicated && w.mark.Generation != w.m.Generation(), func() { w.mark = nil })
	add(6, len(w.chores) > 0, func() { w.errand(w.rng.IntN(len(w.chores))) })
	add(6, w.tgt.high < w.tgt.end(), func() {
		n := 1 + w.rng.Int64N(w.tgt.end()-w.tgt.high)
		if w.calm || w.one(2) {
			n = w.tgt.end()
		}
		w.tgt.replicate(n)
	})
	add(1, true, func() {
		w.m.TargetHigh(w.tgt.high)
		w.obey()
	})
	if !w.calm {
		w.trouble(add)
	}
	can[w.rng.IntN(len(can))]()
}

// trouble are the things that happen to a live cluster.
func (w *world) trouble(add func(int, bool, func())) {
	add(3, len(w.limbo) > 0, w.arrive)
	add(3, true, w.growSource)
	add(1, w.cfg.Compacted, func() {
		w.say("source cleaned")
		w.src.clean(w.rng)
	})
	add(1, w.one(3), func() { w.lost() })
	// A broker forgets old producers every ten minutes. That it does so within the moments in which a request of
	// a dead connection may still arrive, or in which it refuses one of several appends for a while, is left
	// out. (It ends in a fault: the base offset is not the one asked for.)
	add(1, w.one(4) && len(w.limbo) == 0 && !w.lately && !w.refused, func() {
		w.say("the broker forgets the producer")
		w.forgot = true
		w.tgt.recent = nil
	})
	add(1, w.one(3) && w.tgt.high < w.tgt.end(), func() {
		w.say("the target loses offsets %d to %d", w.tgt.high, w.tgt.end())
		w.sent, w.limbo = nil, nil // the old leader has them
		if w.cfg.CanMark {
			w.mark = nil // else a coordinator takes it to the new leader
		}
		w.tgt.lose()
		w.overtake()
		if w.foreign >= w.tgt.end() {
			w.foreign = -1 // it went with the rest
		}
		w.lost()
	})
	add(1, w.one(6), func() {
		w.restarts++
		w.restart()
		w.lateMarks()
	})
	add(1, w.one(6), w.raise)
	add(1, w.one(60), w.foreigner)
	add(1, w.one(80) && w.foreign < 0, w.truncate)
}

// lost cuts the connections and tells the machine.
func (w *world) lost() {
	gen := w.m.Generation()
	w.cut(w.mark == nil || w.one(2))
	if w.one(2) {
		w.m.ConnectionLost()
	} else {
		w.m.Unknown(gen)
	}
	w.obey()
}

// lateMarks lets markers of a killed kferry arrive: a new one needs longer to its first question than a request
// lies in a broker's queue. Appends may come later still, as long as the broker remembers the sequence and no
// cleaner can make a hole of what they carry: then they are held off whenever they come.
func (w *world) lateMarks() {
	var rest []mirror.Action
	for _, a := range w.limbo {
		if a.Kind == mirror.Mark || w.cfg.Compacted || w.tgt.sequence() < 0 {
			w.process(a)
		} else {
			rest = append(rest, a)
		}
	}
	w.limbo = rest
}

// raise deletes records of the source.
func (w *world) raise() {
	if w.src.high == w.src.start {
		return
	}
	to := w.src.start + w.rng.Int64N(w.src.high-w.src.start+1)
	w.src.raise(to)
	w.say("the source's log starts at %d", w.src.start)
	w.overtake()
}

// overtake notes whether the source's log starts beyond the target's end.
func (w *world) overtake() {
	if w.src.start > w.tgt.end() && !w.cfg.FillExpired {
		w.excuses[fault.RetentionOvertook] = "the source's log start is beyond the target's end"
	}
}

// foreigner writes to the target.
func (w *world) foreigner() {
	at := w.tgt.end()
	if w.foreign < 0 || w.foreign > at {
		w.foreign = at
	}
	w.blind = w.blind || w.cfg.Compacted
	w.say("somebody writes to the target at %d", at)
	w.tgt.fill(1+w.rng.Int64N(3), entryForeign)
	w.tgt.entries[at].record = record{1, "foreign", fmt.Sprint(w.rng.Uint64())}
	w.excuses[fault.ForeignAppend] = "somebody wrote to the target"
	w.excuses[fault.NotAPrefix] = "somebody wrote to the target"
	w.excuses[fault.Truncation] = "somebody wrote to the target, and a marker of ours lies on top of it"
	w.overtake()
}

// truncate makes the source lose a tail, and go on with something else. The engine sees the change of epoch, or
// is not running while it happens.
func (w *world) truncate() {
	to := w.src.start + w.rng.Int64N(w.src.stable()-w.src.start+1)
	w.say("the source loses what is behind %d", to)
	w.src.cutTo(to)
	for at := range w.all {
		if at >= w.src.high {
			delete(w.all, at)
		}
	}
	// A lost marker makes what was committed unstable again. What is under way counts as copied.
	if w.src.stable() < w.tgt.end() || len(w.limbo) > 0 || !w.quiet() {
		w.foreign = w.src.stable()
		w.excuses[fault.Truncation] = "the source lost a tail"
		w.excuses[fault.ForeignAppend] = "the source lost a tail and has another now"
		w.excuses[fault.NotAPrefix] = "the source lost a tail before anything was compared"
	}
	if from, ok := w.m.Wants(); ok && from > w.src.high && w.one(2) {
		w.m.Diverged(2, w.src.high)
		w.obey()
	} else {
		w.restart()
		w.lateRequests() // an election takes longer than a request lies in a queue
		w.blind = w.blind || w.cfg.Compacted
	}
	for range w.rng.IntN(6) {
		w.growSource()
	}
}

// sound checks what must hold at any time: below the first foreign offset nothing on the target is at an
// offset where the source never had it, and nothing that the source has is missing.
func (w *world) sound() error {
	if w.blind || w.twice {
		return nil
	}
	if w.foreign >= 0 {
		return w.equal(min(w.tgt.end(), w.foreign))
	}
	return w.equal(w.tgt.end())
}

// equal compares both sides up to an offset.
func (w *world) equal(to int64) error {
	for at := max(w.src.start, w.tgt.start); at < to; at++ {
		e := w.tgt.entries[at]
		r, has := w.src.committed(at)
		switch {
		case has && (e.kind != entryRecord || e.record != r):
			return fmt.Errorf("offset %d: the source has %v, the target %+v", at, r, e)
		case !has && e.kind == entryRecord && e.record != w.all[at] && !w.isEcho(at):
			return fmt.Errorf("offset %d: the target has %+v, the source had %v", at, e, w.all[at])
		}
	}
	return nil
}

// isEcho says whether the target's record is a copy of one that followed, with nothing on the source in between.
func (w *world) isEcho(at int64) bool {
	of, ok := w.ever[w.tgt.entries[at].record]
	if !ok || of <= at || w.excuses[fault.Truncation] != "" { // another history since then may say anything
		return ok && of > at
	}
	for next := at + 1; next < min(of, w.src.high); next++ {
		if _, has := w.src.committed(next); has {
			return false
		}
	}
	return true
}

// judge says whether the world ended as it should.
func (w *world) judge() error {
	if f := w.m.Fault(); f != nil {
		if w.excuses[f.Kind] == "" {
			return fmt.Errorf("fault without a cause: %v", f)
		}
		return nil
	}
	if !w.m.CaughtUp() || w.tgt.end() != w.src.stable() {
		return fmt.Errorf("it does not come to an end: phase %d, position %d, log end %d of %d, chores %v", w.m.Phase(), w.m.Position(), w.tgt.end(), w.src.stable(), w.chores)
	}
	if w.tgt.start != w.src.start {
		return fmt.Errorf("the target's log starts at %d, the source's at %d", w.tgt.start, w.src.start)
	}
	if w.blind {
		return nil
	}
	for at := w.tgt.start; at < w.tgt.end(); at++ {
		if e := w.tgt.entries[at]; e.kind == entryForeign {
			return fmt.Errorf("caught up with somebody else's record at offset %d", at)
		}
	}
	return w.equal(w.tgt.end())
}
