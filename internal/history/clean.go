package history

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// cleanTimeout bounds the wait for a broker's log cleaner.
const cleanTimeout = 90 * time.Second

// clean lets the log cleaner go over everything written so far: a last record opens a new segment, which is
// the active one and is never cleaned.
func (p *Pen) clean(ctx context.Context, last func() *kgo.Record) error {
	dirty := make([]int64, p.partitions)
	for partition := range p.partitions {
		all, err := readEnds(ctx, p.w.client, []string{p.topic})
		if err != nil {
			return err
		}
		dirty[partition] = all[p.topic][partition].high
		if err := p.Bare(ctx, partition, uncompressed, last()); err != nil {
			return err
		}
	}
	if p.w.o.Compact != nil {
		return p.w.o.Compact(p.topic)
	}
	return p.w.AwaitCleaned(ctx, p.topic, dirty)
}

// AwaitCleaned returns when no key occurs twice among the committed records below the given offsets of each
// partition.
func (w *Writer) AwaitCleaned(ctx context.Context, topic string, below []int64) error {
	for deadline := time.Now().Add(cleanTimeout); ; {
		twice, err := w.countTwice(ctx, topic, below)
		if err != nil {
			return err
		}
		if twice == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the log cleaner: %d records of %s still have a later one of the same key", twice, topic)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (w *Writer) countTwice(ctx context.Context, topic string, below []int64) (int, error) {
	all, err := readEnds(ctx, w.client, []string{topic})
	if err != nil {
		return 0, err
	}
	twice := 0
	for partition, e := range all[topic] {
		seen := map[string]bool{}
		r := &reader{client: w.client, topic: topic, partition: int32(partition), leader: e.leader, committed: true, next: e.start, end: below[partition]}
		for {
			rec, err := r.peek(ctx)
			if err != nil {
				return 0, err
			}
			if rec == nil {
				break
			}
			if seen[string(rec.Key)] {
				twice++
			}
			seen[string(rec.Key)] = true
			r.take()
		}
	}
	return twice, nil
}
