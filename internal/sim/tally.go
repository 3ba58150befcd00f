package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// What worlds count, each how often it happened in one.
const (
	didStart = iota
	didOpen
	didSettle
	didCompare
	didRaw
	didRecoded
	didSeed
	didEcho
	didMark
	didWriteMarks
	didLoseMark
	didEndTxn
	didDoubleMark
	didSkipMark
	didAwaitCoordinator
	didAbort
	didProbe
	didDelete
	didDeleteUnknown
	didForget
	didCut
	didLate
	didDuplicate
	didDeduplicate
	didOutOfOrder
	didRefuse
	didThrottle
	didLackRoom
	didDiverge
	didGhost
	endCaughtUp
	endTwo
	endBlind
	endStaleKey
	endExactAfterAll
	endOtherNoticed
	didCause                          // and so many causes
	endFault = didCause + int(causes) // and so many kinds of fault
)

var counted = [didCause]string{
	"starts", "opened", "waited for late requests", "compared", "raw", "recoded", "seed", "echo", "marks asked for", "markers written", "marks lost or late", "transactions for markers",
	"marker written twice", "marker left out", "coordinator awaited", "aborted filler", "probed", "deleted", "delete of unknown outcome",
	"producer forgotten", "connections cut", "late requests", "request twice", "taken for a duplicate", "out of order", "refused for a while", "throttled", "no room",
	"divergence told", "deposed leader serves", "ended: caught up", "ended: two kferrys caught up", "ended: unseen extra record of a compacted topic", "ended: stale key of a compacted topic", "ended: exact in spite of a cause", "ended: one of two kferrys stopped",
}

// faults are the kinds that a partition's machine, or its driver, can end with.
var faults = []fault.Kind{
	fault.ForeignAppend, fault.Truncation, fault.TopicRecreated, fault.RetentionOvertook, fault.BatchRefused, fault.CorruptBatch, fault.NotAPrefix,
	fault.GapRefused, fault.SeedLimit, fault.Unauthorized, fault.TopicRefused,
}

// didDisturb is the first of so many disturbances.
const didDisturb = endFault + 11

// tally counts, in one world or in many.
type tally [didDisturb + 32]uint64

func (t *tally) name(i int) string {
	switch {
	case i < didCause:
		return counted[i]
	case i < endFault:
		return "cause: " + causeNames[i-didCause]
	case i < didDisturb:
		return "fault: " + string(faults[i-endFault])
	}
	return "disturbance: " + disturbances[i-didDisturb].name
}

func (t *tally) len() int { return didDisturb + len(disturbances) }

// optional need not occur: they are ways in which a compacted topic's past cannot be told, and fewer are better.
var optional = []int{endBlind, endStaleKey, endOtherNoticed}

// missing are the names of what never occurred.
func (t *tally) missing() []string {
	var names []string
	for i := range t.len() {
		if t[i] == 0 && !slices.Contains(optional, i) {
			names = append(names, t.name(i))
		}
	}
	return names
}

// add takes in another tally.
func (t *tally) add(o *tally) {
	for i := range o {
		t[i] += o[i]
	}
}

// String is a table.
func (t *tally) String() string {
	var s strings.Builder
	for i := range t.len() {
		fmt.Fprintf(&s, "%12d  %s\n", t[i], t.name(i))
	}
	return s.String()
}

// count counts how a world ended.
func (w *world) count() {
	for c := range causes {
		if w.ledger.has(c) {
			w.tally[didCause+int(c)]++
		}
	}
	up := uint64(0)
	for _, p := range w.procs {
		if p.m.Phase() != mirror.Faulted {
			up++
			continue
		}
		w.tally[endFault+slices.Index(faults, p.m.Fault().Kind)]++
	}
	w.tally[endCaughtUp] += up
	w.tally[endTwo] += up / 2
}
