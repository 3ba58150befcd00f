package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kferry/kferry/internal/testbed/faultproxy"
)

// writes are the requests that append.
var writes = []int16{faultproxy.Produce, faultproxy.WriteTxnMarkers}

// dropAcks drops a share of the acknowledgements, and of one request at least.
func dropAcks(_ context.Context, t *trial) error {
	share := []float64{0.01, 0.05, 0.2}[t.rng.IntN(3)]
	var rules []*faultproxy.Active
	for _, p := range t.target.outside {
		rules = append(rules,
			p.Add(faultproxy.Rule{APIs: writes, Action: faultproxy.DropResponse, Skip: t.rng.IntN(20), Most: 1}),
			p.Add(faultproxy.Rule{APIs: writes, Action: faultproxy.DropResponse, Probability: share}))
	}
	t.rest(4*time.Second, 7*time.Second)
	dropped := int64(0)
	for _, r := range rules {
		dropped += r.Done()
	}
	t.notef("%d acknowledgements dropped (%.0f %%)", dropped, 100*share)
	if dropped == 0 {
		return fmt.Errorf("no acknowledgement was dropped")
	}
	return nil
}

// zombies never makes a marker wait longer than kferry does after an outcome that it does not know, and no marker
// double: a broker takes markers as often as they come.
func zombies(_ context.Context, t *trial) error {
	produce, markers := []int16{faultproxy.Produce}, []int16{faultproxy.WriteTxnMarkers}
	return t.undead(
		faultproxy.Rule{APIs: writes, Action: faultproxy.Late, Skip: t.rng.IntN(10), Most: 1, Delay: t.between(100*time.Millisecond, 2*time.Second)},
		faultproxy.Rule{APIs: markers, Action: faultproxy.Late, Probability: 0.04, Delay: t.between(100*time.Millisecond, 2*time.Second)},
		faultproxy.Rule{APIs: produce, Action: faultproxy.Late, Probability: 0.02, Delay: t.between(100*time.Millisecond, time.Second)},
		faultproxy.Rule{APIs: produce, Action: faultproxy.Late, Probability: 0.02, Delay: t.between(time.Second, 4*time.Second)},
		faultproxy.Rule{APIs: produce, Action: faultproxy.Duplicate, Probability: 0.04, Delay: t.between(0, 2*time.Second)})
}

// lateMarkers makes markers wait longer.
func lateMarkers(_ context.Context, t *trial) error {
	markers := []int16{faultproxy.WriteTxnMarkers}
	return t.undead(
		faultproxy.Rule{APIs: markers, Action: faultproxy.Late, Skip: t.rng.IntN(10), Most: 1, Delay: t.between(3500*time.Millisecond, 6*time.Second)},
		faultproxy.Rule{APIs: markers, Action: faultproxy.Late, Probability: 0.03, Delay: t.between(3500*time.Millisecond, 6*time.Second)})
}

// undead lets the rules pick requests for some seconds, and waits for the last of them while producers go on.
func (t *trial) undead(list ...faultproxy.Rule) error {
	var rules []*faultproxy.Active
	last := time.Duration(0)
	for _, p := range t.target.outside {
		for _, r := range list {
			rules = append(rules, p.Add(r))
			last = max(last, r.Delay)
		}
	}
	t.rest(3*time.Second, 6*time.Second)
	var picked, delivered int64
	for _, r := range rules {
		r.Remove()
	}
	time.Sleep(last + 500*time.Millisecond)
	for _, r := range rules {
		picked, delivered = picked+r.Picked(), delivered+r.Done()
	}
	t.notef("%d requests made zombies or doubles, %d delivered", picked, delivered)
	if delivered == 0 {
		return fmt.Errorf("no zombie was delivered")
	}
	return nil
}

