package topics

import (
	"context"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/topics/settings"
)

// DefaultRefresh is how often the configs of known topics are read again. Missing topics and new partitions
// are looked for on every call.
const DefaultRefresh = time.Minute

// Options of a [Keeper].
type Options struct {
	Policy settings.Policy
	// Refresh is how often configs are read again; 0 means DefaultRefresh.
	Refresh time.Duration
	// Remembered is what an earlier run stored about a topic; nil or false: nothing.
	Remembered func(topic string) (Memory, bool)
	// Reopen puts topics that were finalized back into the configuration of a copy.
	Reopen bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Memory is what must be remembered of a topic between runs.
type Memory struct {
	SourceID  estate.TopicID
	TargetID  estate.TopicID
	Finalized bool
}

// Outcome says how one topic stands on the target.
type Outcome struct {
	Topic        string
	SourceID     estate.TopicID
	TargetID     estate.TopicID
	Partitions   int  // on both sides, when Ready
	Replicas     int  // the target's replication factor
	Ready        bool // the topic is there, with all partitions, in a configuration that allows copying
	Created      bool // by this Keeper
	Finalized    bool // it has (or is taken to have) the source's configuration, and keeps it
	Final        map[string]string
	Copy         map[string]string
	Changed      []settings.Change // what this call changed on the target
	MaxMessage   int               // max.message.bytes in effect on the target now; 0 unknown
	SourcePolicy SourcePolicy
	Notes        []string
	// Fault stops the whole topic. Where it is nil and Ready is false, the next call may succeed; Waiting says
	// for what.
	Fault   *fault.Fault
	Waiting string
}

// SourcePolicy is what the source does with the topic's records.
type SourcePolicy struct {
	Compacted       bool  // cleanup.policy contains compact
	LogAppendTime   bool  // the source's broker sets the times
	RetentionMillis int64 // -1: for ever
	RetentionBytes  int64 // per partition, -1: no limit
	MaxMessage      int   // max.message.bytes
}

// Keeper keeps the topics of one flow in step. It remembers what it has ensured, so that calling Ensure
// every few seconds for a thousand topics costs two metadata requests. Methods may be called from any
// goroutine, one at a time.
type Keeper struct {
	source, target *kafka.Cluster
	o              Options

	mu    sync.Mutex // guards known
	known map[string]*entry
}

// entry is what is known of one topic.
type entry struct {
	out    Outcome
	source *estate.Topic // as of this round, nil if absent
	target *estate.Topic

	before                 *fault.Fault // as of the round before
	seenSource, seenTarget time.Time    // when each side had it last
	note                   string       // from its creation
	described              time.Time    // when the configs were read last; zero: they must be read
	verdict                verdict      // what they said
	prepared               bool         // the target's were those of a copy then
	stale                  bool         // the target took changes and did not show them: read again at once
	// refused holds the values that the target will not take, so that they are not offered again and again.
	refused map[string]refusal
}

// NewKeeper prepares keeping; nothing is asked or changed before Ensure.
func NewKeeper(source, target *kafka.Cluster, o Options) *Keeper {
	if o.Refresh <= 0 {
		o.Refresh = DefaultRefresh
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Remembered == nil {
		o.Remembered = func(string) (Memory, bool) { return Memory{}, false }
	}
	return &Keeper{source: source, target: target, o: o, known: map[string]*entry{}}
}

// Ensure brings the named topics into being on the target, with the source's partitions and the
// configuration of a copy, and says how each stands, in the order of names. The error says that a cluster
// could not be asked at all; what concerns one topic is in its Outcome.
//
//  1. compare what both clusters have
//  2. create missing topics, add missing partitions
//  3. read the configs of topics that are new, changed or due
//  4. set what differs from the wanted, key by key where the target refuses
func (k *Keeper) Ensure(ctx context.Context, names []string) ([]Outcome, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries, err := k.look(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := k.create(ctx, entries); err != nil {
		return nil, err
	}
	if err := k.grow(ctx, entries); err != nil {
		return nil, err
	}
	if err := k.configure(ctx, entries); err != nil {
		return nil, err
	}
	out := make([]Outcome, len(entries))
	for i, e := range entries {
		out[i] = e.out
	}
	return out, nil
}

// Forget drops what is known of a topic, so that the next Ensure takes it as it is then.
func (k *Keeper) Forget(topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, topic)
}

// sound says that nothing stands in the way so far.
func (e *entry) sound() bool {
	return e.source != nil && e.out.Fault == nil && e.out.Waiting == ""
}

// stop marks the whole topic as faulted. The time of a fault is that of its first sight.
func (k *Keeper) stop(e *entry, kind fault.Kind, detail, next string) {
	e.out.Ready, e.out.Waiting = false, ""
	if f := e.before; f != nil && f.Kind == kind && f.Detail == detail {
		e.out.Fault = f
		return
	}
	e.out.Fault = &fault.Fault{
		Kind: kind, Topic: e.out.Topic, Partition: -1, Offset: -1,
		Detail: detail, Next: next, At: k.o.Now(),
	}
}

// wait marks the topic as not ready for a reason that may pass.
func (e *entry) wait(why string) {
	e.out.Ready, e.out.Waiting, e.out.Fault = false, why, nil
}

// refuse is a stop or a wait, by the kind of err.
func (k *Keeper) refuse(e *entry, err error, kind fault.Kind, next string) {
	switch {
	case kafka.IsDenied(err):
		k.stop(e, fault.Unauthorized, err.Error(), "grant it and start kferry again")
	case kafka.IsRefusal(err):
		k.stop(e, kind, err.Error(), next)
	default:
		e.wait(err.Error())
	}
}
