package console

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/kferry/kferry/internal/report"
)

// Bars redraws, in place, a line for each flow and a bar for each bundle of topics. No line is ever as wide as
// the terminal, so nothing wraps, and the frame is never higher than it.
type Bars struct {
	w     io.Writer
	size  func() (columns, rows int)
	color bool

	mu     sync.Mutex // guards everything below
	flows  []*report.Document
	news   news
	drawn  int  // lines of the frame on the screen
	closed bool // nothing is drawn any more
}

// NewBars draws on a terminal whose present size is asked for before every frame.
func NewBars(w io.Writer, size func() (columns, rows int), color bool) *Bars {
	return &Bars{w: w, size: size, color: color}
}

// Report implements [Progress].
func (b *Bars) Report(doc *report.Document) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	i := slices.IndexFunc(b.flows, func(d *report.Document) bool { return d.Flow == doc.Flow })
	if i < 0 {
		b.flows = append(b.flows, doc)
	} else {
		b.flows[i] = doc
	}
	faults, caughtUp := b.news.look(doc)
	var above []string
	columns, _ := b.size()
	for _, f := range faults {
		above = append(above, wrap(faultNews(doc.Flow, f), columns-1)...)
	}
	if caughtUp {
		above = append(above, fit(doc.Flow+": caught up", columns-1))
	}
	b.draw(above)
}

// Say implements [Progress].
func (b *Bars) Say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	columns, _ := b.size()
	b.draw(wrap(Clean(fmt.Sprintf(format, args...)), columns-1))
}

// Logs implements [Progress].
func (b *Bars) Logs() io.Writer { return barLog{b} }

type barLog struct{ b *Bars }

func (l barLog) Write(p []byte) (int, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.draw(strings.Split(string(bytes.TrimRight(p, "\n")), "\n"))
	return len(p), nil
}

// Close implements [Progress]: the last frame stays.
func (b *Bars) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.drawn, b.flows = true, 0, nil
}

// draw replaces the frame on the screen by lines that stay and the present frame below them. It is one write,
// so that nothing flickers.
func (b *Bars) draw(above []string) {
	columns, rows := b.size()
	frame := b.frame(columns, rows)
	var out strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", b.drawn)
	}
	for _, line := range slices.Concat(above, frame) {
		out.WriteString(line + "\x1b[K\n")
	}
	if b.drawn > 0 {
		out.WriteString("\x1b[J") // what is left of a higher frame
	}
	b.drawn = len(frame)
	io.WriteString(b.w, out.String()) //nolint:errcheck // a terminal that is gone has nobody to be told
}

// frame is the lines of the present moment. Each flow gets its share of the screen.
func (b *Bars) frame(columns, rows int) []string {
	if len(b.flows) == 0 {
		return nil
	}
	bars := min(12, max(1, (rows-2)/len(b.flows)-3))
	var lines []string
	for _, doc := range b.flows {
		lines = append(lines, headline(doc, columns-1))
		if all := bundles(doc, bars); len(all) > 0 {
			lines = append(lines, b.bars(all, columns-1)...)
		}
	}
	if room := max(1, rows-1); len(lines) > room {
		lines = lines[:room]
	}
	return lines
}

// headline takes as many words as there is room for.
func headline(doc *report.Document, width int) string {
	words := sentence(doc)
	line := doc.Flow + ": " + words[0]
	for _, w := range words[1:] {
		if cells(line)+2+cells(w) <= width {
			line += ", " + w
		}
	}
	return fit(line, width)
}

// The widths of what stands right of a bar.
const (
	percentWidth = 4  // 100%
	lagWidth     = 5  // 3.40M
	rateWidth    = 7  // 1.23M/s
	bytesWidth   = 10 // 1023 KiB/s
	stateWidth   = 9  // following
	barMost      = 40
	barLeast     = 8
)