// forgotten lets the target forget producers of old records while something else goes on.
func forgotten(inject func(context.Context, *trial) error) func(context.Context, *trial) error {
	const key = "producer.id.expiration.ms"
	return func(ctx context.Context, t *trial) error {
		set := func(c kadm.AlterConfig) error {
			done, err := t.target.admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{c})
			if err == nil {
				err = done[0].Err
			}
			if err != nil {
				return fmt.Errorf("set %s of the target's brokers: %w", key, err)
			}
			return nil
		}
		if err := set(kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr("1000")}); err != nil {
			return err
		}
		t.later(func() error { return set(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}) })
		return inject(ctx, t)
	}
}

// markerAcks drops answers of partition leaders to the coordinator.
func markerAcks(_ context.Context, t *trial) error {
	var rules []*faultproxy.Active
	for _, p := range t.target.inside {
		rules = append(rules, p.Add(faultproxy.Rule{
			APIs: []int16{faultproxy.WriteTxnMarkers}, Action: faultproxy.DropResponse, Probability: 0.05 + 0.05*t.rng.Float64(), Skip: t.rng.IntN(10),
		}))
	}
	t.rest(3*time.Second, 6*time.Second)
	dropped := int64(0)
	for _, r := range rules {
		dropped += r.Done()
	}
	t.notef("%d answers to the coordinator dropped", dropped)
	return nil
}

// either is the proxies of one of the two clusters.
func (t *trial) either() (name string, proxies []*faultproxy.Proxy, apis []int16) {
	if t.chance(2) {
		return "source", t.source.outside, []int16{faultproxy.Fetch}
	}
	return "target", t.target.outside, writes
}

func partitionLink(_ context.Context, t *trial) error {
	name, proxies, _ := t.either()
	t.rest(300*time.Millisecond, time.Second)
	for _, p := range proxies {
		p.Partition(true)
	}
	t.notef("the %s is out of reach", name)
	t.rest(2*time.Second, 8*time.Second)
	for _, p := range proxies {
		p.Partition(false)
	}
	t.notef("the %s is in reach again", name)
	t.rest(500*time.Millisecond, 2*time.Second)
	return nil
}

func halfOpen(_ context.Context, t *trial) error {
	name, proxies, apis := t.either()
	n := 1 + t.rng.IntN(3)
	var silenced int64
	for range n {
		for _, p := range proxies {
			rule := p.Add(faultproxy.Rule{APIs: apis, Action: faultproxy.Silence, Skip: t.rng.IntN(10), Most: 1})
			t.rest(time.Second, 3*time.Second)
			silenced += rule.Done()
		}
	}
	t.notef("%d connections to the %s went silent", silenced, name)
	if silenced == 0 {
		return fmt.Errorf("no connection went silent")
	}
	t.rest(time.Second, 2*time.Second)
	return nil
}

func resets(_ context.Context, t *trial) error {
	for range 3 + t.rng.IntN(4) {
		t.rest(200*time.Millisecond, 1200*time.Millisecond)
		for _, p := range append(append([]*faultproxy.Proxy(nil), t.source.outside...), t.target.outside...) {
			p.Reset()
		}
	}
	t.rest(500*time.Millisecond, time.Second)
	return nil
}

func narrow(_ context.Context, t *trial) error {
	return t.throttled(faultproxy.Link{BytesPerSecond: 1000})
}

func latency(_ context.Context, t *trial) error {
	return t.throttled(faultproxy.Link{Delay: 250 * time.Millisecond})
}

func (t *trial) throttled(l faultproxy.Link) error {
	name, proxies, _ := t.either()
	for _, p := range proxies {
		p.SetLink(l)
	}
	t.notef("the link to the %s is %+v", name, l)
	t.rest(4*time.Second, 8*time.Second)
	return nil
}

func quota(ctx context.Context, t *trial) error {
	who, bytes := "kferry", 100_000.0
	alter := func(op kadm.AlterClientQuotaOp) error {
		done, err := t.target.admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &who}}, Ops: []kadm.AlterClientQuotaOp{op},
		}})
		if err == nil {
			err = done[0].Err
		}
		return err
	}
	if err := alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: bytes}); err != nil {
		return fmt.Errorf("set a quota: %w", err)
	}
	t.later(func() error { return alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true}) })
	t.rest(4*time.Second, 6*time.Second)
	return nil
}
