package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// mirror is MirrorMaker 2 in one mode. It runs on from trial to trial, because it takes long to start, and takes
// up each trial's topics by their prefix.
type mirror struct {
	options testbed.MirrorMakerOptions

	mu      sync.Mutex // guards what follows
	process *testbed.MirrorMakerProcess
	byself  []string
}

// mirror returns the MirrorMaker of that mode, running; one of another mode is ended.
func (t *trial) mirror(ctx context.Context, mode string) (*mirror, error) {
	for other, m := range t.mirrors {
		if other != mode {
			m.close()
			delete(t.mirrors, other)
		}
	}
	if m := t.mirrors[mode]; m != nil {
		m.byself = nil
		return m, m.start()
	}
	replicas := strconv.Itoa(min(t.plan.targetBrokers, 3))
	p := map[string]string{
		"source->target.topics":                "mm2-.*",
		"source->target.groups":                "mm2-.*",
		"replication.policy.class":             "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
		"refresh.topics.interval.seconds":      "1",
		"refresh.groups.interval.seconds":      "1",
		"sync.group.offsets.enabled":           "true",
		"sync.group.offsets.interval.seconds":  "1",
		"emit.checkpoints.interval.seconds":    "1",
		"emit.heartbeats.enabled":              "false",
		"sync.topic.acls.enabled":              "false",
		"replication.factor":                   replicas,
		"config.storage.replication.factor":    replicas,
		"offset.storage.replication.factor":    replicas,
		"status.storage.replication.factor":    replicas,
		"checkpoints.topic.replication.factor": replicas,
	}
	if mode == "mm2-eos" {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p["target.exactly.once.source.support"] = "enabled"
		p["dedicated.mode.enable.internal.rest"] = "true"
		p["listeners"] = "http://127.0.0.1:" + port
		p["source.consumer.isolation.level"] = "read_committed" // which exactly-once is about, and does not set
	}
	m := &mirror{options: testbed.MirrorMakerOptions{
		Source: t.source.cluster.Bootstrap(), Target: t.target.cluster.Bootstrap(), QuickStart: true, Properties: p,
	}}
	t.mirrors[mode] = m
	return m, m.start()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (m *mirror) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		if m.process.Err() == nil {
			return nil
		}
		m.process.Close()
	}
	p, err := testbed.MirrorMaker(context.Background(), m.options)
	m.process = p
	return err
}

func (m *mirror) with(do func(*testbed.MirrorMakerProcess)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		do(m.process)
	}
}

func (m *mirror) kill()   { m.with((*testbed.MirrorMakerProcess).Kill) }
func (m *mirror) pause()  { m.with((*testbed.MirrorMakerProcess).Pause) }
func (m *mirror) resume() { m.with((*testbed.MirrorMakerProcess).Resume) }

func (m *mirror) close() {
	m.with(func(p *testbed.MirrorMakerProcess) {
		p.Resume()
		p.Kill()
		p.Close()
	})
}

// endedByItself is about the process that should run now.
func (m *mirror) endedByItself() []string {
	m.with(func(p *testbed.MirrorMakerProcess) {
		if err := p.Err(); err != nil {
			m.byself = append(m.byself, err.Error())
		}
	})
	return m.byself
}

const (
	mirrorPause    = 3 * time.Second  // of stillness before it is looked whether anything is missing
	mirrorPatience = 15 * time.Second // of stillness after which positions of groups are taken as they are; records get drainTimeout
)

// judgeMirror waits until nothing is missing, at most as long as kferry would get, and compares.
func (t *trial) judgeMirror(ctx context.Context, o history.CheckOptions) (*history.Verdict, error) {
	for _, topic := range o.Topics {
		if err := awaitTopic(ctx, t.target.admin, topic); err != nil {
			return nil, err
		}
	}
	for deadline := time.Now().Add(drainTimeout); ; time.Sleep(500 * time.Millisecond) {
		if t.sampler.still() < mirrorPause && time.Now().Before(deadline) {
			continue
		}
		v, err := history.Check(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("compare: %w", err)
		}
		if v.Lost == 0 && (v.GroupDiff == 0 || t.sampler.still() > mirrorPatience) || time.Now().After(deadline) {
			return v, nil
		}
		time.Sleep(2 * time.Second)
	}
}
