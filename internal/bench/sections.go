package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/testbed"
)

// contest is who copies a workload, and in how many rounds.
type contest struct {
	workload workload
	rounds   map[string]int // by contender
}

// every gives all contenders the same number of rounds.
func every(rounds int, contenders ...string) map[string]int {
	m := map[string]int{}
	for _, c := range contenders {
		m[c] = rounds
	}
	return m
}

// with adds one round each for contenders that take their time.
func with(m map[string]int, contenders ...string) map[string]int {
	for _, c := range contenders {
		m[c] = 1
	}
	return m
}

// measureSection measures one section anew.
func (r *rig) measureSection(ctx context.Context, name string) error {
	n := r.o.rounds
	switch name {
	case result.One:
		return r.near(ctx, name, 1,
			contest{loadLZ4, with(every(n, result.Kferry, result.FranzGo, result.Limit, result.MM2Tuned), result.MM2)},
			contest{loadNone, with(every(n, result.Kferry, result.FranzGo, result.Limit), result.MM2Tuned, result.MM2)},
			contest{loadZstd, with(every(n, result.Kferry, result.FranzGo, result.Limit), result.MM2Tuned, result.MM2)},
			contest{smallLZ4, with(every(n, result.Kferry, result.FranzGo, result.Limit), result.MM2Tuned, result.MM2)},
		)
	case result.Three:
		return r.near(ctx, name, 3,
			contest{loadLZ4, every(n, result.Kferry, result.FranzGo, result.Limit)},
			contest{smallLZ4, every(n, result.Kferry, result.FranzGo, result.Limit)},
		)
	case result.Many:
		return r.near(ctx, name, 1, contest{manyLZ4, every(n, result.Kferry, result.FranzGo)})
	case result.Recode:
		return r.near(ctx, name, 1, contest{appended, every(n, result.Kferry, result.FranzGo)})
	case result.Seed:
		return r.near(ctx, name, 1, contest{late, every(n, result.Kferry)})
	case result.WAN:
		return r.far(ctx,
			contest{loadLZ4, every(n, result.Kferry, result.FranzGo)},
			contest{hotLZ4, every(n, result.Kferry, result.FranzGo)},
		)
	case result.Latency:
		return r.measureLatency(ctx)
	case result.Idle:
		return r.measureIdle(ctx)
	}
	return fmt.Errorf("no section %q", name)
}

// near holds contests on a target of so many brokers.
func (r *rig) near(ctx context.Context, section string, brokers int, contests ...contest) error {
	target, err := startSide(ctx, "target", testbed.Options{Version: r.o.version, Brokers: brokers})
	if err != nil {
		return err
	}
	return errors.Join(r.hold(ctx, section, target, contests), target.close())
}

// far holds contests on one broker behind a round trip of 100 ms.
func (r *rig) far(ctx context.Context, contests ...contest) error {
	target, err := startFarSide(ctx, r.o.version, 50*time.Millisecond)
	if err != nil {
		return err
	}
	return errors.Join(r.hold(ctx, result.WAN, target, contests), target.close())
}

// hold runs contests on a target. A run that fails is told and does not end the others.
func (r *rig) hold(ctx context.Context, section string, target *side, contests []contest) error {
	var list []workload
	for _, c := range contests {
		if r.o.wants(c.workload.name) {
			list = append(list, c.workload)
		}
	}
	if err := r.fill(ctx, list...); err != nil {
		return err
	}
	if err := r.warm(ctx, section, target, list); err != nil {
		return err
	}
	var failed error
	for _, c := range contests {
		if !r.o.wants(c.workload.name) {
			continue
		}
		for round := 1; round <= r.o.rounds; round++ {
			for _, name := range inTurn(c.rounds, round) {
				if !r.o.wantsContender(name) {
					continue
				}
				if err := r.oneRun(ctx, section, target, c.workload, name, round); err != nil {
					say("FAILED %s, %s, %s, round %d: %v", section, c.workload.name, name, round, err)
					failed = errSaid
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
		}
	}
	return failed
}

// inTurn lists who copies in a round; the order shifts by one from round to round.
func inTurn(rounds map[string]int, round int) []string {
	var names []string
	for _, name := range []string{result.Kferry, result.FranzGo, result.Limit, result.MM2Tuned, result.MM2} {
		if rounds[name] >= round {
			names = append(names, name)
		}
	}
	shift := (round - 1) % max(len(names), 1)
	return append(names[shift:], names[:shift]...)
}

// warm lets a fresh target take some load before anything is measured: a JVM
// that has not compiled its hot paths is several times slower.
func (r *rig) warm(ctx context.Context, section string, target *side, list []workload) error {
	if section == result.Seed || len(list) == 0 {
		return nil
	}
	for round := range 2 {
		j := job{section: "warm-" + section, topic: list[0].name, codec: list[0].codec.String(), target: target, round: round}
		if _, err := r.copyTopic(ctx, r.contender(result.FranzGo), list[0], j); err != nil {
			return fmt.Errorf("warm the target: %w", err)
		}
	}
	return nil
}

// oneRun measures one run and keeps it.
func (r *rig) oneRun(ctx context.Context, section string, target *side, w workload, name string, round int) error {
	j := job{section: section, topic: w.name, codec: w.codec.String(), target: target, round: round}
	run, err := r.copyTopic(ctx, r.contender(name), w, j)
	if err != nil {
		return err
	}
	if name == result.Kferry && round == 1 && section == result.One {
		if run.Verified, err = r.verify(ctx, j); err != nil {
			return err
		}
	}
	r.book.Copies = append(r.book.Copies, run)
	cut := ""
	if run.Cut {
		cut = fmt.Sprintf(" (cut with %.0f %%)", 100*float64(run.Records)/float64(run.Total))
	}
	say("%-6s %-12s %-22s %d: start %4.1f s, copy %5.2f s%s, %6.0f k records/s; CPU tool %.2f (life %.2f) target %.2f source %.2f other %.2f s; peak %.0f MB %s",
		section, w.name, name, round, run.Start, run.Seconds, cut, float64(run.Records)/run.Seconds/1e3,
		run.ToolCPU, run.LifeCPU, run.TargetCPU, run.SourceCPU, run.OtherCPU, float64(run.PeakMemory)/1e6, run.Verified)
	return r.book.Save(r.o.results())
}

// verify has kferry compare both sides, outside the clock.
func (r *rig) verify(ctx context.Context, j job) (string, error) {
	if r.o.profile != "" {
		return "", nil
	}
	log := r.logFile("verify", j.topic, strconv.Itoa(j.round))
	c, err := startChild(log, nil, r.kferry, "verify", "--source-bootstrap-server", r.source.Bootstrap(),
		"--target-bootstrap-server", j.target.Bootstrap(), "--topics", j.topic)
	if err != nil {
		return "", err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), c.Stop())
	}
	if _, err := c.Ended(); err != nil {
		return "", fmt.Errorf("kferry verify: %w", err)
	}
	return "equal", nil
}
