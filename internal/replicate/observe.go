package replicate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/groups"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/topics"
)

// fresh is how old a published report may be for its writer to count as running.
const fresh = 3 * publishInterval

// Observe tells the state of a flow from both clusters alone, read-only, wherever it runs. What only a
// replicating kferry can know (rates, traffic, faults, how groups were synced) is taken from the report that it
// published, if there is one.
//
// Errors: *SameClusterError, *NoTopicsError, *kafka.DeniedError.
func Observe(ctx context.Context, o Options) (*report.Document, error) {
	o = o.withDefaults()
	if err := checkClusters(o); err != nil {
		return nil, err
	}
	source, err := o.Source.Metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	names := topics.Select(slices.Collect(maps.Values(source.Topics)), o.Include, o.Exclude)
	if len(names) == 0 {
		if err := checkTopics(ctx, o); err != nil {
			return nil, err
		}
	}
	target, err := o.Target.Metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	doc := &report.Document{
		Version: report.Version, Flow: o.Flow, Updated: time.Now(),
		Source: clusterInfo(o.Source), Target: clusterInfo(o.Target),
		Topics: []report.Topic{}, Groups: []report.Group{}, Faults: []fault.Fault{},
	}
	shifts, err := LoadShifts(ctx, o)
	if err != nil {
		doc.Notes = append(doc.Notes, err.Error())
	}
	at, bt := leadersOf(source, names), leadersOf(target, names)
	s, t := o.Source.Ends(ctx, at), o.Target.Ends(ctx, bt)
	for _, name := range names {
		doc.Topics = append(doc.Topics, observeTopic(source.Topics[name], target.Topics[name], s, t, shifts))
	}
	if err := observeGroups(ctx, o, doc, t, shifts); err != nil {
		doc.Notes = append(doc.Notes, "groups could not be compared: "+err.Error())
	}
	mergePublished(ctx, o, doc, shifts)
	doc.Sum()
	return doc, nil
}

func leadersOf(md estate.Metadata, names []string) []kafka.Leader {
	var out []kafka.Leader
	for _, name := range names {
		for _, p := range md.Topics[name].Partitions {
			if p.Leader >= 0 {
				out = append(out, kafka.Leader{TopicPartition: estate.TopicPartition{Topic: name, Partition: p.ID}, Node: p.Leader, Epoch: p.LeaderEpoch})
			}
		}
	}
	return out
}

func observeTopic(source, target estate.Topic, s, t map[estate.TopicPartition]kafka.Ends, shifts *Shifts) report.Topic {
	topic := report.Topic{Name: source.Name, ID: source.ID, Partitions: []report.Partition{}}
	if target.Name == "" {
		topic.Notes = append(topic.Notes, "not on the target yet")
	}
	for _, sp := range source.Partitions {
		tp := estate.TopicPartition{Topic: source.Name, Partition: sp.ID}
		m, _ := shifts.Of(tp, source.ID, target.ID)
		topic.Partitions = append(topic.Partitions, observePartition(sp.ID, s, t, tp, m))
	}
	topic.Mode = modeOf(shifts.mode(source.Name, target), topic.Partitions)
	return topic
}

func observePartition(id int32, s, t map[estate.TopicPartition]kafka.Ends, tp estate.TopicPartition, m shift.Map) report.Partition {
	p := report.Partition{
		ID: id, State: report.Unknown, LagBytes: -1, ETASeconds: -1,
		SourceStart: -1, SourceEnd: -1, SourceStable: -1, TargetStart: -1, TargetEnd: -1,
	}
	if e, ok := s[tp]; ok && e.Err == nil {
		p.SourceStart, p.SourceEnd, p.SourceStable = e.Start, e.High, e.Stable
		p.LagRecords = e.High - e.Start
	}
	e, ok := t[tp]
	if !ok || e.Err != nil {
		return p
	}
	p.TargetStart, p.TargetEnd = e.Start, e.High
	p.Segments, p.Shift = m, m.Last().Shift
	if p.SourceEnd >= 0 {
		end := p.TargetEnd + p.Shift
		p.LagRecords = max(p.SourceEnd-max(end, p.SourceStart), 0)
		if end >= p.SourceStable && p.TargetStart == m.Start(p.SourceStart) {
			p.State, p.ETASeconds = report.Following, 0
		}
	}
	return p
}

// observeGroups compares the groups' positions on both sides, changing nothing.
func observeGroups(ctx context.Context, o Options, doc *report.Document, target map[estate.TopicPartition]kafka.Ends, shifts *Shifts) error {
	look := groups.New(o.Source, o.Target, groups.Options{Include: o.GroupInclude, Exclude: o.GroupExclude, ReadOnly: true})
	lines, err := look.SyncAll(ctx,
		func(topic string, partition int32) (groups.Mark, bool) {
			for _, t := range doc.Topics {
				if t.Name == topic && int(partition) < len(t.Partitions) {
					p := t.Partitions[partition]
					return groups.Mark{High: target[estate.TopicPartition{Topic: topic, Partition: partition}].High + p.Shift, Shift: p.Segments}, true
				}
			}
			return groups.Mark{}, false
		})
	if lines != nil {
		doc.Groups = lines
	}
	return err
}

// mergePublished adds what a replicating kferry told last.
func mergePublished(ctx context.Context, o Options, doc *report.Document, shifts *Shifts) {
	snapshot := shifts.Snapshot
	if shifts.stateErr != nil {
		doc.Notes = append(doc.Notes, "the published report cannot be read: "+shifts.stateErr.Error())
		return
	}
	last := snapshot.Report
	if last == nil {
		doc.Notes = append(doc.Notes, "no kferry has published a report for this flow yet")
		return
	}
	doc.Running = last.Running && time.Since(snapshot.ReportAt) < fresh
	doc.Fillers, doc.StartedAt = last.Fillers, last.StartedAt
	doc.Notes = append(doc.Notes, last.Notes...)
	if !doc.Running {
		doc.Notes = append(doc.Notes, "no kferry is replicating this flow now; the last report is of "+snapshot.ReportAt.UTC().Format(time.RFC3339))
	}
	if len(last.Groups) > 0 && doc.Running {
		doc.Groups = last.Groups
	}
	published := map[string]report.Topic{}
	for _, t := range last.Topics {
		published[t.Name] = t
	}
	for i := range doc.Topics {
		mergeTopic(&doc.Topics[i], published[doc.Topics[i].Name], doc.Running)
	}
}

// mergeTopic takes over what was published about one topic. Faults stay until somebody replicates again.
func mergeTopic(t *report.Topic, last report.Topic, running bool) {
	t.Final, t.Fault, t.Held = last.Final, last.Fault, last.Held && running
	t.Notes = append(t.Notes, last.Notes...)
	byID := map[int32]report.Partition{}
	for _, p := range last.Partitions {
		byID[p.ID] = p
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		l, ok := byID[p.ID]
		if !ok {
			continue
		}
		p.Traffic, p.Fault = l.Traffic, l.Fault
		if l.Traffic.RecordsCopied > 0 {
			p.LagBytes = p.LagRecords * ((l.Traffic.BytesRaw + l.Traffic.BytesRecoded) / l.Traffic.RecordsCopied)
		}
		switch {
		case l.State == report.Faulted:
			p.State = report.Faulted
		case running:
			p.RecordsPerSec, p.BytesPerSec, p.ETASeconds = l.RecordsPerSec, l.BytesPerSec, l.ETASeconds
			if p.State == report.Unknown {
				p.State = l.State
			}
			if p.State == report.Following && p.LagRecords > 0 && l.State != report.Following {
				p.State = l.State
			}
		}
	}
}
