package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/testbed"
)

// measureIdle sees what kferry costs when it follows 1,000 partitions that
// nobody writes: a process that has copied them, and one that found them copied.
func (r *rig) measureIdle(ctx context.Context) error {
	if err := r.fill(ctx, manyLZ4); err != nil {
		return err
	}
	target, err := startSide(ctx, "target", testbed.Options{Version: r.o.version})
	if err != nil {
		return err
	}
	err = r.prepare(ctx, r.contender(result.Kferry), manyLZ4, job{target: target})
	for _, what := range []string{"has copied them itself", "found them copied"} {
		if err == nil {
			err = r.idle(ctx, target, what)
		}
	}
	return errors.Join(err, target.close())
}

func (r *rig) idle(ctx context.Context, target *side, what string) (err error) {
	w := manyLZ4
	s, err := startKferry(ctx, r, job{section: result.Idle, topic: w.name, target: target, follow: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	watch := &watcher{rig: r, target: target, topic: w.name, parts: w.partitions, subject: s}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		look, err := watch.look(ctx)
		if err != nil {
			return err
		}
		if look.records == w.ends(r.o.scale) {
			break
		}
		if time.Since(began) > startTimeout {
			return fmt.Errorf("follow %d partitions: %d records of %d after %v", w.partitions, look.records, w.ends(r.o.scale), startTimeout)
		}
	}
	settle, measure := 10*time.Second, 20*time.Second
	if r.o.scale < 1 {
		settle, measure = 5*time.Second, 10*time.Second
	}
	time.Sleep(settle)
	begin, err := r.usage(s, target)
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(measure)
	end, err := r.usage(s, target)
	if err != nil {
		return err
	}
	m, err := proc.MemoryOf(s.PID())
	if err != nil {
		return err
	}
	run := result.IdleRun{
		What: what, Partitions: w.partitions, Seconds: time.Since(began).Seconds(), Memory: m.Now, PeakMemory: m.Peak,
		ToolCPU: (end.tool - begin.tool).Seconds(), SourceCPU: (end.source - begin.source).Seconds(), TargetCPU: (end.target - begin.target).Seconds(),
	}
	r.book.Idles = append(r.book.Idles, run)
	say("idle %d partitions, %s: %.0f MB (peak %.0f), %.3f cores", run.Partitions, what, float64(m.Now)/1e6, float64(m.Peak)/1e6, run.ToolCPU/run.Seconds)
	return r.book.Save(r.o.results())
}
