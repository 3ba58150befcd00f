// Command bench measures kferry beside MirrorMaker 2, beside a copy by an
// ordinary client, and beside what the target takes at most, on real brokers of
// this machine, and writes docs/benchmarks.md:
//
//	go run ./internal/bench                                        everything, about 35 minutes
//	go run ./internal/bench -scale 0.05 -rounds 1 -out /tmp/bench  a look, about 5 minutes
//	go run ./internal/bench -only latency,idle                     some sections; the others are kept
//	go run ./internal/bench -page                                  the page anew from the results
//
// It judges nothing: a timed test would fail on the next machine. The page says
// what was aimed for and what was missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/bench/worker"
	"github.com/kferry/kferry/internal/testbed"
)

// The kernel kills our children when the thread that started them ends, so they
// are started on the main thread, which ends with the program.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 && os.Args[1] == worker.Flag {
		os.Exit(worker.Main(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	scale     float64
	rounds    int
	sections  []string
	workloads []string // empty: all
	omit      []string // contenders
	out       string
	version   testbed.Version
	profile   string
	engine    []string
	reproduce []string
	pageOnly  bool
}

func (o options) results() string { return filepath.Join(o.out, "benchmarks.json") }
func (o options) page() string    { return filepath.Join(o.out, "benchmarks.md") }

func (o options) wants(workload string) bool {
	return len(o.workloads) == 0 || slices.Contains(o.workloads, workload)
}

func (o options) wantsContender(name string) bool { return !slices.Contains(o.omit, name) }

func parse() (options, error) {
	var o options
	flag.Float64Var(&o.scale, "scale", 1, "size of the topics: 1 is two million records of 1 KB")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of every contender")
	only := flag.String("only", "", "measure these `sections`: "+strings.Join(result.Sections(), ", "))
	workloads := flag.String("workloads", "", "`topics` to copy, such as load-lz4,small-lz4 (default: all)")
	omit := flag.String("omit", "", "`contenders` to leave out, such as 'MirrorMaker 2 default,franz-go'")
	flag.StringVar(&o.out, "out", "docs", "`directory` of benchmarks.md and benchmarks.json")
	kafkaVersion := flag.String("kafka", string(testbed.V39), "Kafka `release` of brokers and MirrorMaker 2")
	flag.StringVar(&o.profile, "profile", "", "run kferry's engine under the profiler and write profiles into this `directory`; not for results")
	engine := flag.String("engine", "", "with -profile, further `flags` of the engine, such as '-memory 33554432'")
	reproduce := flag.String("reproduce", "", "further `flags` of the franz-go contender, to find its best settings")
	flag.BoolVar(&o.pageOnly, "page", false, "measure nothing, write the page from the results")
	flag.Parse()
	if flag.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	o.sections = list(*only)
	if len(o.sections) == 0 {
		o.sections = result.Sections()
	}
	for _, s := range o.sections {
		if !slices.Contains(result.Sections(), s) {
			return o, fmt.Errorf("-only: no section %q; there are %s", s, strings.Join(result.Sections(), ", "))
		}
	}
	o.workloads, o.omit = list(*workloads), list(*omit)
	o.engine, o.reproduce = strings.Fields(*engine), strings.Fields(*reproduce)
	if o.scale <= 0 || o.rounds < 1 {
		return o, errors.New("-scale must be above 0, -rounds at least 1")
	}
	var err error
	o.version, err = testbed.ParseVersion(*kafkaVersion)
	return o, err
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func run(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the directory of the results: %w", err)
	}
	book, err := result.Load(o.results())
	if err != nil {
		return err
	}
	if o.pageOnly {
		return writePage(o, book)
	}
	if err := describe(ctx, book, o.version); err != nil {
		return err
	}
	r, err := newRig(ctx, o, book)
	if err == nil {
		err = r.measure(ctx)
	}
	if r != nil {
		err = errors.Join(err, r.close())
	}
	return errors.Join(err, book.Save(o.results()), writePage(o, book))
}

// measure measures the sections that were asked for.
func (r *rig) measure(ctx context.Context) error {
	failed := 0
	at := commit(ctx)
	for _, name := range r.o.sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		r.book.Begin(result.Section{Name: name, Date: began.UTC().Format(time.DateOnly), Scale: r.o.scale, Rounds: r.o.rounds, Commit: at})
		err := r.measureSection(ctx, name)
		r.book.Section(name).Minutes = time.Since(began).Minutes()
		if err != nil && !errors.Is(err, errSaid) {
			say("FAILED section %s: %v", name, err)
		}
		if err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d sections are not complete, see above", failed, len(r.o.sections))
	}
	return nil
}

// errSaid stands for failures that were told when they happened.
var errSaid = errors.New("some runs failed")

func writePage(o options, book *result.Book) error {
	old, err := os.ReadFile(o.page())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the page: %w", err)
	}
	if err := os.WriteFile(o.page(), []byte(book.Page(string(old))), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	for _, a := range book.Aims() {
		if a.Got == "-" {
			continue
		}
		say("%-40s %-45s aim %-8s measured %-8s %s", a.Against, a.What, a.Want, a.Got, a.Verdict)
	}
	return nil
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
