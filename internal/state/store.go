package state

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/topics/settings"
)

const (
	// DefaultTopic is the name of the state topic. All flows into one target may share it.
	DefaultTopic = "__kferry-state"
	// maxTopic bounds what is read: far above what ten thousand topics take, compacted or not.
	maxTopic = 512 << 20
	// patience is how long a created topic may stay unseen.
	patience = 10 * time.Second
	// replicas of the state topic, where the target has as many brokers.
	replicas = 3
)

// Options of a [Store].
type Options struct {
	Topic string // empty: DefaultTopic
	// Create creates the topic if it is missing. Only a running replication writes, so only it creates.
	Create bool
	// Replicas is the replication factor of a created topic; 0 means 3, or as many brokers as there are.
	Replicas int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Store reads and writes what is remembered of one flow. Methods may be called from any goroutine.
type Store struct {
	target *kafka.Cluster
	flow   string
	o      Options

	mu      sync.Mutex // guards what follows
	about   *Flow      // what was stored of the flow last
	seed    maphash.Seed
	written map[string]uint64 // by key: the hash of the data that the topic holds, as far as known
}

// Open prepares the store. With Create it makes sure that the topic is there, compacted and of one
// partition; without, nothing is asked, and a missing topic reads as empty.
func Open(ctx context.Context, target *kafka.Cluster, flow string, o Options) (*Store, error) {
	if o.Topic == "" {
		o.Topic = DefaultTopic
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{target: target, flow: flow, o: o, seed: maphash.MakeSeed(), written: map[string]uint64{}}
	if !o.Create {
		return s, nil
	}
	if err := s.create(ctx); err != nil {
		return nil, fmt.Errorf("prepare state topic %s on cluster %s: %w", o.Topic, target.Alias(), err)
	}
	return s, nil
}

func (s *Store) create(ctx context.Context) error {
	md, err := s.target.Metadata(ctx, []string{s.o.Topic})
	if err != nil {
		return err
	}
	if t, ok := md.Topics[s.o.Topic]; ok {
		return s.check(ctx, len(t.Partitions))
	}
	factor := s.o.Replicas
	if factor <= 0 {
		factor = min(replicas, max(1, len(md.Brokers)))
	}
	topic := kafka.NewTopic{
		Name: s.o.Topic, Partitions: 1, Replication: int16(factor),
		Configs: map[string]string{"cleanup.policy": "compact", "compression.type": "producer"},
	}
	created, err := s.target.CreateTopics(ctx, []kafka.NewTopic{topic}, false)
	if err == nil {
		err = created[s.o.Topic].Err
	}
	if err != nil && !errors.Is(err, kafka.ErrTopicExists) { // by another kferry, just now
		return err
	}
	return s.await(ctx)
}

// await returns when the topic that the controller has created can be seen by all: a node that does not know
// it yet would make a reader believe that nothing is remembered.
func (s *Store) await(ctx context.Context) error {
	for end := time.Now().Add(patience); ; {
		_, err := s.target.ReadAll(ctx, s.o.Topic, maxTopic)
		if err == nil || !errors.Is(err, kafka.ErrUnknownTopic) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// check refuses a topic that is something else. A principal that may not read its configs is believed.
func (s *Store) check(ctx context.Context, partitions int) error {
	if partitions != 1 {
		return fmt.Errorf("the topic has %d partitions and should have one: name another state topic", partitions)
	}
	configs, err := s.target.TopicConfigs(ctx, []string{s.o.Topic})
	if err != nil {
		return err
	}
	c := configs[s.o.Topic]
	if policy := c.Configs["cleanup.policy"].Value; c.Err == nil && policy != "" && !settings.Compacts(policy) {
		return fmt.Errorf("its cleanup.policy is %s and should be compact: set it, or name another state topic", policy)
	}
	return nil
}

// Load reads all that is remembered of the flow. A missing topic is an empty snapshot. Errors: *NewerError.
func (s *Store) Load(ctx context.Context) (Snapshot, error) {
	records, err := s.target.ReadAll(ctx, s.o.Topic, maxTopic)
	if errors.Is(err, kafka.ErrUnknownTopic) {
		records, err = nil, nil
	}
	if err != nil {
		return Snapshot{}, err
	}
	snapshot, err := assemble(s.flow, records)
	var newer *NewerError
	if errors.As(err, &newer) {
		newer.Topic = s.o.Topic
	}
	if err != nil {
		return Snapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range snapshot.keys {
		if _, ok := s.written[k]; !ok {
			s.written[k] = 0 // it is there; what it holds is not known to be what would be written
		}
	}
	return snapshot, nil
}

// Report reads the report that was published last; false: there is none. It reads the whole topic, like Load.
func (s *Store) Report(ctx context.Context) (report.Document, bool, error) {
	snapshot, err := s.Load(ctx)
	if err != nil || snapshot.Report == nil {
		return report.Document{}, false, err
	}
	return *snapshot.Report, true, nil
}

// PutFlow stores what is remembered of the flow as a whole.
func (s *Store) PutFlow(ctx context.Context, f Flow) error {
	w, err := newWrite(key(kindFlow, s.flow), f)
	if err != nil {
		return fmt.Errorf("encode flow %s: %w", s.flow, err)
	}
	if err := s.put(ctx, []write{w}, nil); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.about = &f
	return nil
}

// Restore creates the topic again if it has gone, and begins it with what is known of the flow; the caller puts
// everything else once more. It says whether the topic had gone. It is for a store that was opened with Create.
func (s *Store) Restore(ctx context.Context) (bool, error) {
	md, err := s.target.Metadata(ctx, []string{s.o.Topic})
	if err != nil {
		return false, err
	}
	if _, ok := md.Topics[s.o.Topic]; ok {
		return false, nil
	}
	if err := s.create(ctx); err != nil {
		return false, fmt.Errorf("create state topic %s on cluster %s again: %w", s.o.Topic, s.target.Alias(), err)
	}
	s.mu.Lock()
	clear(s.written)
	about := s.about
	s.mu.Unlock()
	if about == nil {
		return true, nil
	}
	return true, s.PutFlow(ctx, *about)
}

// PutMemory stores what is remembered of topics. What is stored already is not written again. A Memory without
// Finalized leaves what is known about that as it is.
func (s *Store) PutMemory(ctx context.Context, memories ...Memory) error {
	var writes []write
	for _, m := range memories {
		w, err := newWrite(key(kindMemory, s.flow, m.Topic), m)
		if err != nil {
			return fmt.Errorf("encode what is remembered of topic %s: %w", m.Topic, err)
		}
		writes = append(writes, w)
		if m.Finalized == nil {
			continue
		}
		if w, err = newWrite(key(kindFinalized, s.flow, m.Topic), finalized{m.SourceID, m.TargetID, *m.Finalized}); err != nil {
			return fmt.Errorf("encode that topic %s is finalized: %w", m.Topic, err)
		}
		writes = append(writes, w)
	}
	return s.put(ctx, writes, nil)
}

// Reopened takes back that topics were finalized.
func (s *Store) Reopened(ctx context.Context, topics ...string) error {
	return s.forget(ctx, topics, kindFinalized)
}

// Forget removes all that is remembered of topics.
func (s *Store) Forget(ctx context.Context, topics ...string) error {
	return s.forget(ctx, topics, kindMemory, kindFinalized)
}

func (s *Store) forget(ctx context.Context, topics []string, kinds ...string) error {
	var gone []string
	for _, t := range topics {
		for _, kind := range kinds {
			gone = append(gone, key(kind, s.flow, t))
		}
	}
	return s.put(ctx, nil, gone)
}

// PutReport publishes the report. One that is too large for a record is split, and pieces that did not change
// are not written again.
func (s *Store) PutReport(ctx context.Context, doc report.Document) error {
	writes, err := split(s.flow, doc, maxValue)
	if err != nil {
		return fmt.Errorf("encode the report of flow %s: %w", s.flow, err)
	}
	now := map[string]bool{}
	for _, w := range writes {
		now[w.key] = true
	}
	var gone []string
	s.mu.Lock()
	for k := range s.written {
		if strings.HasPrefix(k, key(kindReport, s.flow)+"/") && !now[k] {
			gone = append(gone, k)
		}
	}
	s.mu.Unlock()
	return s.put(ctx, writes, gone)
}

// put writes what the topic does not hold yet, and tombstones.
func (s *Store) put(ctx context.Context, writes []write, gone []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []kafka.Record
	hashes := map[string]uint64{}
	for _, w := range writes {
		hash := maphash.Bytes(s.seed, w.data)
		if held, ok := s.written[w.key]; ok && held == hash {
			continue
		}
		hashes[w.key] = hash
		records = append(records, kafka.Record{Key: []byte(w.key), Value: encode(s.o.Now(), w.data)})
	}
	for _, k := range gone {
		records = append(records, kafka.Record{Key: []byte(k)})
	}
	if err := s.target.Append(ctx, s.o.Topic, records); err != nil {
		return err
	}
	for k, hash := range hashes {
		s.written[k] = hash
	}
	for _, k := range gone {
		delete(s.written, k)
	}
	return nil
}
