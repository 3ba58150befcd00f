package topics

import (
	"context"
	"fmt"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// stand finds out which topics were finalized, so that they are not turned back silently:
//
//   - a topic that shows the configuration of a copy was not, whatever is remembered;
//   - a topic that holds nothing was not, or loses nothing by being prepared for a copy;
//   - a topic that this process had prepared and that shows the final configuration now was finalized by
//     another process; if it shows neither, somebody meddled with it and it is put right;
//   - otherwise what is remembered counts, and where nothing is, a topic that holds data and does not look
//     like a copy is taken for finalized.
func (k *Keeper) stand(ctx context.Context, topics []*shown) error {
	var open []*shown
	for _, s := range topics {
		switch {
		case settings.Copying(s.onTarget):
			if m, ok := k.o.Remembered(s.out.Topic); ok && m.Finalized && s.described.IsZero() && !k.o.Reopen {
				s.note = "finalizing was begun and not completed; the topic still has the configuration of a copy"
			}
			s.out.Finalized = false
		case s.prepared:
			k.standNow(s, settings.AsFinal(s.onTarget, s.final))
		case s.out.Finalized:
			k.standNow(s, true)
		case s.out.Created || !s.described.IsZero(): // its configuration was refused, in part or as a whole
		default:
			open = append(open, s)
		}
	}
	filled, err := k.holdsData(ctx, open)
	if err != nil {
		return err
	}
	for _, s := range open {
		m, ok := k.o.Remembered(s.out.Topic)
		remembered := ok && m.TargetID == s.out.TargetID
		switch {
		case !filled[s.out.Topic]:
		case remembered:
			k.standNow(s, m.Finalized || settings.AsFinal(s.onTarget, s.final))
		default:
			k.standNow(s, true)
			if s.out.Finalized {
				s.note = "nothing is remembered of this topic; it holds data and does not have the configuration of a copy, so it is taken for finalized and keeps its configuration"
			}
		}
	}
	return nil
}

// standNow records the decision and says what follows from it.
func (k *Keeper) standNow(s *shown, finalized bool) {
	s.out.Finalized = finalized && !k.o.Reopen
	switch {
	case s.out.Finalized:
		s.note = "the topic was finalized and keeps the source's configuration: its own retention and cleanup are at work while it is copied"
	case finalized:
		s.note = "the topic was finalized and has been reopened: it has the configuration of a copy again"
	default:
		s.meddled = true
	}
}

// holdsData says which topics have or had records on the target. A partition that does not answer counts as
// holding some.
func (k *Keeper) holdsData(ctx context.Context, topics []*shown) (map[string]bool, error) {
	filled := map[string]bool{}
	var leaders []kafka.Leader
	for _, s := range topics {
		if s.target == nil {
			return nil, fmt.Errorf("topic %s: not in the target's metadata", s.out.Topic)
		}
		for _, p := range s.target.Partitions {
			tp := estate.TopicPartition{Topic: s.out.Topic, Partition: p.ID}
			leaders = append(leaders, kafka.Leader{TopicPartition: tp, Node: p.Leader, Epoch: p.LeaderEpoch})
		}
	}
	for tp, e := range k.target.HighWatermarks(ctx, leaders) {
		if e.Err != nil || e.High > 0 {
			filled[tp.Topic] = true
		}
	}
	return filled, nil
}
