package verify

import (
	"context"
	"fmt"

	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/verify/digest"
)

// The values of TopicResult.Mode.
const (
	modeIdentical = "identical"
	modeShifted   = "shifted"
)

// shifted notes the distance of one of the topic's partitions.
func (t *TopicResult) shifted(m shift.Map) {
	if len(m) == 0 {
		return
	}
	by := m.Last().Shift
	if t.Mode != modeShifted {
		t.Mode, t.least, t.most = modeShifted, by, by
	}
	t.least, t.most = min(t.least, by), max(t.most, by)
	if t.Shift = fmt.Sprint(t.least); t.least != t.most {
		t.Shift = fmt.Sprintf("%d to %d", t.least, t.most)
	}
}

// segments compares [from, to), given at the source's offsets, segment by segment at each one's distance. What lies
// between two segments cannot be compared and is named. It says whether everything was compared.
func (w *worker) segments(ctx context.Context, p *partition, from, to int64) bool {
	complete := true
	targetStart := p.shift.Start(p.ends[digest.Source].Start)
	for i, s := range p.shift {
		if foreign := p.shift.Foreign(i); max(foreign.From, targetStart) < foreign.To {
			complete = false
			w.skip(p.topic, &p.Partition, fmt.Sprintf("target offsets %d to %d", max(foreign.From, targetStart), foreign.To-1),
				"they hold nothing of the source: the copy was attached anew behind them")
		}
		if lost := p.shift.Lost(i); max(lost.From, from) < min(lost.To, to) {
			complete = false
			w.skipOffsets(p, max(lost.From, from), min(lost.To, to), "they are not on the target: the copy was attached anew behind them")
		}
		low, high := max(s.From, from), min(s.Until, to)
		if low >= high {
			continue
		}
		p.sides[digest.Target].Shift = s.Shift
		complete = w.stretch(ctx, p, low, high) && complete
	}
	p.sides[digest.Target].Shift = p.shift.Last().Shift
	return complete
}
