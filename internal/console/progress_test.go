package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/report"
)

// screen is the smallest terminal that shows frames: it knows line breaks, cursor up, and erasing.
type screen struct {
	lines    []string
	row, col int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		switch {
		case text[0] == '\n':
			s.row, s.col = s.row+1, 0
			text = text[1:]
		case text[0] == '\r':
			s.col = 0
			text = text[1:]
		case strings.HasPrefix(text, "\x1b["):
			i := 2 + strings.IndexFunc(text[2:], func(r rune) bool { return r >= 'A' && r <= 'z' })
			s.escape(text[2:i], text[i])
			text = text[i+1:]
		default:
			i := strings.IndexAny(text, "\n\r\x1b")
			if i < 0 {
				i = len(text)
			}
			s.put(text[:i])
			text = text[i:]
		}
	}
	return len(p), nil
}

func (s *screen) put(text string) {
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	s.lines[s.row] = s.lines[s.row][:s.col] + text // what stood right of it is erased by what is written next
	s.col += len(text)
}

func (s *screen) escape(arg string, what byte) {
	switch what {
	case 'A':
		n := 0
		fmt.Sscan(arg, &n)
		s.row -= n
	case 'K':
		s.lines[s.row] = s.lines[s.row][:s.col]
	case 'J':
		s.lines = s.lines[:min(len(s.lines), s.row)]
	}
}

func TestBarsAtWidths(t *testing.T) {
	many := []report.Topic{}
	for i := range 40 {
		many = append(many, topic(fmt.Sprintf("shop.%s.events-%d", []string{"orders", "carts", "users"}[i%3], i), 2, report.CatchingUp, 0, float64(i)/40))
	}
	for _, columns := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			b := NewBars(&bytes.Buffer{}, nil, false)
			var out strings.Builder
			for _, doc := range []*report.Document{mixed(), document(many...), {Flow: "old-new"}} {
				b.flows = []*report.Document{doc}
				out.WriteString(strings.Join(b.frame(columns, 24), "\n") + "\n\n")
			}
			second := document(topic("clicks", 4, report.Following, 0, 1))
			second.Flow = "old-analytics"
			b.flows = []*report.Document{mixed(), second}
			out.WriteString(strings.Join(b.frame(columns, 12), "\n") + "\n")
			golden(t, fmt.Sprintf("bars-%d.txt", columns), out.String())
			fits(t, out.String(), columns-1)
		})
	}
}

// TestBarsNeverWrap tries every size: a line as wide as the terminal, or a frame as high, would scroll.
func TestBarsNeverWrap(t *testing.T) {
	b := NewBars(&bytes.Buffer{}, nil, false)
	b.flows = []*report.Document{mixed(), document(topic(strings.Repeat("x", 249), 1, report.CatchingUp, 0, 0.5))}
	for columns := 20; columns < 250; columns++ {
		for _, rows := range []int{2, 5, 24} {
			frame := b.frame(columns, rows)
			if len(frame) >= rows {
				t.Fatalf("%d lines on a screen of %d", len(frame), rows)
			}
			for _, line := range frame {
				if cells(line) >= columns {
					t.Fatalf("at %d columns: %d in %q", columns, cells(line), line)
				}
			}
		}
	}
}

func TestBarsRedrawInPlace(t *testing.T) {
	s := &screen{}
	b := NewBars(s, func() (int, int) { return 60, 24 }, true)
	b.Say("copying to %s", "new")
	b.Report(document(topic("a", 1, report.CatchingUp, 0, 0.25), topic("b", 1, report.CatchingUp, 0, 0.5)))
	fmt.Fprintln(b.Logs(), "level=WARN msg=\"leader moved\"")
	b.Report(mixed())
	b.Report(mixed())
	b.Report(document(topic("a", 1, report.Following, 0, 1)))
	b.Close()
	b.Report(mixed()) // too late
	golden(t, "bars-redrawn.txt", strings.Join(s.lines, "\n")+"\n")
}

func TestPlainIsQuietWhenNothingHappens(t *testing.T) {
	now := noon
	var out strings.Builder
	p := NewPlain(&out, func() time.Time { return now })
	for range 600 { // ten minutes of copying
		share := float64(now.Sub(noon)/time.Second) / 600
		p.Report(document(topic("orders", 1, report.CatchingUp, 0, share)))
		now = now.Add(time.Second)
	}
	for range 3 * 3600 { // three hours of following
		share := 1.0
		if now.Unix()%3 == 0 { // live producers: a few records behind at times
			share = 0.999998
		}
		doc := document(topic("orders", 1, report.Following, 0, share))
		doc.Totals.RecordsCopied = now.Unix()
		p.Report(doc)
		now = now.Add(time.Second)
	}
	p.Report(mixed())
	p.Close()
	p.Report(mixed())
	golden(t, "plain.txt", out.String())
}

func TestLines(t *testing.T) {
	var out, logs strings.Builder
	l := NewLines(&out, &logs)
	l.Say("looking at %d topics", 4)
	l.Report(mixed())
	l.Report(mixed())
	done := document(topic("orders", 1, report.Following, 0, 1))
	l.Report(done)
	l.End(done)
	golden(t, "lines.jsonl", out.String())
	if l.Err() != nil || logs.String() != "looking at 4 topics\n" {
		t.Errorf("err %v, words %q", l.Err(), logs.String())
	}
	var events []Event
	for line := range strings.Lines(out.String()) {
		var got Line
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		events = append(events, got.Event)
	}
	want := []Event{EventFault, EventProgress, EventProgress, EventCaughtUp, EventEnd}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

func TestLinesNoticesAReaderThatIsGone(t *testing.T) {
	l := NewLines(gone{}, gone{})
	l.Report(mixed())
	if l.Err() == nil {
		t.Error("no error")
	}
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }

func TestGauge(t *testing.T) {
	now := noon
	clock := func() time.Time { return now }
	words := []string{"1.20M records", "ETA 12s", "812k/s", "96.0 MiB/s", "3 of 24 partitions"}
	var out strings.Builder
	for _, columns := range []int{20, 40, 80, 200} {
		g := NewGauge(&bytes.Buffer{}, func() int { return columns }, clock, "old-new")
		line := g.line(0.456, words, columns-1)
		fits(t, line, columns-1)
		out.WriteString(line + "\n")
	}
	g := NewGauge(&out, nil, clock, "old-new")
	for range 25 {
		g.Set(0.5, words...)
		now = now.Add(time.Second)
	}
	g.Close()
	golden(t, "gauge.txt", out.String())
}
