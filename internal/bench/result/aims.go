package result

import (
	"fmt"
	"math"
)

// Aim is one thing that was aimed for and what became of it.
type Aim struct {
	Against string // what kferry is compared with
	What    string
	Want    string
	Got     string
	Verdict string // "met", "missed by ..." or "not measured"
}

// bound is an aim as data: kferry's figure must be at least or at most limit.
type bound struct {
	against, what string
	atLeast       bool
	limit         float64
	show          func(float64) string
	value         func(b *Book) (float64, bool)
}

func times(v float64) string { return fmt.Sprintf("%.3gx", v) }

// share prints a ratio below one as people read it.
func share(v float64) string {
	if v > 0 && v < 0.5 {
		return fmt.Sprintf("1/%.3g", 1/v)
	}
	return fmt.Sprintf("%.2f", v)
}

// figure is one number of a summary.
type figure func(Summary) float64

func recordsSec(s Summary) float64 { return s.RecordsSec }
func cpuPerM(s Summary) float64    { return s.CPUPerM }
func peakMemory(s Summary) float64 { return s.PeakMemory }

// ratio is kferry's figure divided by another contender's.
func ratio(section, workload, against string, f figure) func(*Book) (float64, bool) {
	return func(b *Book) (float64, bool) {
		ours, ok := b.Summarize(section, workload, Kferry, 0)
		theirs, ok2 := b.Summarize(section, workload, against, 0)
		if !ok || !ok2 || f(theirs) == 0 {
			return 0, false
		}
		return f(ours) / f(theirs), true
	}
}

func rate(section, workload, against string, least float64) bound {
	return bound{against + where(section), "records/s, " + workload, true, least, times, ratio(section, workload, against, recordsSec)}
}

func cpu(section, workload, against string, most float64) bound {
	return bound{against + where(section), "CPU per record, " + workload, false, most, share, ratio(section, workload, against, cpuPerM)}
}

func memory(workload, against string, most float64) bound {
	return bound{against, "peak memory, " + workload, false, most, share, ratio(One, workload, against, peakMemory)}
}

func where(section string) string {
	if section == Three {
		return ", replication factor 3"
	}
	return ""
}

// The workloads that aims speak of.
const (
	LoadNone = "load-none"
	LoadLZ4  = "load-lz4"
	LoadZstd = "load-zstd"
	SmallLZ4 = "small-lz4"
	HotLZ4   = "hot-lz4"
)

func bounds() []bound {
	list := []bound{
		rate(One, LoadLZ4, MM2Tuned, 5), cpu(One, LoadLZ4, MM2Tuned, 1.0/12), memory(LoadLZ4, MM2Tuned, 1.0/10),
		rate(One, LoadNone, FranzGo, 1.5), rate(One, LoadLZ4, FranzGo, 3.5), rate(One, LoadZstd, FranzGo, 5), rate(One, SmallLZ4, FranzGo, 2),
		cpu(One, LoadNone, FranzGo, 0.55), cpu(One, LoadLZ4, FranzGo, 1.0/8), cpu(One, LoadZstd, FranzGo, 1.0/15), cpu(One, SmallLZ4, FranzGo, 1.0/5),
	}
	for _, w := range []string{LoadNone, LoadLZ4, LoadZstd, SmallLZ4} {
		list = append(list, memory(w, FranzGo, 1.0/6))
	}
	list = append(list,
		rate(Three, LoadLZ4, FranzGo, 2), rate(Three, SmallLZ4, FranzGo, 1.2),
		cpu(Three, LoadLZ4, FranzGo, 1.0/8), cpu(Three, SmallLZ4, FranzGo, 1.0/5))
	for _, w := range []string{LoadNone, LoadLZ4, LoadZstd, SmallLZ4} {
		list = append(list, rate(One, w, Limit, 0.9))
	}
	return append(list,
		bound{"the source's own floor", "latency, median above it, ms", false, 1, number("%.2f"), latency(func(l LatencyRun) float64 { return l.Target.P50 - l.Source.P50 })},
		bound{"-", "latency, 99th percentile, ms", false, 10, number("%.1f"), latency(func(l LatencyRun) float64 { return l.Target.P99 })},
		bound{"-", "cores at 1,000 records/s", false, 0.1, number("%.3f"), latency(func(l LatencyRun) float64 { return l.ToolCPU / l.Seconds })},
		bound{"-", "MB of memory, following 1,000 idle partitions", false, 128, number("%.0f"), idleMemory},
		bound{"itself without the round trip", "records/s through 100 ms, 8 partitions", true, 0.8, number("%.2f"), distance},
		bound{"-", "MB/s through 100 ms, one partition", true, 50, number("%.0f"), hotPartition},
	)
}

func number(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v) }
}

func latency(f func(LatencyRun) float64) func(*Book) (float64, bool) {
	return func(b *Book) (float64, bool) {
		for _, l := range b.Latencies {
			if l.Contender == Kferry {
				return f(l), true
			}
		}
		return 0, false
	}
}

// idleMemory is the worst of the looks.
func idleMemory(b *Book) (float64, bool) {
	worst := 0.0
	for _, i := range b.Idles {
		worst = max(worst, float64(i.Memory)/1e6)
	}
	return worst, worst > 0
}

func distance(b *Book) (float64, bool) {
	far, ok := b.Summarize(WAN, LoadLZ4, Kferry, 0)
	near, ok2 := b.Summarize(One, LoadLZ4, Kferry, 0)
	if !ok || !ok2 {
		return 0, false
	}
	return far.RecordsSec / near.RecordsSec, true
}

func hotPartition(b *Book) (float64, bool) {
	s, ok := b.Summarize(WAN, HotLZ4, Kferry, 0)
	return s.MBSec, ok
}

// Aims compares the book with what was aimed for.
func (b *Book) Aims() []Aim {
	var aims []Aim
	for _, x := range bounds() {
		sign := "<="
		if x.atLeast {
			sign = ">="
		}
		a := Aim{Against: x.against, What: x.what, Want: sign + " " + x.show(x.limit), Got: "-", Verdict: "not measured"}
		if v, ok := x.value(b); ok && !math.IsNaN(v) {
			a.Got, a.Verdict = x.show(v), verdict(x, v)
		}
		aims = append(aims, a)
	}
	return aims
}

func verdict(x bound, v float64) string {
	if x.atLeast == (v >= x.limit) || v == x.limit {
		return "met"
	}
	off := v/x.limit - 1
	if x.atLeast {
		off = 1 - v/x.limit
	}
	if off > 1.5 {
		return fmt.Sprintf("**missed: %.1f times as much**", v/x.limit)
	}
	return fmt.Sprintf("**missed by %.0f %%**", math.Ceil(100*off))
}
