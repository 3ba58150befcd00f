package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/verify"
)

// Chores are the actions that take questions and answers and have no place in the pipeline: reading both
// ends, comparing the tail, deleting, probing, aborted fillers. Each runs in a goroutine of its own, a bounded
// number at a time, and repeats until it has an answer, the machine no longer wants one, or Run ends.

const (
	choresAtOnce  = 32
	opensAtOnce   = 1_000 // they share requests, see gather
	choreTimeout  = 45 * time.Second
	choreRetryMin = 50 * time.Millisecond
	choreRetryMax = 3 * time.Second
)

// settleTime is how long a target that does not remember our producer id must stand still after an unknown
// outcome: longer than a request can lie in a broker's queue after its connection was cut. Tests shorten it.
var settleTime = 3 * time.Second

// chore runs one action. Called with the partition's mutex held.
func (e *Engine) chore(p *partition, a mirror.Action) {
	e.watch(func() {
		tokens := e.chores
		if a.Kind == mirror.Open {
			tokens = e.opens
		}
		select {
		case tokens <- struct{}{}:
			defer func() { <-tokens }()
		case <-e.ctx.Done():
			return
		}
		for wait := choreRetryMin; ; wait = min(2*wait, choreRetryMax) {
			if !p.wants(a) {
				return
			}
			ctx, cancel := context.WithTimeout(e.ctx, choreTimeout)
			err := e.tryChore(ctx, p, a)
			cancel()
			if err == nil || e.ctx.Err() != nil {
				return
			}
			if kafka.TroubleOf(err) == kafka.Denied {
				p.stop(deniedFault(err))
				return
			}
			e.trouble(a.Kind.String(), err, "topic", p.Topic, "partition", p.Partition)
			e.refreshSoon()
			sleep(e.ctx, wait)
		}
	})
}

func deniedFault(err error) fault.Fault {
	return fault.Fault{
		Kind: fault.Unauthorized, Offset: -1, Detail: err.Error(),
		Next: "grant the operation to kferry's principal (README, least privilege), then start kferry again",
	}
}

// wants says whether the machine still waits for the action's answer.
func (p *partition) wants(a mirror.Action) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.Generation == p.machine.Generation()
}

func (e *Engine) tryChore(ctx context.Context, p *partition, a mirror.Action) error {
	source, target := p.leaders()
	switch a.Kind {
	case mirror.Open:
		return e.open(ctx, p, a, source, target)
	case mirror.Compare:
		return e.compare(ctx, p, a, source, target)
	case mirror.Delete:
		return e.deleteBefore(ctx, p, a, target)
	case mirror.Probe:
		return e.probeSource(ctx, p, a, source)
	case mirror.Abort:
		return e.abortFill(ctx, p, a, target)
	}
	panic("replicate: no such chore: " + a.Kind.String())
}

func (p *partition) leaders() (source, target kafka.Leader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source, p.target
}

// open reads both ends of a partition while nothing of ours is on its way to the target.
func (e *Engine) open(ctx context.Context, p *partition, a mirror.Action, source, target kafka.Leader) error {
	if source.Node < 0 || target.Node < 0 {
		return fmt.Errorf("open %s: no leader on the %s", p.TopicPartition, map[bool]string{true: "source", false: "target"}[source.Node < 0])
	}
	p.awaitQuiet()
	ends, err := e.readTarget(ctx, p, target)
	if err != nil {
		return err
	}
	if a.Settle && (a.Unguarded || ends.Sequence < 0) {
		// No sequence guards this partition, or not what was cut off: it may still land.
		if !sleep(ctx, settleTime) {
			return ctx.Err()
		}
		again, err := e.readTarget(ctx, p, target)
		if err != nil {
			return err
		}
		if again.TargetEnd != ends.TargetEnd {
			return fmt.Errorf("open %s: the target's log end still moves (%d, then %d)", p.TopicPartition, ends.TargetEnd, again.TargetEnd)
		}
		ends = again
	}
	// The source last: it only grows, so the target is never ahead because of the order of reading.
	s, err := e.questions.sourceEnds.get(ctx, source)
	if err = cmp.Or(err, s.Err); err != nil {
		return err
	}
	ends.SourceStart, ends.SourceHigh, ends.SourceStable = s.Start, s.High, min(s.Stable, s.High)
	if f, err := e.atSource(ctx, p, &ends); err != nil || f != nil {
		if f != nil {
			p.stop(*f)
		}
		return err
	}
	if ends.TargetEnd > ends.SourceHigh {
		sleep(ctx, 300*time.Millisecond) // see mirror: looked at a few times before it is a fault
	}
	p.step(func(m *mirror.Machine) {
		ends.Known = p.known
		m.Opened(a.Generation, ends)
	})
	return nil
}

