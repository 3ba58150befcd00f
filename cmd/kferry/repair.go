package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/repair"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/topics"
)

type repairOptions struct {
	flowOptions
	topic   string
	rebuild bool
	shifted bool
	dryRun  bool
	yes     bool
	output  string
}

func newRepairCommand(s streams) *cobra.Command {
	opts := &repairOptions{}
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Bring a topic that a fault stopped back into the copy",
		Long: `Repairs one topic, in one of two ways:

  --rebuild  deletes the target topic, creates it anew and lets it be copied from
             the start. Afterwards offsets are equal again.
  --shifted  leaves what the target holds, and goes on behind it in the partitions
             that are faulted. From there on target offsets are the source's less
             a constant shift; group offsets and verify follow it exactly, whatever
             holds offsets elsewhere must subtract it.

It finds out by content up to where both sides agree and says, partition by
partition and group by group, what will be lost and what will be copied again;
with --dry-run that is all it does. It refuses while a consumer group is live on
the target topic, and while somebody else has written there in the last minute.

A kferry that replicates the flow meanwhile needs no restart: it lets go of the
topic, and takes it up again after the repair. Without one, start kferry
replicate afterwards.

Every fault and its remedy: ` + fault.Page +
			exitHelp(exitOK, exitFailed, exitUsage, exitRefused, exitUnreachable, exitInterrupted),
		Example: `  kferry repair -f migration.yaml --topic orders --rebuild --dry-run
  kferry repair -f migration.yaml --topic orders --shifted --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRepair(cmd.Context(), opts, s) },
	}
	opts.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.topic, "topic", "", "`name` of the topic to repair")
	f.BoolVar(&opts.rebuild, "rebuild", false, "delete the target topic and copy it anew")
	f.BoolVar(&opts.shifted, "shifted", false, "go on behind what the target holds, with shifted offsets")
	f.BoolVar(&opts.dryRun, "dry-run", false, "say what would be lost and copied, and change nothing")
	f.BoolVarP(&opts.yes, "yes", "y", false, "do not ask before changing anything")
	f.StringVarP(&opts.output, "output", "o", "table", "`format`: table or json")
	_ = cmd.RegisterFlagCompletionFunc("topic", cobra.NoFileCompletions)
	completeWords(cmd, "output", "table", "json")
	return cmd
}

// check finds what is wrong with the flags alone.
func (o *repairOptions) check(s streams) error {
	if err := oneOf("--output", o.output, "table", "json"); err != nil {
		return err
	}
	switch {
	case o.topic == "":
		return usagef("no topic is named; give --topic NAME, see kferry status")
	case o.rebuild == o.shifted:
		return usagef("say how to repair: either --rebuild or --shifted; see kferry repair --help")
	case !o.dryRun && !o.yes && !terminal(s.in):
		return usagef("repair changes the target and there is no terminal to ask on; add --yes, or --dry-run to look first")
	}
	if o.file == "" && len(o.topics) == 0 {
		o.topics = []string{regexp.QuoteMeta(o.topic)}
	}
	return nil
}

func (o *repairOptions) action() repair.Action {
	if o.rebuild {
		return repair.Rebuild
	}
	return repair.Reattach
}

func runRepair(ctx context.Context, opts *repairOptions, s streams) error {
	if err := opts.check(s); err != nil {
		return err
	}
	m, flows, err := opts.load()
	if err != nil {
		return err
	}
	flows = slices.DeleteFunc(flows, func(f *config.Flow) bool { return !f.MatchTopic(opts.topic) })
	switch len(flows) {
	case 0:
		return &exitError{exitRefused, fmt.Errorf("repair: no flow carries topic %s; see topics and exclude of the flows", opts.topic)}
	case 1:
	default:
		return usagef("%d flows carry topic %s; choose one with --flow", len(flows), opts.topic)
	}
	cs, err := openClusters(ctx, m, flows)
	defer cs.close()
	if err != nil {
		return wordsWhenInterrupted(ctx, err)
	}
	return repairFlow(ctx, opts, cs, flows[0], s)
}

// repairFlow looks, says, asks and repairs.
func repairFlow(ctx context.Context, opts *repairOptions, cs *clusters, f *config.Flow, s streams) error {
	eo, err := cs.engineOptions(f)
	if err != nil {
		return err
	}
	if id := eo.Source.ID(); id != "" && id == eo.Target.ID() {
		return &replicate.SameClusterError{Source: f.Source, Target: f.Target, ID: id}
	}
	o, err := repairInput(ctx, opts, eo)
	if err != nil {
		return wordsWhenInterrupted(ctx, err)
	}
	plan, err := repair.Look(ctx, o)
	if err != nil {
		return wordsWhenInterrupted(ctx, fmt.Errorf("look at topic %s: %w", opts.topic, err))
	}
	if err := printPlan(opts, plan, s); err != nil {
		return err
	}
	if len(plan.Refusals) > 0 {
		for _, r := range plan.Refusals {
			complain(s, fmt.Errorf("repair refused: %s", r))
		}
		return silent(exitRefused)
	}
	if opts.dryRun {
		return nil
	}
	if !opts.yes && !ask(s, fmt.Sprintf("Repair topic %s so?", opts.topic)) {
		return &exitError{exitInterrupted, errors.New("repair: nothing was changed, because the answer was not yes")}
	}
	if err := repair.Do(ctx, plan, repair.DoOptions{
		Options: o, Policy: topics.Options{Policy: eo.Policy},
		Look: func(ctx context.Context) (*report.Document, error) { return replicate.Observe(ctx, eo) },
		Tell: func(words string) { fmt.Fprintln(s.err, "kferry: "+words) },
	}); err != nil {
		return repairFailed(ctx, opts.topic, err)
	}
	if opts.output == "table" {
		fmt.Fprintln(s.out, "\nDone: "+repairNext(plan))
	}
	return nil
}

// repairFailed says that it may be begun again.
func repairFailed(ctx context.Context, topic string, err error) error {
	if interrupted(ctx) {
		return &exitError{exitInterrupted, fmt.Errorf("repair of topic %s was interrupted; give the same command again", topic)}
	}
	return fmt.Errorf("repair topic %s: %w", topic, err)
}

// repairNext says what happens now.
func repairNext(plan *repair.Plan) string {
	if plan.Running {
		return "the kferry that replicates flow " + plan.Flow + " takes topic " + plan.Topic + " up again within seconds; see kferry status"
	}
	return "start kferry replicate, which copies topic " + plan.Topic + " on"
}

// repairInput gathers what is known of the topic.
func repairInput(ctx context.Context, opts *repairOptions, eo replicate.Options) (repair.Options, error) {
	doc, err := replicate.Observe(ctx, eo)
	var none *replicate.NoTopicsError
	if errors.As(err, &none) {
		return repair.Options{}, fmt.Errorf("topic %s: %w", opts.topic, err)
	}
	if err != nil {
		return repair.Options{}, err
	}
	shifts, err := replicate.LoadShifts(ctx, eo)
	if err != nil {
		return repair.Options{}, err
	}
	id, err := replicate.DataID(ctx, eo)
	if err != nil {
		return repair.Options{}, fmt.Errorf("ask for the producer id of flow %s: %w", eo.Flow, err)
	}
	mode := shifts.Begun(opts.topic)
	if opts.rebuild || mode == "" {
		mode = shifts.Wanted(opts.topic)
	}
	return repair.Options{
		Flow: eo.Flow, Source: eo.Source, Target: eo.Target, Topic: opts.topic, Action: opts.action(),
		Mode: mode, Report: doc, Shifts: shifts.Of, SourceID: shifts.SourceID(opts.topic), DataID: id, Now: time.Now,
	}, nil
}

func printPlan(opts *repairOptions, plan *repair.Plan, s streams) error {
	out := s.out
	var err error
	if opts.output == "json" {
		err = writeJSON(out, plan)
	} else {
		if !opts.dryRun {
			out = s.err // what is asked about is words
		}
		err = console.WriteRepair(out, repairTable(plan), tableWidth(out))
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// repairTable gives a plan the form in which it is shown.
func repairTable(plan *repair.Plan) console.Repair {
	r := console.Repair{
		Title: fmt.Sprintf("Topic %s of flow %s, %s", plan.Topic, plan.Flow, map[repair.Action]string{
			repair.Rebuild: "to be deleted on the target and copied anew", repair.Reattach: "to go on behind what the target holds",
		}[plan.Action]),
		Shifted: plan.Action == repair.Reattach, Notes: plan.Notes,
	}
	for _, p := range plan.Partitions {
		r.Partitions = append(r.Partitions, console.RepairPartition{
			Name: fmt.Sprintf("%s-%d", plan.Topic, p.ID), Fault: string(p.Fault), Agreed: p.Agreed,
			Foreign: p.Foreign, OnlyOnTarget: p.OnlyOnTarget, Gone: p.Gone, Copy: p.Copy, Bytes: p.Bytes,
			Attach: p.Attach, From: p.From, Target: p.TargetEnd, Shift: p.Shift,
		})
	}
	for _, g := range plan.Groups {
		r.Groups = append(r.Groups, [2]string{g.ID, g.What})
	}
	return r
}
