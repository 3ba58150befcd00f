package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// refusal is one value that the target would not take.
type refusal struct {
	value   string
	instead string // what was set in its place, empty if nothing
	err     error
}

func (r refusal) note(key string) string {
	if r.instead != "" {
		return fmt.Sprintf("%s is %s, the target refuses %s: %v", key, r.instead, r.value, r.err)
	}
	return fmt.Sprintf("%s could not be set to %s: %v", key, r.value, r.err)
}

// application is what became of one topic's changes.
type application struct {
	made    []settings.Change
	refused map[string]refusal
}

// replace adds what was done later; of one key the last counts.
func (a *application) replace(later *application) {
	for _, c := range later.made {
		a.made = slices.DeleteFunc(a.made, func(before settings.Change) bool { return before.Key == c.Key })
	}
	a.made = append(a.made, later.made...)
	maps.Copy(a.refused, later.refused)
}

// apply makes the changes of each topic together; where the target refuses them it goes key by key and
// records which ones it will not have.
func apply(ctx context.Context, target *kafka.Cluster, wanted map[string][]settings.Change) (map[string]*application, error) {
	out := make(map[string]*application, len(wanted))
	request := make(map[string][]kafka.ConfigChange, len(wanted))
	for topic, changes := range wanted {
		out[topic] = &application{refused: map[string]refusal{}}
		for _, c := range changes {
			request[topic] = append(request[topic], asked(c))
		}
	}
	refused, err := target.AlterTopicConfigs(ctx, request, false)
	if err != nil {
		return nil, err
	}
	left := map[string][]settings.Change{}
	for topic, changes := range wanted {
		switch err := refused[topic]; {
		case err == nil:
			out[topic].made = changes
		case kafka.IsDenied(err) || !kafka.IsRefusal(err):
			for _, c := range changes {
				out[topic].refused[c.Key] = refusal{value: c.To, err: err}
			}
		default:
			left[topic] = changes
		}
	}
	// Twice, because one key may be refused only as long as another one has not been set.
	for range 2 {
		if left, err = keyByKey(ctx, target, left, out); err != nil {
			return nil, err
		}
	}
	return out, nearest(ctx, target, left, out)
}

func asked(c settings.Change) kafka.ConfigChange {
	return kafka.ConfigChange{Key: c.Key, Value: c.To, Remove: c.Remove}
}

// keyByKey tries one change of each topic per request and returns those that were refused.
func keyByKey(ctx context.Context, target *kafka.Cluster, wanted map[string][]settings.Change, out map[string]*application) (map[string][]settings.Change, error) {
	left := map[string][]settings.Change{}
	for i := 0; ; i++ {
		request := map[string][]kafka.ConfigChange{}
		for topic, changes := range wanted {
			if i < len(changes) {
				request[topic] = []kafka.ConfigChange{asked(changes[i])}
			}
		}
		if len(request) == 0 {
			return left, nil
		}
		refused, err := target.AlterTopicConfigs(ctx, request, false)
		if err != nil {
			return nil, err
		}
		for topic := range request {
			c := wanted[topic][i]
			if err := refused[topic]; err != nil {
				left[topic] = append(left[topic], c)
				out[topic].refused[c.Key] = refusal{value: c.To, err: err}
				continue
			}
			delete(out[topic].refused, c.Key)
			out[topic].made = append(out[topic].made, c)
		}
	}
}

// nearest offers another value for what was refused, where there is one.
func nearest(ctx context.Context, target *kafka.Cluster, left map[string][]settings.Change, out map[string]*application) error {
	request := map[string][]kafka.ConfigChange{}
	for topic, changes := range left {
		for _, c := range changes {
			if value, ok := settings.Nearest(c.Key, c.To); ok && !c.Remove {
				request[topic] = append(request[topic], kafka.ConfigChange{Key: c.Key, Value: value})
			}
		}
	}
	if len(request) == 0 {
		return nil
	}
	refused, err := target.AlterTopicConfigs(ctx, request, false)
	if err != nil {
		return err
	}
	for topic, changes := range request {
		if refused[topic] != nil {
			continue
		}
		for _, c := range changes {
			r := out[topic].refused[c.Key]
			r.instead = c.Value
			out[topic].refused[c.Key] = r
		}
	}
	return nil
}

