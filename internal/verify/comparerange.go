package verify

import (
	"context"
	"time"

	"github.com/kferry/kferry/internal/verify/digest"
)

// Defaults of a range comparison.
const (
	DefaultPatience   = 60 * time.Second
	defaultFetchBytes = 4<<20 - 64<<10 // with its frame it fits a pooled buffer of 4 MiB
	firstFetchBytes   = 128<<10 - 2<<10
)

// RangeOptions of CompareRange.
type RangeOptions struct {
	// SourceMayThin: the source compacts, so that records which the target has may be gone on the source, and
	// the target may hold echoes. Such records are accepted as they are.
	SourceMayThin bool
	// TargetMayThin is the same the other way round.
	TargetMayThin bool
	// AbortedForeign accepts records of aborted transactions on the target that are not kferry's filler.
	AbortedForeign bool
	// Patience is how long a side may give nothing before CompareRange gives up; 0 means DefaultPatience.
	Patience time.Duration
	// FetchBytes bounds one fetch; 0 means 4 MiB. The first fetches are smaller, for short ranges. Up to six
	// answers are held at a time.
	FetchBytes int
	// Pool, if set, lends connections and takes them back.
	Pool *Pool
}

// CompareRange compares offsets [from, to) of one partition at equal offsets, as consumers see them: nil is
// equal. The difference has the lowest offset at which the sides differ.
//
// Both sides must hold all of the range: below the log start, or above the last stable offset for longer than
// Patience, it is an error and nothing was decided. It opens connections of its own and retries reading
// through leader changes.
func CompareRange(ctx context.Context, source, target Side, from, to int64, o RangeOptions) (*Difference, error) {
	if from >= to {
		return nil, nil
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.FetchBytes <= 0 {
		o.FetchBytes = defaultFetchBytes
	}
	cfg := digest.Config{From: from, To: to, AbortedForeign: o.AbortedForeign}
	if o.SourceMayThin {
		cfg.SourceThins = digest.ThinAccepted
	}
	if o.TargetMayThin {
		cfg.TargetThins = digest.ThinAccepted
	}
	c := digest.NewComparer(cfg)
	defer c.Close()
	read := func(s Side, which digest.Side) *reader {
		return &reader{
			Side: s, which: which, links: newLinks(s.Cluster, o.Pool), next: from, to: to,
			bytes: min(firstFetchBytes, o.FetchBytes), most: o.FetchBytes, patience: o.Patience,
		}
	}
	s, t := read(source, digest.Source), read(target, digest.Target)
	defer s.links.close()
	defer t.links.close()
	if err := feed(ctx, c, s, t, nil); err != nil {
		return nil, err
	}
	if d := c.Difference(); d != nil {
		return &Difference{
			Topic: source.Leader.Topic, Partition: source.Leader.Partition,
			Offset: d.Offset, Kind: d.Kind, Detail: d.Detail,
		}, nil
	}
	return nil, nil
}
