package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Gauge shows how far one long piece of work is: a bar that is redrawn on a terminal, a line every ten seconds
// elsewhere. Its methods may be called from any goroutine.
type Gauge struct {
	w        io.Writer
	columns  func() int // nil: not a terminal
	now      func() time.Time
	title    string
	interval time.Duration

	mu     sync.Mutex // guards everything below
	said   time.Time
	drawn  bool
	closed bool
}

// NewGauge shows work called title on w. The terminal's columns are asked for at every drawing; nil means that
// w is no terminal.
func NewGauge(w io.Writer, columns func() int, now func() time.Time, title string) *Gauge {
	return &Gauge{w: w, columns: columns, now: now, title: title, interval: 10 * time.Second, said: now()}
}

// Set says how much is done, 0 to 1, and in words what else is worth knowing, the most important first.
func (g *Gauge) Set(share float64, words ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
	case g.columns != nil:
		fmt.Fprintf(g.w, "\r%s\x1b[K", g.line(share, words, g.columns()-1))
		g.drawn = true
	case g.now().Sub(g.said) >= g.interval:
		g.said = g.now()
		fmt.Fprintf(g.w, "%s %s: %d%%, %s\n", g.said.Format(time.TimeOnly), g.title, percent(share), strings.Join(words, ", "))
	}
}

// line takes as many words as fit, and a bar in what is left.
func (g *Gauge) line(share float64, words []string, width int) string {
	text := fmt.Sprintf("%d%%", percent(share))
	head := fit(g.title, max(6, width/3))
	for _, w := range words {
		if cells(head)+1+cells(text)+2+cells(w) <= width-barLeast-1 {
			text += ", " + w
		}
	}
	b := bar(share, min(barMost, width-cells(head)-cells(text)-2))
	if len(b) < barLeast {
		return clip(head+" "+text, width)
	}
	return head + " " + b + " " + text
}

// Close removes the bar.
func (g *Gauge) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.drawn {
		io.WriteString(g.w, "\r\x1b[K") //nolint:errcheck // a terminal that is gone has nobody to be told
	}
}
