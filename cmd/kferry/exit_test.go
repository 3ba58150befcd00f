package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/report"
)

func TestErrorsHaveExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want exitCode
	}{
		{nil, exitOK},
		{errors.New("disk full"), exitFailed},
		{usagef("wrong"), exitUsage},
		{config.Problems{{What: "unknown key"}}, exitUsage},
		{&replicate.SameClusterError{}, exitUsage},
		{&replicate.NoTopicsError{}, exitRefused},
		{&replicate.PreflightError{}, exitRefused},
		{&kafka.DeniedError{}, exitRefused},
		{&kafka.UnreachableError{}, exitUnreachable},
		{context.Canceled, exitInterrupted},
		{silent(exitIncomplete), exitIncomplete},
		{silent(exitOK), exitOK},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
		if c.err != nil {
			if got := codeOf(fmt.Errorf("flow f: %w", c.err)); got != c.want {
				t.Errorf("wrapped %v: %d, want %d", c.err, got, c.want)
			}
		}
	}
}

// TestEveryCodeOfACommandIsInItsHelp and in the table, once.
func TestEveryCodeOfACommandIsInItsHelp(t *testing.T) {
	seen := map[exitCode]bool{}
	for _, row := range exitCodes {
		if seen[row.code] || row.meaning == "" {
			t.Errorf("exit code %d stands twice or says nothing", row.code)
		}
		seen[row.code] = true
	}
	for _, cmd := range newRootCommand(streams{}).Commands() {
		switch cmd.Name() {
		case "replicate", "verify", "status", "finalize", "demo":
			if !strings.Contains(cmd.Long, "Exit codes:\n    0  ") {
				t.Errorf("%s does not list its exit codes", cmd.Name())
			}
		}
	}
}

func TestReplicateEnd(t *testing.T) {
	ctrlC, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted)
	healthy := func(lag int64) *report.Document {
		doc := &report.Document{CaughtUp: lag == 0, Topics: []report.Topic{{Name: "a", Partitions: []report.Partition{{LagRecords: lag}}}}}
		doc.Totals.RecordsCopied = 5
		return doc
	}
	faulty := func(kind fault.Kind, copied int64, others ...report.Partition) *report.Document {
		f := fault.Fault{Kind: kind, Topic: "a"}
		doc := &report.Document{CaughtUp: true, Faults: []fault.Fault{f}}
		doc.Topics = []report.Topic{{Name: "a", Partitions: append(others, report.Partition{Fault: &f})}}
		doc.Totals.RecordsCopied = copied
		return doc
	}
	for _, c := range []struct {
		name  string
		ctx   context.Context
		until bool
		res   []flowResult
		want  exitCode
	}{
		{"caught up", t.Context(), true, []flowResult{{doc: healthy(0)}}, exitOK},
		{"following, Ctrl-C", ctrlC, false, []flowResult{{doc: healthy(7)}}, exitOK},
		{"Ctrl-C before anything", ctrlC, false, []flowResult{{}}, exitOK},
		{"bounded, Ctrl-C", ctrlC, true, []flowResult{{doc: healthy(7)}}, exitInterrupted},
		{"bounded, Ctrl-C before anything", ctrlC, true, []flowResult{{}}, exitInterrupted},
		{"bounded, Ctrl-C at the end", ctrlC, true, []flowResult{{doc: healthy(0)}}, exitOK},
		{"faults", t.Context(), true, []flowResult{{doc: faulty(fault.ForeignAppend, 5)}}, exitFaults},
		{"faults, Ctrl-C", ctrlC, false, []flowResult{{doc: faulty(fault.ForeignAppend, 5)}}, exitFaults},
		{"refused as a whole", t.Context(), true, []flowResult{{doc: faulty(fault.NotAPrefix, 0)}}, exitRefused},
		{"refused in part", t.Context(), true, []flowResult{{doc: faulty(fault.NotAPrefix, 0, report.Partition{})}}, exitFaults},
		{"refused after copying", t.Context(), true, []flowResult{{doc: faulty(fault.TopicRefused, 3)}}, exitFaults},
		{"one flow refused, one with faults", t.Context(), true, []flowResult{{doc: faulty(fault.NotAPrefix, 0)}, {doc: faulty(fault.TopicGone, 9)}}, exitFaults},
		{"an error counts most", t.Context(), true, []flowResult{{doc: faulty(fault.TopicGone, 1)}, {flow: &config.Flow{}, err: &replicate.NoTopicsError{}}}, exitRefused},
		{"errors of an interruption do not count", ctrlC, false, []flowResult{{err: context.Canceled}}, exitOK},
	} {
		if got := codeOf(replicateEnd(c.ctx, c.until, c.res)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFlagsFromTheEnvironment(t *testing.T) {
	env := map[string]string{
		"KFERRY_SOURCE_BOOTSTRAP_SERVER": "env:1", "KFERRY_FILE": "env.yaml", "KFERRY_TOPICS": "a.*,b", "KFERRY_VERBOSE": "true",
		"KFERRY_YES": "true", "KFERRY_HELP": "true",
	}
	for _, c := range []struct {
		typed, source, file string
		problem             string
	}{
		{typed: "--source-bootstrap-server typed:1", source: "typed:1", file: ""}, // KFERRY_FILE would contradict what was typed
		{typed: "--file typed.yaml", source: "", file: "typed.yaml"},
		{typed: "--output json", source: "env:1", file: "env.yaml"},
	} {
		o, flags := parsed(t, c.typed)
		if err := fromEnvironment(flags, func(k string) (string, bool) { v, ok := env[k]; return v, ok }); err != nil {
			t.Fatal(err)
		}
		if o.sourceServers != c.source || o.file != c.file {
			t.Errorf("%s: source %q, file %q", c.typed, o.sourceServers, o.file)
		}
		if strings.Join(o.topics, "|") != "a.*|b" {
			t.Errorf("%s: topics %q", c.typed, o.topics)
		}
	}
	_, flags := parsed(t, "")
	err := fromEnvironment(flags, func(k string) (string, bool) { return "many", k == "KFERRY_REPLICATION_FACTOR" })
	if codeOf(err) != exitUsage || !strings.Contains(err.Error(), "KFERRY_REPLICATION_FACTOR") {
		t.Errorf("%v", err)
	}
}

// parsed is a set of flow flags with a command line.
func parsed(t *testing.T, line string) (*flowOptions, *pflag.FlagSet) {
	t.Helper()
	o, cmd, output := &flowOptions{}, &cobra.Command{}, ""
	o.addFlags(cmd)
	cmd.Flags().IntVar(&o.replicationFactor, "replication-factor", 0, "")
	cmd.Flags().StringVar(&output, "output", "", "")
	if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
		t.Fatal(err)
	}
	return o, cmd.Flags()
}
