package replicate

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/groups"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/state"
	"github.com/kferry/kferry/internal/topics"
)

// Engine is one running flow.
type Engine struct {
	o      Options
	ctx    context.Context
	log    *slog.Logger
	caps   Capabilities
	dataID kafka.ProducerID // of all copied data
	markID kafka.ProducerID // of our own markers
	limit  *rate.Limiter    // bytes to the target; nil: no limit

	sourceLanes, targetLanes int // connections to each broker

	memory memory
	keeper *topics.Keeper

	groupSyncer *groups.Syncer

	store     *state.Store   // nil: the target permits no state topic
	stateless string         // why there is no store
	ledger    *ledger.Ledger // the second memory of shifted offsets
	noLedger  string         // why it cannot be used, empty if it can

	recalling sync.Mutex                             // guards what is remembered
	remembers state.Snapshot                         // as read at the start, or after a repair
	entries   map[estate.TopicPartition]ledger.Entry // the same of the ledger

	questions *questions

	chores  chan struct{} // one token for each chore under way
	opens   chan struct{} // the same for opening partitions
	fillIDs chan string   // transactional ids for aborted fillers that are free
	refresh chan struct{} // somebody wants fresh metadata
	endTxn  *endTxnFiller

	running   sync.WaitGroup
	starting  sync.Mutex // guards stopped, and starting against it
	stopped   bool
	startedAt time.Time

	placing    sync.Mutex // one look at the topics at a time, none while a topic is taken out; taken before mu
	publishing sync.Mutex // one document at a time; taken before mu

	mu         sync.Mutex // guards everything below; never held while a partition's mutex is taken
	partitions map[estate.TopicPartition]*partition
	ordered    []*partition // the same, sorted; nil when it must be made anew
	topics     map[string]*topicState
	fetchers   map[route]*fetcher
	appenders  map[lane]*appender
	markers    map[int32]*marker
	troubles   map[string]*troubleCount
	placedAt   time.Time
	groups     []report.Group   // of the last sync
	last       *report.Document // as published last
}

// topicState is what the engine knows of one topic beyond its partitions.
type topicState struct {
	outcome topics.Outcome
	fault   *fault.Fault
	mode    string    // report.ModeIdentical or report.ModeShifted, empty until known
	held    time.Time // until when a repair keeps it from being copied; zero: it is not held
}

func newEngine(ctx context.Context, o Options) *Engine {
	e := &Engine{
		o: o, ctx: ctx, log: o.Logger.With("flow", o.Flow),
		chores: make(chan struct{}, choresAtOnce), opens: make(chan struct{}, opensAtOnce), fillIDs: make(chan string, fillTransactions),
		refresh:   make(chan struct{}, 1),
		startedAt: time.Now().UTC(), questions: newQuestions(o.Source, o.Target),
		partitions: map[estate.TopicPartition]*partition{}, topics: map[string]*topicState{},
		fetchers: map[route]*fetcher{}, appenders: map[lane]*appender{}, markers: map[int32]*marker{},
		troubles: map[string]*troubleCount{},
		ledger:   ledger.Open(o.Target, o.Flow), entries: map[estate.TopicPartition]ledger.Entry{},
	}
	e.memory.budget = o.MemoryBytes
	for i := range fillTransactions {
		e.fillIDs <- o.transactionalID(fmt.Sprintf("fill-%d", i))
	}
	if o.BytesPerSecond > 0 {
		e.limit = rate.NewLimiter(rate.Limit(o.BytesPerSecond), int(max(o.BytesPerSecond/4, requestBytes)))
	}
	e.endTxn = newEndTxnFiller(e)
	return e
}

// watch runs f in a goroutine that Run waits for. Once the engine is stopping nothing new begins: an answer
// that still comes in finds nobody to act on it.
func (e *Engine) watch(f func()) {
	e.starting.Lock()
	defer e.starting.Unlock()
	if !e.stopped {
		e.running.Go(f)
	}
}

// stop ends everything and waits for it.
func (e *Engine) stop(cancel func()) {
	e.starting.Lock()
	e.stopped = true
	e.starting.Unlock()
	cancel()
	e.running.Wait()
}

