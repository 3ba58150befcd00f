package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the result for people: one line a topic, then every difference, everything skipped, and
// notes.
func (r *Result) WriteTable(w io.Writer) error {
	out := &errWriter{w: w}
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	shifted := slices.ContainsFunc(r.PerTopic, func(t TopicResult) bool { return t.Mode == modeShifted })
	title := ""
	if shifted {
		title = "MODE\t"
	}
	fmt.Fprintln(tab, "TOPIC\t"+title+"PARTITIONS\tCOMPARED\tRECORDS\tBYTES\tRESULT")
	for _, t := range r.PerTopic {
		mode := ""
		if shifted {
			mode = t.Mode + "\t"
		}
		if t.Shift != "" {
			mode = t.Mode + " by " + t.Shift + "\t"
		}
		fmt.Fprintf(tab, "%s\t%s%d\t%d\t%d\t%s\t%s\n", t.Topic, mode, t.Partitions, t.Compared, t.RecordsCompared, size(t.BytesCompared), t.Result)
	}
	tab.Flush()
	r.writeDifferences(out)
	r.writeSkipped(out)
	for _, note := range r.Notes {
		fmt.Fprintf(out, "Note: %s\n", note)
	}
	fmt.Fprintf(out, "\n%s: %s\n", strings.ToUpper(r.Result), r.summary())
	return out.err
}

func (r *Result) writeDifferences(w io.Writer) {
	if len(r.Differences) == 0 {
		return
	}
	fmt.Fprintf(w, "\nDifferences (the first of each partition):\n")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range r.Differences {
		place, offset := d.Topic, "-"
		if d.Partition >= 0 {
			place = fmt.Sprintf("%s-%d", d.Topic, d.Partition)
		}
		if d.Offset >= 0 {
			offset = fmt.Sprint(d.Offset)
		}
		fmt.Fprintf(tab, "  %s\t%s\t%s\t%s\n", place, offset, d.Kind, d.Detail)
	}
	tab.Flush()
}

func (r *Result) writeSkipped(w io.Writer) {
	if len(r.Skipped) == 0 {
		return
	}
	fmt.Fprintf(w, "\nNot compared:\n")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Skipped {
		place := s.Topic
		if s.Partition != nil {
			place = fmt.Sprintf("%s-%d", s.Topic, *s.Partition)
		}
		fmt.Fprintf(tab, "  %s\t%s\t%s\n", place, s.What, s.Why)
	}
	tab.Flush()
}

func (r *Result) summary() string {
	rate := 0.0
	if r.ElapsedSeconds > 0 {
		rate = float64(r.BytesCompared) / r.ElapsedSeconds
	}
	s := fmt.Sprintf("%d topics, %d partitions, %d records (%s) compared in %.1f s, %s/s",
		r.Topics, r.Partitions, r.RecordsCompared, size(r.BytesCompared), r.ElapsedSeconds, size(int64(rate)))
	if n := len(r.Differences); n > 0 {
		s += fmt.Sprintf(", %d differences", n)
	}
	if n := len(r.Skipped); n > 0 {
		s += fmt.Sprintf(", %d parts not compared", n)
	}
	return s
}

// size is a number of bytes for people.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// errWriter keeps the first error, so that it is looked at once.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.w.Write(p)
	e.err = err
	return n, err
}
