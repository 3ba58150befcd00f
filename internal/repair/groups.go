package repair

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// groups says what becomes of the positions that groups have in the topic on the target, and refuses the repair while
// somebody reads there.
func (l *looking) groups(ctx context.Context) error {
	client := l.Target.GroupClient()
	list, err := client.List(ctx)
	if err != nil {
		return err
	}
	var ids []string
	var live []kafka.Group
	for _, g := range list {
		if strings.HasPrefix(g.ID, "__kferry") {
			continue
		}
		ids = append(ids, g.ID)
		if g.State != "Empty" && g.State != "Dead" {
			live = append(live, g)
		}
	}
	members := client.Describe(ctx, live)
	there, here := client.Offsets(ctx, ids), l.Source.GroupClient().Offsets(ctx, ids)
	for _, g := range list {
		if !slices.Contains(ids, g.ID) {
			continue
		}
		on := inTopic(there[g.ID], l.Topic)
		d, alive := members[g.ID]
		if alive && (len(on) > 0 || reads(d, l.Topic)) {
			l.plan.refuse("group %s is live on the target (%s%s): stop its members", g.ID, g.State, named(d.Members))
		}
		if len(on) == 0 {
			continue
		}
		entry := Group{ID: g.ID, State: g.State, OnSource: len(inTopic(here[g.ID], l.Topic)) > 0}
		entry.What = l.fate(on, inTopic(here[g.ID], l.Topic))
		l.plan.Groups = append(l.plan.Groups, entry)
	}
	return nil
}

func inTopic(g kafka.GroupOffsets, topic string) map[int32]int64 {
	out := map[int32]int64{}
	for tp, o := range g.Offsets {
		if tp.Topic == topic && o.Err == nil {
			out[tp.Partition] = o.Offset
		}
	}
	return out
}

// reads says whether a member is assigned a partition of the topic.
func reads(d kafka.GroupDescription, topic string) bool {
	return slices.ContainsFunc(d.Members, func(m kafka.GroupMember) bool { return slices.Contains(m.Topics, topic) })
}

func named(members []kafka.GroupMember) string {
	if len(members) == 0 {
		return ""
	}
	const most = 3
	var names []string
	for _, m := range members[:min(most, len(members))] {
		names = append(names, m.ClientID+m.Host)
	}
	if len(members) > most {
		names = append(names, "...")
	}
	return fmt.Sprintf(", %d members: %s", len(members), strings.Join(names, ", "))
}

// fate is what happens to one group's positions.
func (l *looking) fate(there, here map[int32]int64) string {
	if l.Action == Rebuild {
		var lost []string
		for _, id := range slices.Sorted(maps.Keys(there)) {
			if _, ok := here[id]; !ok {
				lost = append(lost, fmt.Sprint(id))
			}
		}
		switch {
		case len(lost) == 0:
			return fmt.Sprintf("%d positions are deleted with the topic; kferry replicate stores them again from the source", len(there))
		case len(lost) == len(there):
			return fmt.Sprintf("%d positions are deleted with the topic, and the source has none: they are lost", len(there))
		}
		return fmt.Sprintf("%d positions are deleted with the topic; kferry replicate stores them again from the source, but for partitions %s, which the source does not have", len(there), strings.Join(lost, ", "))
	}
	var words []string
	for _, p := range l.plan.Partitions {
		at, ok := there[p.ID]
		if !p.Attach || !ok {
			continue
		}
		if source, ok := here[p.ID]; ok {
			want, exact := p.Map.Position(source)
			w := fmt.Sprintf("partition %d: %d on the target, the source's %d will be %d there", p.ID, at, source, want)
			if !exact {
				w += " (clamped: what it would read next is not on the target)"
			}
			words = append(words, w)
		} else if foreign := p.Map.Foreign(len(p.Map) - 1); at > foreign.From && at < foreign.To {
			words = append(words, fmt.Sprintf("partition %d: %d on the target lies among what is not the source's and stays there", p.ID, at))
		}
	}
	if len(words) == 0 {
		return "positions stay as they are"
	}
	return strings.Join(words, "; ")
}

// partitionsOf are a topic's partitions.
func partitionsOf(t estate.Topic) []estate.TopicPartition {
	var out []estate.TopicPartition
	for _, p := range t.Partitions {
		out = append(out, estate.TopicPartition{Topic: t.Name, Partition: p.ID})
	}
	return out
}
