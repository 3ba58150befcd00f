package result

import (
	"fmt"
	"regexp"
	"strings"
)

// Page makes docs/benchmarks.md. Parts of old, the page as it was before, that
// lie between "hand" marks are kept: people write there what numbers cannot say.
func (b *Book) Page(old string) string {
	p := &page{book: b, hand: handWritten(old)}
	p.line("# Benchmarks", "")
	p.line("Written by `make bench` from [benchmarks.json](benchmarks.json); only what stands between `hand` marks is written by people and kept.", "")
	p.keep("summary")
	p.aims()
	p.keep("missed")
	p.copies(One, "A target of one broker")
	p.copies(Three, "A target of three brokers, replication factor 3")
	p.copies(Many, "1,000 partitions")
	p.copies(WAN, "A round trip of 100 ms to the target")
	p.copies(Recode, "Batches that cannot pass as they are")
	p.seeding()
	p.latencies()
	p.idle()
	p.keep("reading")
	p.workloads()
	p.recipe()
	p.keep("caveats")
	return strings.TrimRight(p.out.String(), "\n") + "\n"
}

type page struct {
	book *Book
	hand map[string]string
	out  strings.Builder
}

func (p *page) line(lines ...string) {
	for _, l := range lines {
		p.out.WriteString(l + "\n")
	}
}

