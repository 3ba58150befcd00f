package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/kafka"
)

// Bounds of one run.
const (
	startTimeout       = 2 * time.Minute  // until the first record
	cutAfter           = 30 * time.Second // from the first record
	endTimeout         = time.Minute      // from the last record to the end of the process
	replicationTimeout = 10 * time.Second // from the end of a process to its last record on all replicas
)

// sample is what one look at a run saw.
type sample struct {
	before, after time.Time // around the question for the log ends
	records       int64
	tool          time.Duration
	source        time.Duration
	target        time.Duration
	busy, stolen  time.Duration
	peak          int64
}

// watcher looks at one run again and again.
type watcher struct {
	rig     *rig
	target  *side
	topic   string // on the target
	parts   int
	subject subject
	leaders []kafka.Leader
	last    sample
}

// interval between two looks: asking for a thousand log ends is not free.
func (w *watcher) interval() time.Duration {
	if w.parts > 100 {
		return 50 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// look takes a sample.
func (w *watcher) look(ctx context.Context) (sample, error) {
	s := sample{before: time.Now()}
	var err error
	if s.records, err = w.count(ctx); err != nil {
		return s, err
	}
	s.after = time.Now()
	s.tool = cpuOf(w.subject, w.last.tool)
	s.peak = w.last.peak
	if m, err := proc.MemoryOf(w.subject.PID()); err == nil {
		s.peak = max(s.peak, m.Peak)
	}
	if s.source, err = w.rig.source.CPU(); err != nil {
		return s, err
	}
	if s.target, err = w.target.CPU(); err != nil {
		return s, err
	}
	s.busy, s.stolen, err = proc.Busy()
	w.last = s
	return s, err
}

// count sums the target's high watermarks.
func (w *watcher) count(ctx context.Context) (int64, error) {
	if len(w.leaders) < w.parts {
		var err error
		if w.leaders, err = leadersOf(ctx, w.target.wire, w.topic); err != nil || len(w.leaders) == 0 {
			return 0, err
		}
	}
	var sum int64
	for _, e := range w.target.wire.HighWatermarks(ctx, w.leaders) {
		if e.Err != nil { // a topic that is just being created
			w.leaders = nil
			return w.last.records, nil
		}
		sum += e.High
	}
	return sum, nil
}

// copyTopic runs one contender once and measures it. The target is emptied first.
func (r *rig) copyTopic(ctx context.Context, c contender, w workload, j job) (run result.Copy, err error) {
	run = result.Copy{Section: j.section, Workload: w.name, Contender: c.name, Round: j.round, Total: w.ends(r.o.scale)}
	if err := r.prepare(ctx, c, w, j); err != nil {
		return run, err
	}
	began := time.Now()
	s, err := c.start(ctx, r, j)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	watch := &watcher{rig: r, target: j.target, topic: c.topic(w.name), parts: w.partitions, subject: s}
	first, last, err := watch.untilCopied(ctx, run.Total)
	if err != nil {
		return run, err
	}
	run.Records, run.Cut = last.records, last.records < run.Total
	run.Bytes = int64(float64(r.book.Workload(w.name).WireBytes) * float64(run.Records) / float64(run.Total))
	note(&run, began, first, last)
	if run.End, err = r.finish(ctx, c, s, watch, run); err != nil {
		return run, err
	}
	run.PeakMemory = watch.last.peak
	life, err := s.LifeCPU()
	run.LifeCPU = life.Seconds()
	return run, err
}

// note fills in what two samples tell.
func note(run *result.Copy, began time.Time, first, last sample) {
	run.Start = first.after.Sub(began).Seconds()
	run.Seconds = last.after.Sub(first.before).Seconds()
	run.ToolCPU = (last.tool - first.tool).Seconds()
	run.TargetCPU = (last.target - first.target).Seconds()
	run.SourceCPU = (last.source - first.source).Seconds()
	run.Stolen = (last.stolen - first.stolen).Seconds()
	run.OtherCPU = max(0, (last.busy-first.busy).Seconds()-run.ToolCPU-run.TargetCPU-run.SourceCPU)
}

// prepare empties the target, and the source of what contenders left there.
func (r *rig) prepare(ctx context.Context, c contender, w workload, j job) error {
	if err := errors.Join(clean(ctx, j.target.wire), clean(ctx, r.source.wire, r.filled...)); err != nil {
		return err
	}
	time.Sleep(1500 * time.Millisecond) // brokers delete files after a second
	if c.creates {
		return nil
	}
	_, err := createTopic(ctx, j.target.wire, w.name, w.partitions, j.target.replicas, nil)
	return err
}

// untilCopied returns the last sample without a record and the first with all
// of them, or the one at which the run was cut.
func (w *watcher) untilCopied(ctx context.Context, total int64) (first, last sample, err error) {
	began := time.Now()
	var endedAt time.Time
	for ; ; time.Sleep(w.interval()) {
		s, err := w.look(ctx)
		switch {
		case err != nil:
			return first, s, err
		case s.records > total:
			return first, s, fmt.Errorf("the target holds %d records of %d: some were repeated", s.records, total)
		case s.records == total:
			if first.after.IsZero() {
				return first, s, errors.New("everything came between two looks: the topic is too small to measure")
			}
			return first, s, nil
		case s.records == 0:
			first = s
			if time.Since(began) > startTimeout {
				return first, s, fmt.Errorf("no record reached the target within %v", startTimeout)
			}
		case s.after.Sub(first.before) > cutAfter:
			return first, s, nil
		}
		ended, err := w.subject.Ended()
		if err != nil {
			return first, s, fmt.Errorf("ended with %d records of %d on the target: %w", s.records, total, err)
		}
		if ended { // what the leaders acknowledged may not be replicated yet
			if endedAt.IsZero() {
				endedAt = time.Now()
			}
			if time.Since(endedAt) > replicationTimeout {
				return first, s, fmt.Errorf("ended with %d records of %d on the target", s.records, total)
			}
		}
	}
}

// finish waits for a process that ends by itself, and stops one that does not.
func (r *rig) finish(ctx context.Context, c contender, s subject, w *watcher, run result.Copy) (end float64, err error) {
	began := time.Now()
	if _, forever := s.(mirrorMaker); forever || run.Cut {
		return -1, s.Stop()
	}
	for ; time.Since(began) < endTimeout; time.Sleep(10 * time.Millisecond) {
		if m, err := proc.MemoryOf(s.PID()); err == nil {
			w.last.peak = max(w.last.peak, m.Peak)
		}
		if ended, err := s.Ended(); ended {
			if err != nil {
				return 0, err
			}
			return time.Since(began).Seconds(), w.still(ctx, run.Total)
		}
	}
	return 0, fmt.Errorf("%s did not end within %v of its last record", c.name, endTimeout)
}

// still checks that nothing came after everything had come.
func (w *watcher) still(ctx context.Context, total int64) error {
	n, err := w.count(ctx)
	if err == nil && n != total {
		err = fmt.Errorf("the target holds %d records of %d at the end", n, total)
	}
	return err
}
