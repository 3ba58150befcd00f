package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/report"
)

// Plain writes lines for people where there is no terminal: at once what is news, every few seconds while
// something changes, then ever more rarely, so that a week of following does not fill a log.
type Plain struct {
	now func() time.Time

	mu     sync.Mutex // guards everything below
	w      io.Writer
	news   news
	flows  map[string]*plainFlow
	closed bool
}

// plainFlow remembers what was said of a flow last.
type plainFlow struct {
	first time.Time // of the present phase: catching up, or caught up
	said  time.Time
	lag   int64
	moved int64
}

// How long Plain is silent: while things change, the interval grows with the age of the phase.
const (
	plainSoon   = 5 * time.Second // in the first half minute
	plainLater  = 15 * time.Second
	plainMinute = time.Minute      // after five minutes
	plainIdle   = 10 * time.Minute // while nothing changes, or while following
)

// NewPlain writes to w and takes the time from now.
func NewPlain(w io.Writer, now func() time.Time) *Plain {
	return &Plain{w: w, now: now, flows: map[string]*plainFlow{}}
}

// Report implements [Progress].
func (p *Plain) Report(doc *report.Document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.now()
	f := p.flows[doc.Flow]
	if f == nil {
		f = &plainFlow{first: now}
		p.flows[doc.Flow] = f
	}
	faults, caughtUp := p.news.look(doc)
	for _, ft := range faults {
		p.line(now, faultNews(doc.Flow, ft))
	}
	if caughtUp {
		f.first = now
	}
	moved := doc.Totals.RecordsCopied + doc.Totals.OffsetsSeeded
	changed := moved != f.moved || doc.Totals.LagRecords != f.lag
	wait := silence(now.Sub(f.first))
	if !changed || p.news.flow(doc).following {
		wait = plainIdle
	}
	if doc.Totals.Partitions == 0 || !caughtUp && !f.said.IsZero() && now.Sub(f.said) < wait {
		return
	}
	f.said, f.lag, f.moved = now, doc.Totals.LagRecords, moved
	p.line(now, doc.Flow+": "+strings.Join(sentence(doc), ", "))
}

func silence(age time.Duration) time.Duration {
	switch {
	case age < 30*time.Second:
		return plainSoon
	case age < 5*time.Minute:
		return plainLater
	}
	return plainMinute
}

// Say implements [Progress].
func (p *Plain) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(p.now(), Clean(fmt.Sprintf(format, args...)))
}

// Logs implements [Progress].
func (p *Plain) Logs() io.Writer { return plainLog{p} }

type plainLog struct{ p *Plain }

func (l plainLog) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.p.w.Write(b)
}

// Close implements [Progress].
func (p *Plain) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// line writes the time of day and a sentence.
func (p *Plain) line(now time.Time, s string) {
	fmt.Fprintf(p.w, "%s %s\n", now.Format(time.TimeOnly), s)
}
