package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConfigSource says where the effective value of a config comes from.
type ConfigSource string

// The sources of a config's value, from the nearest to the farthest.
const (
	FromTopic       ConfigSource = "topic"       // set on the topic
	FromBroker      ConfigSource = "broker"      // set dynamically on one broker
	FromClusterWide ConfigSource = "cluster"     // set dynamically for all brokers
	FromBrokerFile  ConfigSource = "broker-file" // in the broker's server.properties
	FromDefault     ConfigSource = "default"     // Kafka's own default
	FromElsewhere   ConfigSource = "elsewhere"   // a kind of source that this version does not know
)

// Config is one key of a topic or broker.
type Config struct {
	Key       string
	Value     string // empty when Sensitive, and for a null
	Source    ConfigSource
	Sensitive bool
	ReadOnly  bool
	// Fallbacks are the values behind the effective one, the next one first. A broker's key has another name
	// and perhaps another unit than the topic's (log.retention.hours behind retention.ms).
	Fallbacks []Fallback
}

// Fallback is one value that would come into effect if all before it were removed.
type Fallback struct {
	Key    string
	Value  string
	Source ConfigSource
}

// ResourceConfigs are all keys of one topic or broker, or why they could not be read.
type ResourceConfigs struct {
	Configs map[string]Config
	Err     error
}

// describeBatch bounds one DescribeConfigs request: a topic has about 35 keys, some 4 KB with fallbacks.
const describeBatch = 200

// TopicConfigs reads every key of the topics with its effective value. Needs DESCRIBE_CONFIGS on them; what
// was denied or is unknown carries its own error.
func (c *Cluster) TopicConfigs(ctx context.Context, topics []string) (map[string]ResourceConfigs, error) {
	out := make(map[string]ResourceConfigs, len(topics))
	for batch := range slices.Chunk(topics, describeBatch) {
		if err := c.describeConfigs(ctx, kmsg.ConfigResourceTypeTopic, batch, out); err != nil {
			return nil, fmt.Errorf("read topic configs of cluster %s: %w", c.alias, err)
		}
	}
	return out, nil
}

// BrokerConfigs reads every key of one broker. Needs DESCRIBE_CONFIGS on the cluster.
func (c *Cluster) BrokerConfigs(ctx context.Context, broker int32) (map[string]Config, error) {
	name := strconv.Itoa(int(broker))
	out := map[string]ResourceConfigs{}
	err := c.describeConfigs(ctx, kmsg.ConfigResourceTypeBroker, []string{name}, out)
	if err == nil {
		err = out[name].Err
	}
	if err != nil {
		return nil, fmt.Errorf("read configs of node %d of cluster %s: %w", broker, c.alias, err)
	}
	return out[name].Configs, nil
}

func (c *Cluster) describeConfigs(ctx context.Context, kind kmsg.ConfigResourceType, names []string, into map[string]ResourceConfigs) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	resourceType := "Topic"
	for _, name := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		req.Resources = append(req.Resources, r)
	}
	if kind == kmsg.ConfigResourceTypeBroker {
		resourceType = "Cluster"
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		g := grant{"DescribeConfigs", resourceType, r.ResourceName}
		if err := c.refused(r.ErrorCode, r.ErrorMessage, g); err != nil {
			into[r.ResourceName] = ResourceConfigs{Err: err}
			continue
		}
		configs := make(map[string]Config, len(r.Configs))
		for i := range r.Configs {
			configs[r.Configs[i].Name] = toConfig(&r.Configs[i])
		}
		into[r.ResourceName] = ResourceConfigs{Configs: configs}
	}
	return nil
}

func toConfig(r *kmsg.DescribeConfigsResponseResourceConfig) Config {
	config := Config{
		Key: r.Name, Value: orEmpty(r.Value), Source: toSource(r.Source),
		Sensitive: r.IsSensitive, ReadOnly: r.ReadOnly,
	}
	for _, s := range r.ConfigSynonyms {
		from := toSource(s.Source)
		if from == FromTopic {
			continue // the effective value itself
		}
		config.Fallbacks = append(config.Fallbacks, Fallback{s.Name, orEmpty(s.Value), from})
	}
	return config
}

func toSource(s kmsg.ConfigSource) ConfigSource {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return FromTopic
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return FromBroker
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return FromClusterWide
	case kmsg.ConfigSourceStaticBrokerConfig:
		return FromBrokerFile
	case kmsg.ConfigSourceDefaultConfig:
		return FromDefault
	}
	return FromElsewhere
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// ConfigChange sets one key, or removes it so that the fallback comes into effect.
type ConfigChange struct {
	Key    string
	Value  string
	Remove bool
}

// AlterTopicConfigs changes the named keys and leaves all others alone (IncrementalAlterConfigs, KIP-339,
// Kafka 2.3). The changes of one topic are made together or not at all; a topic that was refused has its
// error in the answer. With validateOnly nothing is changed. Needs ALTER_CONFIGS on the topics.
func (c *Cluster) AlterTopicConfigs(ctx context.Context, changes map[string][]ConfigChange, validateOnly bool) (map[string]error, error) {
	out := map[string]error{}
	topics := slices.Sorted(maps.Keys(changes))
	for batch := range slices.Chunk(topics, describeBatch) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = validateOnly
		for _, topic := range batch {
			req.Resources = append(req.Resources, alteration(topic, changes[topic]))
		}
		resp, err := req.RequestWith(ctx, c.client)
		if err != nil {
			return nil, fmt.Errorf("change topic configs of cluster %s: %w", c.alias, err)
		}
		for _, r := range resp.Resources {
			g := grant{"AlterConfigs", "Topic", r.ResourceName}
			if err := c.refused(r.ErrorCode, r.ErrorMessage, g); err != nil {
				out[r.ResourceName] = err
			}
		}
	}
	return out, nil
}

func alteration(topic string, changes []ConfigChange) kmsg.IncrementalAlterConfigsRequestResource {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, change := range slices.SortedFunc(slices.Values(changes), func(a, b ConfigChange) int { return cmp.Compare(a.Key, b.Key) }) {
		rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		rc.Name = change.Key
		if change.Remove {
			rc.Op = kmsg.IncrementalAlterConfigOpDelete
		} else {
			rc.Op, rc.Value = kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(change.Value)
		}
		r.Configs = append(r.Configs, rc)
	}
	return r
}
