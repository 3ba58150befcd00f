package report

import (
	"cmp"
	"slices"
)

// Sum fills in what follows from the partitions: states, lags and faults of the topics, the totals, and
// whether everything is caught up.
func (d *Document) Sum() {
	t := Totals{Topics: len(d.Topics)}
	d.Faults = d.Faults[:0]
	caughtUp := true
	known := true // whether LagBytes can be told
	for i := range d.Topics {
		topic := &d.Topics[i]
		topic.sum()
		if topic.Fault != nil {
			d.Faults = append(d.Faults, *topic.Fault)
		}
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			t.Partitions++
			t.LagRecords += p.LagRecords
			if p.LagBytes < 0 && p.LagRecords > 0 {
				known = false
			}
			t.LagBytes += max(p.LagBytes, 0)
			t.Traffic.Add(p.Traffic)
			t.RecordsPerSec += p.RecordsPerSec
			t.BytesPerSec += p.BytesPerSec
			switch p.State {
			case Faulted:
				t.FaultyPartitions++
				if p.Fault != nil && topic.Fault == nil {
					d.Faults = append(d.Faults, *p.Fault)
				}
			case Following:
			default:
				caughtUp = false
			}
		}
	}
	if !known {
		t.LagBytes = -1
	}
	switch {
	case t.LagRecords == 0:
		t.ETASeconds = 0
	case t.RecordsPerSec < 0.001:
		t.ETASeconds = -1
	default:
		t.ETASeconds = float64(t.LagRecords) / t.RecordsPerSec
	}
	d.Totals = t
	d.CaughtUp = caughtUp
}

// stateOrder is how bad a partition's state is; a topic shows the worst of its partitions.
var stateOrder = []State{Following, CatchingUp, Seeding, Opening, Paused, Unknown, Faulted}

func (t *Topic) sum() {
	t.LagRecords, t.LagBytes = 0, 0
	t.State = Following
	if len(t.Partitions) == 0 {
		t.State = Opening
	}
	for _, p := range t.Partitions {
		t.LagRecords += p.LagRecords
		if p.LagBytes < 0 && p.LagRecords > 0 {
			t.LagBytes = -1
		} else if t.LagBytes >= 0 {
			t.LagBytes += max(p.LagBytes, 0)
		}
		t.State = worse(t.State, p.State)
	}
	if t.Fault != nil {
		t.State = Faulted
	}
	if t.Held {
		t.State = Paused
	}
}

func worse(a, b State) State {
	return slices.MaxFunc([]State{a, b}, func(x, y State) int {
		return cmp.Compare(slices.Index(stateOrder, x), slices.Index(stateOrder, y))
	})
}
