package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
)

// appender writes to one target broker for all partitions of one lane: pipelined requests, each with one batch
// of as many partitions as have something to send.
type appender struct {
	engine *Engine
	lane   lane

	mu       sync.Mutex // guards everything below
	ready    []*partition
	inFlight int64 // bytes sent and not answered
	wake     chan struct{}

	conn *kafka.Conn // owned by run

	unreplicated int64 // bytes sent with acks=1 since the last request with acks=all; owned by run
}

// Limits of one produce request and of what may be lost with a leader.
const (
	requestBytes      = 4 << 20
	requestPartitions = 500
	produceTimeout    = 30 * time.Second

	// maxUnreplicated bounds the tail that acks=1 may leave unreplicated on one broker. Should it be lost
	// with the leader, the target's log end says so and the source still has it; see mirror.
	maxUnreplicated = 16 << 20

	// keepAlive is well below connections.max.idle.ms (10 minutes by default, also on Amazon MSK): a
	// connection that the broker drops makes us read all log ends again.
	keepAlive = 4 * time.Minute
)

func newAppender(e *Engine, l lane) *appender {
	return &appender{engine: e, lane: l, wake: make(chan struct{}, 1)}
}

// enqueue notes that partitions have something to send. The caller has set queuedAt of each.
func (a *appender) enqueue(parts ...*partition) {
	a.mu.Lock()
	a.ready = append(a.ready, parts...)
	a.mu.Unlock()
	a.poke()
}

func (a *appender) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *appender) run(ctx context.Context) {
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	defer func() {
		if a.conn != nil {
			a.conn.Close()
		}
	}()
	for ctx.Err() == nil {
		if a.blocked() {
			select {
			case <-a.wake:
			case <-idle.C:
				a.touch(ctx)
			case <-ctx.Done():
			}
			continue
		}
		if !a.connect(ctx) {
			continue
		}
		a.assemble(ctx)
		a.sendOne(ctx)
	}
}

// blocked says whether there is nothing to send or no room in the window.
func (a *appender) blocked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ready) == 0 || a.inFlight >= a.window()
}

// window is how many bytes may be on their way over this connection. The window of a broker is that large
// because of links with a long round trip; it holds no memory of ours, bytes leave it when they are written.
func (a *appender) window() int64 { return a.engine.o.InFlightBytes / int64(a.engine.targetLanes) }

// A trickle is less than trickleBytes on its way. What comes then, while a request is unanswered, waits for
// trickleWait at most, so that it shares a request with what comes next: a broker that is busy with a request
// for every record answers late, and gets fewer and larger ones instead.
const (
	trickleBytes = 64 << 10
	trickleWait  = time.Millisecond
)

