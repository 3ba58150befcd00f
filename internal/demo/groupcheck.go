package demo

import (
	"context"
	"slices"
	"time"

	"github.com/kferry/kferry/internal/estate"
)

// GroupCheck compares one group's positions as both clusters tell them, not as kferry reports them.
type GroupCheck struct {
	Group      string
	Partitions int // with a position on the source
	Same       int // of these, with the same position and metadata on the target
}

// Equal says whether every position is the same. A group without positions proves nothing and is not equal.
func (g GroupCheck) Equal() bool { return g.Partitions > 0 && g.Same == g.Partitions }

// groupsEqual asks both clusters until they agree, or patience ends; the last look is the answer.
func (s *story) groupsEqual(ctx context.Context, e *engine) ([]GroupCheck, error) {
	ids := append(slices.Clone(liveGroups), idleGroup)
	slices.Sort(ids)
	for deadline := time.Now().Add(patience); ; {
		checks, err := s.compareGroups(ctx, ids)
		if err != nil {
			return nil, err
		}
		unequal := slices.ContainsFunc(checks, func(g GroupCheck) bool { return !g.Equal() })
		if !unequal || time.Now().After(deadline) {
			return checks, nil
		}
		if err := s.wait(ctx, e, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (s *story) compareGroups(ctx context.Context, ids []string) ([]GroupCheck, error) {
	source, target := s.source.GroupClient().Offsets(ctx, ids), s.target.GroupClient().Offsets(ctx, ids)
	var checks []GroupCheck
	for _, id := range ids {
		for _, side := range []error{source[id].Err, target[id].Err} {
			if side != nil {
				return nil, side
			}
		}
		g := GroupCheck{Group: id}
		for tp, want := range source[id].Offsets {
			if want.Err != nil {
				return nil, want.Err
			}
			g.Partitions++
			if got, ok := target[id].Offsets[estate.TopicPartition(tp)]; ok && got.Err == nil && got.Offset == want.Offset && got.Metadata == want.Metadata {
				g.Same++
			}
		}
		checks = append(checks, g)
	}
	return checks, nil
}
