package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// route is where a partition is read from and written to. Partitions of one route share a fetcher, so that
// one answer's memory waits for one target broker only.
type route struct {
	source, target int32
	lane           int
}

// fetcher reads from one source broker for all partitions of one route.
type fetcher struct {
	engine *Engine
	route  route
	hold   *hold

	mu      sync.Mutex // guards changes and paused
	changes map[*partition]position
	wake    chan struct{}

	// Owned by run.
	session *kafka.Session
	conn    *kafka.Conn
	parts   map[estate.TopicPartition]*partition
	paused  map[*partition]bool // assigned here, but with enough in hand at the moment

	listened  time.Time                       // when offsets was made
	offsets   map[estate.TopicPartition]int64 // what each partition was wanted from then
	throttled bool                            // an answer since was held back by a quota
}

// Waiting times of a fetch. A long poll costs nothing while nobody writes; but a partition that may be
// fetched again while a poll is parked at the broker has to wait for its end, so polls are short then.
const (
	longPoll  = 500 * time.Millisecond
	shortPoll = 10 * time.Millisecond
)

// Sizes of a fetch.
const (
	fetchBytesMax       = 8<<20 - 256<<10 // with one batch too many it still fits a buffer of 8 MiB
	fetchBytesMin       = 1 << 20
	partitionBytesMax   = 4 << 20
	partitionBytesMin   = 128 << 10
	sourceRetryInterval = 200 * time.Millisecond
)

const (
	// silence is how long a partition may be wanted from one offset before it is asked whether there is something.
	silence = time.Second
	// silentMost are asked at a time.
	silentMost = 16
)

func newFetcher(e *Engine, r route) *fetcher {
	return &fetcher{
		engine: e, route: r, hold: newHold(&e.memory), changes: map[*partition]position{}, wake: make(chan struct{}, 1),
		parts: map[estate.TopicPartition]*partition{}, paused: map[*partition]bool{},
	}
}

// change notes what a partition wants now. Called with the partition's mutex held.
func (f *fetcher) change(p *partition, pos position) {
	f.mu.Lock()
	f.changes[p] = pos
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fetcher) run(ctx context.Context) {
	defer func() {
		if f.conn != nil {
			f.conn.Close()
		}
	}()
	for ctx.Err() == nil {
		if !f.connect(ctx) {
			continue
		}
		f.takeChanges()
		if f.session.Len() == 0 {
			select {
			case <-f.wake:
			case <-ctx.Done():
			}
			continue
		}
		if !f.hold.wait(ctx) {
			return
		}
		f.poll(ctx)
	}
}

// connect makes sure that there is a usable connection.
func (f *fetcher) connect(ctx context.Context) bool {
	if f.conn != nil && f.conn.Err() == nil {
		return true
	}
	conn, err := f.engine.o.Source.Dial(ctx, f.route.source)
	if err != nil {
		f.engine.trouble("connect to source broker", err, "node", f.route.source)
		f.engine.refreshSoon()
		sleep(ctx, time.Second)
		return false
	}
	f.conn = conn
	if f.session == nil {
		f.session = kafka.NewSession(conn)
	} else {
		f.session.Rebind(conn)
	}
	return true
}

func (f *fetcher) takeChanges() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, pos := range f.changes {
		delete(f.changes, p)
		if !pos.want {
			f.session.Drop(p.TopicPartition)
			if pos.soon {
				f.paused[p] = true
			} else {
				delete(f.paused, p)
				delete(f.parts, p.TopicPartition)
			}
			continue
		}
		delete(f.paused, p)
		f.parts[p.TopicPartition] = p
		pos.pos.MaxBytes = f.partitionBytes()
		f.session.Want(pos.pos)
	}
}

func (f *fetcher) poll(ctx context.Context) {
	lim := f.limits()
	ans, err := f.session.Poll(ctx, lim)
	if err != nil {
		if ctx.Err() == nil && !kafka.IsFetchSession(err) {
			f.engine.trouble("fetch from source broker", err, "node", f.route.source)
			f.engine.refreshSoon()
			sleep(ctx, sourceRetryInterval)
		}
		return
	}
	f.hold.take(ans.Buffer)
	f.deliver(ans)
	ans.Buffer.Release()
	f.throttled = f.throttled || ans.Throttled
	if time.Since(f.listened) >= silence {
		f.listen()
	}
}

