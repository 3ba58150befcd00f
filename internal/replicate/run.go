package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/groups"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/topics"
)

// Run copies one flow until ctx ends (which is no error) or, with UntilCaughtUp, until everything that can be
// copied is on the target. Partitions that are faulted stand still and are in the document; they do not end
// the run. The document is the last one, also with an error if there was one before.
//
// Errors that a caller may want to tell apart: *SameClusterError, *NoTopicsError, *PreflightError,
// *kafka.DeniedError, *kafka.UnreachableError.
func Run(ctx context.Context, o Options) (*report.Document, error) {
	o = o.withDefaults()
	if err := checkClusters(o); err != nil {
		return nil, err
	}
	if err := checkTopics(ctx, o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	e := newEngine(ctx, o)
	defer e.stop(cancel)
	if err := e.preflight(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	e.log.Info("target probed", "fillers", e.caps.String(), "producerId", e.dataID.ID)
	if err := e.openState(ctx); err != nil {
		return nil, err
	}
	if err := e.openLedger(ctx); err != nil {
		return nil, err
	}
	e.keeper = topics.NewKeeper(o.Source, o.Target, topics.Options{
		Policy: o.Policy, Remembered: e.remembered, Reopen: o.Reopen,
	})
	e.groupSyncer = groups.New(o.Source, o.Target, groups.Options{Include: o.GroupInclude, Exclude: o.GroupExclude})
	e.watch(func() { e.endTxn.run(ctx) })
	if err := e.place(ctx); err != nil {
		return nil, err
	}
	return e.run(ctx, cancel)
}

// run lets everything work until it is time to stop.
func (e *Engine) run(ctx context.Context, cancel func()) (*report.Document, error) {
	finished := make(chan struct{})
	e.watch(func() { e.keepPlacing(ctx) })
	e.watch(func() { e.keepGroups(ctx) })
	e.watch(func() { e.keepState(ctx) })
	e.watch(func() { e.keepLedger(ctx) })
	e.watch(func() { e.keepReporting(ctx, func() { close(finished) }) })
	select {
	case <-finished:
		e.finishGroups(ctx)
	case <-ctx.Done():
	}
	doc := e.document(time.Now())
	e.publish(doc)
	e.stop(cancel)
	e.closeState(doc)
	return doc, nil
}

// checkClusters refuses to copy a cluster onto itself.
func checkClusters(o Options) error {
	s, t := o.Source, o.Target
	if s.ID() != "" && s.ID() == t.ID() {
		return &SameClusterError{s.Alias(), t.Alias(), s.ID()}
	}
	return nil
}

// checkTopics refuses expressions that match nothing, which is nearly always a mistake in them.
func checkTopics(ctx context.Context, o Options) error {
	md, err := o.Source.Metadata(ctx, nil)
	if err != nil {
		return err
	}
	var list []estate.Topic
	for _, t := range md.Topics {
		list = append(list, t)
	}
	if len(topics.Select(list, o.Include, o.Exclude)) > 0 {
		return nil
	}
	for name, err := range md.Errors {
		for _, re := range o.Include {
			if re.MatchString(name) && kafka.TroubleOf(err) == kafka.Denied {
				return fmt.Errorf("describe topic %s on cluster %s: %w", name, o.Source.Alias(), errors.Join(err, &kafka.DeniedError{Operation: "Read", ResourceType: "Topic", Resource: name, Cluster: o.Source.Alias()}))
			}
		}
	}
	patterns := make([]string, len(o.Include))
	for i, re := range o.Include {
		patterns[i] = re.String()
	}
	return &NoTopicsError{Patterns: patterns, Cluster: o.Source.Alias(), Visible: len(list)}
}
