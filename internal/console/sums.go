package console

import (
	"github.com/kferry/kferry/internal/report"
)

// sums is what the lines about one topic, or about several together, are made of.
type sums struct {
	topics        int
	partitions    int
	faults        int
	lag           int64
	lagBytes      int64 // -1 unknown
	done, whole   int64 // offsets that the target has, and that it must have, since the source's log start
	seeded, seed  int64 // offsets below the log start that a seeding partition has, and needs
	recordsPerSec float64
	bytesPerSec   float64
	traffic       report.Traffic
	states        map[report.State]int // partitions by state
}

func sumTopic(t *report.Topic) sums {
	s := sums{topics: 1, partitions: len(t.Partitions), lag: t.LagRecords, lagBytes: t.LagBytes, states: map[report.State]int{}}
	if t.Fault != nil {
		s.faults++
	}
	for i := range t.Partitions {
		q := &t.Partitions[i]
		if q.Fault != nil {
			s.faults++
		}
		s.states[q.State]++
		s.recordsPerSec += q.RecordsPerSec
		s.bytesPerSec += q.BytesPerSec
		s.traffic.Add(q.Traffic)
		if q.SourceEnd >= 0 && q.SourceStart >= 0 {
			whole := max(0, q.SourceEnd-q.SourceStart)
			s.whole += whole
			s.done += min(whole, max(0, q.TargetEnd-q.SourceStart))
			if q.State == report.Seeding {
				s.seed += q.SourceStart
				s.seeded += min(q.SourceStart, max(0, q.TargetEnd))
			}
		}
	}
	return s
}

func (s *sums) add(o sums) {
	if s.states == nil {
		s.states = map[report.State]int{}
	}
	s.topics += o.topics
	s.partitions += o.partitions
	s.faults += o.faults
	s.lag += o.lag
	if o.lagBytes < 0 || s.lagBytes < 0 {
		s.lagBytes = -1
	} else {
		s.lagBytes += o.lagBytes
	}
	s.done += o.done
	s.whole += o.whole
	s.seeded += o.seeded
	s.seed += o.seed
	s.recordsPerSec += o.recordsPerSec
	s.bytesPerSec += o.bytesPerSec
	s.traffic.Add(o.traffic)
	for st, n := range o.states {
		s.states[st] += n
	}
}

// eta is the seconds until the lag is gone at the present rate; 0 when there is none, -1 when unknown.
func (s *sums) eta() float64 {
	switch {
	case s.lag <= 0:
		return 0
	case s.recordsPerSec < 0.001:
		return -1
	}
	return float64(s.lag) / s.recordsPerSec
}

// share is how much of the source's log is on the target, 0 to 1.
func (s *sums) share() float64 {
	if s.whole <= 0 {
		if s.lag > 0 {
			return 0
		}
		return 1
	}
	return float64(s.done) / float64(s.whole)
}

// state is the one word for several partitions: the one that needs attention most.
func (s *sums) state() report.State {
	for _, st := range []report.State{report.Seeding, report.Opening, report.CatchingUp, report.Paused, report.Following, report.Unknown, report.Faulted} {
		if s.states[st] > 0 {
			return st
		}
	}
	return report.Unknown
}
