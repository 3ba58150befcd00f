package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/verify"
)

// Options of [Run].
type Options struct {
	// Say prints a line of the story; OnReport shows progress. They and Done may not be nil.
	Say      func(format string, args ...any)
	OnReport func(*report.Document)
	// Live is how long producers and consumers work while kferry copies; 0 means 8 s.
	Live time.Duration
	// Done is called once with the outcome, as soon as everything was compared.
	Done func(*Outcome)
	// Keep is called after that, with clients and kferry at work again; when it returns, all
	// is closed. Nil: nothing is kept.
	Keep   func(ctx context.Context, source, target string)
	Logger *slog.Logger
}

// Outcome is what there is to show at the end.
type Outcome struct {
	Document *report.Document // kferry's last word before comparing
	Verify   *verify.Result
	Groups   []GroupCheck
	Produced int64 // records that the live producers wrote, aborted ones included
	Restarts int   // how often kferry was stopped and started again on the way
	Took     time.Duration
}

// Faults, Different and the like are for the exit code: the demo is good when all are false.
func (o *Outcome) Faults() bool { return len(o.Document.Faults) > 0 }

// GroupsDiffer says whether a group's position is not the same on both sides.
func (o *Outcome) GroupsDiffer() bool {
	for _, g := range o.Groups {
		if !g.Equal() {
			return true
		}
	}
	return len(o.Groups) == 0
}

// patience is how long each wait of the story may take before something is wrong.
const patience = 30 * time.Second

// Run tells the story once. An error means that it could not be told to its end; what was found at the end is in
// the outcome, good or bad.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	if o.Live <= 0 {
		o.Live = 8 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	began := time.Now()
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	defer w.close()
	o.Say("Source and target: two Kafka-protocol clusters in this process, on loopback only.")
	o.Say("  source %s   target %s", w.sourceAddrs(), w.targetAddrs())
	if err := w.makeHistory(ctx); err != nil {
		return nil, fmt.Errorf("make the source's history: %w", err)
	}
	o.Say("The source has a past:")
	for _, line := range history {
		o.Say("  %s", line)
	}
	s := &story{o: o, world: w, began: began}
	return s.tell(ctx)
}

// story is the part in which kferry works.
type story struct {
	o     Options
	world *world
	began time.Time

	source, target *kafka.Cluster
	last           reports
}

func (s *story) tell(ctx context.Context) (*Outcome, error) {
	var err error
	if s.source, err = kafka.Open(ctx, kafka.Connection{Alias: "source", Bootstrap: s.world.source.ListenAddrs()}); err != nil {
		return nil, err
	}
	defer s.source.Close()
	if s.target, err = kafka.Open(ctx, kafka.Connection{Alias: "target", Bootstrap: s.world.target.ListenAddrs()}); err != nil {
		return nil, err
	}
	defer s.target.Close()

	s.o.Say("Producers write and the groups %s read on the source, while kferry copies.", strings.Join(liveGroups, ", "))
	traffic, err := s.world.startTraffic(ctx)
	if err != nil {
		return nil, err
	}
	defer traffic.stop()
	engine := s.start(ctx, "first-run")
	defer func() { engine.stop() }()
	if err := s.wait(ctx, engine, s.o.Live/2); err != nil {
		return nil, err
	}
	s.o.Say("kferry is stopped in the middle and started again: it keeps no state, the target's log says where to go on.")
	if err := engine.stop(); err != nil {
		return nil, err
	}
	engine = s.start(ctx, Flow)
	s.world.source.Compact()
	if err := s.wait(ctx, engine, s.o.Live/2); err != nil {
		return nil, err
	}
	if err := traffic.stop(); err != nil {
		return nil, fmt.Errorf("live traffic on the source: %w", err)
	}
	s.o.Say("The producers have written %d records and stop. kferry catches up; the groups' positions follow.", traffic.produced.Load())
	out := &Outcome{Produced: traffic.produced.Load(), Restarts: 1}
	if out.Document, err = s.caughtUp(ctx, engine); err != nil {
		return nil, err
	}
	if out.Groups, err = s.groupsEqual(ctx, engine); err != nil {
		return nil, err
	}
	s.o.Say("Now every record of both sides is read and compared at equal offsets: key, value, headers, timestamp.")
	out.Verify, err = verify.Run(ctx, verify.Options{Source: s.source, Target: s.target, Include: everything})
	if err != nil {
		return nil, err
	}
	if err := engine.failed(); err != nil {
		return nil, err
	}
	out.Took = time.Since(s.began)
	s.o.Done(out)
	return out, s.keep(ctx)
}

// everything is the demo's topic expression.
var everything = []*regexp.Regexp{regexp.MustCompile(`.*`)}

// keep lets traffic and kferry go on until the caller has seen enough.
func (s *story) keep(ctx context.Context) error {
	if s.o.Keep == nil || ctx.Err() != nil {
		return nil
	}
	traffic, err := s.world.startTraffic(ctx)
	if err != nil {
		return err
	}
	s.o.Keep(ctx, s.world.sourceAddrs(), s.world.targetAddrs())
	_ = traffic.stop() // it was interrupted, whatever it says
	return nil
}

// engine is one run of replicate.Run.
type engine struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

// Flow is the name of the flow that goes on to the end, the one that a command line without a file has.
const Flow = "source-target"

// start lets kferry work. The two runs of the story have flows of their own, and so producer ids of their own: kfake
// keeps one epoch for each id where a broker keeps one for each partition, and does not tell the last sequence
// number of an id at rest, so that there an id cannot be taken up again.
func (s *story) start(ctx context.Context, flow string) *engine {
	ctx, cancel := context.WithCancel(ctx)
	e := &engine{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		_, e.err = replicate.Run(ctx, replicate.Options{
			Flow: flow, Source: s.source, Target: s.target, Include: everything,
			TopicRefresh: time.Second, GroupInterval: 500 * time.Millisecond, Logger: s.o.Logger,
			OnReport: func(doc *report.Document) {
				s.last.put(doc)
				s.o.OnReport(doc)
			},
		})
	}()
	return e
}

// stop ends the run and waits for it.
func (e *engine) stop() error {
	e.cancel()
	<-e.done
	return e.err
}

// failed says why the run ended by itself, nil while it works.
func (e *engine) failed() error {
	select {
	case <-e.done:
		if e.err == nil {
			return errors.New("kferry ended before it was asked to")
		}
		return e.err
	default:
		return nil
	}
}

// wait lets things run for a while.
func (s *story) wait(ctx context.Context, e *engine, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.done:
		return e.failed()
	case <-time.After(d):
		return nil
	}
}

// caughtUp waits for a report, made from now on, that says so. A report with faults ends the wait as well.
func (s *story) caughtUp(ctx context.Context, e *engine) (*report.Document, error) {
	asked := time.Now()
	for deadline := asked.Add(patience); ; {
		doc := s.last.get()
		if doc != nil && doc.Updated.After(asked.Add(time.Second)) && (doc.CaughtUp || len(doc.Faults) > 0) {
			return doc, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("kferry did not catch up within %s after the producers stopped", patience)
		}
		if err := s.wait(ctx, e, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}
