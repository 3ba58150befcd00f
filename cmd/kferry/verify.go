package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/topics"
	"github.com/kferry/kferry/internal/verify"
)

type verifyOptions struct {
	flowOptions
	output   string
	countAll bool
	parallel int
}

func newVerifyCommand(s streams) *cobra.Command {
	opts := &verifyOptions{flowOptions: flowOptions{topicsNarrow: true}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare source and target at equal offsets, record by record",
		Long: `Reads both clusters and compares, partition by partition at equal offsets, log
start and log end, and every record: key, value, headers in their order,
timestamp and its type, as consumers of both isolation levels see them. It
writes nothing, needs no state of kferry's but the shifts of shifted topics, and may run while topics
are being copied: what the source holds when it begins is compared.

It prints the first difference of each partition, sizes and hashes but never
payload. The result is "equal" only if everything in scope was read from both
sides; what was not is listed with the reason.

Topics with shifted offsets are compared at the distance that kferry remembers
on the target; every offset that it prints is the source's, unless it says
"target offsets". Mode and shift are in the table and, as mode and shift of
per_topic[], in the JSON.

-o json prints one document per flow, one after another: result (equal,
different, incomplete), topics, partitions, records_compared, bytes_compared,
differences[], skipped[] and more.` +
			exitHelp(exitOK, exitFailed, exitUsage, exitDifferent, exitRefused, exitIncomplete, exitUnreachable, exitInterrupted),
		Example: `  kferry verify -f migration.yaml
  kferry verify --source-bootstrap-server old1:9092 --target-bootstrap-server new1:9092 --topics 'orders.*'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), opts, s) },
	}
	opts.addFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&opts.output, "output", "o", "table", "`format`: table or json")
	f.BoolVar(&opts.countAll, "count-all", false, "go on behind the first difference of a partition and count all")
	f.IntVar(&opts.parallel, "parallel", 0, "partitions compared at a time (default: two for each processor, 4 to 16)")
	completeWords(cmd, "output", "table", "json")
	return cmd
}

func runVerify(ctx context.Context, opts *verifyOptions, s streams) error {
	if err := oneOf("--output", opts.output, "table", "json"); err != nil {
		return err
	}
	if opts.parallel < 0 || opts.parallel > 1000 {
		return usagef("--parallel %d is not a number of partitions to compare at a time; write 1 to 1000", opts.parallel)
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
	var results []string
	for i, f := range flows {
		r, err := verifyFlow(ctx, opts, cs, f, chosen, s)
		if err != nil {
			return wordsWhenInterrupted(ctx, err)
		}
		results = append(results, r.Result)
		if opts.output == "json" {
			err = r.WriteJSON(s.out)
		} else {
			if i > 0 {
				fmt.Fprintln(s.out)
			}
			err = r.WriteTable(s.out)
		}
		if err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	switch {
	case slices.Contains(results, verify.Different):
		return silent(exitDifferent)
	case interrupted(ctx):
		return silent(exitInterrupted)
	case slices.Contains(results, verify.Incomplete):
		return silent(exitIncomplete)
	}
	return nil
}

// verifyFlow compares one flow, showing how far it is on standard error.
func verifyFlow(ctx context.Context, opts *verifyOptions, cs *clusters, f *config.Flow, chosen func(string) bool, s streams) (*verify.Result, error) {
	names, err := cs.topicNames(ctx, f, chosen)
	if err != nil {
		return nil, err
	}
	o, err := cs.engineOptions(f)
	if err != nil {
		return nil, err
	}
	shifts, err := replicate.LoadShifts(ctx, o)
	if err != nil {
		return nil, err
	}
	gauge := newGauge(s, f.Name)
	defer gauge.Close()
	return verify.Run(ctx, verify.Options{
		Source: cs.byAlias[f.Source], Target: cs.byAlias[f.Target],
		Include: literally(names), Parallel: opts.parallel, CountAll: opts.countAll,
		Shifts:     shifts.Of,
		OnProgress: func(p verify.Progress) { share, words := verifyWords(p); gauge.Set(share, words...) },
	})
}

// newGauge shows work on standard error.
func newGauge(s streams, title string) *console.Gauge {
	var columns func() int
	if terminal(s.err) {
		columns = func() int {
			c, _ := size(s.err)
			return c
		}
	}
	return console.NewGauge(s.err, columns, time.Now, title)
}

// verifyWords is what a gauge shows of a comparison.
func verifyWords(p verify.Progress) (share float64, words []string) {
	if p.Offsets > 0 {
		share = float64(p.OffsetsDone) / float64(p.Offsets)
	}
	words = append(words, console.Count(p.Records)+" records")
	if p.ETA > 0 && !p.Final {
		words = append(words, "ETA "+console.Duration(p.ETA))
	}
	return share, append(words, console.Rate(p.RecordsPerSec), console.BytesRate(p.BytesPerSec),
		fmt.Sprintf("%d of %d partitions", p.PartitionsDone, p.Partitions))
}

// topicNames are the flow's topics on the source that were chosen, sorted. None is a refusal.
func (cs *clusters) topicNames(ctx context.Context, f *config.Flow, chosen func(string) bool) ([]string, error) {
	source, target := cs.byAlias[f.Source], cs.byAlias[f.Target]
	if id := source.ID(); id != "" && id == target.ID() {
		return nil, &replicate.SameClusterError{Source: f.Source, Target: f.Target, ID: id}
	}
	md, err := source.Metadata(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list the topics of cluster %s: %w", f.Source, err)
	}
	all := slices.Collect(maps.Values(md.Topics))
	for name := range md.Errors {
		all = append(all, estate.Topic{Name: name})
	}
	include, err := expressions(f.Topics)
	if err != nil {
		return nil, err
	}
	exclude, err := expressions(f.Exclude)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(topics.Select(all, include, exclude), func(name string) bool { return !chosen(name) })
	if len(names) == 0 {
		patterns := []string{}
		for _, p := range f.Topics {
			patterns = append(patterns, p.String())
		}
		return nil, &replicate.NoTopicsError{Patterns: patterns, Cluster: f.Source, Visible: len(md.Topics)}
	}
	return names, nil
}

// literally makes expressions that match just the names.
func literally(names []string) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(names))
	for i, n := range names {
		out[i] = regexp.MustCompile(regexp.QuoteMeta(n))
	}
	return out
}
