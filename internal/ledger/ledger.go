// Package ledger keeps on the target, outside the state topic, how the target offsets of a flow's partitions follow
// from the source's: as the metadata of offsets that a consumer group of kferry's own, __kferry-shift-<flow>, has
// committed. With the state topic lost nothing of it is lost. By the same way a repair tells a replicating kferry
// to leave a topic alone for a while, and what to do with it afterwards.
//
// The broker forgets the entries of a topic with the topic, and all entries when nobody stores them again for
// offsets.retention.minutes (a week by default). The package does not decide anything about shifts.
package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// Ledger reads and writes the entries of one flow. Methods may be called from any goroutine.
type Ledger struct {
	cluster string
	client  *kafka.GroupClient
	group   string
}

// Open prepares the ledger of a flow; nothing is asked before Load.
func Open(target *kafka.Cluster, flow string) *Ledger {
	return &Ledger{cluster: target.Alias(), client: target.GroupClient(), group: Group(flow)}
}

// Group is the name of the consumer group that holds a flow's entries.
func Group(flow string) string { return "__kferry-shift-" + flow }

// Load reads all entries. One that cannot be understood is an error: to take it for none would be to guess. Needs
// DESCRIBE on the group.
func (l *Ledger) Load(ctx context.Context) (map[estate.TopicPartition]Entry, error) {
	got := l.client.Offsets(ctx, []string{l.group})[l.group]
	if got.Err != nil {
		return nil, fmt.Errorf("read how offsets are shifted from group %s of cluster %s: %w", l.group, l.cluster, got.Err)
	}
	entries := make(map[estate.TopicPartition]Entry, len(got.Offsets))
	for tp, o := range got.Offsets {
		if o.Err != nil {
			return nil, fmt.Errorf("read how offsets are shifted in %s from group %s of cluster %s: %w", tp, l.group, l.cluster, o.Err)
		}
		e, err := Parse(o.Metadata)
		if err != nil {
			return nil, &StrangeError{Group: l.group, Cluster: l.cluster, Partition: tp, Err: err}
		}
		entries[tp] = e
	}
	return entries, nil
}

// StrangeError is an entry that cannot be understood.
type StrangeError struct {
	Group, Cluster string
	Partition      estate.TopicPartition
	Err            error
}

// Error says what to do about it.
func (e *StrangeError) Error() string {
	return fmt.Sprintf("what group %s of cluster %s holds for %s cannot be understood: %v; use the kferry that wrote it, or give the flow another name",
		e.Group, e.Cluster, e.Partition, e.Err)
}

// Unwrap is what is wrong with it.
func (e *StrangeError) Unwrap() error { return e.Err }

// Put stores entries, all or an error. Needs READ on the group and the topics.
func (l *Ledger) Put(ctx context.Context, entries map[estate.TopicPartition]Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var commits []kafka.OffsetCommit
	for tp, e := range entries {
		commits = append(commits, kafka.OffsetCommit{
			Topic: tp.Topic, Partition: tp.Partition, Offset: e.Map.Last().Target(), Metadata: e.String(),
		})
	}
	outcome := l.client.Commit(ctx, map[string][]kafka.OffsetCommit{l.group: commits})[l.group]
	errs := []error{outcome.Err}
	for tp, err := range outcome.Partitions {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", tp, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store how offsets are shifted in group %s of cluster %s: %w", l.group, l.cluster, err)
	}
	return nil
}
