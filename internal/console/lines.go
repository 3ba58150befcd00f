package console

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

// Line is one line of `kferry replicate -o json`. Fields are only ever added.
type Line struct {
	Event    Event            `json:"event"`
	Time     time.Time        `json:"time"`
	Flow     string           `json:"flow"`
	CaughtUp bool             `json:"caughtUp"`         // every partition without a fault has lag 0
	Totals   *report.Totals   `json:"totals,omitempty"` // over all topics, in progress, caught-up and end
	Topics   []LineTopic      `json:"topics,omitempty"` // in progress and caught-up
	Faults   int              `json:"faults"`           // how many there are now
	Fault    *fault.Fault     `json:"fault,omitempty"`  // in fault: the new one
	Report   *report.Document `json:"report,omitempty"` // in end: everything, partitions and groups included
}

// Event says what a line is about.
type Event string

// The events. A flow's lines begin with progress and finish with one end, unless kferry is killed.
const (
	EventProgress Event = "progress"  // about once a second
	EventCaughtUp Event = "caught-up" // each time the lag becomes 0
	EventFault    Event = "fault"     // once for each new fault
	EventEnd      Event = "end"       // last line of a flow
)

// LineTopic is a topic in a line: sums over its partitions.
type LineTopic struct {
	Topic         string       `json:"topic"`
	State         report.State `json:"state"`
	LagRecords    int64        `json:"lagRecords"`
	LagBytes      int64        `json:"lagBytes"` // -1 unknown
	RecordsPerSec float64      `json:"recordsPerSecond"`
	BytesPerSec   float64      `json:"bytesPerSecond"`
	ETASeconds    float64      `json:"etaSeconds"` // -1 unknown
	Faults        int          `json:"faults"`
}

// Lines writes one JSON object a line.
type Lines struct {
	logs io.Writer

	mu   sync.Mutex // guards everything below
	enc  *json.Encoder
	news news
	err  error
}

// NewLines writes objects to w; words and logs go to logs.
func NewLines(w, logs io.Writer) *Lines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &Lines{enc: enc, logs: logs}
}

// Report implements [Progress].
func (l *Lines) Report(doc *report.Document) {
	l.mu.Lock()
	defer l.mu.Unlock()
	faults, caughtUp := l.news.look(doc)
	for i := range faults {
		line := about(EventFault, doc)
		line.Fault = &faults[i]
		l.write(line)
	}
	line := about(EventProgress, doc)
	if caughtUp {
		line.Event = EventCaughtUp
	}
	line.Totals = &doc.Totals
	for i := range doc.Topics {
		s := sumTopic(&doc.Topics[i])
		line.Topics = append(line.Topics, LineTopic{
			Topic: doc.Topics[i].Name, State: doc.Topics[i].State, LagRecords: s.lag, LagBytes: s.lagBytes,
			RecordsPerSec: s.recordsPerSec, BytesPerSec: s.bytesPerSec, ETASeconds: s.eta(), Faults: s.faults,
		})
	}
	l.write(line)
}

// End writes the last line of a flow.
func (l *Lines) End(doc *report.Document) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := about(EventEnd, doc)
	line.Totals, line.Report = &doc.Totals, WithLists(doc)
	l.write(line)
}

// WithLists returns the document with empty lists in place of missing ones: a program that reads JSON should find
// [] and not null.
func WithLists(doc *report.Document) *report.Document {
	d := *doc
	if d.Topics == nil {
		d.Topics = []report.Topic{}
	}
	if d.Groups == nil {
		d.Groups = []report.Group{}
	}
	if d.Faults == nil {
		d.Faults = []fault.Fault{}
	}
	return &d
}

func about(e Event, doc *report.Document) Line {
	return Line{Event: e, Time: doc.Updated.UTC(), Flow: doc.Flow, CaughtUp: doc.CaughtUp, Faults: len(doc.Faults)}
}

func (l *Lines) write(line Line) {
	if err := l.enc.Encode(line); err != nil && l.err == nil {
		l.err = fmt.Errorf("write a line of progress: %w", err)
	}
}

// Err is the first error of the writer: the reader may have gone.
func (l *Lines) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Say implements [Progress].
func (l *Lines) Say(format string, args ...any) {
	fmt.Fprintln(l.logs, Clean(fmt.Sprintf(format, args...)))
}

// Logs implements [Progress].
func (l *Lines) Logs() io.Writer { return l.logs }

// Close implements [Progress].
func (l *Lines) Close() {}
