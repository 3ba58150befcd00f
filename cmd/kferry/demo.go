package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/demo"
	"github.com/kferry/kferry/internal/verify"
)

type demoOptions struct {
	keep bool
	live time.Duration
}

func newDemoCommand(s streams) *cobra.Command {
	opts := &demoOptions{live: 8 * time.Second}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See kferry at work without any cluster, in half a minute",
		Long: `Starts two embedded Kafka-protocol clusters on loopback, fills the source with
a hard history (log starts far above 0, all codecs, transactions that commit
and abort, a compacted topic with holes), lets producers and consumer groups
work on it, and carries everything to the target with the same engine that
replicate uses. Then the producers stop, every record is compared at equal
offsets, and it ends by itself.

The embedded clusters are kinder than brokers in places: the demo shows what
kferry does, the project's tests on real brokers prove it.` +
			exitHelp(exitOK, exitFailed, exitDifferent, exitIncomplete, exitFaults, exitInterrupted),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), opts, s) },
	}
	f := cmd.Flags()
	f.BoolVar(&opts.keep, "keep", false, "leave clusters, clients and kferry running until Ctrl-C, to look at them")
	f.DurationVar(&opts.live, "live", opts.live, "how `long` producers write while kferry copies")
	return cmd
}

func runDemo(ctx context.Context, opts *demoOptions, s streams) error {
	if opts.live < time.Second || opts.live > time.Hour {
		return usagef("--live %s is out of bounds; write 1s to 1h", opts.live)
	}
	progress := newProgress("text", s)
	logs.set(progress.Logs())
	out, err := demo.Run(ctx, demo.Options{
		Say: progress.Say, OnReport: progress.Report, Live: opts.live,
		Done: func(out *demo.Outcome) {
			progress.Close()
			logs.set(s.err)
			if err := writeOutcome(s.out, out); err != nil {
				complain(s, err)
			}
		},
		Keep: opts.keeper(s),
	})
	progress.Close()
	logs.set(s.err)
	if err != nil {
		return wordsWhenInterrupted(ctx, fmt.Errorf("demo: %w", err))
	}
	return silent(demoCode(out))
}

// keeper waits for Ctrl-C after saying how to look around; nil without --keep.
func (o *demoOptions) keeper(s streams) func(context.Context, string, string) {
	if !o.keep {
		return nil
	}
	return func(ctx context.Context, source, target string) {
		me := "kferry"
		if len(os.Args) > 0 && strings.Contains(os.Args[0], "/") {
			me = os.Args[0]
		}
		flags := fmt.Sprintf("--source-bootstrap-server %s --target-bootstrap-server %s --topics '.*'", source, target)
		fmt.Fprintf(s.err, "\nEverything keeps running until Ctrl-C. In another terminal:\n\n")
		for _, line := range []string{"status " + flags, "status " + flags + " -o wide --watch", "verify " + flags, "finalize " + flags + " --dry-run"} {
			fmt.Fprintf(s.err, "  %s %s\n", me, line)
		}
		fmt.Fprintf(s.err, "\nsource: %s\ntarget: %s\n", source, target)
		<-ctx.Done()
	}
}

// writeOutcome prints what was shown and what was found.
func writeOutcome(w io.Writer, out *demo.Outcome) error {
	var proofs []console.Proof
	for _, t := range out.Verify.PerTopic {
		proofs = append(proofs, console.Proof{Topic: t.Topic, Records: t.RecordsCompared, Result: t.Result})
	}
	fmt.Fprintln(w)
	if err := console.WriteProof(w, out.Document, proofs, tableWidth(w)); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, line := range outcomeLines(out) {
		if err := console.WriteText(w, line, tableWidth(w)); err != nil {
			return err
		}
	}
	return nil
}

// outcomeLines are the findings, the verdict last.
func outcomeLines(out *demo.Outcome) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, d := range out.Verify.Differences {
		place := d.Topic
		if d.Partition >= 0 {
			place = fmt.Sprintf("%s-%d at offset %d", d.Topic, d.Partition, d.Offset)
		}
		add("DIFFERENT %s: %s: %s", place, d.Kind, d.Detail)
	}
	for _, k := range out.Verify.Skipped {
		add("NOT COMPARED %s: %s: %s", k.Topic, k.What, k.Why)
	}
	for i := range out.Document.Faults {
		add("FAULT %s", out.Document.Faults[i].Error())
	}
	for _, g := range out.Groups {
		verdict := "equal"
		if !g.Equal() {
			verdict = "NOT EQUAL"
		}
		add("group %-15s %d of %d positions are the same on the target: %s", g.Group, g.Same, g.Partitions, verdict)
	}
	t := out.Document.Totals
	add("")
	add("%s: %d records compared at equal offsets (%s). %d of %d batches were passed as they are. It took %s.",
		strings.ToUpper(out.Verify.Result), out.Verify.RecordsCompared, console.Bytes(out.Verify.BytesCompared),
		t.BatchesRaw, t.BatchesRaw+t.BatchesRecoded, console.Duration(out.Took))
	return lines
}

// demoCode is 0 only if there is no fault, no difference, nothing left out and no position that differs.
func demoCode(out *demo.Outcome) exitCode {
	switch {
	case out.Faults():
		return exitFaults
	case out.Verify.Result == verify.Different || out.GroupsDiffer():
		return exitDifferent
	case out.Verify.Result != verify.Equal:
		return exitIncomplete
	}
	return exitOK
}