// later runs f after d, unless Run ends before.
func (e *Engine) later(d time.Duration, f func()) {
	e.watch(func() {
		if sleep(e.ctx, d) {
			f()
		}
	})
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Engine) fetcher(r route) *fetcher {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.fetchers[r]
	if f == nil {
		f = newFetcher(e, r)
		e.fetchers[r] = f
		e.memory.fetchers.Store(int64(len(e.fetchers)))
		e.watch(func() { f.run(e.ctx) })
	}
	return f
}

func (e *Engine) appender(l lane) *appender {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.appenders[l]
	if a == nil {
		a = newAppender(e, l)
		e.appenders[l] = a
		e.watch(func() { a.run(e.ctx) })
	}
	return a
}

// mark hands a Mark to whoever may write markers. Called with the partition's mutex held.
func (e *Engine) mark(p *partition, a mirror.Action) {
	if !e.caps.Markers {
		e.endTxn.add(markJob{p, a})
		return
	}
	node := p.target.Node
	e.mu.Lock()
	k := e.markers[node]
	if k == nil {
		k = newMarker(e, node)
		e.markers[node] = k
		e.watch(func() { k.run(e.ctx) })
	}
	e.mu.Unlock()
	k.add(markJob{p, a})
}

// all returns the partitions in order of topic and number. The slice is shared and must not be changed.
func (e *Engine) all() []*partition {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ordered == nil {
		e.ordered = slices.SortedFunc(maps.Values(e.partitions), func(a, b *partition) int {
			return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
	}
	return e.ordered
}

func (e *Engine) addPartition(p *partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.partitions[p.TopicPartition] = p
	e.ordered = nil
}

// lost tells the partitions of a lane that the connection is gone: the broker may come back with a shorter
// log.
func (e *Engine) lost(l lane) {
	for _, p := range e.all() {
		p.mu.Lock()
		mine := p.lane() == l
		p.mu.Unlock()
		if mine {
			p.step(func(m *mirror.Machine) { m.ConnectionLost() })
		}
	}
}

// throttle waits until bytes may be sent; false if the engine stops.
func (e *Engine) throttle(ctx context.Context, bytes int) bool {
	if e.limit == nil {
		return true
	}
	for bytes > 0 {
		n := min(bytes, e.limit.Burst())
		if e.limit.WaitN(ctx, n) != nil {
			return false
		}
		bytes -= n
	}
	return true
}

// refreshSoon asks for fresh metadata.
func (e *Engine) refreshSoon() {
	select {
	case e.refresh <- struct{}{}:
	default:
	}
}

// troubleCount is one kind of passing trouble: logged once in a while, counted always.
type troubleCount struct {
	logged time.Time
	since  int
}

// troubleInterval is how often the same trouble is logged.
const troubleInterval = 10 * time.Second

// trouble notes something that passes or is tried again.
func (e *Engine) trouble(what string, err error, where ...any) {
	if e.ctx.Err() != nil {
		return
	}
	e.mu.Lock()
	t := e.troubles[what]
	if t == nil {
		t = &troubleCount{}
		e.troubles[what] = t
	}
	t.since++
	now := time.Now()
	quiet := now.Sub(t.logged) < troubleInterval
	times := t.since
	if !quiet {
		t.logged, t.since = now, 0
	}
	e.mu.Unlock()
	level := slog.LevelWarn
	if quiet {
		level = slog.LevelDebug
	}
	e.log.Log(e.ctx, level, "trying again", append([]any{"act", what, "err", err, "times", times}, where...)...)
}

// faulted notes a partition's fault. Called with the partition's mutex held.
func (e *Engine) faulted(p *partition, f fault.Fault) {
	if p.retired {
		e.log.Info("partition is left alone for a repair", "topic", f.Topic, "partition", f.Partition)
		return
	}
	e.log.Error("partition stopped", "topic", f.Topic, "partition", f.Partition, "fault", string(f.Kind), "offset", f.Offset, "count", f.Count, "detail", f.Detail, "next", f.Next, "see", f.Kind.See())
}
