package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/report"
)

type statusOptions struct {
	flowOptions
	output   string
	watch    bool
	interval time.Duration
}

func newStatusCommand(s streams) *cobra.Command {
	opts := &statusOptions{flowOptions: flowOptions{topicsNarrow: true}, interval: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how far flows are: lag, rate, gaps, groups, faults",
		Long: `Shows, for each flow, the two clusters, every topic (with -o wide every
partition), the consumer groups and why some are not synced, and the faults
with what to do about them.

It works from anywhere: it asks both clusters, and reads what a running kferry
published on the target. Lag is in records; its size in bytes is estimated from
the mean record.

-o json and -o yaml print one document per flow, one after another. It exits
with 6 when there is a fault.` +
			exitHelp(exitOK, exitFailed, exitUsage, exitRefused, exitFaults, exitUnreachable),
		Example: `  kferry status -f migration.yaml
  kferry status -f migration.yaml --topics 'orders.*' -o wide --watch`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), opts, s) },
	}
	opts.addFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&opts.output, "output", "o", "table", "`format`: table, wide, json or yaml")
	f.BoolVarP(&opts.watch, "watch", "w", false, "show it again and again, until Ctrl-C")
	f.DurationVar(&opts.interval, "interval", opts.interval, "`time` between two looks with --watch")
	completeWords(cmd, "output", "table", "wide", "json", "yaml")
	return cmd
}

func runStatus(ctx context.Context, opts *statusOptions, s streams) error {
	if err := oneOf("--output", opts.output, "table", "wide", "json", "yaml"); err != nil {
		return err
	}
	if opts.interval < 100*time.Millisecond {
		return usagef("--interval %s is too short; write 100ms or more", opts.interval)
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
	var engines []replicate.Options
	for _, f := range flows {
		o, err := cs.engineOptions(f)
		if err != nil {
			return err
		}
		engines = append(engines, o)
	}
	look := func() (int, []byte, error) { return statusText(ctx, opts, engines, chosen, s) }
	if opts.watch {
		return watchStatus(ctx, opts, s, look)
	}
	faults, text, err := look()
	if err != nil {
		return wordsWhenInterrupted(ctx, err)
	}
	if _, err := s.out.Write(text); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if faults > 0 {
		return silent(exitFaults)
	}
	return nil
}

// statusText asks for every flow's document and prints all of them. It counts the faults.
func statusText(ctx context.Context, opts *statusOptions, engines []replicate.Options, chosen func(string) bool, s streams) (faults int, text []byte, err error) {
	var out bytes.Buffer
	for i, o := range engines {
		doc, err := replicate.Observe(ctx, o)
		if err != nil {
			return 0, nil, err
		}
		narrow(doc, chosen)
		faults += len(doc.Faults)
		if i > 0 && (opts.output == "table" || opts.output == "wide") {
			out.WriteString("\n")
		}
		if err := writeStatus(&out, doc, opts.output, tableWidth(s.out)); err != nil {
			return 0, nil, err
		}
	}
	return faults, out.Bytes(), nil
}

func writeStatus(w io.Writer, doc *report.Document, output string, width int) error {
	switch output {
	case "json":
		return writeJSON(w, console.WithLists(doc))
	case "yaml":
		return writeYAML(w, console.WithLists(doc))
	}
	return console.WriteStatus(w, doc, console.View{Now: time.Now(), Width: width, Wide: output == "wide"})
}

// narrow leaves out of a document what was not asked for. Groups stay: they are not the topics'.
func narrow(doc *report.Document, chosen func(string) bool) {
	var topics []report.Topic
	for _, t := range doc.Topics {
		if chosen(t.Name) {
			topics = append(topics, t)
		}
	}
	var faults []fault.Fault
	for _, f := range doc.Faults {
		if chosen(f.Topic) {
			faults = append(faults, f)
		}
	}
	if len(topics) == len(doc.Topics) && len(faults) == len(doc.Faults) {
		return
	}
	doc.Topics, doc.Faults = topics, faults
	doc.Sum()
}

// watchStatus prints again and again: in place on a terminal, one below the other elsewhere. After the first
// answer a cluster that does not answer for a while ends nothing.
func watchStatus(ctx context.Context, opts *statusOptions, s streams, look func() (int, []byte, error)) error {
	onScreen := terminal(s.out)
	for first := true; ; first = false {
		faults, text, err := look()
		switch {
		case interrupted(ctx):
			return nil
		case err != nil && first:
			return err
		case err != nil:
			complain(s, err)
		case onScreen:
			if err := repaint(s.out, string(text)); err != nil {
				return err
			}
		default:
			if _, err := s.out.Write(text); err != nil {
				return fmt.Errorf("write status: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			if faults > 0 {
				return silent(exitFaults)
			}
			return nil
		case <-time.After(opts.interval):
		}
	}
}

// repaint shows as much of the text as the terminal has rows, from its upper left corner.
func repaint(w io.Writer, text string) error {
	_, rows := size(w)
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > rows-1 {
		lines = append(lines[:max(1, rows-2)], "... (the terminal is too low for the rest)")
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(w, b.String())
	return err
}
