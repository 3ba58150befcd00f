package main

import (
	"math/rand/v2"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/sim/model"
)

// newWorld makes the world of a seed, with all that will happen in it planned.
func newWorld(seed uint64, decoder *batch.Decoder, m mutant, loud bool) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 4)), decoder: decoder, mutant: m, loud: loud, leader: model.NewTarget()}
	one := w.one
	w.habits = habits{
		transactions: one(2), large: one(10), old: one(2), acks1: one(2), flaky: one(2), slow: one(3), twice: one(6), veryLate: one(20), sameTime: one(2),
		checkEvery: int64([]int{1, 3, 10, 60}[w.rng.IntN(4)]) * second, most: 200 + w.rng.IntN(1500),
	}
	w.cfg = mirror.Config{
		Topic: "t", MaxBatchBytes: 1 << 20, Compacted: one(2), FillExpired: one(2), CanMark: !one(3), CanAbort: true,
		WideGap: int64(3 + w.rng.IntN(30)), WideHoles: []mirror.HoleFiller{mirror.HolesAuto, mirror.HolesEcho, mirror.HolesAborted, mirror.HolesMarkers}[w.rng.IntN(4)],
	}
	switch {
	case one(60):
		w.cfg.CanMark, w.cfg.CanAbort = false, false
		w.ledger.note(noFillers)
	case w.cfg.CanMark && one(4):
		w.cfg.CanAbort = false
	}
	if one(3) {
		w.cfg.WindowBytes = 300
	}
	if one(8) {
		w.cfg.MaxBatchBytes, w.cfg.SplitOversized = 250, true
	}
	if one(40) {
		w.cfg.SeedLimit = 3
	}
	if m == unsettledAppends { // it matters where records vanish and producers are forgotten, and seldom then
		w.cfg.Compacted, w.habits.old, w.habits.flaky, w.habits.checkEvery = true, true, true, second
	}
	w.leader.MaxBytes = w.cfg.MaxBatchBytes
	for i, d := range disturbances {
		if one(d.rare) || m == unsettledAppends && (d.name == "compaction" || d.name == "connection cut") {
			w.can = append(w.can, i)
		}
	}
	w.prepare()
	return w
}

// prepare makes the logs as they are before the first kferry comes, and plans what will happen.
func (w *world) prepare() {
	w.src = model.NewSource(epochMillis)
	if w.habits.old {
		w.src.Now -= 10 * day
	}
	for range w.rng.IntN(12) {
		w.grow()
	}
	if w.cfg.Compacted && w.one(3) {
		w.src.Clean(w.rng)
	}
	if w.one(3) {
		w.raiseTo(w.rng.Int64N(w.src.High() + 1))
	}
	w.known = true
	if w.one(12) {
		w.before()
	}
	span := int64(5+w.rng.IntN(60)) * second
	for range 5 + w.rng.IntN(25) {
		w.at(w.rng.Int64N(span), w.grow)
	}
	if len(w.can) > 0 {
		for range 2 + w.rng.IntN(14) {
			w.at(w.rng.Int64N(span), w.disturb)
		}
	}
	w.at(span, w.settle)
	w.start()
	w.forget()
}

// before puts something onto the target before the flow comes: the beginning of the source, or something else.
func (w *world) before() {
	w.known = false
	n := w.rng.Int64N(w.src.Stable() + 1)
	for at := range n {
		if r, ok := w.src.Committed(at); ok {
			w.leader.Write(r)
		} else {
			w.leader.Fill(1, model.OfMarker)
		}
	}
	w.leader.Start = min(w.src.Start, n)
	w.deletedTo = w.leader.Start
	if w.one(2) {
		w.leader.Write(model.Record{Timestamp: 1, Key: "k0", Value: "before"})
		w.ledger.note(wasThere)
	}
	w.leader.High = w.leader.End()
	w.noteOvertaken()
}
