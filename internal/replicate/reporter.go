package replicate

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate/mirror"
	"github.com/kferry/kferry/internal/report"
)

const (
	// reportInterval is how often a document is made and handed out.
	reportInterval = time.Second
	// endInterval is how often a run that ends when it is caught up looks whether it is.
	endInterval = 50 * time.Millisecond
)

// keepReporting makes documents until ctx ends. With UntilCaughtUp it calls done once, and returns, when the
// target holds for sure what the source held.
func (e *Engine) keepReporting(ctx context.Context, done func()) {
	published := time.Now()
	var goal map[estate.TopicPartition]kafka.Ends // where the source stood when every partition had been at its end
	for sleep(ctx, endInterval) {
		due := time.Since(published) >= reportInterval
		if e.o.UntilCaughtUp && goal == nil && e.allWereAtEnd() && e.placed() {
			goal = e.o.Source.Ends(ctx, e.sourceLeaders())
		}
		if !due && goal == nil {
			continue
		}
		e.readTargetHighs(ctx)
		if goal != nil && e.reached(goal) {
			done()
			return
		}
		if due {
			e.publish(e.document(time.Now()))
			published = time.Now()
		}
	}
}

// allWereAtEnd says whether every machine was at the end of its source once, or is faulted. All of them at one
// moment is more than a busy source may ever grant.
func (e *Engine) allWereAtEnd() bool {
	all := true
	for _, p := range e.all() {
		p.mu.Lock()
		p.wasAtEnd = p.wasAtEnd || p.machine.CaughtUp()
		all = all && (p.wasAtEnd || p.machine.Phase() == mirror.Faulted)
		p.mu.Unlock()
	}
	return all
}

func (e *Engine) sourceLeaders() []kafka.Leader {
	var leaders []kafka.Leader
	for _, p := range e.all() {
		source, _ := p.leaders()
		leaders = append(leaders, source)
	}
	return leaders
}

// reached says whether the target's high watermarks are at the goal, or beyond, or the partition is faulted.
// A partition whose goal could not be read must be at its end now.
func (e *Engine) reached(goal map[estate.TopicPartition]kafka.Ends) bool {
	for _, p := range e.all() {
		g, ok := goal[p.TopicPartition]
		p.mu.Lock()
		m := p.machine
		there := m.Phase() == mirror.Faulted
		if ok && g.Err == nil {
			there = there || m.Phase() == mirror.Copying && m.Target().High >= min(g.Stable, g.High)
		} else {
			there = there || m.CaughtUp() && m.Target().High >= m.Position()
		}
		p.mu.Unlock()
		if !there {
			return false
		}
	}
	return true
}

// readTargetHighs asks the target for its high watermarks: what is above is written and not yet safe.
func (e *Engine) readTargetHighs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var leaders []kafka.Leader
	parts := map[estate.TopicPartition]*partition{}
	for _, p := range e.all() {
		p.mu.Lock()
		if p.machine.Phase() != mirror.Faulted && p.target.Node >= 0 {
			leaders = append(leaders, p.target)
			parts[p.TopicPartition] = p
		}
		p.mu.Unlock()
	}
	for tp, ends := range e.o.Target.HighWatermarks(ctx, leaders) {
		if ends.Err == nil {
			p := parts[tp]
			p.step(func(m *mirror.Machine) { m.TargetHigh(ends.High + p.by()) })
		}
	}
}

// placed says whether every topic is there and has its partitions, or is faulted.
func (e *Engine) placed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.topics {
		if t.fault == nil && (!t.outcome.Ready || t.mode == "") {
			return false
		}
	}
	return true
}

