package console

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; run with -update if the change is meant):\n%s", path, diff)
	}
}

// fits fails where a line is wider than the terminal.
func fits(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if n := cells(line); n > width {
			t.Errorf("a line takes %d columns of %d: %q", n, width, line)
		}
	}
}

// topic makes a topic of n partitions that hold 1,000,000 offsets each from start on, of which share is copied.
func topic(name string, n int, state report.State, start int64, share float64) report.Topic {
	t := report.Topic{Name: name, Mode: "identical", State: state}
	for i := range n {
		end := start + 1_000_000
		q := report.Partition{
			ID: int32(i), State: state, SourceStart: start, SourceEnd: end, SourceStable: end, TargetStart: start,
			TargetEnd: start + int64(share*1_000_000),
		}
		q.LagRecords = end - q.TargetEnd
		q.LagBytes = q.LagRecords * 300
		if q.LagRecords > 0 {
			q.RecordsPerSec, q.BytesPerSec = 12_345, 12_345*300
			q.ETASeconds = float64(q.LagRecords) / q.RecordsPerSec
		}
		q.Traffic = report.Traffic{RecordsCopied: q.TargetEnd - start, BytesRaw: 200 * (q.TargetEnd - start), OffsetsSeeded: start}
		t.LagRecords += q.LagRecords
		t.LagBytes += q.LagBytes
		t.Partitions = append(t.Partitions, q)
	}
	return t
}

// document is a flow with a bit of everything.
func document(topics ...report.Topic) *report.Document {
	doc := &report.Document{
		Version: report.Version, Flow: "old-new", Running: true, Updated: noon.Add(-2 * time.Second),
		Source: report.Cluster{Alias: "old", ID: "MkU3OEVBNTcwNTJENDM2Qg", Bootstrap: "broker1.example.com:9092", Brokers: 3},
		Target: report.Cluster{Alias: "new", ID: "Tk9vN0pHS1RlT1pzVmJLZw", Bootstrap: "b-1.msk.example.com:9096", Brokers: 6},
		Topics: topics, CaughtUp: true,
	}
	t := &doc.Totals
	for i := range topics {
		s := sumTopic(&topics[i])
		t.Topics++
		t.Partitions += s.partitions
		t.LagRecords += s.lag
		t.LagBytes += s.lagBytes
		t.RecordsPerSec += s.recordsPerSec
		t.BytesPerSec += s.bytesPerSec
		t.Traffic.Add(s.traffic)
		for _, q := range topics[i].Partitions {
			if q.Fault != nil {
				doc.Faults = append(doc.Faults, *q.Fault)
				t.FaultyPartitions++
			} else if q.LagRecords > 0 {
				doc.CaughtUp = false
			}
		}
	}
	t.ETASeconds = -1
	if t.RecordsPerSec > 0 {
		t.ETASeconds = float64(t.LagRecords) / t.RecordsPerSec
	}
	return doc
}

func mixed() *report.Document {
	orders := topic("orders.placed.v2", 3, report.CatchingUp, 1_000_000, 0.625)
	payments := topic("payments", 2, report.Following, 0, 1)
	payments.Partitions[1].Fault = &fault.Fault{
		Kind: fault.ForeignAppend, Topic: "payments", Partition: 1, Offset: 1_000_000, Count: 3,
		Detail: "the record was given offset 1000003 where 1000000 was expected",
		Next:   "stop whoever writes to payments on the target, delete the topic there and start kferry again", At: noon,
	}
	payments.Partitions[1].State = report.Faulted
	payments.State = report.Faulted
	stock := topic("inventory.stock-levels.by-warehouse.compacted", 1, report.Following, 0, 1)
	stock.Partitions[0].Traffic.GapsHoles, stock.Partitions[0].Traffic.GapsMarkers = 123_456, 12
	stock.Final = true
	stock.Notes = []string{"2 batches begin before the log start and were written anew"}
	seed := topic("audit", 1, report.Seeding, 4_000_000_000, 0)
	seed.Partitions[0].TargetStart, seed.Partitions[0].TargetEnd = 0, 1_000_000_000
	seed.LagBytes, seed.Partitions[0].LagBytes = -1, -1
	doc := document(orders, payments, stock, seed)
	doc.Totals.LagBytes = -1
	doc.Groups = []report.Group{
		{ID: "billing", Type: "classic", SourceState: "Stable", TargetState: "Empty", Synced: 3, At: noon.Add(-time.Second),
			Offsets: []report.GroupOffset{{Topic: "orders.placed.v2", Partition: 0, Source: 1_500_000, Target: 1_500_000}}},
		{ID: "search-indexer", Type: "consumer", SourceState: "Stable", Held: 1, Reason: "1 offset is beyond the target's end",
			Offsets: []report.GroupOffset{{Topic: "orders.placed.v2", Partition: 1, Source: 1_900_000, Target: -1, Reason: "beyond the target's end"}}},
		{ID: "evil\x1b[2Jgroup", Type: "classic", SourceState: "Empty", TargetState: "Stable", Held: 2, Reason: "live on the target: its own members own its offsets there"},
	}
	doc.Fillers = "WriteTxnMarkers: the principal may ALTER the target cluster"
	doc.Notes = []string{"retention.ms of audit is shorter than the time its copy takes at the present rate"}
	return doc
}

func TestStatusTables(t *testing.T) {
	for _, width := range []int{0, 40, 80, 200} {
		for _, wide := range []bool{false, true} {
			name := fmt.Sprintf("status-%d.txt", width)
			if wide {
				name = fmt.Sprintf("status-wide-%d.txt", width)
			}
			t.Run(name, func(t *testing.T) {
				var b strings.Builder
				if err := WriteStatus(&b, mixed(), View{Now: noon, Width: width, Wide: wide}); err != nil {
					t.Fatal(err)
				}
				golden(t, name, b.String())
				if width > 0 {
					fits(t, b.String(), width)
				}
			})
		}
	}
}

func TestStatusOfNothing(t *testing.T) {
	var b strings.Builder
	if err := WriteStatus(&b, &report.Document{Flow: "f"}, View{Now: noon}); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-empty.txt", b.String())
}

func TestSummary(t *testing.T) {
	done := document(topic("orders", 2, report.Following, 1_000_000, 1))
	for name, doc := range map[string]*report.Document{"summary-done.txt": done, "summary-faults.txt": mixed()} {
		var b strings.Builder
		if err := WriteSummary(&b, doc, 83*time.Second, View{Now: noon, Width: 80}); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		fits(t, b.String(), 80)
	}
}
