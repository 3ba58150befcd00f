package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// disturb deletes records, adds partitions and stores positions of groups, every now and then.
func (l *Load) disturb(ctx context.Context) {
	rng := rand.New(rand.NewPCG(l.o.Seed, 50))
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(300+rng.IntN(400)) * time.Millisecond):
		}
		for i := range l.o.Topics {
			t := &l.o.Topics[i]
			var err error
			switch {
			case t.Trim:
				err = l.trim(ctx, t.Name, rng.Int32N(l.Width(t.Name)), rng)
			case t.Grow && turn == 4:
				err = l.grow(ctx, t.Name)
			}
			if err != nil && ctx.Err() == nil {
				l.say("%v", err)
			}
		}
		if err := l.commit(ctx, rng); err != nil && ctx.Err() == nil {
			l.say("%v", err)
		}
	}
}

// trim deletes up to half of what a partition holds.
func (l *Load) trim(ctx context.Context, topic string, partition int32, rng *rand.Rand) error {
	all, err := tryEnds(ctx, l.client, []string{topic})
	if err != nil {
		return err
	}
	if int(partition) >= len(all[topic]) {
		return nil
	}
	e := all[topic][partition]
	var os kadm.Offsets = map[string]map[int32]kadm.Offset{}
	os.Add(kadm.Offset{Topic: topic, Partition: partition, At: e.start + rng.Int64N((e.high-e.start)/2+1)})
	done, err := l.admin.DeleteRecords(ctx, os)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("trim %s-%d: %w", topic, partition, err)
	}
	return nil
}

// grow adds a partition. Producers use it when it has a leader.
func (l *Load) grow(ctx context.Context, topic string) error {
	want := l.Width(topic) + 1
	done, err := l.admin.UpdatePartitions(ctx, int(want), topic)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("add a partition to %s: %w", topic, err)
	}
	w := Writer{client: l.client, admin: l.admin}
	if err := w.awaitLeaders(ctx, topic); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partitions[topic] = want
	return nil
}

// commit stores positions of all groups in all partitions: anywhere between the last one and the last stable
// offset. They never go back.
func (l *Load) commit(ctx context.Context, rng *rand.Rand) error {
	if len(l.o.Groups) == 0 {
		return nil
	}
	all, err := tryEnds(ctx, l.client, l.Names())
	if err != nil {
		return fmt.Errorf("store positions of groups: %w", err)
	}
	for _, group := range l.o.Groups {
		var os kadm.Offsets = map[string]map[int32]kadm.Offset{}
		for topic, parts := range all {
			for id, e := range parts {
				place := fmt.Sprintf("%s %s %d", group, topic, id)
				from := max(e.start, l.positions[place])
				l.positions[place] = from + rng.Int64N(max((e.stable-from)/2, 0)+1)
				os.Add(kadm.Offset{
					Topic: topic, Partition: int32(id), At: l.positions[place], LeaderEpoch: -1,
					Metadata: []string{"", "a note", `{"n":7}`}[rng.IntN(3)],
				})
			}
		}
		done, err := l.admin.CommitOffsets(ctx, group, os)
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			return fmt.Errorf("store positions of group %s: %w", group, err)
		}
	}
	return nil
}

// Recreate deletes a topic and creates it again, empty.
func (l *Load) Recreate(ctx context.Context, topic string) error {
	w := Writer{client: l.client, admin: l.admin}
	if err := w.Delete(ctx, topic); err != nil {
		return err
	}
	l.ledger.Deleted(topic)
	if _, err := l.admin.CreateTopic(ctx, l.Width(topic), l.o.Replicas, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic); err != nil {
		return fmt.Errorf("create topic %s again: %w", topic, err)
	}
	return w.awaitLeaders(ctx, topic)
}
