package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

const (
	settlePoll  = 250 * time.Millisecond
	settleStill = 3 * time.Second // without any movement, after which waiting is given up
)

// settle reads the ends of partitions until each pair agrees, or nothing moves any more, or the time for it
// is up. The first high watermark of the source that is seen is the partition's goal.
func (r *run) settle(ctx context.Context, parts []*partition) {
	begin := time.Now()
	moved := begin
	for round := 0; len(parts) > 0 && ctx.Err() == nil; round++ {
		before := make([][2]kafka.Ends, len(parts))
		for i, p := range parts {
			before[i] = p.ends
		}
		r.readEnds(ctx, parts)
		var open []*partition
		failing := false
		for i, p := range parts {
			if p.ends[0].Err != nil || p.ends[1].Err != nil {
				failing = true
			} else if !sameEnds(before[i], p.ends) {
				moved = time.Now()
			}
			if !p.settled() {
				open = append(open, p)
			}
		}
		parts = open
		still := time.Since(moved) > min(settleStill, r.o.Settle) || time.Since(begin) > r.o.Settle
		if len(parts) == 0 || (still && (!failing || time.Since(begin) > r.o.Patience)) {
			return
		}
		if failing {
			r.refreshLeaders(ctx, parts)
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
		}
	}
}

func sameEnds(a, b [2]kafka.Ends) bool {
	return a[0].Start == b[0].Start && a[0].Stable == b[0].Stable && a[1].Start == b[1].Start && a[1].Stable == b[1].Stable && a[1].High == b[1].High
}

// readEnds reads the target first: what it has then, the source must have when it is read after.
func (r *run) readEnds(ctx context.Context, parts []*partition) {
	var leaders [2][]kafka.Leader
	for _, p := range parts {
		for side := range leaders {
			leaders[side] = append(leaders[side], p.sides[side].Leader)
		}
	}
	first := map[estate.TopicPartition]kafka.Ends{}
	for _, p := range parts {
		if p.goal < 0 {
			first = r.o.Source.HighWatermarks(ctx, leaders[digest.Source])
			break
		}
	}
	target := r.o.Target.Ends(ctx, leaders[digest.Target])
	source := r.o.Source.Ends(ctx, leaders[digest.Source])
	for _, p := range parts {
		if f, ok := first[p.TopicPartition]; ok && p.goal < 0 && f.Err == nil {
			p.goal = f.High
		}
		p.ends[digest.Source], p.ends[digest.Target] = source[p.TopicPartition], target[p.TopicPartition]
		p.atSource()
	}
}

// atSource brings the target's ends to the source's offsets.
func (p *partition) atSource() {
	s, t := &p.ends[digest.Source], &p.ends[digest.Target]
	if len(p.shift) == 0 || t.Err != nil {
		return
	}
	by := p.shift.Last().Shift
	t.High, t.Stable = t.High+by, t.Stable+by
	if s.Err == nil && t.Start == p.shift.Start(s.Start) {
		t.Start = s.Start
	} else {
		t.Start = p.shift.StartSeen(t.Start)
	}
}

// refreshLeaders looks up the leaders of partitions whose ends could not be read.
func (r *run) refreshLeaders(ctx context.Context, parts []*partition) {
	for side, cluster := range []*kafka.Cluster{r.o.Source, r.o.Target} {
		names := map[string]bool{}
		var list []string
		for _, p := range parts {
			if p.ends[side].Err != nil && !names[p.Topic] {
				names[p.Topic] = true
				list = append(list, p.Topic)
			}
		}
		if len(list) == 0 {
			continue
		}
		md, err := cluster.Metadata(ctx, list)
		if err != nil {
			continue // the next round tries again
		}
		for _, p := range parts {
			for _, now := range md.Topics[p.Topic].Partitions {
				if now.ID == p.Partition {
					p.sides[side].Leader.Node, p.sides[side].Leader.Epoch = now.Leader, now.LeaderEpoch
				}
			}
		}
	}
}

// settled says whether both sides agree about all that can be told from their ends.
func (p *partition) settled() bool {
	s, t := p.ends[digest.Source], p.ends[digest.Target]
	return s.Err == nil && t.Err == nil && p.goal >= 0 &&
		s.Start == t.Start && s.Stable >= p.goal && t.Stable >= p.goal && t.High <= s.Stable
}

// bounds is the range to compare, and what the ends alone say to be different or out of reach.
func (r *run) bounds(p *partition) (from, to int64, ok bool) {
	s, t := p.ends[digest.Source], p.ends[digest.Target]
	for side, e := range p.ends {
		if e.Err != nil {
			r.skip(p.topic, &p.Partition, "the partition", fmt.Sprintf("the ends of its log could not be read on the %s: %v", digest.Side(side), e.Err))
			return 0, 0, false
		}
	}
	if p.goal < 0 {
		r.skip(p.topic, &p.Partition, "the partition", "the end of its log could not be read on the source")
		return 0, 0, false
	}
	ok = true
	if s.Start != t.Start && t.Stable >= s.Start { // a target that is not there yet lags, no more
		r.differ(p.topic, Difference{Partition: p.Partition, Offset: min(s.Start, t.Start), Kind: digest.LogStart,
			Detail: fmt.Sprintf("the log starts at %d on the source, at %d on the target", s.Start, t.Start)})
	}
	if t.High > s.Stable {
		r.differ(p.topic, Difference{Partition: p.Partition, Offset: s.Stable, Kind: digest.LogEnd,
			Detail: fmt.Sprintf("the target's log ends at %d, the source's at %d (last stable offset %d)", t.High, s.High, s.Stable)})
	}
	to = p.goal
	if s.Start != t.Start && t.Stable < s.Start && t.Stable >= to {
		ok = false
		r.skip(p.topic, &p.Partition, "the log start", fmt.Sprintf("the source's moved to %d, which the target, whose log ends at %d, has not reached", s.Start, t.Stable))
	}
	if s.Stable < to {
		ok = false
		r.skipOffsets(p, s.Stable, to, "they are in or behind transactions that are still open on the source")
		to = s.Stable
	}
	if t.Stable < to {
		ok = false
		r.lags(p, s, t, to)
		to = t.Stable
	}
	return max(s.Start, t.Start), to, ok
}

// lags says what the target does not have yet of the offsets before to.
func (r *run) lags(p *partition, s, t kafka.Ends, to int64) {
	from := max(t.Stable, s.Start)
	if from >= to {
		r.skip(p.topic, &p.Partition, "the partition", fmt.Sprintf("it is not yet copied: the target's log ends at %d, the source's starts at %d", t.Stable, s.Start))
		return
	}
	why := fmt.Sprintf("%d offsets are not yet copied", to-from)
	if t.High > t.Stable {
		why += fmt.Sprintf(" or behind an open transaction on the target (its log ends at %d)", t.High)
	}
	r.skipOffsets(p, from, to, why)
}

func (r *run) skipOffsets(p *partition, from, to int64, why string) {
	r.skip(p.topic, &p.Partition, fmt.Sprintf("offsets %d to %d", from, to-1), why)
}
