package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

// View says how the tables of a document are printed.
type View struct {
	Now   time.Time // what ages are counted to
	Width int       // columns of the terminal; 0: unlimited, for files and pipes
	Wide  bool      // partitions, and group offsets one by one
}

// WriteStatus prints a document: the two sides first, then topics (with their partitions when wide), groups,
// faults and notes.
func WriteStatus(w io.Writer, doc *report.Document, v View) error {
	p := &printer{w: w, View: v}
	p.headline(doc)
	p.sides(doc)
	p.topics(doc)
	if v.Wide {
		p.partitions(doc)
	}
	p.groups(doc)
	if v.Wide {
		p.offsets(doc)
	}
	p.faults(doc.Faults)
	p.notes(doc)
	return p.err
}

// printer remembers the first error of its writer and separates the sections by an empty line.
type printer struct {
	w       io.Writer
	err     error
	started bool
	View
}

func (p *printer) section() {
	if p.started {
		p.print("\n")
	}
	p.started = true
}

func (p *printer) print(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// text prints words, wrapped, with an indentation of n columns after the first line.
func (p *printer) text(s string, n int) {
	width := 0
	if p.Width > 0 {
		width = max(p.Width-n, 20)
	}
	for i, line := range wrap(Clean(s), width) {
		if i > 0 {
			line = strings.Repeat(" ", n) + line
		}
		p.print(line + "\n")
	}
}

func (p *printer) table(t *table) {
	if p.err != nil {
		return
	}
	p.section()
	p.err = t.write(p.w, p.Width)
}

// headline says in one sentence how the flow is.
func (p *printer) headline(doc *report.Document) {
	p.section()
	t := doc.Totals
	words := []string{"not running"}
	if doc.Running {
		words[0] = "running"
	}
	switch {
	case t.Partitions == 0:
		words = append(words, "no partitions")
	case doc.CaughtUp:
		words = append(words, "caught up")
	default:
		lag := "lag " + plural(t.LagRecords, "record", "records")
		if t.LagBytes >= 0 {
			lag += " (" + Bytes(t.LagBytes) + ")"
		}
		words = append(words, lag)
		if eta := ETA(t.ETASeconds); eta != "-" {
			words = append(words, "ETA "+eta)
		}
	}
	if n := len(doc.Faults); n > 0 {
		words = append(words, strings.ToUpper(plural(int64(n), "fault", "faults")))
	}
	if !doc.Updated.IsZero() {
		words = append(words, "as of "+ago(p.Now.Sub(doc.Updated)))
	}
	p.text(fmt.Sprintf("Flow %s: %s", doc.Flow, strings.Join(words, ", ")), 2)
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return Duration(d) + " ago"
}

// sides prints where topics are written now (their home) and where copies go.
func (p *printer) sides(doc *report.Document) {
	t := &table{columns: []column{
		{title: "SIDE"}, {title: "CLUSTER", min: 8}, {title: "HOME OF", min: 5, drop: 1}, {title: "CLUSTER ID", min: 8},
		{title: "BROKERS", right: true, drop: 2}, {title: "BOOTSTRAP", min: 12, drop: 3},
	}}
	home := plural(int64(doc.Totals.Topics), "topic", "topics")
	for _, s := range []struct {
		side, home string
		report.Cluster
	}{{"source", home, doc.Source}, {"target", "-", doc.Target}} {
		t.add(s.side, orDash(s.Alias), s.home, orDash(s.ID), fmt.Sprint(s.Brokers), orDash(s.Bootstrap))
	}
	p.table(t)
}

func (p *printer) topics(doc *report.Document) {
	if len(doc.Topics) == 0 {
		p.section()
		p.text("No topics.", 0)
		return
	}
	shifted := slices.ContainsFunc(doc.Topics, func(t report.Topic) bool { return t.Mode == report.ModeShifted })
	t := &table{columns: []column{
		{title: "TOPIC", min: 16}, {title: "STATE"}, {title: "PARTS", right: true, drop: 8},
		{title: "LAG", right: true}, {title: "SIZE", right: true, drop: 5}, {title: "RATE", right: true, drop: 4},
		{title: "ETA", right: true, drop: 3}, {title: "GAPS", min: 10, prose: true, drop: 6},
		{title: "CONFIGS", drop: 9}, {title: "FAULTS", right: true, drop: 7},
	}}
	if shifted {
		t.columns = append(t.columns, column{title: "MODE", min: 8})
	}
	for i := range doc.Topics {
		topic := &doc.Topics[i]
		s := sumTopic(topic)
		cells := []string{topic.Name, string(topic.State), fmt.Sprint(len(topic.Partitions)),
			Count(topic.LagRecords), Bytes(topic.LagBytes), Rate(s.recordsPerSec), ETA(s.eta()),
			gaps(s.traffic), configs(topic.Final), orDash(zeroEmpty(s.faults))}
		if shifted {
			cells = append(cells, mode(topic))
		}
		t.add(cells...)
	}
	p.table(t)
}

// mode says how target offsets follow from the source's, with the shift where offsets are shifted.
func mode(t *report.Topic) string {
	if t.Mode != report.ModeShifted || len(t.Partitions) == 0 {
		return t.Mode
	}
	least, most := t.Partitions[0].Shift, t.Partitions[0].Shift
	for _, p := range t.Partitions {
		least, most = min(least, p.Shift), max(most, p.Shift)
	}
	if least == most {
		return fmt.Sprintf("%s by %d", t.Mode, least)
	}
	return fmt.Sprintf("%s by %d to %d", t.Mode, least, most)
}

func configs(final bool) string {
	if final {
		return "final"
	}
	return "for copying"
}

// gaps says in words which offsets hold no record to copy, by the reason why.
func gaps(t report.Traffic) string {
	var words []string
	for _, g := range []struct {
		name string
		n    int64
	}{{"seeded", t.OffsetsSeeded}, {"markers", t.GapsMarkers}, {"aborted", t.GapsAborted}, {"holes", t.GapsHoles}, {"expired", t.GapsExpired}} {
		if g.n > 0 {
			words = append(words, g.name+" "+Count(g.n))
		}
	}
	return orDash(strings.Join(words, ", "))
}

func (p *printer) partitions(doc *report.Document) {
	t := &table{columns: []column{
		{title: "PARTITION", min: 14}, {title: "STATE"},
		{title: "SOURCE START", right: true, drop: 6}, {title: "SOURCE END", right: true, drop: 3}, {title: "STABLE", right: true, drop: 7},
		{title: "TARGET START", right: true, drop: 5}, {title: "TARGET END", right: true, drop: 2},
		{title: "LAG", right: true}, {title: "SIZE", right: true, drop: 9}, {title: "RATE", right: true, drop: 8}, {title: "ETA", right: true, drop: 8},
		{title: "RAW", right: true, drop: 10}, {title: "RECODED", right: true, drop: 10},
		{title: "GAPS", min: 10, prose: true, drop: 11}, {title: "FAULT", drop: 4},
	}}
	shifted := slices.ContainsFunc(doc.Topics, func(t report.Topic) bool { return t.Mode == report.ModeShifted })
	if shifted {
		t.columns = append(t.columns, column{title: "SHIFT", right: true})
	}
	for _, topic := range doc.Topics {
		for _, q := range topic.Partitions {
			name := "-"
			if q.Fault != nil {
				name = string(q.Fault.Kind)
			}
			cells := []string{fmt.Sprintf("%s-%d", topic.Name, q.ID), string(q.State),
				offset(q.SourceStart), offset(q.SourceEnd), offset(q.SourceStable), offset(q.TargetStart), offset(q.TargetEnd),
				Count(q.LagRecords), Bytes(q.LagBytes), Rate(q.RecordsPerSec), ETA(q.ETASeconds),
				Bytes(q.Traffic.BytesRaw), Bytes(q.Traffic.BytesRecoded), gaps(q.Traffic), name}
			if shifted {
				cells = append(cells, fmt.Sprint(q.Shift))
			}
			t.add(cells...)
		}
	}
	if len(t.rows) > 0 {
		p.table(t)
	}
}

func (p *printer) groups(doc *report.Document) {
	if len(doc.Groups) == 0 {
		return
	}
	t := &table{columns: []column{
		{title: "GROUP", min: 10}, {title: "TYPE", drop: 4}, {title: "ON SOURCE", drop: 3}, {title: "ON TARGET", drop: 3},
		{title: "EQUAL", right: true}, {title: "HELD", right: true}, {title: "LAST SYNC", right: true, drop: 5}, {title: "WHY HELD", min: 14, prose: true},
	}}
	for _, g := range doc.Groups {
		at := "-"
		if !g.At.IsZero() {
			at = ago(p.Now.Sub(g.At))
		}
		t.add(g.ID, orDash(g.Type), orDash(g.SourceState), orDash(g.TargetState), fmt.Sprint(g.Synced), fmt.Sprint(g.Held), at, orDash(g.Reason))
	}
	p.table(t)
}

func (p *printer) offsets(doc *report.Document) {
	t := &table{columns: []column{
		{title: "GROUP", min: 10}, {title: "PARTITION", min: 10},
		{title: "SOURCE OFFSET", right: true, drop: 2}, {title: "TARGET OFFSET", right: true, drop: 1}, {title: "WHY NOT EQUAL", min: 14, prose: true},
	}}
	for _, g := range doc.Groups {
		for _, o := range g.Offsets {
			t.add(g.ID, fmt.Sprintf("%s-%d", o.Topic, o.Partition), offset(o.Source), offset(o.Target), orDash(o.Reason))
		}
	}
	if len(t.rows) > 0 {
		p.table(t)
	}
}

// faults prints each fault as a short paragraph: what stands in a row could not be read there.
func (p *printer) faults(faults []fault.Fault) {
	if len(faults) == 0 {
		return
	}
	p.section()
	p.print("FAULTS\n")
	for _, f := range faults {
		p.print("  ")
		p.text(faultLine(f), 4)
		if f.Detail != "" {
			p.print("    ")
			p.text("what: "+f.Detail, 10)
		}
		if f.Next != "" {
			p.print("    ")
			p.text("next: "+f.Next, 10)
		}
		p.print("    ")
		p.text("see: "+f.Kind.See(), 9)
	}
}

// faultLine names a fault: kind, place, count.
func faultLine(f fault.Fault) string {
	place := f.Topic + ", the whole topic"
	if f.Partition >= 0 {
		place = fmt.Sprintf("%s-%d", f.Topic, f.Partition)
	}
	s := string(f.Kind) + ": " + place
	if f.Offset >= 0 {
		s += fmt.Sprintf(" at offset %d", f.Offset)
	}
	if f.Count > 0 {
		s += ", " + plural(f.Count, "offset", "offsets") + " concerned"
	}
	return s
}

func (p *printer) notes(doc *report.Document) {
	notes := doc.Notes
	if doc.Fillers != "" {
		notes = append([]string{"gaps are filled by " + doc.Fillers}, notes...)
	}
	for i := range doc.Topics {
		for _, n := range doc.Topics[i].Notes {
			notes = append(notes, doc.Topics[i].Name+": "+n)
		}
	}
	if len(notes) == 0 {
		return
	}
	p.section()
	p.print("NOTES\n")
	for _, n := range notes {
		p.print("  ")
		p.text(n, 4)
	}
}

// offset writes an offset exactly; unknown is "-".
func offset(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func zeroEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