// awaitQuiet returns when every append and filler of the partition was answered, or its connection died.
func (p *partition) awaitQuiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.outstanding > 0 {
		p.quiet.Wait()
	}
}

// readTarget reads the target's end: log end, log start, our last sequence, and what the last batch is. It
// insists that everything up to the log end is replicated, because only that can be read and compared.
func (e *Engine) readTarget(ctx context.Context, p *partition, target kafka.Leader) (mirror.Ends, error) {
	ends := mirror.Ends{Sequence: -1}
	end, err := e.questions.logEnds.get(ctx, target)
	if err = cmp.Or(err, end.Err); err != nil {
		return ends, err
	}
	ends.TargetEnd = end.Offset
	producers, err := e.questions.producers.get(ctx, target)
	if err = cmp.Or(err, producers.Err); err != nil {
		return ends, err
	}
	for _, ps := range producers.States {
		if ps.ID == e.dataID.ID && ps.Epoch == dataEpoch {
			ends.Sequence = ps.LastSequence
		}
	}
	// What another kferry appended between the two questions is in the sequence and not in the log end: an append
	// with that sequence and for that offset would be taken, and land behind it.
	again, err := e.questions.logEnds.get(ctx, target)
	if err = cmp.Or(err, again.Err); err != nil {
		return ends, err
	}
	if again.Offset != end.Offset {
		return ends, fmt.Errorf("open %s: the target's log end moved while it was read (%d, then %d)", p.TopicPartition, end.Offset, again.Offset)
	}
	log, err := e.questions.targetEnds.get(ctx, target)
	if err = cmp.Or(err, log.Err); err != nil {
		return ends, err
	}
	if log.High < ends.TargetEnd {
		return ends, fmt.Errorf("open %s: offsets %d to %d of the target are not yet replicated", p.TopicPartition, log.High, ends.TargetEnd-1)
	}
	if log.High > ends.TargetEnd {
		return ends, fmt.Errorf("open %s: the target's log end moved while it was read (%d, then %d)", p.TopicPartition, ends.TargetEnd, log.High)
	}
	ends.TargetStart = log.Start
	if ends.TargetStart == ends.TargetEnd {
		ends.TargetTail = mirror.TailEmpty
		return ends, nil
	}
	ends.TargetTail, err = e.targetTail(ctx, p, target, ends.TargetEnd)
	return ends, err
}

// targetTail says what the batch that ends the target's log is.
func (e *Engine) targetTail(ctx context.Context, p *partition, target kafka.Leader, end int64) (mirror.Tail, error) {
	ans, err := e.o.Target.FetchOne(ctx, target, end-1, fetchBytesMin, false)
	if err != nil {
		return mirror.TailEmpty, err
	}
	defer ans.Buffer.Release()
	var last *batch.Batch
	for rest := ans.Partitions[0].Records; len(rest) > 0; {
		b, after, err := batch.Next(rest)
		if errors.Is(err, batch.ErrPartial) {
			break
		}
		if err != nil {
			return mirror.TailEmpty, fmt.Errorf("read the target's last batch of %s: %w", p.TopicPartition, err)
		}
		rest, last = after, &b
	}
	switch {
	case last == nil: // a hole at the end: only a cleaner makes one, and only of what was there
		return mirror.TailOurs, nil
	case last.Control():
		return mirror.TailOurs, nil
	case batch.IsFiller(last) && last.Transactional(): // of a gap, on top of what was copied; its marker is missing
		return mirror.TailOurs, nil
	case batch.IsFiller(last):
		return mirror.TailFiller, nil
	case last.ProducerID == e.dataID.ID:
		return mirror.TailOurs, nil
	}
	return mirror.TailOther, nil
}