// listen finds partitions of which a session has nothing to tell, although they are not at their end. See
// mirror.Machine.Silent.
func (f *fetcher) listen() {
	before, asked := f.offsets, 0
	f.offsets = make(map[estate.TopicPartition]int64, len(f.parts))
	for tp, p := range f.parts {
		from, ok := f.session.Wanted(tp)
		if !ok {
			continue
		}
		f.offsets[tp] = from
		if last, ok := before[tp]; !ok || last != from || f.throttled || asked == silentMost {
			continue
		}
		p.step(func(m *mirror.Machine) {
			if m.Source().Stable > from {
				asked++
				m.Silent(from)
			}
		})
	}
	f.listened, f.throttled = time.Now(), false
}

// limits sizes the next fetch: what the memory budget leaves to one fetcher, shared by the partitions so that
// many of them arrive together and fill produce requests together.
func (f *fetcher) limits() kafka.FetchLimits {
	lim := kafka.FetchLimits{MaxWaitMillis: int32(longPoll / time.Millisecond), MinBytes: 1, ReadCommitted: true}
	if len(f.paused) > 0 {
		lim.MaxWaitMillis = int32(shortPoll / time.Millisecond)
	}
	lim.MaxBytes = int32(min(max(f.engine.memory.share(), fetchBytesMin), fetchBytesMax))
	return lim
}

// partitionBytes is the most one partition may add to an answer.
func (f *fetcher) partitionBytes() int32 {
	share := min(max(f.engine.memory.share(), fetchBytesMin), fetchBytesMax) / int64(max(len(f.parts), 1))
	return int32(min(max(share, partitionBytesMin), partitionBytesMax))
}

// deliver steps the machines with what was fetched and tells the appenders about all of them at once, so that
// requests carry many partitions.
func (f *fetcher) deliver(ans *kafka.FetchAnswer) {
	ready := map[*appender][]*partition{}
	for i := range ans.Partitions {
		fp := &ans.Partitions[i]
		p := f.parts[fp.TopicPartition]
		if p == nil {
			continue
		}
		if fp.Err != nil {
			f.refused(p, fp)
			continue
		}
		tell := p.stepQuietly(func(m *mirror.Machine) {
			if fp.Diverging != nil {
				m.Diverged(fp.Diverging.Epoch, fp.Diverging.EndOffset)
				return
			}
			m.Fetched(toFetch(fp, ans))
		})
		if tell != nil {
			ready[tell] = append(ready[tell], p)
		}
	}
	for a, parts := range ready {
		a.enqueue(parts...)
	}
}

func toFetch(fp *kafka.FetchedPartition, ans *kafka.FetchAnswer) mirror.Fetch {
	fetch := mirror.Fetch{
		From: fp.From, Start: fp.LogStart, High: fp.HighWatermark, Stable: fp.LastStable,
		Records: fp.Records, Owner: ans.Buffer, Throttled: ans.Throttled,
	}
	for _, a := range fp.Aborted {
		fetch.Aborted = append(fetch.Aborted, mirror.Aborted{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	return fetch
}

// refused handles a partition that the source would not let us read.
func (f *fetcher) refused(p *partition, fp *kafka.FetchedPartition) {
	e := f.engine
	switch kafka.TroubleOf(fp.Err) {
	case kafka.OutOfRange:
		p.step(func(m *mirror.Machine) { m.SourceReadFailed() })
	case kafka.Denied:
		p.stop(fault.Fault{
			Kind: fault.Unauthorized, Offset: -1, Detail: "reading the topic on the source is denied: " + fp.Err.Error(),
			Next: "grant READ on the topic to kferry's principal on the source, then start kferry again",
		})
	default: // another leader, another topic id, a time-out: metadata will tell
		e.trouble("fetch from source", fp.Err, "topic", p.Topic, "partition", p.Partition)
		e.refreshSoon()
		p.mu.Lock()
		p.reads = position{}
		p.mu.Unlock()
		f.change(p, position{})
		e.later(sourceRetryInterval, func() {
			p.step(func(*mirror.Machine) {})
		})
	}
}
