package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// FinalizeOptions say how [Finalize] goes about it.
type FinalizeOptions struct {
	Policy settings.Policy
	// DryRun changes nothing and lists what would be changed.
	DryRun bool
	// Remember is called before a topic is changed, so that a crash cannot leave a finalized topic of which
	// nothing is remembered. Nil: nothing is remembered, see the package comment.
	Remember func(ctx context.Context, topic string, source, target estate.TopicID) error
}

// Finalized is what finalizing did, or would do, to one topic.
type Finalized struct {
	Topic    string
	SourceID estate.TopicID
	TargetID estate.TopicID
	Changes  []settings.Change // made; with DryRun: to be made. None: the topic has the source's configuration
	// Differ are keys that are not in effect as they should be afterwards; Notes say why. Never filled by a
	// DryRun.
	Differ []settings.Change
	Notes  []string
	Err    error // why this topic could not be finalized at all
}

// Finalize gives the named target topics the source's effective configuration and lists what that changed,
// in the order of names. It does not ask whether the copy is complete. The error says that a cluster could
// not be asked at all.
func Finalize(ctx context.Context, source, target *kafka.Cluster, names []string, o FinalizeOptions) ([]Finalized, error) {
	if len(names) == 0 {
		return nil, nil
	}
	k := NewKeeper(source, target, Options{Policy: o.Policy})
	topics, out, err := k.both(ctx, names)
	if err != nil {
		return nil, err
	}
	wanted := map[string][]settings.Change{}
	for i := range out {
		f := &out[i]
		c, ok := topics[f.Topic]
		if !ok {
			continue
		}
		f.Changes, f.Notes = settings.Changes(c.onTarget, c.final), slices.Clone(c.final.Notes)
		if o.DryRun || len(f.Changes) == 0 {
			continue
		}
		if o.Remember != nil {
			if err := o.Remember(ctx, f.Topic, f.SourceID, f.TargetID); err != nil {
				return nil, fmt.Errorf("remember that topic %s is finalized: %w", f.Topic, err)
			}
		}
		wanted[f.Topic] = f.Changes
	}
	if len(wanted) == 0 {
		return out, nil
	}
	return out, k.finalize(ctx, wanted, topics, out)
}

// both reads what is needed of the topics on both sides. A topic that cannot be finalized has its error in
// the result and is not in the map.
func (k *Keeper) both(ctx context.Context, names []string) (map[string]configs, []Finalized, error) {
	source, err := k.source.Metadata(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	target, err := k.target.Metadata(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	topics, out := map[string]configs{}, make([]Finalized, len(names))
	var present []string
	for i, name := range names {
		out[i].Topic = name
		if err := errors.Join(source.Errors[name], target.Errors[name]); err != nil {
			out[i].Err = fmt.Errorf("finalize topic %s: %w", name, err)
			continue
		}
		out[i].SourceID, out[i].TargetID = source.Topics[name].ID, target.Topics[name].ID
		present = append(present, name)
	}
	sourceConfigs, err := describe(ctx, k.source, present)
	if err != nil {
		return nil, nil, err
	}
	targetConfigs, err := describe(ctx, k.target, present)
	if err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		partitions := target.Topics[name].Partitions
		err := errors.Join(sourceConfigs[name].err, targetConfigs[name].err)
		switch {
		case out[i].Err != nil:
		case err != nil:
			out[i].Err = fmt.Errorf("finalize topic %s: read its configuration: %w", name, err)
		case len(partitions) == 0:
			out[i].Err = fmt.Errorf("finalize topic %s: the target shows no partitions of it", name)
		default:
			topics[name] = k.decide(sourceConfigs[name].topic, targetConfigs[name].topic, len(partitions[0].Replicas))
		}
	}
	return topics, out, nil
}

// finalize makes the changes and compares the effect. What does not come out as wanted although it was
// taken (a default that was judged wrongly) is set on the topic itself.
func (k *Keeper) finalize(ctx context.Context, wanted map[string][]settings.Change, topics map[string]configs, out []Finalized) error {
	applied, err := apply(ctx, k.target, wanted)
	if err != nil {
		return err
	}
	differ, err := k.differences(ctx, applied, topics)
	if err != nil {
		return err
	}
	again := map[string][]settings.Change{}
	for topic, changes := range differ {
		for _, c := range changes {
			if _, refused := applied[topic].refused[c.Key]; !refused {
				again[topic] = append(again[topic], c)
			}
		}
	}
	if len(again) > 0 {
		more, err := apply(ctx, k.target, again)
		if err != nil {
			return err
		}
		for topic, a := range more {
			applied[topic].replace(a)
		}
		if differ, err = k.differences(ctx, applied, topics); err != nil {
			return err
		}
	}
	for i := range out {
		f := &out[i]
		a, ok := applied[f.Topic]
		if !ok {
			continue
		}
		f.Changes, f.Differ = a.made, differ[f.Topic]
		for key, r := range a.refused {
			f.Notes = append(f.Notes, r.note(key))
		}
		slices.Sort(f.Notes)
	}
	return nil
}

// differences are the keys that are not in effect as they should be.
func (k *Keeper) differences(ctx context.Context, applied map[string]*application, topics map[string]configs) (map[string][]settings.Change, error) {
	now, err := describeApplied(ctx, k.target, applied)
	if err != nil {
		return nil, err
	}
	differ := map[string][]settings.Change{}
	for topic, d := range now {
		if d.err != nil {
			continue
		}
		if changes := settings.Differences(d.topic, topics[topic].final); len(changes) > 0 {
			differ[topic] = changes
		}
	}
	return differ, nil
}
