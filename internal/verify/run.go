package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/verify/digest"
)

// run is one Run under way.
type run struct {
	o        Options
	topics   []*topicScope
	progress progress

	mu      sync.Mutex // guards what follows and every topicScope.result
	stats   digest.Stats
	differs []Difference
	skips   []Skip
}

// Run compares all selected topics. An error means that nothing was compared: no topic matches
// (*NoTopicsError), both sides are one cluster (*SameClusterError), a cluster does not answer. Everything that
// goes wrong later is in the Result, which is then incomplete; so is one that ctx cut short.
func Run(ctx context.Context, o Options) (*Result, error) {
	r := &run{o: o.withDefaults()}
	if id := o.Source.ID(); id != "" && id == o.Target.ID() {
		return nil, &SameClusterError{id, o.Source.Alias(), o.Target.Alias()}
	}
	begin := time.Now()
	if err := r.scope(ctx); err != nil {
		return nil, fmt.Errorf("find what to compare: %w", err)
	}
	var parts []*partition
	for _, t := range r.topics {
		parts = append(parts, t.partitions...)
	}
	r.settle(ctx, parts)
	looked := time.Now()
	stop := r.progress.begin(parts, o.OnProgress)
	r.compareAll(ctx, parts, looked)
	stop()
	return r.result(time.Since(begin)), nil
}

// compareAll works through the partitions, the longest first so that none is left running alone at the end.
func (r *run) compareAll(ctx context.Context, parts []*partition, looked time.Time) {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b *partition) int {
		return cmp.Compare(b.goal-b.ends[digest.Source].Start, a.goal-a.ends[digest.Source].Start)
	})
	jobs := make(chan *partition)
	var wg sync.WaitGroup
	for range min(r.o.Parallel, len(parts)) {
		wg.Go(func() {
			w := &worker{run: r, links: [2]*links{newLinks(r.o.Source, nil), newLinks(r.o.Target, nil)}}
			defer w.links[digest.Source].close()
			defer w.links[digest.Target].close()
			for p := range jobs {
				w.partition(ctx, p, looked)
				r.progress.partition()
			}
		})
	}
	for _, p := range parts {
		jobs <- p
	}
	close(jobs)
	wg.Wait()
}

// differ notes a difference; its topic is filled in.
func (r *run) differ(t *topicScope, d Difference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.Topic = t.name
	r.differs = append(r.differs, d)
	t.result.Differences++
}

// skip notes what is not compared.
func (r *run) skip(t *topicScope, partition *int32, what, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if partition != nil {
		id := *partition
		partition = &id
	}
	r.skips = append(r.skips, Skip{Topic: t.name, Partition: partition, What: what, Why: why})
	t.result.Skipped++
}

// account adds what one comparison counted.
func (r *run) account(t *topicScope, s digest.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Add(s)
	t.result.RecordsCompared += s.Records
	t.result.BytesCompared += s.Bytes
}

// result puts everything together. It is "equal" only if every partition in scope says so itself.
func (r *run) result(elapsed time.Duration) *Result {
	s := r.stats
	res := &Result{
		Result: Equal, Topics: len(r.topics), Differences: r.differs, Skipped: r.skips,
		RecordsCompared: s.Records, BytesCompared: s.Bytes,
		Source: r.o.Source.ID(), Target: r.o.Target.ID(), ElapsedSeconds: elapsed.Seconds(),
		DifferingRecords: s.Differing, BatchesIdentical: s.BatchesIdentical, BatchesDecoded: s.BatchesDecoded,
		AbortedNotCopied: s.AbortedNotCopied, AbortedFillers: s.AbortedFillers, AbortedOnTarget: s.AbortedForeign,
		MarkersSource: s.MarkersSource, MarkersTarget: s.MarkersTarget,
		Echoes: s.Echoes, CompactedSource: s.ThinnedSource, CompactedTarget: s.ThinnedTarget, Tombstones: s.Tombstones,
		Notes: r.notes(),
	}
	if res.Differences == nil {
		res.Differences = []Difference{}
	}
	if res.Skipped == nil {
		res.Skipped = []Skip{}
	}
	for _, t := range r.topics {
		res.Partitions += t.result.Partitions
		res.PerTopic = append(res.PerTopic, t.finish())
	}
	worst := func(is string) bool {
		return slices.ContainsFunc(res.PerTopic, func(t TopicResult) bool { return t.Result == is })
	}
	switch {
	case len(res.Differences) > 0 || worst(Different):
		res.Result = Different
	case len(res.Skipped) > 0 || worst(Incomplete) || len(r.topics) == 0:
		res.Result = Incomplete
	}
	slices.SortStableFunc(res.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	slices.SortStableFunc(res.Skipped, func(a, b Skip) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(number(a.Partition), number(b.Partition)))
	})
	return res
}

func number(p *int32) int32 {
	if p == nil {
		return -1
	}
	return *p
}

// finish judges one topic by its partitions.
func (t *topicScope) finish() TopicResult {
	for _, p := range t.partitions {
		if p.done {
			t.result.Compared++
		}
	}
	switch {
	case t.result.Differences > 0:
		t.result.Result = Different
	case t.result.Skipped > 0 || t.result.Compared != t.result.Partitions || t.result.Partitions == 0:
		t.result.Result = Incomplete
	default:
		t.result.Result = Equal
	}
	return t.result
}

// notes say in words what an operator should know though it is no difference.
func (r *run) notes() []string {
	s := r.stats
	notes := []string{}
	add := func(n int64, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	add(s.LogAppendTime, "%d records with the broker's time (LogAppendTime) on the source are CreateTime on the target, with equal values: no broker takes them from a client otherwise")
	add(s.NoTimestamp, "%d records of message format 0 have no timestamp on the source and CreateTime -1 on the target")
	add(s.AbortedNotCopied, "%d records of aborted transactions on the source are not on the target: consumers that read uncommitted see them on the source only")
	add(s.AbortedFillers, "%d filler records in aborted transactions on the target: consumers that read uncommitted see them until the topic is compacted")
	add(s.AbortedForeign, "%d records of aborted transactions on the target are not kferry's")
	add(s.Echoes, "%d target records are echoes: copies of the next record in place of what the source had compacted away, until the target is compacted")
	add(s.ThinnedSource, "%d target records were compacted away on the source, which has a later record of each key")
	add(s.ThinnedTarget, "%d source records were compacted away on the target, which has a later record of each key")
	add(s.Tombstones, "%d keys are deleted on both sides and their last record is left on one of them")
	for _, t := range r.topics {
		for side, p := range t.policy {
			if p.err != nil && len(t.partitions) > 0 {
				notes = append(notes, fmt.Sprintf("the configuration of %s could not be read on the %s, so it was taken as not compacted: %v", t.name, digest.Side(side), p.err))
			}
		}
	}
	return notes
}
