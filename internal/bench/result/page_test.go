package result

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/worker"
)

// run is a copy of a million records in so many seconds.
func run(section, workload, contender string, round int, seconds, toolCPU, lifeCPU float64, peakMB int64) Copy {
	return Copy{
		Section: section, Workload: workload, Contender: contender, Round: round, Records: 1e6, Total: 1e6, Bytes: 8e8,
		Seconds: seconds, ToolCPU: toolCPU, LifeCPU: lifeCPU, TargetCPU: 2, PeakMemory: peakMB * 1e6,
	}
}

func sample() *Book {
	return &Book{
		Machine:   proc.Machine{Cores: 2, Processor: "p", MemoryMB: 1000, Kernel: "k", Go: "go1"},
		Sections:  []Section{{Name: One, Date: "2000-01-02", Scale: 0.5, Rounds: 3, Commit: "abc"}},
		Workloads: []Workload{{Name: LoadLZ4, Codec: "lz4", Partitions: 8, Records: 1e6, Batches: 7813, WireBytes: 8e8}},
		Copies: []Copy{
			run(One, LoadLZ4, Kferry, 1, 2, 1, 1.1, 100), run(One, LoadLZ4, Kferry, 2, 4, 1, 1.2, 120), run(One, LoadLZ4, Kferry, 3, 1, 1, 1.0, 110),
			run(One, LoadLZ4, FranzGo, 1, 8, 8, 11, 1100),
			run(One, LoadLZ4, MM2Tuned, 1, 20, 22, 90, 2200),
		},
	}
}

func TestSummaryIsTheMedianOfTheRounds(t *testing.T) {
	s, ok := sample().Summarize(One, LoadLZ4, Kferry, 2)
	if !ok {
		t.Fatal("no summary")
	}
	got := []float64{s.RecordsSec, s.MBSec, s.Seconds, s.CPUPerM, s.CPUPerGB, s.TargetPerM, s.PeakMemory}
	if diff := cmp.Diff([]float64{5e5, 400, 2, 1.1, 1.375, 2, 110e6}, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
	if _, ok := sample().Summarize(Three, LoadLZ4, Kferry, 2); ok {
		t.Error("a summary of a section that was not measured")
	}
}

// kferry and franz-go pay for their whole life, MirrorMaker 2 only for copying.
func TestWhoseStartIsCharged(t *testing.T) {
	b := sample()
	for contender, want := range map[string]float64{Kferry: 1.1, FranzGo: 11, MM2Tuned: 22} {
		if s, _ := b.Summarize(One, LoadLZ4, contender, 2); s.CPUPerM != want {
			t.Errorf("%s: %g CPU-seconds for a million records, want %g", contender, s.CPUPerM, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := Median(c.in); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.in, got, c.want)
		}
	}
}

func aim(t *testing.T, b *Book, against, what string) Aim {
	t.Helper()
	for _, a := range b.Aims() {
		if a.Against == against && a.What == what {
			return a
		}
	}
	t.Fatalf("no aim %s, %s", against, what)
	return Aim{}
}

func TestAims(t *testing.T) {
	b := sample()
	b.Latencies = []LatencyRun{{Contender: Kferry, Seconds: 10, ToolCPU: 2, LatencyResult: worker.LatencyResult{Target: worker.Spread{P50: 0.9, P99: 10}, Source: worker.Spread{P50: 0.2}}}}
	for _, c := range []struct{ against, what, got, verdict string }{
		{MM2Tuned, "records/s, load-lz4", "10x", "met"},
		{MM2Tuned, "CPU per record, load-lz4", "1/20", "met"},
		{FranzGo, "records/s, load-lz4", "4x", "met"},
		{FranzGo, "CPU per record, load-lz4", "1/10", "met"},
		{FranzGo, "peak memory, load-lz4", "1/10", "met"},
		{"the source's own floor", "latency, median above it, ms", "0.70", "met"},
		{"-", "latency, 99th percentile, ms", "10.0", "met"},
		{"-", "cores at 1,000 records/s", "0.200", "**missed by 100 %**"},
		{FranzGo, "records/s, load-zstd", "-", "not measured"},
	} {
		a := aim(t, b, c.against, c.what)
		if a.Got != c.got || a.Verdict != c.verdict {
			t.Errorf("%s, %s: %s %s, want %s %s", c.against, c.what, a.Got, a.Verdict, c.got, c.verdict)
		}
	}
	b.Copies = append(b.Copies, run(One, LoadLZ4, Limit, 1, 1.5, 1, 1, 1))
	if a := aim(t, b, Limit, "records/s, load-lz4"); a.Got != "0.75x" || a.Verdict != "**missed by 17 %**" {
		t.Errorf("against the limit: %+v", a)
	}
}

func TestPageKeepsWhatPeopleWrote(t *testing.T) {
	b := sample()
	first := b.Page("")
	written := strings.Replace(first, "<!-- hand: missed -->\n", "<!-- hand: missed -->\nThe disk is slow.\n\nReally.\n", 1)
	if written == first {
		t.Fatal("the page has no place for words about what was missed")
	}
	b.Copies = b.Copies[:4]
	second := b.Page(written)
	if !strings.Contains(second, "The disk is slow.\n\nReally.\n<!-- /hand -->") {
		t.Errorf("the words are gone:\n%s", second)
	}
	if strings.Contains(second, "MirrorMaker 2 tuned | 20") {
		t.Error("the page shows a run that is no longer in the book")
	}
	if third := b.Page(second); third != second {
		t.Error(cmp.Diff(second, third))
	}
}

func TestPageShowsRatiosAndDoubts(t *testing.T) {
	b := sample()
	b.Copies[4].Cut, b.Copies[4].Records = true, 250_000
	page := b.Page("")
	for _, want := range []string{
		"| kferry | 2.0 (2.0, 4.0, 1.0) | 500 | 400 | 1.10 | 1.38 | 2.00 | 3.10 | 110 |  |  |",
		"| franz-go | 8.0 (8.0) | 125 | 100 | 11.00 | 13.75 | 2.00 | 13.00 | 1100 | 4x | 1/10 |",
		"cut at 20 with 25 %",
		"at scale 0.5: too short for steady figures",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestBookSurvivesTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.json")
	empty, err := Load(path)
	if err != nil || len(empty.Copies) != 0 {
		t.Fatalf("a book that does not exist: %+v, %v", empty, err)
	}
	b := sample()
	b.Latencies = []LatencyRun{{Contender: Kferry, LatencyResult: worker.LatencyResult{Records: 7, Target: worker.Spread{P50: 1.5}}}}
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, again); diff != "" {
		t.Error(diff)
	}
}

func TestBeginForgetsOnlyItsSection(t *testing.T) {
	b := sample()
	b.Copies = append(b.Copies, run(Three, LoadLZ4, Kferry, 1, 2, 1, 1, 1))
	b.Begin(Section{Name: One})
	if len(b.Copies) != 1 || b.Copies[0].Section != Three {
		t.Errorf("left are %+v", b.Copies)
	}
	b.Begin(Section{Name: Latency})
	if len(b.Sections) != 2 || b.Sections[0].Name != One || b.Section(One).Date != "" {
		t.Errorf("sections are %+v", b.Sections)
	}
}
