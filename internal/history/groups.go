package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Position is what a group committed in one partition.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
	Epoch     int32 // leader epoch of the commit, -1 if none
	Metadata  string
}

// Positions reads what a group committed, by topic and partition.
func Positions(ctx context.Context, cl *kgo.Client, group string) ([]Position, error) {
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	for wait := time.Now().Add(coordinatorTimeout); coordinatorMoves(err) && time.Now().Before(wait); {
		time.Sleep(100 * time.Millisecond)
		offsets, err = kadm.NewClient(cl).FetchOffsets(ctx, group)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // OffsetFetch v9 and newer, for a group that has none
	}
	if err != nil {
		return nil, fmt.Errorf("read the positions of group %s: %w", group, err)
	}
	var out []Position
	var failed error
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil {
			failed = fmt.Errorf("read the position of group %s in %s-%d: %w", group, o.Topic, o.Partition, o.Err)
		}
		out = append(out, Position{o.Topic, o.Partition, o.At, o.LeaderEpoch, o.Metadata})
	})
	slices.SortFunc(out, func(a, b Position) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition - b.Partition)
	})
	return out, failed
}

// coordinatorTimeout bounds the wait for a group's coordinator. The first question about any group makes a cluster
// create the topic of positions, which takes it seconds.
const coordinatorTimeout = 30 * time.Second

func coordinatorMoves(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
}

// CompareGroups compares the positions of groups in the topics one to one: offset and metadata, and that the
// target has no leader epoch, which would mean nothing there. It adds to res.
func CompareGroups(ctx context.Context, source, target *kgo.Client, groups, topics []string, res *Result) error {
	for _, group := range groups {
		s, err := Positions(ctx, source, group)
		if err != nil {
			return err
		}
		t, err := Positions(ctx, target, group)
		if err != nil {
			return err
		}
		type place struct {
			topic     string
			partition int32
		}
		on := map[place]Position{}
		for _, p := range t {
			on[place{p.Topic, p.Partition}] = p
		}
		differ := func(p Position, format string, args ...any) {
			res.Differences = append(res.Differences, Difference{p.Topic, p.Partition, p.Offset, "group " + group + ": " + fmt.Sprintf(format, args...)})
		}
		for _, p := range s {
			if !slices.Contains(topics, p.Topic) {
				continue
			}
			res.Positions++
			at := place{p.Topic, p.Partition}
			o, ok := on[at]
			delete(on, at)
			switch {
			case !ok:
				differ(p, "the target has no position, the source %d", p.Offset)
			case o.Offset != p.Offset:
				differ(p, "position %d on the source, %d on the target", p.Offset, o.Offset)
			case o.Metadata != p.Metadata:
				differ(p, "metadata %q on the source, %q on the target", p.Metadata, o.Metadata)
			case o.Epoch != -1:
				differ(p, "the position on the target has leader epoch %d", o.Epoch)
			}
		}
		for p := range maps.Values(on) {
			if slices.Contains(topics, p.Topic) {
				differ(p, "the target has position %d, the source none", p.Offset)
			}
		}
	}
	return nil
}

// WriteGroups stores positions for several groups in the topics: at the log start, in the middle, at the end,
// at 0 below the log start, with metadata and a leader epoch. It returns the groups' names.
func (w *Writer) WriteGroups(ctx context.Context, prefix string, topics []string) ([]string, error) {
	all, err := readEnds(ctx, w.client, topics)
	if err != nil {
		return nil, err
	}
	at := []struct {
		name string
		of   func(ends) (offset int64, epoch int32, metadata string)
	}{
		{"start", func(e ends) (int64, int32, string) { return e.start, -1, "" }},
		{"middle", func(e ends) (int64, int32, string) { return (e.start + e.stable) / 2, 0, "halfway \u00fc\u4e16" }},
		{"end", func(e ends) (int64, int32, string) { return e.stable, 0, `{"task":7,"done":true}` }},
		{"zero", func(ends) (int64, int32, string) { return 0, -1, "from the beginning" }},
	}
	var groups []string
	for _, g := range at {
		name := prefix + g.name
		var offsets kadm.Offsets = map[string]map[int32]kadm.Offset{}
		for topic, parts := range all {
			for id, e := range parts {
				offset, epoch, metadata := g.of(e)
				offsets.Add(kadm.Offset{Topic: topic, Partition: int32(id), At: offset, LeaderEpoch: epoch, Metadata: metadata})
			}
		}
		if err := kadm.NewClient(w.client).CommitAllOffsets(ctx, name, offsets); err != nil {
			return nil, fmt.Errorf("store positions of group %s: %w", name, err)
		}
		groups = append(groups, name)
	}
	return groups, nil
}
