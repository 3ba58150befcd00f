package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/state"
	"github.com/kferry/kferry/internal/topics"
	"github.com/kferry/kferry/internal/topics/settings"
)

type finalizeOptions struct {
	flowOptions
	output string
	dryRun bool
	yes    bool
	force  bool
}

func newFinalizeCommand(s streams) *cobra.Command {
	opts := &finalizeOptions{flowOptions: flowOptions{topicsNarrow: true}}
	cmd := &cobra.Command{
		Use:   "finalize",
		Short: "Give target topics the source's configuration",
		Long: `While a topic is copied its target has a configuration that lets every batch
pass unchanged (compression.type producer, CreateTime, no timestamp limits, no
compaction of what is not complete, ...). finalize gives it the effective
configuration of the source, and kferry remembers that and never turns it back.

Topics that are behind or faulted are left alone, and the exit code is 4,
unless --force is given. Run it when the writers have stopped on the source:
what a finalized topic's configuration does not let pass cannot be copied.` +
			exitHelp(exitOK, exitFailed, exitUsage, exitRefused, exitUnreachable, exitInterrupted),
		Example: `  kferry finalize -f migration.yaml --dry-run
  kferry finalize -f migration.yaml --topics 'orders.*' --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFinalize(cmd.Context(), opts, s) },
	}
	opts.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&opts.dryRun, "dry-run", false, "show what would be changed and change nothing")
	f.BoolVarP(&opts.yes, "yes", "y", false, "do not ask before changing anything")
	f.BoolVar(&opts.force, "force", false, "also topics that are behind or faulted")
	f.StringVarP(&opts.output, "output", "o", "table", "`format`: table or json")
	completeWords(cmd, "output", "table", "json")
	return cmd
}

// finalizing is one flow's part of the work.
type finalizing struct {
	flow   *config.Flow
	policy settings.Policy
	names  []string // topics to finalize
	behind []string // topics that are left alone, each with the reason
}

func runFinalize(ctx context.Context, opts *finalizeOptions, s streams) error {
	if err := oneOf("--output", opts.output, "table", "json"); err != nil {
		return err
	}
	if !opts.dryRun && !opts.yes && !terminal(s.in) {
		return usagef("finalize changes the target's topics and there is no terminal to ask on; add --yes, or --dry-run to look first")
	}
	chosen, err := opts.chosen()
	if err != nil {
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
	var work []*finalizing
	refused := false
	for _, f := range flows {
		w, err := prepareFinalize(ctx, opts, cs, f, chosen)
		if err != nil {
			return wordsWhenInterrupted(ctx, err)
		}
		for _, reason := range w.behind {
			refused = true
			complain(s, fmt.Errorf("finalize %s; wait until it is caught up, or add --force", reason))
		}
		work = append(work, w)
	}
	failed, err := finalizeAll(ctx, opts, cs, work, s)
	switch {
	case err != nil:
		return wordsWhenInterrupted(ctx, err)
	case failed:
		return silent(exitFailed)
	case refused:
		return silent(exitRefused)
	}
	return nil
}

// finalizeAll shows what is to be changed, asks, and changes it. It says whether something did not work.
func finalizeAll(ctx context.Context, opts *finalizeOptions, cs *clusters, work []*finalizing, s streams) (failed bool, err error) {
	if opts.dryRun || !opts.yes {
		out := s.out
		if !opts.dryRun {
			out = s.err // what is asked about is words; the data is what was done
		}
		changes := 0
		for _, w := range work {
			plan, err := w.finalize(ctx, cs, true)
			if err != nil {
				return false, err
			}
			changes += countChanges(plan)
			failed = printFinalized(out, opts.output == "json" && opts.dryRun, w.flow, plan, s) || failed
		}
		if opts.dryRun || changes == 0 {
			return failed, nil
		}
		if !ask(s, fmt.Sprintf("Change %d settings on the target?", changes)) {
			return false, &exitError{exitInterrupted, fmt.Errorf("finalize: nothing was changed, because the answer was not yes")}
		}
	}
	for _, w := range work {
		done, err := w.finalize(ctx, cs, false)
		if err != nil {
			return failed, err
		}
		failed = printFinalized(s.out, opts.output == "json", w.flow, done, s) || failed
	}
	return failed, nil
}

// prepareFinalize chooses the topics of a flow and sets those aside that are not ready.
func prepareFinalize(ctx context.Context, opts *finalizeOptions, cs *clusters, f *config.Flow, chosen func(string) bool) (*finalizing, error) {
	names, err := cs.topicNames(ctx, f, chosen)
	if err != nil {
		return nil, err
	}
	w := &finalizing{flow: f, policy: policyOf(f)}
	if opts.force {
		w.names = names
		return w, nil
	}
	o, err := cs.engineOptions(f)
	if err != nil {
		return nil, err
	}
	doc, err := replicate.Observe(ctx, o)
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{}
	for _, t := range doc.Topics {
		if t.LagRecords > 0 {
			reasons[t.Name] = fmt.Sprintf("topic %s: it is %d records behind", t.Name, t.LagRecords)
		}
	}
	for _, ft := range doc.Faults {
		reasons[ft.Topic] = fmt.Sprintf("topic %s: it has the fault %s", ft.Topic, ft.Kind)
	}
	for _, n := range names {
		if reason, ok := reasons[n]; ok {
			w.behind = append(w.behind, reason)
		} else {
			w.names = append(w.names, n)
		}
	}
	return w, nil
}

// finalize plans or makes the changes of one flow. What is made is remembered first.
func (w *finalizing) finalize(ctx context.Context, cs *clusters, dryRun bool) ([]topics.Finalized, error) {
	o := topics.FinalizeOptions{Policy: w.policy, DryRun: dryRun}
	if !dryRun {
		remember, err := w.memory(ctx, cs)
		if err != nil {
			return nil, err
		}
		o.Remember = remember
	}
	return topics.Finalize(ctx, cs.byAlias[w.flow.Source], cs.byAlias[w.flow.Target], w.names, o)
}

// memory writes into the state topic that a topic is finalized, beside what is remembered of it already.
func (w *finalizing) memory(ctx context.Context, cs *clusters) (func(context.Context, string, estate.TopicID, estate.TopicID) error, error) {
	store, err := state.Open(ctx, cs.byAlias[w.flow.Target], w.flow.Name, state.Options{Create: true})
	if err != nil {
		return nil, err
	}
	snapshot, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, topic string, source, target estate.TopicID) error {
		m := snapshot.Memory[topic]
		now := time.Now()
		m.Topic, m.SourceID, m.TargetID, m.Finalized = topic, source, target, &now
		return store.PutMemory(ctx, m)
	}, nil
}

func countChanges(all []topics.Finalized) (n int) {
	for _, f := range all {
		n += len(f.Changes)
	}
	return n
}

// printFinalized prints the changes of one flow to out, and complaints. It says whether something did not work.
func printFinalized(out io.Writer, asJSON bool, flow *config.Flow, all []topics.Finalized, s streams) (failed bool) {
	rows := []console.ConfigChange{}
	for _, f := range all {
		for _, c := range f.Changes {
			rows = append(rows, console.ConfigChange{Flow: flow.Name, Topic: f.Topic, Key: c.Key, From: c.From, To: c.To, Removed: c.Remove})
		}
		for _, n := range f.Notes {
			complain(s, fmt.Errorf("finalize topic %s: %s", f.Topic, n))
		}
		for _, c := range f.Differ {
			failed = true
			complain(s, fmt.Errorf("finalize topic %s: %s is %s and should be %s; set it by hand", f.Topic, c.Key, c.From, c.To))
		}
		if f.Err != nil {
			failed = true
			complain(s, f.Err)
		}
	}
	var err error
	switch {
	case asJSON:
		err = writeJSON(out, rows)
	case len(rows) > 0:
		err = console.WriteChanges(out, rows, tableWidth(out))
	case len(all) > 0 && !failed:
		_, err = fmt.Fprintf(out, "Flow %s: the topics have the source's configuration already.\n", flow.Name)
	}
	if err != nil {
		complain(s, fmt.Errorf("write the changes: %w", err))
	}
	return failed || err != nil
}

// ask puts a question to the terminal; only a yes is a yes, the end of input is a no.
func ask(s streams, question string) bool {
	fmt.Fprintf(s.err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(s.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}