func (e *Engine) compare(ctx context.Context, p *partition, a mirror.Action, source, target kafka.Leader) error {
	at := p.distance()
	diff, err := verify.CompareRange(ctx,
		verify.Side{Cluster: e.o.Source, Leader: source, TopicID: p.sourceID},
		verify.Side{Cluster: e.o.Target, Leader: target, Shift: at.Shift},
		max(a.Base, at.From), a.Base+a.Count, verify.RangeOptions{SourceMayThin: p.compacted})
	if err != nil {
		if e.startsBehind(ctx, a.Base, source) {
			p.step(func(m *mirror.Machine) { m.SourceReadFailed() })
			return nil
		}
		return err
	}
	var d *mirror.Difference
	if diff != nil {
		d = &mirror.Difference{Offset: diff.Offset, Detail: string(diff.Kind) + ": " + diff.Detail}
	}
	p.step(func(m *mirror.Machine) {
		m.Compared(a.Generation, d, p.known)
		p.known = p.known || d == nil // what passed once is ours: from now on a difference is somebody's doing
	})
	return nil
}

// startsBehind says whether the source's log start has passed an offset that was to be read.
func (e *Engine) startsBehind(ctx context.Context, offset int64, source kafka.Leader) bool {
	ends := e.o.Source.Ends(ctx, []kafka.Leader{source})[source.TopicPartition]
	return ends.Err == nil && ends.Start > offset
}

func (e *Engine) deleteBefore(ctx context.Context, p *partition, a mirror.Action, target kafka.Leader) error {
	to, need := p.startFor(a.Base)
	if !need { // what lies before stays: it is not the source's
		p.step(func(m *mirror.Machine) { m.Deleted(a.Generation, a.Base) })
		return nil
	}
	start, err := e.o.Target.DeleteBefore(ctx, target, to)
	if kafka.TroubleOf(err) == kafka.OutOfRange { // beyond the high watermark: not replicated yet
		return err
	}
	if kafka.TroubleOf(err) == kafka.BadBatch { // POLICY_VIOLATION
		p.stop(fault.Fault{
			Kind: fault.TopicRefused, Offset: a.Base, Detail: err.Error(),
			Next: "cleanup.policy of the target topic must contain delete while it is being copied; kferry sets that at start, so find who changed it",
		})
		return nil
	}
	if err != nil {
		return err
	}
	p.step(func(m *mirror.Machine) { m.Deleted(a.Generation, p.started(start, to, a.Base)) })
	return nil
}

// probeSource fetches from one partition alone, twice when nothing comes.
func (e *Engine) probeSource(ctx context.Context, p *partition, a mirror.Action, source kafka.Leader) error {
	for attempt := 1; ; attempt++ {
		ans, err := e.o.Source.FetchOne(ctx, source, a.Base, partitionBytesMax, true)
		if err != nil {
			if kafka.TroubleOf(err) == kafka.OutOfRange {
				p.step(func(m *mirror.Machine) { m.SourceReadFailed() })
				return nil
			}
			return err
		}
		fp := &ans.Partitions[0]
		if len(fp.Records) == 0 && attempt < 2 {
			ans.Buffer.Release()
			continue
		}
		p.step(func(m *mirror.Machine) { m.Probed(a.Generation, toFetch(fp, ans)) })
		ans.Buffer.Release()
		return nil
	}
}
