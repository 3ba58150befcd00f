package worker

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"

	"github.com/kferry/kferry/internal/replicate"
)

// engine runs kferry's replication until it is caught up, under the CPU
// profiler, and writes a heap profile at its end.
func engine(ctx context.Context, f *flag.FlagSet, args []string) error {
	var s sides
	s.flags(f)
	prefix := f.String("profile", "", "prefix of the profiles' file names")
	var o replicate.Options
	f.IntVar(&o.Policy.Replication.N, "replication-factor", 0, "replicas of the target topic")
	f.Int64Var(&o.MemoryBytes, "memory", 0, "bytes of fetched data held at most")
	f.Int64Var(&o.InFlightBytes, "in-flight", 0, "bytes under way to one broker at most")
	follow := f.Bool("follow", false, "go on until interrupted")
	if err := f.Parse(args); err != nil {
		return err
	}
	o.UntilCaughtUp = !*follow
	if err := os.MkdirAll(filepath.Dir(*prefix), 0o755); err != nil {
		return err
	}
	cpu, err := os.Create(*prefix + ".cpu.pprof")
	if err != nil {
		return err
	}
	defer cpu.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = replicateTopic(ctx, s, o)
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	heap, err := os.Create(*prefix + ".heap.pprof")
	if err != nil {
		return err
	}
	defer heap.Close()
	runtime.GC()
	return pprof.WriteHeapProfile(heap)
}

func replicateTopic(ctx context.Context, s sides, o replicate.Options) error {
	source, err := open(ctx, "source", s.source)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := open(ctx, "target", s.target)
	if err != nil {
		return err
	}
	defer target.Close()
	o.Source, o.Target = source, target
	o.Include = []*regexp.Regexp{regexp.MustCompile("^" + regexp.QuoteMeta(s.topic) + "$")}
	doc, err := replicate.Run(ctx, o)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	if doc == nil || !doc.CaughtUp || len(doc.Faults) > 0 {
		return fmt.Errorf("copy %s: not caught up, or with faults", s.topic)
	}
	return nil
}
