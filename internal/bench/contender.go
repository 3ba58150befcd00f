package main

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/bench/worker"
	"github.com/kferry/kferry/internal/testbed"
)

// contender is one way to copy a topic.
type contender struct {
	name string
	// creates says whether the contender creates the target topic itself.
	creates bool
	// topic is what the copy of a topic is called.
	topic func(name string) string
	start func(ctx context.Context, r *rig, j job) (subject, error)
}

// job is one copy to make.
type job struct {
	section, topic string
	codec          string
	target         *side
	round          int
	follow         bool // for ever
}

func sameName(name string) string { return name }

func (r *rig) contender(name string) contender {
	switch name {
	case result.Kferry:
		if r.o.profile != "" {
			return contender{name, true, sameName, startEngine}
		}
		return contender{name, true, sameName, startKferry}
	case result.FranzGo:
		return contender{name, false, sameName, startReproduce}
	case result.Limit:
		return contender{name, false, sameName, startLimit}
	case result.MM2:
		return contender{name, true, mirrorName, startMM2}
	case result.MM2Tuned:
		return contender{name, true, mirrorName, startMM2Tuned}
	}
	panic("no contender " + name)
}

func (r *rig) log(j job, what string) string {
	return r.logFile(j.section, j.topic, what, strconv.Itoa(j.round))
}

func startKferry(_ context.Context, r *rig, j job) (subject, error) {
	args := []string{
		"replicate", "--source-bootstrap-server", r.source.Bootstrap(), "--target-bootstrap-server", j.target.Bootstrap(),
		"--topics", j.topic,
	}
	if j.target.replicas > 1 {
		args = append(args, "--replication-factor", strconv.Itoa(j.target.replicas))
	}
	if !j.follow {
		args = append(args, "--until-caught-up")
	}
	return startChild(r.log(j, "kferry"), nil, r.kferry, args...)
}

// startEngine runs kferry's engine under the profiler instead of kferry.
func startEngine(_ context.Context, r *rig, j job) (subject, error) {
	prefix := filepath.Join(r.o.profile, j.section+"-"+j.topic+"-"+strconv.Itoa(j.round))
	args := []string{"-profile", prefix, "-replication-factor", strconv.Itoa(j.target.replicas)}
	return r.startWorker(j, "engine", append(args, r.o.engine...)...)
}

func startReproduce(_ context.Context, r *rig, j job) (subject, error) {
	return r.startWorker(j, "reproduce", append([]string{"-codec", j.codec}, r.o.reproduce...)...)
}

func startLimit(_ context.Context, r *rig, j job) (subject, error) {
	return r.startWorker(j, "limit")
}

func (r *rig) startWorker(j job, kind string, args ...string) (subject, error) {
	args = append([]string{worker.Flag, kind, "-source", r.source.Bootstrap(), "-target", j.target.Bootstrap(), "-topic", j.topic}, args...)
	return startChild(r.log(j, kind), nil, r.self, args...)
}

// mirrorName is what MirrorMaker 2's default policy calls a copy.
func mirrorName(name string) string { return "source." + name }

func startMM2(ctx context.Context, r *rig, j job) (subject, error) {
	return r.startMirrorMaker(ctx, j, 1024, nil)
}

func startMM2Tuned(ctx context.Context, r *rig, j job) (subject, error) {
	return r.startMirrorMaker(ctx, j, 4096, map[string]string{
		"tasks.max":                                 "8",
		"target.producer.batch.size":                "524288",
		"target.producer.linger.ms":                 "50",
		"target.producer.compression.type":          j.codec,
		"source.consumer.max.poll.records":          "20000",
		"source.consumer.max.partition.fetch.bytes": strconv.Itoa(8 << 20),
	})
}

func (r *rig) startMirrorMaker(ctx context.Context, j job, heapMB int, properties map[string]string) (subject, error) {
	all := map[string]string{"source->target.topics": j.topic}
	for k, v := range properties {
		all[k] = v
	}
	version := r.o.version
	if version == testbed.V28 {
		version = testbed.V39 // the oldest that testbed runs
	}
	m, err := testbed.MirrorMaker(ctx, testbed.MirrorMakerOptions{
		Version: version, HeapMB: heapMB, Source: r.source.Bootstrap(), Target: j.target.Bootstrap(), Properties: all,
	})
	if err != nil {
		return nil, err
	}
	return mirrorMaker{m}, nil
}
