package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/report"
)

// copier is what copies: kferry, or MirrorMaker 2.
type copier interface {
	start() error
	kill()
	pause()
	resume()
	endedByItself() []string
}

// trial is one run of a row: fresh topics, a workload, the fault, and the judgement.
type trial struct {
	*bed
	row    *row
	seed   uint64
	rng    *rand.Rand
	name   string // prefix of topics, groups and of the flow
	dir    string // logs
	file   string // kferry's configuration
	binary string

	load    *history.Load
	topics  []history.LoadTopic
	groups  []string
	ferry   *ferry // the one that is there at the end; nil with MirrorMaker
	ferries []*ferry
	copier  copier
	sampler *sampler
	stopped bool             // the workload has ended
	gone    []string         // topics that the row took out of the comparison
	expect  map[string]int64 // what the row remembers from its fault for its judgement
	undo    []func() error   // see later
	why     []string         // why it did not pass
	note    []string         // what is worth telling all the same
}

// failf notes why a trial does not pass. It goes on: the more is found out, the better.
func (t *trial) failf(format string, args ...any) {
	t.why = append(t.why, fmt.Sprintf(format, args...))
}

// later undoes a part of the fault when the trial is over: it stays while the copy catches up.
func (t *trial) later(undo func() error) { t.undo = append(t.undo, undo) }

// notef notes something that the log shall tell.
func (t *trial) notef(format string, args ...any) {
	t.note = append(t.note, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// between draws a duration.
func (t *trial) between(from, to time.Duration) time.Duration {
	return from + time.Duration(t.rng.Int64N(int64(to-from)+1))
}

// rest waits for a time drawn between two.
func (t *trial) rest(from, to time.Duration) { time.Sleep(t.between(from, to)) }

// chance is true once in n times.
func (t *trial) chance(n int) bool { return t.rng.IntN(n) == 0 }

// drainTimeout is how long a copy may take to get over a fault and catch up.
const drainTimeout = 2 * time.Minute

// trialName is the prefix of everything that belongs to a trial.
func trialName(r *row, seed uint64) string { return fmt.Sprintf("%s-%08x", r.name, seed) }

// runTrial runs a row once. The error says that the trial itself went wrong and tells nothing of what was tried.
func runTrial(ctx context.Context, b *bed, r *row, seed uint64, o options) (res result, err error) {
	t := &trial{bed: b, row: r, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), name: trialName(r, seed), binary: o.binary}
	t.dir = filepath.Join(o.logs, t.name)
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return res, err
	}
	began := time.Now()
	res = result{Row: r.name, Seed: seed, Versions: b.versions(), Kferry: o.kferry, At: began.UTC().Truncate(time.Second)}
	for _, side := range []*side{&b.source, &b.target} {
		for _, p := range append(side.outside, side.inside...) {
			p.Seed(seed)
		}
	}
	err = t.run(ctx, &res)
	t.cleanUp(ctx)
	res.Seconds = time.Since(began).Seconds()
	res.Why = t.why
	res.Passed = len(t.why) == 0
	t.keep(res, err, o.seed != 0)
	return res, err
}

func (t *trial) run(ctx context.Context, res *result) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	if err := errors.Join(t.row.inject(ctx, t), ctx.Err()); err != nil {
		return fmt.Errorf("inject the fault: %w", err)
	}
	t.stopped = true
	if err := t.load.Stop(ctx); err != nil {
		return fmt.Errorf("end the workload: %w", err)
	}
	for _, what := range t.load.Trouble() {
		t.notef("workload: %s", what)
	}
	t.notef("workload ended")
	if err := t.heal(ctx); err != nil {
		return err
	}
	t.notef("all is well again")
	return errors.Join(t.judge(ctx, res), ctx.Err())
}

// prepare writes kferry's configuration and starts the workload.
func (t *trial) prepare(ctx context.Context) error {
	t.topics = t.row.topics(t.name)
	t.groups = []string{t.name + "-g1", t.name + "-g2"}
	text := fmt.Sprintf(`apiVersion: kferry.io/v1alpha1
kind: Migration
metadata: {name: trials}
spec:
  clusters:
  - {alias: old, bootstrapServers: "%s", requestTimeout: 5s, dialTimeout: 3s}
  - {alias: new, bootstrapServers: "%s", requestTimeout: 5s, dialTimeout: 3s}
  flows:
  - name: %s
    source: old
    target: new
    topics: ["%s-.*"]
    groups: ["%s-.*"]
    topicRefreshInterval: 500ms
    groupSyncInterval: 500ms
`, t.source.cluster.Bootstrap(), t.target.cluster.Bootstrap(), t.name, t.name, t.name)
	for _, line := range t.row.flow {
		text += "    " + line + "\n"
	}
	t.file = filepath.Join(t.dir, "migration.yaml")
	if err := os.WriteFile(t.file, []byte(text), 0o600); err != nil {
		return err
	}
	o := history.LoadOptions{
		Bootstrap: strings.Split(t.source.cluster.Internal(), ","), Seed: t.seed, Topics: t.topics, Groups: t.groups,
		Replicas: int16(min(t.plan.sourceBrokers, 3)),
	}
	if t.row.load != nil {
		t.row.load(&o)
	}
	load, err := history.StartLoad(ctx, o)
	if err != nil {
		return fmt.Errorf("start the workload: %w", err)
	}
	t.load = load
	return nil
}