// bars lays the bundles out in at most width columns: the bytes go first when there is no room, then the rate, the
// percentage, the bar itself.
func (b *Bars) bars(all []bundle, width int) []string {
	l := layoutFor(all, width)
	lines := []string{l.line("TOPICS", "DONE", "", "LAG", "RATE", "BYTES", "STATE")}
	for i := range all {
		s := &all[i].sums
		state := l.line(all[i].label, bar(s.share(), l.bar), fmt.Sprintf("%d%%", percent(s.share())),
			Count(s.lag), Rate(s.recordsPerSec), BytesRate(s.bytesPerSec), "")
		word := clip(stateWord(s), max(0, width-cells(state)))
		lines = append(lines, strings.TrimRight(state+b.paint(s, word), " "))
	}
	return lines
}

// layout is the widths of one frame; 0 leaves a column out.
type layout struct {
	name, bar, percent, lag, rate, bytes int
	gap                                  string
}

func layoutFor(all []bundle, width int) layout {
	l := layout{lag: lagWidth, gap: "  "}
	switch {
	case width >= 99:
		l.percent, l.rate, l.bytes = percentWidth, rateWidth, bytesWidth
	case width >= 66:
		l.percent, l.rate = percentWidth, rateWidth
	case width >= 50:
		l.percent = percentWidth
	default:
		l.gap = " "
	}
	longest := len("TOPICS")
	for i := range all {
		longest = max(longest, cells(all[i].label))
	}
	room := width - stateWidth
	for _, w := range []int{l.percent, l.lag, l.rate, l.bytes} {
		if w > 0 {
			room -= w + len(l.gap)
		}
	}
	room -= len(l.gap) // after the name
	l.name = min(longest, max(6, (room-len(l.gap))*6/10))
	l.bar = min(barMost, room-l.name-len(l.gap))
	if l.bar < barLeast {
		l.bar, l.name = 0, max(1, min(longest, room))
	}
	return l
}

// line joins the columns that there are. The bar's heading stands over the bar.
func (l layout) line(name, bar, percent, lag, rate, bytes, state string) string {
	parts := []string{pad(fit(name, l.name), l.name, false)}
	for _, c := range []struct {
		text  string
		width int
		right bool
	}{{bar, l.bar, false}, {percent, l.percent, true}, {lag, l.lag, true}, {rate, l.rate, true}, {bytes, l.bytes, true}} {
		if c.width > 0 {
			parts = append(parts, pad(clip(c.text, c.width), c.width, c.right))
		}
	}
	return strings.Join(append(parts, state), l.gap)
}

// bar draws a share of 0 to 1 in width characters that every terminal has.
func bar(share float64, width int) string {
	inner := width - 2
	if inner < 1 {
		return ""
	}
	full := min(inner, max(0, int(share*float64(inner))))
	if share >= 1 {
		full = inner
	}
	body := strings.Repeat("=", full)
	if full < inner {
		body += ">" + strings.Repeat(" ", inner-full-1)
	}
	return "[" + body + "]"
}

// stateWord is what a bundle is doing: the faults if there are any, the time left while it catches up.
func stateWord(s *sums) string {
	if s.faults > 0 {
		return plural(int64(s.faults), "FAULT", "FAULTS")
	}
	switch state := s.state(); state {
	case report.CatchingUp:
		if eta := ETA(s.eta()); eta != "-" {
			return eta
		}
		return "copying"
	case report.Seeding:
		return fmt.Sprintf("seed %d%%", percent(float64(s.seeded)/float64(max(1, s.seed))))
	default:
		return string(state)
	}
}

// paint colours the one word that matters: red for faults, green for what follows its source.
func (b *Bars) paint(s *sums, word string) string {
	switch {
	case !b.color || word == "":
		return word
	case s.faults > 0:
		return "\x1b[31m" + word + "\x1b[0m"
	case s.state() == report.Following:
		return "\x1b[32m" + word + "\x1b[0m"
	}
	return word
}