// description is one topic's configs in the words of settings, or why they could not be read.
type description struct {
	topic settings.Topic
	err   error
}

const (
	// A node hears of new topics and changed configs from the controller, some time after the controller has
	// answered.
	describePatience = 10 * time.Second
	describePause    = 100 * time.Millisecond
)

// describe reads the configs of topics that are known to exist, with patience for those of which a node has
// not heard yet.
func describe(ctx context.Context, c *kafka.Cluster, topics []string) (map[string]description, error) {
	return describeUntil(ctx, c, topics, func(string, settings.Topic) bool { return true })
}

// describeApplied reads the configs of the topics that were changed, with patience until they show it.
func describeApplied(ctx context.Context, c *kafka.Cluster, applied map[string]*application) (map[string]description, error) {
	return describeUntil(ctx, c, slices.Collect(maps.Keys(applied)), func(topic string, now settings.Topic) bool {
		return applied[topic].shown(now)
	})
}

// shown says whether a topic that looks like this has all that was changed.
func (a *application) shown(now settings.Topic) bool {
	for _, c := range a.made {
		if v := now[c.Key]; v.Set == c.Remove || v.Set && !settings.Equal(c.Key, v.Value, c.To) {
			return false
		}
	}
	for key, r := range a.refused {
		if r.instead != "" && now[key].Value != r.instead {
			return false
		}
	}
	return true
}

// describeUntil asks again for the topics that are unknown or not as expected. What is neither after a while
// is returned as it is.
func describeUntil(ctx context.Context, c *kafka.Cluster, topics []string, asExpected func(string, settings.Topic) bool) (map[string]description, error) {
	out := make(map[string]description, len(topics))
	end := time.Now().Add(describePatience)
	for left := topics; len(left) > 0; {
		answers, err := c.TopicConfigs(ctx, left)
		if err != nil {
			return nil, err
		}
		var early []string
		for _, topic := range left {
			a, answered := answers[topic]
			if !answered {
				a.Err = fmt.Errorf("cluster %s left the topic out of its answer", c.Alias())
			}
			d := description{toSettings(a.Configs), a.Err}
			if errors.Is(d.err, kafka.ErrUnknownTopic) || d.err == nil && !asExpected(topic, d.topic) {
				early = append(early, topic)
			}
			out[topic] = d
		}
		if left = early; len(left) == 0 || time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(describePause):
		}
	}
	return out, nil
}

func toSettings(configs map[string]kafka.Config) settings.Topic {
	topic := make(settings.Topic, len(configs))
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		c := configs[key]
		if c.Sensitive || c.ReadOnly {
			continue
		}
		v := settings.Value{Value: c.Value, Set: c.Source == kafka.FromTopic}
		switch {
		case !v.Set:
			v.Default, v.Inherits = c.Value, true
		case len(c.Fallbacks) > 0:
			v.Default, v.Inherits = inTopicUnits(c.Fallbacks[0])
		}
		topic[key] = v
	}
	return topic
}

// inTopicUnits gives a broker's value the unit of the topic's key: milliseconds.
func inTopicUnits(f kafka.Fallback) (string, bool) {
	unit := int64(1)
	switch {
	case strings.HasSuffix(f.Key, ".hours"):
		unit = time.Hour.Milliseconds()
	case strings.HasSuffix(f.Key, ".minutes"):
		unit = time.Minute.Milliseconds()
	default:
		return f.Value, true
	}
	n := integer(settings.Topic{"": {Value: f.Value}}, "", -1)
	if n < 0 {
		return f.Value, n == -1 && f.Value == "-1"
	}
	return fmt.Sprint(n * unit), true
}
