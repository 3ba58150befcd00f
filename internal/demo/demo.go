package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
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

// Faults says whether kferry stopped a partition.
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
	o.Say("Two Kafka-protocol clusters run in this process, on loopback only:")
	o.Say("  source  %s", w.sourceAddrs())
	o.Say("  target  %s", w.targetAddrs())
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

	s.o.Say("Producers write on the source and two groups read there; kferry starts to copy.")
	traffic, err := s.world.startTraffic(ctx)
	if err != nil {
		return nil, err
	}
	defer traffic.stop()
	engine := s.start(ctx)
	defer func() { engine.stop() }()
	if err := s.wait(ctx, engine, s.o.Live/2); err != nil {
		return nil, err
	}
	if err := s.until(ctx, engine, "seed every partition", func() bool { return seeded(s.last.get()) }); err != nil {
		return nil, err
	}
	s.o.Say("kferry is stopped half way and started again: the target's log is its memory.")
	if err := engine.stop(); err != nil {
		return nil, err
	}
	engine = s.start(ctx)
	if err := s.wait(ctx, engine, s.o.Live/2); err != nil {
		return nil, err
	}
	if err := traffic.stop(); err != nil {
		return nil, fmt.Errorf("live traffic on the source: %w", err)
	}
	s.o.Say("The producers stop after %d records. kferry catches up, group positions follow.", traffic.produced.Load())
	out := &Outcome{Produced: traffic.produced.Load(), Restarts: 1}
	asked := time.Now().Add(time.Second) // a report made from then on knows every record
	if err := s.until(ctx, engine, "catch up after the producers stopped", func() bool { return caughtUp(s.last.get(), asked) }); err != nil {
		return nil, err
	}
	if out.Groups, err = s.groupsEqual(ctx, engine); err != nil {
		return nil, err
	}
	s.o.Say("Both sides are read again and every record is compared at equal offsets.")
	out.Verify, err = verify.Run(ctx, verify.Options{Source: s.source, Target: s.target, Include: everything})
	if err != nil {
		return nil, err
	}
	if err := engine.failed(); err != nil {
		return nil, err
	}
	out.Document = s.last.together()
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

// flow is the name that a command line without a file gives its flow.
const flow = "source-target"

// start lets kferry work.
func (s *story) start(ctx context.Context) *engine {
	s.last.nextRun()
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

// until waits for something to become true.
func (s *story) until(ctx context.Context, e *engine, what string, done func() bool) error {
	for began := time.Now(); !done(); {
		if time.Since(began) > patience {
			return fmt.Errorf("kferry did not %s within %s", what, patience)
		}
		if err := s.wait(ctx, e, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// seeded says whether no partition is still being brought to its log start.
func seeded(doc *report.Document) bool {
	if doc == nil || doc.Totals.Partitions == 0 {
		return false
	}
	for _, t := range doc.Topics {
		for _, p := range t.Partitions {
			if p.State == report.Opening || p.State == report.Seeding {
				return false
			}
		}
	}
	return true
}

// caughtUp says whether a report made after some moment knows of no lag. One with faults ends the wait as well: they
// are for the end of the story.
func caughtUp(doc *report.Document, after time.Time) bool {
	return doc != nil && doc.Updated.After(after) && (doc.CaughtUp || len(doc.Faults) > 0)
}
