package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run is the whole program but for os.Exit.
func run(args []string, s streams) int {
	ctx, stop := untilSignal(s)
	defer stop()
	root := newRootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		complain(s, err)
	}
	return int(codeOf(err))
}

// sameWish is how long after a signal another one is not a second wish.
const sameWish = 300 * time.Millisecond

// errInterrupted is why the context ended when a signal ended it.
var errInterrupted = errors.New("interrupted")

// untilSignal gives a context that the first SIGINT or SIGTERM ends, so that everything closes in order. The
// second ends the process at once; nothing is lost by it, the target's log is the state. What follows the first
// within a moment is the same wish: timeout(1), for one, signals its child and then its whole process group.
func untilSignal(s streams) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch {
			case first.IsZero():
				first = time.Now()
				fmt.Fprintln(s.err, "kferry: ending; once more to end at once")
				cancel(errInterrupted)
			case time.Since(first) > sameWish:
				os.Exit(int(exitInterrupted))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// interrupted says whether a signal ended ctx.
func interrupted(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errInterrupted) }

// rootOptions are the flags that every command has.
type rootOptions struct {
	verbose   bool
	logFormat string
}

func newRootCommand(s streams) *cobra.Command {
	opts := &rootOptions{}
	root := &cobra.Command{
		Use:   "kferry",
		Short: "Carry live Kafka topics to another cluster, with the same offsets",
		Long: `kferry copies live Kafka topics from a source cluster to a target cluster and
keeps every record at its offset, so that whatever holds offsets (consumer
groups, checkpoints, indexes) stays valid.

Try it without any cluster:
  kferry demo
First copy, without a file:
  kferry replicate --source-bootstrap-server A:9092 \
    --target-bootstrap-server B:9092 --topics 'orders.*' --until-caught-up

Every flag can also be given as an environment variable:
--source-bootstrap-server is KFERRY_SOURCE_BOOTSTRAP_SERVER. A flag is stronger
than its variable.` + exitHelp(allCodes()...),
		Args:                       cobra.ArbitraryArgs,
		RunE:                       runRoot,
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			return opts.setUpLogs(s.err)
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVarP(&opts.verbose, "verbose", "v", false, "log what is done in detail, on standard error")
	flags.StringVar(&opts.logFormat, "log-format", "text", "`format` of log lines: text or json")
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newReplicateCommand(s), newStatusCommand(s), newVerifyCommand(s), newFinalizeCommand(s), newRepairCommand(s),
		newDemoCommand(s), newVersionCommand(s), newDocsCommand(s),
	)
	root.InitDefaultCompletionCmd()
	return root
}

// runRoot is kferry without a command: help. With a word that is no command it is a mistake.
func runRoot(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("unknown command %q; see kferry --help", args[0])
}

func allCodes() []exitCode {
	var codes []exitCode
	for _, row := range exitCodes {
		codes = append(codes, row.code)
	}
	return codes
}

// logs is where log lines go now: progress on a terminal puts itself between, so that lines do not tear it.
var logs = &logTarget{}

// setUpLogs makes the default logger: warnings and errors, with -v everything.
func (o *rootOptions) setUpLogs(w io.Writer) error {
	logs.set(w)
	handler := &slog.HandlerOptions{Level: slog.LevelWarn}
	if o.verbose {
		handler.Level = slog.LevelDebug
	}
	switch o.logFormat {
	case "text":
		slog.SetDefault(slog.New(slog.NewTextHandler(logs, handler)))
	case "json":
		slog.SetDefault(slog.New(slog.NewJSONHandler(logs, handler)))
	default:
		return usagef("--log-format %q is neither text nor json", o.logFormat)
	}
	return nil
}

// notFromEnvironment are flags that one must type.
var notFromEnvironment = []string{"help", "yes", "force", "version"}

// fromEnvironment gives flags that were not typed the value of their variable.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	skip := shadowed(flags)
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, ok := lookup(name)
		if !ok || f.Changed || slices.Contains(notFromEnvironment, f.Name) || slices.Contains(skip, f.Name) {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			problems = append(problems, usagef("environment variable %s: %q is no value for --%s", name, value, f.Name))
		}
	})
	return errors.Join(problems...)
}

func variable(flag string) string {
	return "KFERRY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// shadowed names the flags whose variables do not count because the clusters were typed the other way.
func shadowed(flags *pflag.FlagSet) []string {
	typed := func(name string) bool {
		f := flags.Lookup(name)
		return f != nil && f.Changed
	}
	if typed("file") {
		return clusterFlags
	}
	if slices.ContainsFunc(clusterFlags, typed) {
		return []string{"file", "flow"}
	}
	return nil
}

// exactArgs refuses arguments in words; cobra's own check speaks of subcommands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
