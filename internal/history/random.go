package history

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Random is a history of so many random steps: batches of every kind, transactions of three producers, raised
// log starts. With compacted the topic is compacted now and then, where the writer can make that happen at
// once (Options.Compact), else never.
func Random(partitions int32, steps int, compacted bool) Topic {
	t := Topic{
		Name: fmt.Sprintf("random-%d-%d-%t", partitions, steps, compacted), Story: "whatever comes", Partitions: partitions, Compacted: compacted,
		Configs: map[string]string{"cleanup.policy": "delete"},
		Write: func(ctx context.Context, p *Pen) error {
			s := scribble{Pen: p, compacted: compacted, ts: make([]*Transactor, 3)}
			defer s.close()
			for range steps {
				if err := s.step(ctx); err != nil {
					return err
				}
			}
			return s.settle(ctx)
		},
	}
	if compacted {
		t.Configs = map[string]string{"cleanup.policy": "compact,delete"}
	}
	return t
}

// scribble is a random history being written.
type scribble struct {
	*Pen
	compacted bool
	ts        []*Transactor
	ids       int // transactional ids so far
}

func (s *scribble) record() *kgo.Record {
	if s.compacted {
		return s.Keyed(fmt.Sprintf("k%d", s.rng.IntN(12)), 60)
	}
	return s.Record(100)
}

func (s *scribble) batch() []*kgo.Record {
	n := 1
	if !s.one(3) {
		n += s.rng.IntN(20)
	}
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = s.record()
	}
	return rs
}

func (s *scribble) step(ctx context.Context) error {
	partition := s.rng.Int32N(s.partitions)
	n := s.rng.IntN(len(s.ts))
	switch k := s.rng.IntN(100); {
	case k < 45:
		return s.Batch(ctx, partition, s.rng.IntN(codecs), s.batch()...)
	case k < 65:
		if s.ts[n] == nil {
			t, err := s.Transactor(s.ids, s.rng.IntN(codecs))
			if err != nil {
				return err
			}
			s.ts[n] = t
			s.ids++
		}
		return s.ts[n].Write(ctx, partition, s.batch()...)
	case k < 90:
		return s.end(ctx, n)
	case k < 94:
		return s.raise(ctx, partition)
	default:
		if s.compacted && s.w.o.Compact != nil {
			return s.w.o.Compact(s.topic)
		}
		return nil
	}
}

// end ends the transaction of one producer. In a compacted topic the producer goes with it: the embedded cluster
// forgets to take aborted transactions out of its index when it removes their markers, and what the same producer
// commits later would count as aborted.
func (s *scribble) end(ctx context.Context, n int) error {
	t := s.ts[n]
	if t == nil {
		return nil
	}
	if s.compacted {
		s.ts[n] = nil
		defer t.Close()
	}
	return t.End(ctx, s.one(2))
}

// raise moves the log start somewhere up to the end.
func (s *scribble) raise(ctx context.Context, partition int32) error {
	all, err := readEnds(ctx, s.w.client, []string{s.topic})
	if err != nil {
		return err
	}
	e := all[s.topic][partition]
	to := e.start + s.rng.Int64N(e.high-e.start+1)
	if s.one(3) {
		to = e.high
	}
	return s.w.DeleteBefore(ctx, s.topic, partition, to)
}

// settle ends what is open.
func (s *scribble) settle(ctx context.Context) error {
	for n := range s.ts {
		if err := s.end(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *scribble) close() {
	for _, t := range s.ts {
		if t != nil {
			t.Close()
		}
	}
}
