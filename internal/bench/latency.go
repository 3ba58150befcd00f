package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/bench/worker"
	"github.com/kferry/kferry/internal/testbed"
)

const (
	latencyTopic      = "latency"
	latencyRate       = 1000
	latencyPartitions = 4
)

// measureLatency lets records flow at a steady rate and sees how late they are.
func (r *rig) measureLatency(ctx context.Context) error {
	target, err := startSide(ctx, "target", testbed.Options{Version: r.o.version})
	if err != nil {
		return err
	}
	if err := r.warmUp(ctx, target); err != nil {
		return errors.Join(err, target.close())
	}
	var failed error
	for _, name := range []string{result.NoCopying, result.Kferry, result.MM2} {
		if name != result.NoCopying && !r.o.wantsContender(name) {
			continue
		}
		run, err := r.latencyOf(ctx, name, target)
		if err != nil {
			say("FAILED latency, %s: %v", name, err)
			failed = errSaid
			continue
		}
		r.book.Latencies = append(r.book.Latencies, run)
		say("latency %-22s target p50 %.2f p99 %.2f p99.9 %.2f max %.2f ms; source p50 %.2f p99 %.2f max %.2f ms; %.3f cores; %d lost, %d repeated of %d",
			name, run.Target.P50, run.Target.P99, run.Target.P999, run.Target.Max, run.Source.P50, run.Source.P99, run.Source.Max,
			run.ToolCPU/run.Seconds, run.Missing, run.Duplicates, run.Records)
		if err := r.book.Save(r.o.results()); err != nil {
			return errors.Join(err, target.close())
		}
	}
	return errors.Join(failed, target.close())
}

// warmUp has the target serve a producer and two consumers as long as a measurement takes: the source has been at
// work for long, and whoever came first would be charged for the target's compiling.
func (r *rig) warmUp(ctx context.Context, target *side) error {
	if _, err := createTopic(ctx, target.wire, latencyTopic, latencyPartitions, 1, nil); err != nil {
		return err
	}
	run := result.LatencyRun{Contender: "warm-up", Rate: latencyRate}
	return r.probe(ctx, &run, nil, target, target.Bootstrap(), target.Bootstrap(), latencyTopic)
}

func (r *rig) latencyOf(ctx context.Context, name string, target *side) (run result.LatencyRun, err error) {
	run = result.LatencyRun{Contender: name, Rate: latencyRate}
	if err := errors.Join(clean(ctx, target.wire), clean(ctx, r.source.wire, r.filled...)); err != nil {
		return run, err
	}
	if _, err := createTopic(ctx, r.source.wire, latencyTopic, latencyPartitions, 1, nil); err != nil {
		return run, err
	}
	to, topic := r.source, latencyTopic
	var s subject
	if name != result.NoCopying {
		c := r.contender(name)
		to, topic = target, c.topic(latencyTopic)
		if s, err = c.start(ctx, r, job{section: result.Latency, topic: latencyTopic, codec: "lz4", target: target, follow: true}); err != nil {
			return run, err
		}
		defer func() { err = errors.Join(err, s.Stop()) }()
		if err := awaitTopic(ctx, s, target, topic); err != nil {
			return run, err
		}
	}
	return run, r.probe(ctx, &run, s, target, r.source.Bootstrap(), to.Bootstrap(), topic)
}

// awaitTopic waits until the replicator has created the topic.
func awaitTopic(ctx context.Context, s subject, target *side, topic string) error {
	for began := time.Now(); time.Since(began) < startTimeout; time.Sleep(50 * time.Millisecond) {
		leaders, err := leadersOf(ctx, target.wire, topic)
		if err != nil || len(leaders) == latencyPartitions {
			return err
		}
		if ended, err := s.Ended(); ended {
			return fmt.Errorf("ended before it created a topic: %w", err)
		}
	}
	return fmt.Errorf("topic %s was not created within %v", topic, startTimeout)
}

// usage is what everybody has used at one time.
type usage struct{ tool, source, target, busy time.Duration }

func (r *rig) usage(s subject, target *side) (u usage, err error) {
	if s != nil {
		if u.tool, err = proc.CPU(s.PID()); err != nil {
			return u, err
		}
	}
	if u.source, err = r.source.CPU(); err != nil {
		return u, err
	}
	if u.target, err = target.CPU(); err != nil {
		return u, err
	}
	u.busy, _, err = proc.Busy()
	return u, err
}

// probe runs the latency worker and looks at CPU times when it begins and ends to measure.
func (r *rig) probe(ctx context.Context, run *result.LatencyRun, s subject, target *side, from, to, topic string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	warm, measure := 10*time.Second, 30*time.Second
	if r.o.scale < 1 {
		warm, measure = 4*time.Second, 10*time.Second
	}
	p, err := startChild(r.logFile("latency-probe", run.Contender), write, r.self, worker.Flag, "latency", "-source", from, "-target", to,
		"-topic", latencyTopic, "-target-topic", topic, "-rate", strconv.Itoa(latencyRate), "-partitions", strconv.Itoa(latencyPartitions),
		"-warm-up", warm.String(), "-measure", measure.String())
	write.Close()
	if err != nil {
		return err
	}
	defer func() { _ = p.Stop() }()
	defer time.AfterFunc(warm+measure+startTimeout, func() { _ = p.Stop() }).Stop()
	var begin, end usage
	var began time.Time
	for lines := bufio.NewScanner(read); lines.Scan(); {
		switch line := lines.Text(); line {
		case worker.LatencyBegin:
			began = time.Now()
			begin, err = r.usage(s, target)
		case worker.LatencyEnd:
			run.Seconds = time.Since(began).Seconds()
			end, err = r.usage(s, target)
		default:
			err = json.Unmarshal([]byte(line), &run.LatencyResult)
		}
		if err != nil {
			return err
		}
	}
	<-p.done
	if _, err := p.Ended(); err != nil || run.Records == 0 {
		return fmt.Errorf("the probe ended without a result: %w", err)
	}
	run.ToolCPU, run.SourceCPU, run.TargetCPU = (end.tool - begin.tool).Seconds(), (end.source - begin.source).Seconds(), (end.target - begin.target).Seconds()
	run.OtherCPU = (end.busy - begin.busy).Seconds() - run.ToolCPU - run.SourceCPU - run.TargetCPU
	if s != nil {
		m, err := proc.MemoryOf(s.PID())
		if err != nil {
			return err
		}
		run.PeakMemory = m.Peak
	}
	return ctx.Err()
}
