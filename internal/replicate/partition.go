package replicate

import (
	"fmt"
	"sync"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/shift"
)

// partition is one machine and where its two sides live.
type partition struct {
	estate.TopicPartition
	engine    *Engine
	sourceID  estate.TopicID
	targetID  estate.TopicID
	compacted bool // the source compacts the topic

	mu          sync.Mutex // guards everything below
	machine     *mirror.Machine
	source      kafka.Leader
	target      kafka.Leader
	outbox      []mirror.Action // appends to be sent, in order
	queuedAt    *appender       // whose ready list it is in, nil if in none that still counts
	outstanding int             // requests that change the target's log, sent and not answered, of all generations
	quiet       *sync.Cond      // outstanding became 0
	reads       position        // what its fetcher was told last
	rate        meter
	wasAtEnd    bool // the machine was caught up once
	known       bool // the target topic was made or taken over by this flow
	mode        string
	shift       shift.Map // how target offsets follow from the source's; the machine knows the source's only
	targetStart int64     // the target's log start at its own offset, -1 if unknown
	retired     bool      // a repair is at work: this one copies no more
}

// position is what a fetcher is told about a partition.
type position struct {
	want bool
	soon bool // it will want again when what it has in hand has gone out
	pos  kafka.FetchPosition
}

func newPartition(e *Engine, tp estate.TopicPartition) *partition {
	p := &partition{TopicPartition: tp, engine: e, targetStart: -1}
	p.quiet = sync.NewCond(&p.mu)
	return p
}

// begin notes that a filler for an action is about to be sent: until finish, nobody reads the target's end. It
// is false if the machine does not wait for the action any more.
func (p *partition) begin(a mirror.Action) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.Generation != p.machine.Generation() {
		return false
	}
	p.outstanding++
	return true
}

// finish notes that a filler was answered, or can be on its way no more than a request whose connection died.
func (p *partition) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outstanding--
	if p.outstanding == 0 {
		p.quiet.Broadcast()
	}
}

// step gives the machine one event and carries out what it asks for. It must not be called with p.mu held.
func (p *partition) step(event func(*mirror.Machine)) {
	p.mu.Lock()
	event(p.machine)
	ready := p.obey()
	p.mu.Unlock()
	if ready != nil {
		ready.enqueue(p)
	}
}

// stepQuietly is step for a caller that enqueues several partitions at once: it returns the appender to tell.
func (p *partition) stepQuietly(event func(*mirror.Machine)) *appender {
	p.mu.Lock()
	defer p.mu.Unlock()
	event(p.machine)
	return p.obey()
}

// obey hands the machine's actions on. It returns the appender that must be told that p has something to
// send, nil if none must. The caller holds p.mu.
func (p *partition) obey() *appender {
	var tell *appender
	for _, a := range p.machine.Take() {
		switch a.Kind {
		case mirror.Append:
			p.outbox = append(p.outbox, a)
			if now := p.engine.appender(p.lane()); p.queuedAt != now {
				p.queuedAt, tell = now, now
			}
		case mirror.Mark:
			p.engine.mark(p, a)
		case mirror.Stop:
			p.clearOutbox()
			if by := p.by(); by != 0 {
				a.Fault.Detail += fmt.Sprintf(" (offsets are the source's; the target's are %d less)", by)
			}
			p.engine.faulted(p, *a.Fault)
		case mirror.Open:
			p.clearOutbox()
			p.engine.chore(p, a)
		default:
			p.engine.chore(p, a)
		}
	}
	p.tellFetcher()
	return tell
}

// clearOutbox drops appends of a past generation. The caller holds p.mu.
func (p *partition) clearOutbox() {
	for _, a := range p.outbox {
		if a.Owner != nil {
			a.Owner.Release()
		}
	}
	p.outbox = nil
}

// tellFetcher passes a changed wish on. The caller holds p.mu.
func (p *partition) tellFetcher() {
	from, want := p.machine.Wants()
	now := position{want: want && p.source.Node >= 0}
	now.soon = !now.want && p.machine.Phase() == mirror.Copying
	if now.want {
		now.pos = kafka.FetchPosition{
			TopicPartition: p.TopicPartition, TopicID: p.sourceID, Offset: from,
			LeaderEpoch: p.source.Epoch, LastEpoch: p.machine.LastEpoch(),
		}
	}
	if now == p.reads {
		return
	}
	p.reads = now
	p.engine.fetcher(p.route()).change(p, now)
}

// route and lane say which fetcher and which appender are p's. The caller holds p.mu.
func (p *partition) route() route {
	return route{p.source.Node, p.target.Node, laneOf(p.TopicPartition, p.engine.sourceLanes)}
}

func (p *partition) lane() lane {
	return lane{p.target.Node, laneOf(p.TopicPartition, p.engine.targetLanes)}
}

// newer returns what is known of a leader after the metadata said now: a broker that lags behind may still
// tell of an earlier epoch.
func newer(known, now kafka.Leader) kafka.Leader {
	if now.Epoch < known.Epoch && now.Epoch >= 0 {
		return known
	}
	return now
}

// move tells the partition where its leaders are now. A new leader of the target, or a new epoch of the same
// one, may hold a shorter log: both ends are read again before anything is sent there. A new leader of the source
// may hold another one, see mirror.
func (p *partition) move(source, target kafka.Leader) {
	p.mu.Lock()
	source, target = newer(p.source, source), newer(p.target, target)
	before, moved, sourceMoved := p.route(), target != p.target, source != p.source
	p.source, p.target = source, target
	if p.route() != before && p.reads.want {
		p.engine.fetcher(before).change(p, position{})
		p.reads = position{}
	}
	if sourceMoved {
		p.machine.SourceMoved()
	}
	if moved {
		p.machine.Unknown(p.machine.Generation())
	}
	tell := p.obey()
	p.mu.Unlock()
	if tell != nil {
		tell.enqueue(p)
	}
}

// stop faults the partition from outside the machine.
func (p *partition) stop(f fault.Fault) {
	p.step(func(m *mirror.Machine) { m.Stop(f) })
}