// document is the state of the flow now.
func (e *Engine) document(now time.Time) *report.Document {
	doc := &report.Document{
		Version: report.Version, Flow: e.o.Flow, Updated: now, Running: true,
		Source: clusterInfo(e.o.Source), Target: clusterInfo(e.o.Target),
		Fillers: e.caps.String(), Topics: []report.Topic{}, Groups: e.groupReports(), Faults: []fault.Fault{},
		StartedAt: &e.startedAt,
	}
	byTopic := map[string][]report.Partition{}
	for _, p := range e.all() {
		byTopic[p.Topic] = append(byTopic[p.Topic], p.report(now))
	}
	e.mu.Lock()
	states := maps.Clone(e.topics)
	e.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(states)) {
		doc.Topics = append(doc.Topics, topicReport(name, states[name], byTopic[name]))
	}
	for _, note := range []string{e.stateless, e.noLedger} {
		if note != "" {
			doc.Notes = append(doc.Notes, note)
		}
	}
	doc.Sum()
	return doc
}

func clusterInfo(c *kafka.Cluster) report.Cluster {
	brokers := c.Brokers()
	addrs := make([]string, 0, len(brokers))
	for _, b := range brokers {
		addrs = append(addrs, b.Addr)
	}
	slices.Sort(addrs)
	return report.Cluster{Alias: c.Alias(), ID: c.ID(), Bootstrap: strings.Join(addrs, ","), Brokers: len(brokers)}
}

func topicReport(name string, t *topicState, parts []report.Partition) report.Topic {
	topic := report.Topic{
		Name: name, ID: t.outcome.SourceID, Mode: modeOf(t.mode, parts), Held: !t.held.IsZero(), Final: t.outcome.Finalized,
		Partitions: parts, Fault: t.fault, Notes: slices.Clone(t.outcome.Notes),
	}
	if topic.Partitions == nil {
		topic.Partitions = []report.Partition{}
	}
	if topic.Held {
		topic.Notes = append(topic.Notes, "left alone for a repair")
	}
	if t.outcome.Waiting != "" {
		topic.Notes = append(topic.Notes, "waiting: "+t.outcome.Waiting)
	}
	return topic
}

// report describes one partition.
func (p *partition) report(now time.Time) report.Partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.machine
	source, target, traffic := m.Source(), m.Target(), m.Traffic()
	p.rate.sample(now, traffic.RecordsCopied, traffic.BytesRaw+traffic.BytesRecoded)
	r := report.Partition{
		ID: p.Partition, State: p.stateWord(),
		SourceStart: source.Start, SourceEnd: source.High, SourceStable: source.Stable,
		TargetStart: target.Start, TargetEnd: target.High,
		LagBytes: -1, Traffic: traffic,
		RecordsPerSec: p.rate.recordsPerSec, BytesPerSec: p.rate.bytesPerSec, Fault: m.Fault(),
	}
	if source.High >= 0 {
		// What is above the target's high watermark is not safe yet and does not count as copied.
		r.LagRecords = max(source.High-max(min(target.High, m.Position()), source.Start, 0), 0)
		if traffic.RecordsCopied > 0 {
			r.LagBytes = r.LagRecords * ((traffic.BytesRaw + traffic.BytesRecoded) / traffic.RecordsCopied)
		}
	}
	r.ETASeconds = p.rate.eta(r.LagRecords)
	if len(p.shift) > 0 {
		r.Shift, r.Segments = p.by(), p.shift
		r.TargetStart = p.targetStart
		if r.TargetEnd >= 0 {
			r.TargetEnd -= p.by()
		}
	}
	return r
}

func (p *partition) stateWord() report.State {
	switch p.machine.Phase() {
	case mirror.Opening, mirror.Comparing:
		return report.Opening
	case mirror.Seeding:
		return report.Seeding
	case mirror.Faulted:
		return report.Faulted
	}
	if p.machine.CaughtUp() && p.machine.Target().High >= p.machine.Position() {
		return report.Following
	}
	return report.CatchingUp
}

// publish hands a document to whoever wants it: one after another, also where the last document of a run meets the
// reporter's.
func (e *Engine) publish(doc *report.Document) {
	e.publishing.Lock()
	defer e.publishing.Unlock()
	e.mu.Lock()
	e.last = doc
	e.mu.Unlock()
	if e.o.OnReport != nil {
		e.o.OnReport(doc)
	}
}
