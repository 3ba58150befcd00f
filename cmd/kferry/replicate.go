package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/report"
)

type replicateOptions struct {
	flowOptions
	untilCaughtUp bool
	reopen        bool
	output        string
}

func newReplicateCommand(s streams) *cobra.Command {
	opts := &replicateOptions{}
	cmd := &cobra.Command{
		Use:   "replicate",
		Short: "Copy topics to the target and follow them, offsets unchanged",
		Long: `Copies the topics of one or all flows from source to target, every record at
its own offset, and carries the offsets of consumer groups. It follows the
source for ever, until Ctrl-C or SIGTERM; with --until-caught-up it ends when
the target holds what the source holds.

It may be killed and started again at any time: the target's log is the state,
nothing is kept locally.

Progress goes to standard error: bars on a terminal, lines elsewhere. With -o
json standard output gets one JSON object a line: {"event": "progress" |
"caught-up" | "fault" | "end", "flow": ..., "caughtUp": ..., "totals": {...},
"topics": [...], "fault": {...}}; the last line of a flow has the event "end"
and the whole status document in "report".

A partition that cannot be copied safely is faulted: it stands still, the
others go on.` +
			exitHelp(exitOK, exitFailed, exitUsage, exitRefused, exitFaults, exitUnreachable, exitInterrupted),
		Example: `  kferry replicate -f migration.yaml
  kferry replicate --source-bootstrap-server old1:9092 --target-bootstrap-server new1:9092 \
    --topics 'orders.*,payments' --until-caught-up`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReplicate(cmd.Context(), opts, s) },
	}
	opts.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&opts.untilCaughtUp, "until-caught-up", false, "end when the target holds everything the source holds")
	f.BoolVar(&opts.reopen, "reopen", false, "copy on into topics that were finalized, putting them back into the configuration of a copy")
	f.IntVar(&opts.replicationFactor, "replication-factor", 0, "replicas of created topics, without a file (default: the source's, at most the number of target brokers)")
	f.StringVarP(&opts.output, "output", "o", "text", "`format`: text or json")
	completeWords(cmd, "output", "text", "json")
	return cmd
}

// flowResult is how one flow ended.
type flowResult struct {
	flow *config.Flow
	doc  *report.Document
	err  error
	took time.Duration
}

func runReplicate(ctx context.Context, opts *replicateOptions, s streams) error {
	if err := oneOf("--output", opts.output, "text", "json"); err != nil {
		return err
	}
	m, flows, err := opts.load()
	if err != nil {
		return err
	}
	cs, err := openClusters(ctx, m, flows)
	defer cs.close()
	if err != nil {
		return wordsWhenInterrupted(ctx, err)
	}
	progress := newProgress(opts.output, s)
	logs.set(progress.Logs())
	results := replicateAll(ctx, cs, flows, opts, progress)
	progress.Close()
	logs.set(s.err)
	for _, r := range results {
		if err := printEnd(progress, s, r); err != nil {
			return err
		}
	}
	return replicateEnd(ctx, opts.untilCaughtUp, results)
}

// newProgress chooses how to show what is going on.
func newProgress(output string, s streams) console.Progress {
	switch {
	case output == "json":
		return console.NewLines(s.out, s.err)
	case terminal(s.err):
		return console.NewBars(s.err, func() (int, int) { return size(s.err) }, colored())
	}
	return console.NewPlain(s.err, time.Now)
}

// replicateAll runs every flow at the same time. A flow that ends with an error does not end the others, but its
// error is said at once.
func replicateAll(ctx context.Context, cs *clusters, flows []*config.Flow, opts *replicateOptions, progress console.Progress) []flowResult {
	results := make([]flowResult, len(flows))
	done := make(chan struct{})
	for i, f := range flows {
		go func() {
			defer func() { done <- struct{}{} }()
			started := time.Now()
			r := &results[i]
			r.flow = f
			var o replicate.Options
			if o, r.err = cs.engineOptions(f); r.err != nil {
				return
			}
			o.UntilCaughtUp, o.Reopen, o.OnReport = opts.untilCaughtUp, opts.reopen, progress.Report
			progress.Say("%s: copying topics from %s (%s) to %s (%s)", f.Name, f.Source, o.Source.ID(), f.Target, o.Target.ID())
			r.doc, r.err = replicate.Run(ctx, o)
			r.took = time.Since(started)
			if r.err != nil && len(flows) > 1 {
				progress.Say("kferry: flow %s: %v", f.Name, r.err)
			}
		}()
	}
	for range flows {
		<-done
	}
	return results
}

// printEnd prints a flow's summary, or its last JSON line.
func printEnd(progress console.Progress, s streams, r flowResult) error {
	if r.doc == nil {
		return nil
	}
	if lines, ok := progress.(*console.Lines); ok {
		lines.End(r.doc)
		return lines.Err()
	}
	return console.WriteSummary(s.out, r.doc, r.took, console.View{Now: time.Now(), Width: tableWidth(s.out)})
}

// replicateEnd finds the exit code: an error before anything else, then faults, then an interruption.
func replicateEnd(ctx context.Context, untilCaughtUp bool, results []flowResult) error {
	faulted, unfinished, refused := false, false, true
	for _, r := range results {
		if r.err != nil && !interrupted(ctx) {
			if len(results) > 1 {
				return fmt.Errorf("flow %s: %w", r.flow.Name, r.err)
			}
			return r.err
		}
		unfinished = unfinished || r.doc == nil || !r.doc.CaughtUp
		if r.doc != nil && len(r.doc.Faults) > 0 {
			faulted = true
			refused = refused && refusedAsWhole(r.doc)
		}
	}
	switch {
	case faulted && refused:
		return silent(exitRefused)
	case faulted:
		return silent(exitFaults)
	case unfinished && untilCaughtUp && interrupted(ctx):
		return silent(exitInterrupted)
	}
	return nil
}

// preconditions are the faults that stop a topic before a record is written.
var preconditions = map[fault.Kind]bool{
	fault.NotAPrefix: true, fault.PartitionMismatch: true, fault.Unauthorized: true, fault.TopicRefused: true, fault.SeedLimit: true,
	fault.ModeChanged: true, fault.ShiftUnknown: true,
}

// refusedAsWhole says whether nothing of a flow could be copied, for reasons that were there before it began.
func refusedAsWhole(doc *report.Document) bool {
	for _, f := range doc.Faults {
		if !preconditions[f.Kind] {
			return false
		}
	}
	for _, t := range doc.Topics {
		if t.Fault != nil {
			continue
		}
		for _, p := range t.Partitions {
			if p.Fault == nil {
				return false
			}
		}
	}
	return doc.Totals.RecordsCopied == 0
}

// wordsWhenInterrupted hides the errors that an interruption causes.
func wordsWhenInterrupted(ctx context.Context, err error) error {
	if interrupted(ctx) {
		return &exitError{exitInterrupted, errors.New("interrupted before anything was done")}
	}
	return err
}
