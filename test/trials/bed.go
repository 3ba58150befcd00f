package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
	"github.com/kferry/kferry/internal/testbed/faultproxy"
)

// plan says what clusters a bed has.
type plan struct {
	source, target               testbed.Version
	sourceBrokers, targetBrokers int
	targetDiskMB                 int
	sourceConfig                 map[string]string
}

// plans are the beds that rows share. None has more than four brokers.
var plans = map[string]plan{
	"single":  {source: testbed.V39, target: testbed.V43, sourceBrokers: 1, targetBrokers: 1},
	"target3": {source: testbed.V39, target: testbed.V43, sourceBrokers: 1, targetBrokers: 3},
	"source3": {source: testbed.V39, target: testbed.V43, sourceBrokers: 3, targetBrokers: 1},
	"disk":    {source: testbed.V39, target: testbed.V43, sourceBrokers: 1, targetBrokers: 1, targetDiskMB: 96},
	"unclean": {source: testbed.V28, target: testbed.V43, sourceBrokers: 2, targetBrokers: 1, sourceConfig: map[string]string{
		"unclean.leader.election.enable": "true", "replica.lag.time.max.ms": "1500",
		// The frozen broker may be the controller, which a leader asks before it counts its follower out.
		"controller.socket.timeout.ms": "3000",
	}},
}

func (p plan) String() string {
	return fmt.Sprintf("%s x %d to %s x %d", p.source, p.sourceBrokers, p.target, p.targetBrokers)
}

// bed is a pair of clusters, everything between them and kferry in reach of faults.
type bed struct {
	plan
	name           string
	source, target side
	mirrors        map[string]*mirror // MirrorMaker 2 by mode, started when first wanted
}

// side is a cluster and the proxies that its brokers advertise. The trials' own clients go around them.
type side struct {
	cluster *testbed.Cluster
	outside []*faultproxy.Proxy // by broker: before clients
	inside  []*faultproxy.Proxy // by broker: before the other brokers
	client  *kgo.Client         // the judge's
	asker   *kgo.Client         // of admin
	admin   *kadm.Client        // for everything else: speaks the newest versions
}

// brokerConfig lets cleaners and retention look every moment, and forgotten producers be forgotten.
var brokerConfig = map[string]string{
	"log.cleaner.backoff.ms":                   "200",
	"log.cleaner.threads":                      "1",
	"log.retention.check.interval.ms":          "500",
	"producer.id.expiration.check.interval.ms": "300",
	"num.network.threads":                      "2",
	"num.io.threads":                           "4",
	"group.initial.rebalance.delay.ms":         "0",
	// Pages would be the same, files would be many: a trial makes and deletes dozens of logs.
	"log.segment.delete.delay.ms": "1000",
}

func openBed(ctx context.Context, name string) (*bed, error) {
	p, ok := plans[name]
	if !ok {
		return nil, fmt.Errorf("there is no bed %q", name)
	}
	b := &bed{plan: p, name: name, mirrors: map[string]*mirror{}}
	err := errors.Join(
		b.source.open(ctx, testbed.Options{Version: p.source, Brokers: p.sourceBrokers, Config: p.sourceConfig}),
		b.target.open(ctx, testbed.Options{Version: p.target, Brokers: p.targetBrokers, DiskMB: p.targetDiskMB}),
	)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("open bed %s: %w", name, err)
	}
	return b, nil
}

func (s *side) open(ctx context.Context, o testbed.Options) error {
	var failed error
	proxies := func(list *[]*faultproxy.Proxy) func(int, string) string {
		return func(_ int, addr string) string {
			p, err := faultproxy.New(addr, 1)
			if err != nil {
				failed = err
				return addr
			}
			*list = append(*list, p)
			return p.Addr()
		}
	}
	config := map[string]string{}
	for _, from := range []map[string]string{brokerConfig, o.Config} {
		for k, v := range from {
			config[k] = v
		}
	}
	if o.Version == testbed.V28 {
		delete(config, "producer.id.expiration.check.interval.ms")
	}
	o.Config, o.HeapMB = config, 512
	o.Advertise, o.AdvertiseInternal = proxies(&s.outside), proxies(&s.inside)
	c, err := testbed.Start(ctx, o)
	s.cluster = c
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	seeds := strings.Split(c.Internal(), ",")
	if s.client, err = history.NewClient(seeds...); err != nil {
		return err
	}
	s.asker, err = kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	s.admin = kadm.NewClient(s.asker)
	return nil
}

func (s *side) close() {
	for _, cl := range []*kgo.Client{s.client, s.asker} {
		if cl != nil {
			cl.Close()
		}
	}
	if s.cluster != nil {
		s.cluster.Close()
	}
	for _, p := range append(s.outside, s.inside...) {
		p.Close()
	}
}

func (b *bed) close() {
	for _, m := range b.mirrors {
		m.close()
	}
	b.source.close()
	b.target.close()
}

// heal undoes every fault: links are quick, brokers run, replicas are in sync.
func (b *bed) heal(ctx context.Context) error {
	return errors.Join(b.source.heal(ctx), b.target.heal(ctx))
}

func (s *side) heal(ctx context.Context) error {
	for _, p := range append(s.outside, s.inside...) {
		p.Clear()
	}
	for i := range s.cluster.Brokers() {
		broker := s.cluster.Broker(i)
		if !broker.Running() {
			if err := broker.Start(); err != nil {
				return err
			}
		} else if err := broker.Resume(); err != nil {
			return err
		}
	}
	return s.inSync(ctx)
}

// inSync waits until every replica of every topic is in sync.
func (s *side) inSync(ctx context.Context) error {
	if s.cluster.Brokers() == 1 {
		return nil
	}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		short, err := s.outOfSync(ctx)
		if err == nil && short == "" {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("wait for replicas in sync: %s, %v", short, err)
		}
	}
}

func (s *side) outOfSync(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	md, err := s.admin.Metadata(ctx)
	if err != nil {
		return "", err
	}
	for name, t := range md.Topics {
		for id, p := range t.Partitions {
			if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Sprintf("%s-%d has %d of %d", name, id, len(p.ISR), len(p.Replicas)), nil
			}
		}
	}
	return "", nil
}

// versions are the releases of the bed, as results name them.
func (b *bed) versions() string { return string(b.plan.source) + " to " + string(b.plan.target) }