func (p *page) linef(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

// table writes a table, the first row being its head.
func (p *page) table(rows [][]string) {
	for i, r := range rows {
		p.line("| " + strings.Join(r, " | ") + " |")
		if i == 0 {
			p.line("|" + strings.Repeat("---|", len(r)))
		}
	}
	p.line("")
}

var handMark = regexp.MustCompile(`(?s)<!-- hand: ([a-z]+) -->\n(.*?)<!-- /hand -->`)

func handWritten(old string) map[string]string {
	hand := map[string]string{}
	for _, m := range handMark.FindAllStringSubmatch(old, -1) {
		hand[m[1]] = m[2]
	}
	return hand
}

// keep writes a hand-written part as it was, or an empty one.
func (p *page) keep(name string) {
	p.line("<!-- hand: " + name + " -->")
	p.out.WriteString(p.hand[name])
	p.line("<!-- /hand -->", "")
}

func (p *page) aims() {
	p.line("## Aims", "", "Ratios are kferry's figure divided by the other's, medians by medians.", "")
	rows := [][]string{{"against", "what", "aim", "measured", ""}}
	for _, a := range p.book.Aims() {
		rows = append(rows, []string{a.Against, a.What, a.Want, a.Got, a.Verdict})
	}
	p.table(rows)
}

// scale says what is unusual about a section.
func (p *page) scale(name string) {
	s := p.book.Section(name)
	if s == nil {
		return
	}
	text := "Measured on " + s.Date
	if s.Commit != "" {
		text += ", kferry " + s.Commit
	}
	if s.Scale != 1 {
		text += fmt.Sprintf(", **at scale %g: too short for steady figures**", s.Scale)
	}
	p.line(text+".", "")
}

func (p *page) copies(section, title string) {
	workloads := p.book.workloadsOf(section)
	if len(workloads) == 0 {
		return
	}
	p.line("## "+title, "")
	p.scale(section)
	for _, w := range workloads {
		p.copyTable(section, w)
	}
	p.keep(section)
}

func (p *page) copyTable(section, workload string) {
	w := p.book.Workload(workload)
	p.linef("### %s", workload)
	p.line("")
	rows := [][]string{{"contender", "seconds: median (rounds)", "k records/s", "MB/s", "CPU-s per M records", "CPU-s per GB", "target CPU-s per M", "both per M", "peak MB", "kferry's speed", "kferry's CPU"}}
	cores := p.book.Machine.Cores
	ours, haveOurs := p.book.Summarize(section, workload, Kferry, cores)
	noise := 0.0
	for _, name := range p.book.contendersOf(section, workload) {
		s, ok := p.book.Summarize(section, workload, name, cores)
		if !ok {
			continue
		}
		noise = max(noise, s.Other)
		faster, cheaper := "", ""
		if haveOurs && name != Kferry {
			faster, cheaper = times(ours.RecordsSec/s.RecordsSec), share(ours.CPUPerM/s.CPUPerM)
		}
		if name == Limit { // it has nothing to fetch, and holds the whole topic
			cheaper = ""
		}
		rows = append(rows, []string{
			name, seconds(s), fmt.Sprintf("%.0f", s.RecordsSec/1e3), fmt.Sprintf("%.0f", s.MBSec),
			fmt.Sprintf("%.2f", s.CPUPerM), fmt.Sprintf("%.2f", s.CPUPerGB), fmt.Sprintf("%.2f", s.TargetPerM), fmt.Sprintf("%.2f", s.CPUPerM+s.TargetPerM),
			fmt.Sprintf("%.0f", s.PeakMemory/1e6), faster, cheaper,
		})
	}
	p.table(rows)
	p.linef("%d records, %.0f MB in %d batches. The rest of the machine took at most %.0f %% of it in any run.", w.Records, float64(w.WireBytes)/1e6, w.Batches, 100*noise)
	p.line("")
}

// seconds are the median and the rounds; runs that were cut have a >.
func seconds(s Summary) string {
	rounds := make([]string, len(s.Runs))
	for i, c := range s.Runs {
		rounds[i] = fmt.Sprintf("%.1f", c.Seconds)
		if c.Cut {
			rounds[i] = fmt.Sprintf("cut at %.0f with %.0f %%", c.Seconds, 100*c.part())
		}
	}
	if s.Cut {
		return strings.Join(rounds, ", ")
	}
	return fmt.Sprintf("%.1f (%s)", s.Seconds, strings.Join(rounds, ", "))
}

func (p *page) seeding() {
	if p.book.Section(Seed) == nil {
		return
	}
	p.line("## Seeding", "")
	p.scale(Seed)
	rows := [][]string{{"offsets", "seconds: median (rounds)", "M offsets/s", "kferry CPU-s per M offsets", "target CPU-s per M offsets", "peak MB"}}
	for _, w := range p.book.workloadsOf(Seed) {
		s, ok := p.book.Summarize(Seed, w, Kferry, p.book.Machine.Cores)
		if !ok {
			continue
		}
		rows = append(rows, []string{
			fmt.Sprintf("%d", s.Runs[0].Records), seconds(s), fmt.Sprintf("%.1f", s.RecordsSec/1e6),
			fmt.Sprintf("%.4f", s.CPUPerM), fmt.Sprintf("%.3f", s.TargetPerM), fmt.Sprintf("%.0f", s.PeakMemory/1e6),
		})
	}
	p.table(rows)
	p.keep(Seed)
}

func (p *page) latencies() {
	if len(p.book.Latencies) == 0 {
		return
	}
	p.line("## Latency", "")
	p.scale(Latency)
	l := p.book.Latencies[0]
	p.linef("%d records/s of 1 KB over 4 partitions, for %.0f s after a warm-up. Milliseconds from the producer's acknowledgement at the source until a consumer has the record: at the target, and, in the same run, at the source.", l.Rate, l.Seconds)
	p.line("")
	rows := [][]string{{"replicator", "target p50", "p90", "p99", "p99.9", "max", "source p50 / p99 / max", "median above the source's", "replicator cores", "target broker cores", "peak MB", "lost, repeated"}}
	for _, l := range p.book.Latencies {
		rows = append(rows, []string{
			l.Contender, ms(l.Target.P50), ms(l.Target.P90), ms(l.Target.P99), ms(l.Target.P999), ms(l.Target.Max),
			fmt.Sprintf("%s / %s / %s", ms(l.Source.P50), ms(l.Source.P99), ms(l.Source.Max)), ms(l.Target.P50 - l.Source.P50),
			fmt.Sprintf("%.3f", l.ToolCPU/l.Seconds), fmt.Sprintf("%.3f", l.TargetCPU/l.Seconds), fmt.Sprintf("%.0f", float64(l.PeakMemory)/1e6),
			fmt.Sprintf("%d, %d of %d", l.Missing, l.Duplicates, l.Records),
		})
	}
	p.table(rows)
	p.keep(Latency)
}

func ms(v float64) string { return fmt.Sprintf("%.2f", v) }

func (p *page) idle() {
	if len(p.book.Idles) == 0 {
		return
	}
	p.line("## Following idle partitions", "")
	p.scale(Idle)
	rows := [][]string{{"kferry", "partitions", "MB", "peak MB", "cores", "source broker cores", "target broker cores"}}
	for _, i := range p.book.Idles {
		rows = append(rows, []string{
			i.What, fmt.Sprintf("%d", i.Partitions), fmt.Sprintf("%.0f", float64(i.Memory)/1e6), fmt.Sprintf("%.0f", float64(i.PeakMemory)/1e6),
			fmt.Sprintf("%.3f", i.ToolCPU/i.Seconds), fmt.Sprintf("%.3f", i.SourceCPU/i.Seconds), fmt.Sprintf("%.3f", i.TargetCPU/i.Seconds),
		})
	}
	p.table(rows)
	p.keep(Idle)
}

func (p *page) workloads() {
	p.line("## Workloads", "", "All batches are full and hold records that half compress; sizes are before compression. The wire is what lies on the source's disk.", "")
	rows := [][]string{{"topic", "partitions", "records", "bytes of a record", "bytes of a batch", "codec", "MB on the wire", "bytes on the wire per record"}}
	for _, w := range p.book.Workloads {
		name := w.Name
		if w.Note != "" {
			name += " (" + w.Note + ")"
		}
		perRecord := "-"
		if w.Records > 0 {
			perRecord = fmt.Sprintf("%.0f", float64(w.WireBytes)/float64(w.Records))
		}
		rows = append(rows, []string{
			name, fmt.Sprintf("%d", w.Partitions), fmt.Sprintf("%d", w.Records), fmt.Sprintf("%d", w.RecordBytes), fmt.Sprintf("%d", w.BatchBytes),
			w.Codec, fmt.Sprintf("%.0f", float64(w.WireBytes)/1e6), perRecord,
		})
	}
	p.table(rows)
}
