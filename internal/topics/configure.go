package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// verdict is what the configs of a topic said when they were read last. It holds until they are read again.
type verdict struct {
	fault   *fault.Fault
	waiting string
}

// shown is one topic whose configs are known on both sides.
type shown struct {
	*entry
	configs
	note    string // how the target stands, where that needs a word
	meddled bool   // it had the configuration of a copy and has not any more
}

// configure reads the configs of the topics that are due and brings the target's into the state of a copy.
func (k *Keeper) configure(ctx context.Context, entries []*entry) error {
	var due []*entry
	for _, e := range entries {
		if e.sound() && (e.described.IsZero() || e.stale || k.o.Now().Sub(e.described) >= k.o.Refresh) {
			due = append(due, e)
		}
	}
	topics, err := k.describe(ctx, due)
	if err != nil {
		return err
	}
	if err := k.stand(ctx, topics); err != nil {
		return err
	}
	if err := k.bring(ctx, topics); err != nil {
		return err
	}
	for _, s := range topics {
		k.conclude(s)
	}
	for _, e := range entries {
		if e.sound() {
			e.out.Fault, e.out.Waiting = e.verdict.fault, e.verdict.waiting
			e.out.Ready = e.sound() && !e.described.IsZero()
		}
	}
	return nil
}

// describe reads the configs of both sides. Topics of which one side could not be read have a verdict and
// are left out.
func (k *Keeper) describe(ctx context.Context, due []*entry) ([]*shown, error) {
	names := make([]string, len(due))
	for i, e := range due {
		names[i] = e.out.Topic
	}
	source, err := describe(ctx, k.source, names)
	if err != nil {
		return nil, err
	}
	target, err := describe(ctx, k.target, names)
	if err != nil {
		return nil, err
	}
	var topics []*shown
	for _, e := range due {
		name := e.out.Topic
		if err := errors.Join(source[name].err, target[name].err); err != nil {
			k.refuse(e, fmt.Errorf("read the configuration: %w", err), fault.TopicRefused, "make the topic readable and start kferry again")
			e.verdict = verdict{e.out.Fault, e.out.Waiting}
			continue
		}
		topics = append(topics, &shown{entry: e, configs: k.decide(source[name].topic, target[name].topic, e.out.Replicas)})
	}
	return topics, nil
}

// configs are both sides' configuration and what the target's is to be.
type configs struct {
	onSource, onTarget settings.Topic
	final, copy        settings.Wanted
}

func (k *Keeper) decide(source, target settings.Topic, replicas int) configs {
	final := settings.Desired(source, target, k.o.Policy, replicas)
	return configs{source, target, final, settings.CopyTime(final, target)}
}

// bring sets what differs from the configuration of a copy, on topics that are not finalized.
func (k *Keeper) bring(ctx context.Context, topics []*shown) error {
	wanted := map[string][]settings.Change{}
	for _, s := range topics {
		s.stale = false
		if s.out.Finalized {
			continue
		}
		changes := slices.DeleteFunc(settings.Changes(s.onTarget, s.copy), func(c settings.Change) bool {
			r, ok := s.refused[c.Key]
			return ok && r.value == c.To
		})
		if len(changes) > 0 {
			wanted[s.out.Topic] = changes
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	applied, err := apply(ctx, k.target, wanted)
	if err != nil {
		return err
	}
	after, err := describeApplied(ctx, k.target, applied)
	if err != nil {
		return err
	}
	for _, s := range topics {
		a, ok := applied[s.out.Topic]
		if !ok {
			continue
		}
		s.out.Changed = a.made
		for key, r := range a.refused {
			s.refused[key] = r
		}
		if d := after[s.out.Topic]; d.err == nil {
			s.onTarget, s.stale = d.topic, !a.shown(d.topic)
		}
	}
	return nil
}

// conclude draws the verdict from what is in effect now.
func (k *Keeper) conclude(s *shown) {
	e := s.entry
	e.described, e.prepared = k.o.Now(), s.stale || settings.Copying(s.onTarget)
	e.out.Final, e.out.Copy = s.final.Set, s.copy.Set
	e.out.MaxMessage = int(integer(s.onTarget, "max.message.bytes", 0))
	e.out.SourcePolicy = SourcePolicy{
		Compacted:       settings.Compacts(s.onSource["cleanup.policy"].Value),
		LogAppendTime:   s.onSource["message.timestamp.type"].Value == "LogAppendTime",
		RetentionMillis: integer(s.onSource, "retention.ms", -1),
		RetentionBytes:  integer(s.onSource, "retention.bytes", -1),
		MaxMessage:      int(integer(s.onSource, "max.message.bytes", 0)),
	}
	e.out.Notes = s.notes()
	e.verdict = verdict{}
	if s.stale {
		e.verdict.waiting = "the target has taken the topic's new configuration and does not show it yet"
		return
	}
	if why := s.obstacle(); why != "" {
		next := "let kferry change the topic's configuration, or change it by hand, then start kferry again"
		if e.out.Finalized {
			next = "reopen the topic to go on copying, or end the flow: it was finalized"
		}
		kind := fault.TopicRefused
		for _, r := range e.refused {
			if kafka.IsDenied(r.err) {
				kind, why = fault.Unauthorized, fmt.Sprintf("%s; %v", why, r.err)
				break
			}
		}
		k.stop(e, kind, why, next)
		e.verdict.fault, e.out.Fault = e.out.Fault, nil
	}
}

// obstacle is what keeps a copy from being exact. A finalized topic is expected to have the source's own
// retention and cleanup; only times that would be replaced are wrong at once.
func (s *shown) obstacle() string {
	why := settings.Obstacle(s.onTarget, s.final)
	if s.out.Finalized && s.onTarget["message.timestamp.type"].Value != "LogAppendTime" {
		return ""
	}
	return why
}

func (s *shown) notes() []string {
	notes := slices.Clone(s.final.Notes)
	if s.entry.note != "" {
		notes = append(notes, s.entry.note)
	}
	if s.note != "" {
		notes = append(notes, s.note)
	}
	if s.meddled && len(s.out.Changed) > 0 {
		notes = append(notes, "somebody changed the topic's configuration during the copy; it was put back")
	}
	if !s.out.Finalized {
		notes = append(notes, s.copy.Notes...)
		for key, r := range s.refused {
			if s.copy.Set[key] == r.value {
				notes = append(notes, r.note(key))
			}
		}
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

func integer(t settings.Topic, key string, otherwise int64) int64 {
	n, err := strconv.ParseInt(t[key].Value, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}
