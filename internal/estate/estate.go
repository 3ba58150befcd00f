// Package estate holds the nouns of a Kafka estate: clusters, topics, partitions, consumer groups. It imports
// nothing of kferry and does no I/O; everybody else speaks in these words.
package estate

import (
	"encoding/base64"
	"fmt"
)

// TopicID identifies one incarnation of a topic (KIP-516, Kafka 2.8). The zero value means that the cluster
// gives no ids.
type TopicID [16]byte

// IsZero says whether there is no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the form that Kafka's own tools print: URL-safe base64 without padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// MarshalText writes the form of String.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the form of String.
func (id *TopicID) UnmarshalText(b []byte) error {
	raw, err := base64.RawURLEncoding.DecodeString(string(b))
	if err != nil || len(raw) != len(id) {
		return fmt.Errorf("topic id %q: want 16 bytes in URL-safe base64", b)
	}
	copy(id[:], raw)
	return nil
}

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is the form of Kafka's log directories: topic-partition.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// Broker is one node that clients can reach.
type Broker struct {
	ID   int32
	Addr string // host:port as advertised
	Rack string // empty if none
}

// Partition is where one partition lives now.
type Partition struct {
	ID          int32
	Leader      int32 // node id, -1 while there is none
	LeaderEpoch int32 // -1 if the cluster does not tell
	Replicas    []int32
	ISR         []int32
}

// Topic is one topic with its partitions in order of their ids, 0 to n-1.
type Topic struct {
	Name       string
	ID         TopicID
	Internal   bool
	Partitions []Partition
}

// Metadata is one cluster's answer about itself at one moment.
type Metadata struct {
	ClusterID  string
	Controller int32 // node id, -1 if unknown
	Brokers    map[int32]Broker
	Topics     map[string]Topic
	// Errors holds, by topic name, why a topic that was asked for could not be described.
	Errors map[string]error
}
