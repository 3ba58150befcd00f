package main

import (
	"context"
	"time"

	"github.com/kferry/kferry/internal/testbed/faultproxy"
)

// nothing lets some seconds pass.
func nothing(_ context.Context, t *trial) error {
	t.rest(3*time.Second, 5*time.Second)
	return nil
}

func killAgain(_ context.Context, t *trial) error {
	for range 2 + t.rng.IntN(3) {
		t.rest(200*time.Millisecond, 2500*time.Millisecond)
		t.copier.kill()
		t.notef("killed")
		t.rest(0, 500*time.Millisecond)
		if err := t.copier.start(); err != nil {
			return err
		}
	}
	t.rest(500*time.Millisecond, time.Second)
	return nil
}

// killOnce is for programs that take long to start.
func killOnce(_ context.Context, t *trial) error {
	t.rest(time.Second, 3*time.Second)
	t.copier.kill()
	t.notef("killed")
	t.rest(0, 500*time.Millisecond)
	if err := t.copier.start(); err != nil {
		return err
	}
	t.rest(time.Second, 2*time.Second)
	return nil
}

// steps are the requests at which kferry is killed.
var steps = []struct {
	name   string
	api    int16
	source bool
}{
	{"Produce", faultproxy.Produce, false},
	{"WriteTxnMarkers", faultproxy.WriteTxnMarkers, false},
	{"InitProducerId", faultproxy.InitProducerID, false},
	{"AddPartitionsToTxn", faultproxy.AddPartitionsToTxn, false},
	{"EndTxn", faultproxy.EndTxn, false},
	{"OffsetForLeaderEpoch", faultproxy.OffsetForLeaderEpoch, false},
	{"ListOffsets", faultproxy.ListOffsets, false},
	{"DeleteRecords", faultproxy.DeleteRecords, false},
	{"OffsetCommit", faultproxy.OffsetCommit, false},
	{"Fetch", faultproxy.Fetch, true},
	{"Metadata", faultproxy.Metadata, true},
}

func killAtStep(_ context.Context, t *trial) error {
	for range 3 {
		step := steps[t.rng.IntN(len(steps))]
		side := &t.target
		if step.source {
			side = &t.source
		}
		rule := faultproxy.Rule{APIs: []int16{step.api}, Action: faultproxy.DropResponse, Skip: t.rng.IntN(8), Most: 1, Notify: t.ferry.kill}
		when := "after"
		if t.chance(2) {
			rule.Action, when = faultproxy.Reset, "before"
		}
		active := side.outside[0].Add(rule)
		for deadline := time.Now().Add(2500 * time.Millisecond); active.Done() == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		active.Remove()
		t.notef("killed %s %s number %d: %v", when, step.name, rule.Skip+1, active.Done() > 0)
		t.ferry.kill() // also where that request did not come
		t.rest(0, 300*time.Millisecond)
		if err := t.ferry.start(); err != nil {
			return err
		}
		t.rest(200*time.Millisecond, time.Second)
	}
	return nil
}

// takeOver leaves both running; the second is the one that is asked in the end.
func takeOver(_ context.Context, t *trial) error {
	t.rest(200*time.Millisecond, 1500*time.Millisecond)
	first := t.ferry
	first.pause()
	t.notef("the first is frozen")
	second := t.newFerry("kferry-second")
	t.rest(0, time.Second)
	if err := second.start(); err != nil {
		return err
	}
	t.rest(4*time.Second, 7*time.Second)
	t.ferry, t.copier = second, second
	first.resume()
	t.notef("the first goes on")
	t.rest(1500*time.Millisecond, 3*time.Second)
	return nil
}

func twoAtOnce(_ context.Context, t *trial) error {
	second := t.newFerry("kferry-second")
	if err := second.start(); err != nil {
		return err
	}
	both := []*ferry{t.ferry, second}
	for until := time.Now().Add(t.between(15*time.Second, 25*time.Second)); time.Now().Before(until); {
		t.rest(100*time.Millisecond, 1500*time.Millisecond)
		one := both[t.rng.IntN(2)]
		one.pause()
		t.rest(50*time.Millisecond, 1500*time.Millisecond)
		one.resume()
	}
	t.ferry = both[t.rng.IntN(2)]
	t.copier = t.ferry
	return nil
}

// pauses freezes the copy twice.
func pauses(_ context.Context, t *trial) error {
	for range 2 {
		t.rest(500*time.Millisecond, 1500*time.Millisecond)
		t.copier.pause()
		t.rest(time.Second, 3*time.Second)
		t.copier.resume()
	}
	t.rest(500*time.Millisecond, time.Second)
	return nil
}