// begin starts copying and returns when something was copied.
func (t *trial) begin(ctx context.Context) error {
	t.rest(200*time.Millisecond, time.Second)
	t.sampler = watchTarget(ctx, t.target.admin, t.load.Names())
	if t.row.peer != "" {
		m, err := t.mirror(ctx, t.row.peer)
		if err != nil {
			return err
		}
		t.copier = m
	} else {
		f := t.newFerry("kferry")
		t.ferry, t.copier = f, f
		if err := f.start(); err != nil {
			return err
		}
	}
	t.notef("copying begins")
	for deadline := time.Now().Add(2 * time.Minute); !t.idle() && t.sampler.copied() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing was copied within 2 minutes, before any fault")
		}
	}
	t.notef("the first records are copied")
	return nil
}

// idle says whether nothing is written unless the row does.
func (t *trial) idle() bool {
	for _, topic := range t.topics {
		if !topic.Idle {
			return false
		}
	}
	return true
}

func (t *trial) newFerry(name string) *ferry {
	f := newFerry(t.binary, t.file, t.dir, name)
	t.ferries = append(t.ferries, f)
	return f
}

// judge waits until the copy has caught up and compares everything.
func (t *trial) judge(ctx context.Context, res *result) error {
	o := history.CheckOptions{
		Source: t.source.client, Target: t.target.client, Topics: t.compared(), Groups: t.groups, Ledger: t.load.Ledger(),
		Compacted: map[string]bool{}, Shifted: t.row.peer != "",
	}
	for _, topic := range t.topics {
		o.Compacted[topic.Name] = topic.Compact
	}
	var v *history.Verdict
	var err error
	if t.row.peer != "" {
		v, err = t.judgeMirror(ctx, o)
	} else {
		v, err = t.judgeFerry(ctx, o, res)
	}
	if err != nil {
		return err
	}
	res.take(v)
	res.MaxStall = t.sampler.stop().Seconds()
	t.notef("%s", v)
	if t.row.peer != "" {
		res.Drained = v.Lost == 0
	}
	ended := t.endedByItself()
	res.Self = res.Drained && len(ended) == 0
	for _, how := range ended {
		t.notef("the copying process ended by itself: %s", how)
	}
	if t.row.peer != "" {
		return nil
	}
	if !v.Exact() {
		t.failf("%s", v)
	}
	if v.FalseAlarm {
		t.failf("kferry verify finds a difference where there is none")
	}
	if !res.Self {
		t.failf("it did not recover by itself: %v", ended)
	}
	return nil
}

// compared are the topics that both sides shall have alike.
func (t *trial) compared() (names []string) {
	for _, name := range t.load.Names() {
		keep := true
		for _, g := range t.gone {
			keep = keep && g != name
		}
		if keep {
			names = append(names, name)
		}
	}
	return names
}

func (t *trial) judgeFerry(ctx context.Context, o history.CheckOptions, res *result) (*history.Verdict, error) {
	drained, left := t.drain(ctx, &o)
	res.Drained = drained
	t.notef("caught up: %v", drained)
	faults := t.faults()
	t.judgeFaults(faults, res)
	if !drained {
		t.failf("not caught up after %v: %s", drainTimeout, left)
	}
	if drained && len(faults) == 0 && !t.ferry.saysCaughtUp(15*time.Second) {
		t.failf("everything is copied, and kferry does not say so")
	}
	doc, err := t.ferry.stop()
	if err != nil {
		t.failf("%v", err)
	}
	for _, f := range t.ferries {
		f.abandon()
	}
	if doc != nil && drained && len(faults) == 0 {
		o.Claims.Ends = claimed(doc)
		if verified, err := t.verify(ctx); err != nil {
			t.failf("kferry verify: %v", err)
		} else {
			o.Claims.Verified = &verified
		}
	}
	t.notef("kferry has ended")
	if !drained { // compare what is there
		for _, topic := range o.Topics {
			if err := awaitTopic(ctx, t.target.admin, topic); err != nil {
				return nil, err
			}
		}
	}
	return history.Check(ctx, o)
}