// assemble waits until the next request may go out.
func (a *appender) assemble(ctx context.Context) {
	if !a.trickle() {
		return
	}
	latest := time.NewTimer(trickleWait)
	defer latest.Stop()
	for a.trickle() {
		select {
		case <-a.wake:
		case <-latest.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// trickle says whether little is on its way, but something.
func (a *appender) trickle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight > 0 && a.inFlight < trickleBytes
}

// touch keeps an idle connection from being dropped.
func (a *appender) touch(ctx context.Context) {
	if a.conn == nil || a.conn.Err() != nil || a.conn.InFlight() > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := a.conn.Ping(ctx); err != nil {
		a.conn.Close()
	}
}

// connect makes sure that there is a usable connection. Whoever had something on the old one has been told.
func (a *appender) connect(ctx context.Context) bool {
	if a.conn != nil && a.conn.Err() == nil {
		return true
	}
	conn, err := a.engine.o.Target.Dial(ctx, a.lane.node)
	if err != nil {
		a.engine.trouble("connect to target broker", err, "node", a.lane.node)
		a.engine.refreshSoon()
		sleep(ctx, time.Second)
		return false
	}
	a.conn, a.unreplicated = conn, 0
	a.engine.watch(func() {
		select {
		case <-conn.Closed():
			a.engine.lost(a.lane)
		case <-ctx.Done():
		}
	})
	return true
}

// shipment is one batch of a request under way.
type shipment struct {
	p     *partition
	act   mirror.Action
	bytes int
}

// sendOne sends one request made of the heads of as many outboxes as fit.
func (a *appender) sendOne(ctx context.Context) {
	load, acks, total := a.collect()
	if len(load) == 0 {
		return
	}
	if !a.engine.throttle(ctx, total) {
		return
	}
	batches := make([]kafka.ProduceBatch, len(load))
	for i, s := range load {
		batches[i] = kafka.ProduceBatch{TopicPartition: s.p.TopicPartition, Batch: s.act.Bytes}
	}
	a.mu.Lock()
	a.inFlight += int64(total)
	a.mu.Unlock()
	err := a.conn.Produce(batches, acks, int32(produceTimeout/time.Millisecond), "", func(answers []kafka.Produced, err error) {
		a.answered(load, total, answers, err)
	})
	for _, s := range load {
		if s.act.Owner != nil {
			s.act.Owner.Release()
		}
	}
	if err != nil { // nothing was sent
		a.answered(load, total, nil, err)
	}
}

// collect takes the head of each ready partition's outbox, until the request is full.
func (a *appender) collect() (load []shipment, acks kafka.Acks, total int) {
	a.mu.Lock()
	ready := a.ready
	a.ready = nil
	a.mu.Unlock()
	acks = kafka.AcksAll
	var again []*partition
	for i, p := range ready {
		if total >= requestBytes || len(load) >= requestPartitions {
			again = append(again, ready[i:]...)
			break
		}
		s, more, bulk := p.takeHead(a)
		if more {
			again = append(again, p)
		}
		if s.p != nil {
			load = append(load, s)
			total += s.bytes
			if bulk {
				acks = kafka.AcksLeader
			}
		}
	}
	if len(again) > 0 {
		a.mu.Lock()
		a.ready = append(again, a.ready...)
		a.mu.Unlock()
	}
	if acks == kafka.AcksLeader {
		if a.unreplicated += int64(total); a.unreplicated > maxUnreplicated {
			acks = kafka.AcksAll
		}
	}
	if acks == kafka.AcksAll {
		a.unreplicated = 0
	}
	return load, acks, total
}

// bulkLag is how far behind a partition must be for acks=1: enough that its tail will be followed, and
// proven replicated, by later requests.
const bulkLag = 10_000

// takeHead takes the oldest append out of the outbox. more says whether others follow; bulk whether the
// partition is far behind.
func (p *partition) takeHead(a *appender) (s shipment, more, bulk bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queuedAt != a { // it moved to another broker meanwhile
		return shipment{}, false, false
	}
	for len(p.outbox) > 0 {
		act := p.outbox[0]
		p.outbox = p.outbox[1:]
		if act.Generation != p.machine.Generation() {
			if act.Owner != nil {
				act.Owner.Release()
			}
			continue
		}
		if act.Append == mirror.Seed {
			act.Bytes = seedBatch(int(act.Count), p.engine.dataID, act.Sequence)
		}
		p.outstanding++
		more = len(p.outbox) > 0
		if !more {
			p.queuedAt = nil
		}
		behind := p.machine.Source().Stable - p.machine.Position()
		return shipment{p, act, len(act.Bytes)}, more, behind > bulkLag
	}
	p.outbox, p.queuedAt = nil, nil
	return shipment{}, false, false
}

// answered gives every partition of a request its answer.
func (a *appender) answered(load []shipment, total int, answers []kafka.Produced, err error) {
	a.mu.Lock()
	waiting := len(a.ready) > 0
	a.inFlight -= int64(total)
	a.mu.Unlock()
	if waiting {
		a.poke()
	}
	var ready []*partition
	for i, s := range load {
		if s.p.settle(a, s, answerFor(s, i, answers), err) {
			ready = append(ready, s.p)
		}
	}
	if len(ready) > 0 {
		a.enqueue(ready...)
	}
}

// answerFor finds a shipment's answer, which is normally at the same place.
func answerFor(s shipment, i int, answers []kafka.Produced) *kafka.Produced {
	if i < len(answers) && answers[i].TopicPartition == s.p.TopicPartition {
		return &answers[i]
	}
	for j := range answers {
		if answers[j].TopicPartition == s.p.TopicPartition {
			return &answers[j]
		}
	}
	return nil
}

// settle steps the machine with the answer to one append. It returns whether the partition has something to
// send to this very appender.
func (p *partition) settle(from *appender, s shipment, ans *kafka.Produced, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outstanding--
	if p.outstanding == 0 {
		p.quiet.Broadcast()
	}
	gen := s.act.Generation
	switch {
	case err != nil || ans == nil:
		p.machine.Unknown(gen)
	case ans.Err == nil:
		p.machine.Appended(gen, ans.Base+p.by())
	default:
		p.refusedAppend(s, ans)
	}
	tell := p.obey()
	if tell == nil {
		return false
	}
	if tell == from {
		return true
	}
	tell.enqueue(p)
	return false
}

// refusedAppend sorts a broker's refusal of one append. The caller holds p.mu.
func (p *partition) refusedAppend(s shipment, ans *kafka.Produced) {
	e, gen := p.engine, s.act.Generation
	words := ans.Err.Error()
	if ans.Message != "" {
		words += ": " + ans.Message
	}
	switch kafka.TroubleOf(ans.Err) {
	case kafka.BadBatch:
		p.machine.Refused(gen, s.act.Base, fault.BatchRefused,
			"compare the broker's words with the topic's configuration on the target (max.message.bytes, segment.bytes, message.timestamp.*, cleanup.policy)",
			"the target refused a batch: "+words)
	case kafka.Damaged:
		p.machine.Refused(gen, s.act.Base, fault.CorruptBatch,
			"look at the batch on the source (kafka-dump-log); if it is sound there, suspect the memory of kferry's host",
			"the target found a checksum that does not match: "+words)
	case kafka.Denied:
		p.machine.Refused(gen, s.act.Base, fault.Unauthorized,
			"grant WRITE on the topic to kferry's principal on the target, then start kferry again", "writing to the target is denied: "+words)
	default:
		e.trouble("append to target", ans.Err, "topic", p.Topic, "partition", p.Partition, "offset", s.act.Base)
		e.refreshSoon()
		p.machine.Unknown(gen)
	}
}

// seedBatch makes a filler batch ready to send.
func seedBatch(n int, id kafka.ProducerID, sequence int32) []byte {
	raw := append([]byte(nil), fillerTemplate(n)...)
	// A filler batch is our own and sound; Rewrite cannot fail on it.
	if err := batch.Rewrite(raw, batch.Producer{ID: id.ID, Epoch: dataEpoch, Sequence: sequence}); err != nil {
		panic("replicate: filler batch: " + err.Error())
	}
	return raw
}
