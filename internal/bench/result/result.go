// Package result holds what a benchmark found and makes the page of it:
// medians, ratios, the comparison with what was aimed for. It is pure: numbers
// in, text out. What was measured is kept raw (docs/benchmarks.json), so that
// the page can be made again without measuring again.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/worker"
)

// The sections of a benchmark, in the order of the page.
const (
	One     = "one"     // a target of one broker
	Three   = "three"   // a target of three brokers, replication factor 3
	Many    = "many"    // 1,000 partitions
	WAN     = "wan"     // a target behind a round trip of 100 ms
	Recode  = "recode"  // batches that cannot pass as they are
	Seed    = "seed"    // offsets before the log start
	Latency = "latency" // at a steady rate
	Idle    = "idle"    // following partitions that nobody writes
)

// Sections lists all of them.
func Sections() []string { return []string{One, Three, Many, WAN, Recode, Seed, Latency, Idle} }

// The contenders.
const (
	Kferry    = "kferry"
	FranzGo   = "franz-go"
	MM2Tuned  = "MirrorMaker 2 tuned"
	MM2       = "MirrorMaker 2 default"
	Limit     = "produce limit"
	NoCopying = "none" // latency: a second consumer at the source
)

// Book is everything that was measured.
type Book struct {
	Machine   proc.Machine `json:"machine"`
	Kafka     string       `json:"kafka"` // brokers and MirrorMaker 2
	Java      string       `json:"java"`
	FranzGo   string       `json:"franzGo"` // version of the baseline's client
	Sections  []Section    `json:"sections"`
	Workloads []Workload   `json:"workloads"`
	Copies    []Copy       `json:"copies"`
	Latencies []LatencyRun `json:"latencies"`
	Idles     []IdleRun    `json:"idles"`
}

// Section says how one part of the book came about.
type Section struct {
	Name    string  `json:"name"`
	Date    string  `json:"date"`
	Scale   float64 `json:"scale"`
	Rounds  int     `json:"rounds"`
	Commit  string  `json:"commit"`  // of kferry; "" outside a repository
	Minutes float64 `json:"minutes"` // how long it took
}

// Workload is a topic as it lies on the source.
type Workload struct {
	Name        string `json:"name"`
	Codec       string `json:"codec"`
	Partitions  int    `json:"partitions"`
	RecordBytes int    `json:"recordBytes"` // before compression
	BatchBytes  int    `json:"batchBytes"`  // before compression
	Records     int64  `json:"records"`
	Batches     int64  `json:"batches"`
	WireBytes   int64  `json:"wireBytes"` // of all batches, compressed
	Note        string `json:"note,omitempty"`
}

// Copy is one run of one contender. Times are in seconds, memory in bytes.
type Copy struct {
	Section   string `json:"section"`
	Workload  string `json:"workload"`
	Contender string `json:"contender"`
	Round     int    `json:"round"` // from 1

	Records int64   `json:"records"` // that were on the target when the clock stopped
	Total   int64   `json:"total"`   // that the topic has
	Bytes   int64   `json:"bytes"`   // their share of the workload's wire bytes
	Cut     bool    `json:"cut"`     // the clock stopped because the run took too long
	Start   float64 `json:"start"`   // process start to the first record on the target
	Seconds float64 `json:"seconds"` // first record on the target to the last
	End     float64 `json:"end"`     // last record on the target to the end of the process; -1: it would follow for ever

	ToolCPU   float64 `json:"toolCPU"`   // user and system time within Seconds
	LifeCPU   float64 `json:"lifeCPU"`   // of the whole life of the process
	TargetCPU float64 `json:"targetCPU"` // of the target's brokers within Seconds
	SourceCPU float64 `json:"sourceCPU"` // of the source broker within Seconds
	OtherCPU  float64 `json:"otherCPU"`  // of everything else on the machine within Seconds: the kernel's own threads, strangers
	Stolen    float64 `json:"stolen"`    // taken by the hypervisor within Seconds

	PeakMemory int64  `json:"peakMemory"`
	Verified   string `json:"verified,omitempty"` // what kferry verify found afterwards
}

// LatencyRun is one run at a steady rate.
type LatencyRun struct {
	Contender string  `json:"contender"`
	Rate      int     `json:"rate"` // records a second
	Seconds   float64 `json:"seconds"`
	worker.LatencyResult
	ToolCPU    float64 `json:"toolCPU"`
	TargetCPU  float64 `json:"targetCPU"`
	SourceCPU  float64 `json:"sourceCPU"`
	OtherCPU   float64 `json:"otherCPU"` // the producer and the consumers included
	PeakMemory int64   `json:"peakMemory"`
}

// IdleRun is one look at a process that has nothing to do.
type IdleRun struct {
	What       string  `json:"what"`
	Partitions int     `json:"partitions"`
	Seconds    float64 `json:"seconds"`
	Memory     int64   `json:"memory"`
	PeakMemory int64   `json:"peakMemory"`
	ToolCPU    float64 `json:"toolCPU"`
	SourceCPU  float64 `json:"sourceCPU"`
	TargetCPU  float64 `json:"targetCPU"`
}

// Load reads a book; one that does not exist is empty.
func Load(path string) (*Book, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Book{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	b := &Book{}
	if err := json.Unmarshal(raw, b); err != nil {
		return nil, fmt.Errorf("read the results in %s: %w; measure again with all sections", path, err)
	}
	return b, nil
}

// Save writes the book.
func (b *Book) Save(path string) error {
	raw, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// Begin forgets what the book holds of a section, so that it can be measured anew.
func (b *Book) Begin(s Section) *Section {
	b.Sections = slices.DeleteFunc(b.Sections, func(o Section) bool { return o.Name == s.Name })
	b.Copies = slices.DeleteFunc(b.Copies, func(c Copy) bool { return c.Section == s.Name })
	switch s.Name {
	case Latency:
		b.Latencies = nil
	case Idle:
		b.Idles = nil
	}
	b.Sections = append(b.Sections, s)
	order := Sections()
	slices.SortFunc(b.Sections, func(x, y Section) int { return slices.Index(order, x.Name) - slices.Index(order, y.Name) })
	return b.Section(s.Name)
}

// Section finds a section, nil if it was not measured.
func (b *Book) Section(name string) *Section {
	for i := range b.Sections {
		if b.Sections[i].Name == name {
			return &b.Sections[i]
		}
	}
	return nil
}

// SetWorkload notes what a topic is like.
func (b *Book) SetWorkload(w Workload) {
	b.Workloads = slices.DeleteFunc(b.Workloads, func(o Workload) bool { return o.Name == w.Name })
	b.Workloads = append(b.Workloads, w)
}

// Workload finds a workload; the zero value if there is none.
func (b *Book) Workload(name string) Workload {
	for _, w := range b.Workloads {
		if w.Name == name {
			return w
		}
	}
	return Workload{Name: name}
}
