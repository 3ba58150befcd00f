package config

import (
	"slices"
	"strings"
	"time"
)

// Flow is a set of topics and groups carried from one cluster to another.
type Flow struct {
	// Name of the flow; part of its transactional ids. "<source>-<target>" when absent.
	Name string `yaml:"name" pattern:"id"`
	// Alias of the cluster that is read.
	Source string `yaml:"source" required:"true"`
	// Alias of the cluster that is written.
	Target string `yaml:"target" required:"true"`
	// Topics to carry: regular expressions that match whole names. Names that begin with __ must be spelled out.
	Topics []Pattern `yaml:"topics" required:"true"`
	// Topics to leave out, stronger than topics.
	Exclude []Pattern `yaml:"exclude"`
	// Consumer groups whose offsets are carried: regular expressions that match whole names.
	Groups []Pattern `yaml:"groups" default:".*"`
	// Groups to leave out, stronger than groups. Names that begin with __kferry are always left out.
	ExcludeGroups []Pattern `yaml:"excludeGroups" default:"console-consumer-.*"`
	// How target offsets follow from source offsets: "identical" keeps them equal, "shifted" begins every partition at 0 and keeps a constant distance.
	Mode string `yaml:"mode" default:"identical" enum:"identical,shifted" later:"translated"`
	// Topics to begin with shifted offsets in a flow that is identical otherwise, for log starts too far out to seed; regular expressions that match whole names.
	Shifted []Pattern `yaml:"shifted"`
	// Replicas of created topics: a number, or "source" for exactly the source's. Absent means the source's value, at most the number of target brokers.
	ReplicationFactor CountPolicy `yaml:"replicationFactor"`
	// min.insync.replicas of created topics: a number, or "source" for exactly the source's. Absent means the source's value, at most the replication factor.
	MinInsyncReplicas CountPolicy `yaml:"minInsyncReplicas"`
	// A batch larger than the target accepts: "fault" stops its partition before a byte is written, "split" rewrites it as several.
	OversizedBatches string `yaml:"oversizedBatches" default:"fault" enum:"fault,split"`
	// Records that the source deletes before they were copied: "stop" faults the partition, "fill" goes on and reports the count.
	OnRetentionOvertake string `yaml:"onRetentionOvertake" default:"stop" enum:"stop,fill"`
	// How offsets that hold no record are filled on the target.
	Gaps Gaps `yaml:"gaps"`
	// How often group offsets are carried.
	GroupSyncInterval time.Duration `yaml:"groupSyncInterval" default:"5s" min:"100ms" max:"24h"`
	// How often new topics, new partitions and changed configs are looked for.
	TopicRefreshInterval time.Duration `yaml:"topicRefreshInterval" default:"10s" min:"100ms" max:"24h"`
	// Bounds on what the flow uses.
	Limits Limits `yaml:"limits"`
	// Most offsets to fill below one partition's log start before the partition is refused; a billion takes minutes and 0.8 GB.
	SeedLimit int64 `yaml:"seedLimit" default:"10000000000" min:"0" max:"1000000000000"`
}

// Gaps says how offsets that hold no record to copy are filled.
type Gaps struct {
	// A gap of at least so many offsets is filled by batches and not marker by marker.
	Wide int64 `yaml:"wide" default:"10000" min:"1" max:"1000000000"`
	// Holes in compacted topics: copies of the next record (echo), control markers, aborted batches, or what is cheapest (auto).
	Compacted string `yaml:"compacted" default:"auto" enum:"auto,markers,echo,aborted"`
	// Which request writes markers: WriteTxnMarkers (needs ALTER on the cluster since 3.8), EndTxn, or what a probe finds to be allowed (auto).
	Permission string `yaml:"permission" default:"auto" enum:"auto,writeTxnMarkers,endTxn"`
}

// Limits bounds what a flow uses. A size is a number of bytes, or a number with KiB, MiB, GiB, KB, MB or GB.
type Limits struct {
	// Payload written to the target per second; 0 is no limit.
	BytesPerSecond Bytes `yaml:"bytesPerSecond" default:"0" min:"0" max:"1TiB"`
	// Record bytes held in memory by the flow, whatever the number of partitions.
	Memory Bytes `yaml:"memory" default:"16MiB" min:"8MiB" max:"1TiB"`
	// Bytes sent to one target broker and not yet answered; they take up no memory of kferry.
	InFlightBytes Bytes `yaml:"inFlightBytes" default:"64MiB" min:"1MiB" max:"1TiB"`
}

// The modes that the design knows; [ModeTranslated] is not built.
const (
	ModeIdentical  = "identical"
	ModeShifted    = "shifted"
	ModeTranslated = "translated"
)

// ownPrefix begins the names of kferry's own topics and groups.
const ownPrefix = "__kferry"

// brokerTopics belong to the brokers; a client can neither create nor fill them.
var brokerTopics = []string{"__consumer_offsets", "__transaction_state", "__cluster_metadata", "__share_group_state", "__remote_log_metadata"}

// MatchTopic reports whether the flow carries the topic. Names that begin with __ (Kafka's and kferry's own)
// are carried only when a pattern is that very name.
func (f *Flow) MatchTopic(name string) bool {
	if matchAny(f.Exclude, name) || slices.Contains(brokerTopics, name) {
		return false
	}
	if strings.HasPrefix(name, "__") {
		return slices.ContainsFunc(f.Topics, func(p Pattern) bool { return p.String() == name })
	}
	return matchAny(f.Topics, name)
}

// ShiftedTopics are the patterns of the topics that are begun with shifted offsets.
func (f *Flow) ShiftedTopics() []Pattern {
	if f.Mode == ModeShifted {
		return []Pattern{everything}
	}
	return f.Shifted
}

// everything matches every name.
var everything = must(ParsePattern(".*"))

func must(p Pattern, err error) Pattern {
	if err != nil {
		panic(err)
	}
	return p
}

// MatchGroup reports whether the flow carries the group's offsets. kferry's own groups never are.
func (f *Flow) MatchGroup(name string) bool {
	return !strings.HasPrefix(name, ownPrefix) && matchAny(f.Groups, name) && !matchAny(f.ExcludeGroups, name)
}

func matchAny(ps []Pattern, name string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.Match(name) })
}