// drain waits until the target has everything but what was stopped, and until a row that must stop has stopped.
func (t *trial) drain(ctx context.Context, o *history.CheckOptions) (drained bool, left string) {
	for deadline := time.Now().Add(drainTimeout); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		faults := t.faults()
		o.Until = until(faults, t.load)
		if t.row.must && len(faults) == 0 {
			left = "no fault was said"
			continue
		}
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		var err error
		left, err = history.Behind(one, *o)
		cancel()
		if err != nil {
			left = err.Error()
		} else if left == "" {
			return true, ""
		}
	}
	return false, left
}

// endedByItself says how processes ended that nobody ended.
func (t *trial) endedByItself() (all []string) {
	if t.row.peer != "" {
		return t.copier.endedByItself()
	}
	for _, f := range t.ferries {
		all = append(all, f.endedByItself()...)
	}
	return all
}

// faults are those that any kferry of the trial has said.
func (t *trial) faults() (all []fault.Fault) {
	for _, f := range t.ferries {
		all = append(all, f.Faults()...)
	}
	return all
}

// until maps stopped partitions to where they were stopped.
func until(faults []fault.Fault, load *history.Load) map[string]map[int32]int64 {
	m := map[string]map[int32]int64{}
	for _, f := range faults {
		if m[f.Topic] == nil {
			m[f.Topic] = map[int32]int64{}
		}
		parts := []int32{f.Partition}
		if f.Partition < 0 {
			parts = nil
			for id := range load.Width(f.Topic) {
				parts = append(parts, id)
			}
		}
		for _, id := range parts {
			if before, ok := m[f.Topic][id]; !ok || f.Offset < before {
				m[f.Topic][id] = max(f.Offset, 0)
			}
		}
	}
	return m
}

// judgeFaults says whether what was stopped was rightly stopped.
func (t *trial) judgeFaults(faults []fault.Fault, res *result) {
	for _, f := range faults {
		t.notef("fault: %v", f.Error())
		res.Stopped = string(f.Kind)
		if !t.row.mayStop(f.Kind) {
			t.failf("stopped: %v", f.Error())
		}
		if f.Detail == "" || f.Next == "" {
			t.failf("a fault without words: %+v", f)
		}
	}
	if t.row.must && len(faults) == 0 {
		t.failf("it was not stopped")
	}
	if t.row.judge != nil {
		t.row.judge(t, faults)
	}
}

// claimed is what a report says of the target's logs.
func claimed(doc *report.Document) map[string]map[int32]history.Span {
	m := map[string]map[int32]history.Span{}
	for _, topic := range doc.Topics {
		m[topic.Name] = map[int32]history.Span{}
		for _, p := range topic.Partitions {
			m[topic.Name][p.ID] = history.Span{Start: p.TargetStart, End: p.TargetEnd}
		}
	}
	return m
}

// verify asks kferry's own verification.
func (t *trial) verify(ctx context.Context) (equal bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, t.binary, "verify", "-f", t.file).CombinedOutput()
	if path := filepath.Join(t.dir, "verify.log"); os.WriteFile(path, out, 0o644) != nil {
		t.notef("verify's output was not kept")
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		return false, nil
	}
	return false, fmt.Errorf("%w: %s", err, lastOf(string(out), 500))
}

func lastOf(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// cleanUp ends what runs, undoes the fault and deletes the topics.
func (t *trial) cleanUp(ctx context.Context) {
	if ctx.Err() != nil {
		for _, f := range t.ferries {
			f.abandon()
		}
		return // the clusters are about to be closed
	}
	if t.sampler != nil {
		t.sampler.stop()
	}
	for _, f := range t.ferries {
		f.abandon()
	}
	for _, undo := range t.undo {
		if err := undo(); err != nil {
			t.notef("undo: %v", err)
		}
	}
	if t.load == nil {
		return
	}
	if err := t.heal(ctx); err != nil {
		t.notef("heal: %v", err)
	}
	if !t.stopped {
		if err := t.load.Stop(ctx); err != nil {
			t.notef("end the workload: %v", err)
		}
	}
	for _, side := range []*side{&t.source, &t.target} {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		if _, err := side.admin.DeleteTopics(one, t.load.Names()...); err != nil {
			t.notef("delete the topics: %v", err)
		}
		cancel()
	}
}

// keep writes the notes, and throws the logs of a trial away that has passed, unless somebody wants to see it.
func (t *trial) keep(res result, err error, wanted bool) {
	if res.Passed && err == nil && t.row.peer == "" && !wanted {
		os.RemoveAll(t.dir)
		return
	}
	var b strings.Builder
	for _, line := range t.note {
		b.WriteString(line + "\n")
	}
	for _, line := range t.why {
		b.WriteString("did not pass: " + line + "\n")
	}
	if err != nil {
		fmt.Fprintf(&b, "no trial: %v\n", err)
	}
	_ = os.WriteFile(filepath.Join(t.dir, "trial.log"), []byte(b.String()), 0o644)
}
