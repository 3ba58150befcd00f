package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func source(t *trial) *side { return &t.source }
func target(t *trial) *side { return &t.target }

// bounce ends a broker, hard or in order, and starts it again.
func bounce(of func(*trial) *side, hard bool) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		s := of(t)
		t.rest(300*time.Millisecond, 2*time.Second)
		b := s.cluster.Broker(t.rng.IntN(s.cluster.Brokers()))
		if hard {
			b.Kill()
		} else if err := b.Stop(); err != nil {
			return err
		}
		t.notef("broker %d is gone (hard %v)", b.ID, hard)
		t.rest(500*time.Millisecond, 4*time.Second)
		if err := b.Start(); err != nil {
			return err
		}
		t.notef("broker %d is back", b.ID)
		t.rest(500*time.Millisecond, 2*time.Second)
		return nil
	}
}

// elections moves all leaders again and again.
func elections(of func(*trial) *side) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		s := of(t)
		for range 4 {
			began := time.Now()
			moved, err := s.moveLeaders(ctx, t.load.Names())
			if err != nil {
				return err
			}
			t.notef("%d leaders moved", moved)
			time.Sleep(time.Until(began.Add(2 * time.Second)))
		}
		return nil
	}
}

// moveLeaders makes the second replica of each partition the first, and lets it lead.
func (s *side) moveLeaders(ctx context.Context, topics []string) (int, error) {
	md, err := s.admin.Metadata(ctx, topics...)
	if err != nil {
		return 0, err
	}
	var req kadm.AlterPartitionAssignmentsReq
	var set kadm.TopicsSet = map[string]map[int32]struct{}{}
	n := 0
	for name, t := range md.Topics {
		for id, p := range t.Partitions {
			req.Assign(name, id, append(slices.Clone(p.Replicas[1:]), p.Replicas[0]))
			set.Add(name, id)
			n++
		}
	}
	if _, err := s.admin.AlterPartitionAssignments(ctx, req); err != nil {
		return 0, fmt.Errorf("reorder replicas: %w", err)
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := s.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
		return 0, fmt.Errorf("elect leaders: %w", err)
	}
	return n, nil
}

// freeze stops one or two brokers in their tracks.
func freeze(ctx context.Context, t *trial) error {
	t.rest(300*time.Millisecond, time.Second)
	n := 1 + t.rng.IntN(2)
	ids := t.rng.Perm(t.target.cluster.Brokers())[:n]
	for _, id := range ids {
		if err := t.target.cluster.Broker(id).Pause(); err != nil {
			return err
		}
	}
	t.notef("brokers %v are frozen", ids)
	t.rest(2*time.Second, 8*time.Second)
	for _, id := range ids {
		if err := t.target.cluster.Broker(id).Resume(); err != nil {
			return err
		}
	}
	t.notef("brokers %v go on", ids)
	t.rest(time.Second, 2*time.Second)
	return nil
}

// killCoordinator ends the broker that coordinates one of the flow's transactional ids, and starts it again.
func killCoordinator(ctx context.Context, t *trial) error {
	t.rest(300*time.Millisecond, 2*time.Second)
	id, broker, err := t.coordinator(ctx)
	if err != nil {
		return err
	}
	b := t.target.cluster.Broker(broker)
	b.Kill()
	t.notef("broker %d, which coordinates %s, is killed", broker, id)
	t.rest(500*time.Millisecond, 4*time.Second)
	if err := b.Start(); err != nil {
		return err
	}
	t.rest(500*time.Millisecond, 2*time.Second)
	return nil
}

func (t *trial) coordinator(ctx context.Context) (id string, broker int, err error) {
	listed, err := t.target.admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return "", 0, fmt.Errorf("list transactions: %w", err)
	}
	var of []kadm.ListedTransaction
	for _, l := range listed.Sorted() {
		if strings.Contains(l.TxnID, t.name) {
			of = append(of, l)
		}
	}
	if len(of) == 0 {
		return "", 0, fmt.Errorf("the flow has no transactional id on the target")
	}
	one := of[t.rng.IntN(len(of))]
	return one.TxnID, int(one.Coordinator), nil
}

func brokerOut(ctx context.Context, t *trial) error {
	b := t.target.cluster.Broker(t.rng.IntN(t.target.cluster.Brokers()))
	b.Kill()
	t.notef("broker %d is gone", b.ID)
	time.Sleep(time.Minute)
	return b.Start()
}

// fillDisk fills the target's disk until its broker gives up, and makes room again.
func fillDisk(_ context.Context, t *trial) error {
	t.rest(300*time.Millisecond, 1500*time.Millisecond)
	b := t.target.cluster.Broker(0)
	if err := b.FillDisk(); err != nil {
		return err
	}
	t.notef("the disk is full")
	for deadline := time.Now().Add(20 * time.Second); b.Running() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	t.notef("the broker runs: %v", b.Running())
	t.rest(time.Second, 4*time.Second)
	if err := b.FreeDisk(); err != nil {
		return err
	}
	if !b.Running() {
		return b.Start()
	}
	return nil
}
