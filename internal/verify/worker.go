package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

// staleLook is how old the reading of a partition's ends may be when its turn comes: retention goes on.
const staleLook = 5 * time.Second

// worker compares one partition after the other over its own connections.
type worker struct {
	*run
	links [2]*links
}

// partition compares one partition from log start to its goal.
func (w *worker) partition(ctx context.Context, p *partition, looked time.Time) {
	if ctx.Err() == nil && time.Since(looked) > staleLook {
		w.settle(ctx, []*partition{p})
	}
	if ctx.Err() != nil {
		w.skip(p.topic, &p.Partition, "the partition", "the comparison was cut short before its turn came")
		return
	}
	from, to, complete := w.bounds(p)
	w.progress.replan(p, from, to)
	defer w.progress.finish(p)
	if len(p.shift) > 0 {
		p.done = w.segments(ctx, p, from, to) && complete
		return
	}
	p.done = w.stretch(ctx, p, from, to) && complete
}

// stretch compares [from, to) at one distance. It says whether all of it was compared.
func (w *worker) stretch(ctx context.Context, p *partition, from, to int64) bool {
	complete := true
	for from < to {
		next, ok := w.compare(ctx, p, from, to)
		complete = complete && ok
		if next <= from {
			break
		}
		if next < to {
			complete = false
		}
		from = next
	}
	return complete && from >= to
}

// compare compares [from, to), or as much as there still is: next is where to go on, from itself to give up.
func (w *worker) compare(ctx context.Context, p *partition, from, to int64) (next int64, ok bool) {
	cfg := digest.Config{From: from, To: to, AbortedForeign: w.o.AbortedForeign, CountAll: w.o.CountAll, KeyLimit: w.o.KeyLimit}
	if p.topic.policy[digest.Source].compacts {
		cfg.SourceThins = digest.ThinChecked
		if p.topic.policy[digest.Target].compacts {
			cfg.TargetThins = digest.ThinChecked
		}
	}
	c := digest.NewComparer(cfg)
	defer c.Close()
	var seen digest.Stats
	err := feed(ctx, c, w.reader(p, digest.Source, from, to), w.reader(p, digest.Target, from, to), func() {
		now := c.Stats()
		w.progress.add(p, now.Records-seen.Records, now.Bytes-seen.Bytes, c.At())
		seen = now
	})
	stats := c.Stats()
	defer func() { w.account(p.topic, stats) }()
	first := c.Difference()
	if err == nil && (first == nil || w.o.CountAll) {
		var settled bool
		if first, settled = w.settleKeys(ctx, p, c, &stats, from, to); !settled {
			ok, next = false, to
		} else {
			ok, next = true, to
		}
	}
	if first != nil {
		w.differ(p.topic, Difference{Partition: p.Partition, Offset: first.Offset, Kind: first.Kind, Detail: first.Detail})
		return from, false
	}
	if err != nil {
		return w.gaveUp(ctx, p, c, err, from, to), false
	}
	return next, ok
}

func (w *worker) reader(p *partition, side digest.Side, from, to int64) *reader {
	return &reader{
		Side: p.sides[side], which: side, links: w.links[side], next: from, to: to,
		bytes: w.o.fetchBytes(), patience: w.o.Patience, tiered: p.topic.policy[side].tiered,
	}
}

// gaveUp lists what was not compared after an error, and says where to go on: where both logs begin now, if
// retention took what was to be compared.
func (w *worker) gaveUp(ctx context.Context, p *partition, c *digest.Comparer, err error, from, to int64) int64 {
	at := c.At()
	if c.Keys(digest.Source).Len()+c.Keys(digest.Target).Len() > 0 {
		at = from // some of what was read is not settled, and what would settle it was not read
	}
	if ctx.Err() != nil {
		w.skipOffsets(p, at, to, "the comparison was cut short")
		return from
	}
	var moved *movedError
	if !errors.As(err, &moved) {
		w.skipOffsets(p, at, to, err.Error())
		return from
	}
	w.settle(ctx, []*partition{p})
	s, t := p.ends[digest.Source], p.ends[digest.Target]
	switch {
	case s.Err != nil || t.Err != nil:
		w.skipOffsets(p, at, to, err.Error())
		return from
	case t.Start > s.Start:
		w.differ(p.topic, Difference{Partition: p.Partition, Offset: s.Start, Kind: digest.LogStart,
			Detail: fmt.Sprintf("while it was being compared the target's log start moved to %d, the source's is %d", t.Start, s.Start)})
		return from
	case s.Start <= c.At():
		w.skipOffsets(p, at, to, err.Error())
		return from
	}
	next := min(max(s.Start, t.Start), to)
	w.skipOffsets(p, at, next, "the source deleted them (retention or DeleteRecords) while they were being compared")
	return next
}

// settleKeys settles the keys of records that one side's cleaner seems to have removed. It returns the first
// difference, c's own included, and whether every key was settled.
func (w *worker) settleKeys(ctx context.Context, p *partition, c *digest.Comparer, stats *digest.Stats, from, to int64) (*digest.Difference, bool) {
	first, settled := c.Difference(), true
	for _, has := range []digest.Side{digest.Target, digest.Source} {
		keys := c.Keys(has)
		if at := keys.Beyond(); at >= 0 {
			w.skipOffsets(p, at, to, fmt.Sprintf("more than %d keys of records that only the %s has would have to be looked up; compact the target, or raise the limit of keys", keys.Limit(), has))
			settled = false
		}
		if keys.Len() == 0 {
			continue
		}
		thinned, err := w.lookUp(ctx, p, keys, has.Other(), from, to)
		if err != nil {
			w.skip(p.topic, &p.Partition, fmt.Sprintf("%d keys", keys.Len()),
				fmt.Sprintf("the %s has records that the %s has compacted away, and its later records of these keys could not be read: %v", has, has.Other(), err))
			settled = false
			continue
		}
		d, differing, tombstones := keys.Verdict()
		stats.Differing += differing
		stats.Tombstones += tombstones
		if has == digest.Target {
			stats.ThinnedSource += thinned
		} else {
			stats.ThinnedTarget += thinned
		}
		if d != nil && (first == nil || d.Offset < first.Offset) {
			first = d
		}
	}
	return first, settled
}

// lookUp reads side once more: first what lies behind the compared range, up to its end as it is now, because
// the cleaner may have removed a record for the sake of one that came after; then, if tombstones are left, the
// compared range.
func (w *worker) lookUp(ctx context.Context, p *partition, keys *digest.Keys, side digest.Side, from, to int64) (thinned int64, err error) {
	ends := p.sides[side].Cluster.Ends(ctx, []kafka.Leader{p.sides[side].Leader})[p.TopicPartition]
	if ends.Err != nil {
		return 0, ends.Err
	}
	ends.Stable += p.sides[side].Shift
	err = w.each(ctx, p, side, to, ends.Stable, func(c *digest.Chunk) (bool, error) {
		n, err := keys.Later(c)
		thinned += n
		return keys.Len() > 0, err
	})
	if err != nil || !keys.Tombstones() {
		return thinned, err
	}
	return thinned, w.each(ctx, p, side, from, to, func(c *digest.Chunk) (bool, error) { return true, keys.Earlier(c) })
}

// each reads one side and calls visit until it says false.
func (w *worker) each(ctx context.Context, p *partition, side digest.Side, from, to int64, visit func(*digest.Chunk) (bool, error)) error {
	sides, stop := start(ctx, w.reader(p, side, from, to))
	defer stop()
	for f := range sides[0] {
		if f.err != nil {
			return f.err
		}
		more, err := visit(f.chunk)
		if err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}
