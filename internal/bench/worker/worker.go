// Package worker holds what the benchmark runs as processes of their own, so
// that their CPU time and memory can be told from its own: a copy by
// franz-go's client, the raw produce limit of a target, a latency probe, and
// kferry's engine under a profiler.
//
// They are started by internal/bench with the same executable; nobody is meant
// to start them by hand.
package worker

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/kafka"
)

// Flag is the first argument of a process that is a worker; its kind and flags
// follow.
const Flag = "-worker"

// Main runs the worker that args (without Flag) ask for and returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench worker:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no kind of worker is given")
	}
	kinds := map[string]func(context.Context, *flag.FlagSet, []string) error{
		"reproduce": reproduce, "limit": limit, "latency": latency, "engine": engine,
	}
	work, ok := kinds[args[0]]
	if !ok {
		return fmt.Errorf("no such worker: %s", args[0])
	}
	return work(ctx, flag.NewFlagSet(args[0], flag.ContinueOnError), args[1:])
}

// sides are the flags that every worker has.
type sides struct {
	source, target, topic string
}

func (s *sides) flags(f *flag.FlagSet) {
	f.StringVar(&s.source, "source", "", "bootstrap addresses")
	f.StringVar(&s.target, "target", "", "bootstrap addresses")
	f.StringVar(&s.topic, "topic", "", "the topic to copy")
}

func addresses(list string) []string { return strings.Split(list, ",") }

// open opens a cluster as kferry does.
func open(ctx context.Context, alias, bootstrap string) (*kafka.Cluster, error) {
	return kafka.Open(ctx, kafka.Connection{Alias: alias, Bootstrap: addresses(bootstrap), ClientID: "bench"})
}

// codecFlag is a codec by its name.
type codecFlag struct{ batch.Codec }

func (c *codecFlag) Set(name string) (err error) {
	c.Codec, err = batch.ParseCodec(name)
	return err
}
