// Command trials is the fault lab: it lets real brokers, links and kferry itself fail in every way that can be
// made to happen on one machine, at seeded moments, while producers write and the cluster works on its topics,
// and compares both sides record by record afterwards.
//
//	go run ./test/trials -list                  the rows
//	go run ./test/trials -n 30                  until every row has 30 trials
//	go run ./test/trials -n 5 -rows kill,zombie until these have 5
//	go run ./test/trials -rows kill -seed 123   one trial again, counted nowhere
//
// Each trial prints one line of JSON. Results are added up in docs/reliability.json, from which the page
// docs/reliability.md is made; what is there already is not run again, so a run that was interrupted is taken up
// by the same command, and several may run at once. A trial that does not pass keeps its logs, prints its seed
// and makes the exit code 1.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	trials int
	rows   string
	seed   uint64
	fresh  bool
	out    string
	logs   string
	list   bool
	page   bool

	binary string
	kferry string // its version
}

func main() {
	var o options
	flag.IntVar(&o.trials, "n", 30, "go on until every row has so many `trials`")
	flag.StringVar(&o.rows, "rows", "", "only these `rows`, separated by commas; * at the end stands for anything; default all of kferry's")
	flag.Uint64Var(&o.seed, "seed", 0, "run one trial of each row with this `seed`, and count it nowhere")
	flag.BoolVar(&o.fresh, "fresh", false, "forget what the rows have shown so far")
	flag.StringVar(&o.out, "out", "docs", "`directory` of reliability.json and reliability.md")
	flag.StringVar(&o.logs, "logs", filepath.Join(os.TempDir(), "kferry-trials"), "`directory` for the logs of trials that do not pass")
	flag.StringVar(&o.binary, "kferry", "", "`path` of the kferry to try; default: it is built")
	flag.BoolVar(&o.list, "list", false, "list the rows and end")
	flag.BoolVar(&o.page, "page", false, "make the page anew from the results and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "trials:", err)
	}
	if err != nil || failed {
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (failed bool, err error) {
	chosen, err := choose(o.rows)
	if err != nil {
		return false, err
	}
	if o.list {
		for _, r := range chosen {
			fmt.Printf("%-28s %-8s %s\n", r.name, r.bed, r.fault)
		}
		return false, nil
	}
	s := scores{dir: o.out}
	if o.page || o.fresh {
		err := s.change(ctx, func(rows map[string]*tally) {
			for _, r := range chosen {
				if o.fresh {
					delete(rows, r.name)
				}
			}
		})
		if err != nil || o.page {
			return false, err
		}
	}
	dir, err := os.MkdirTemp("", "kferry-trials-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary, err = build(dir)
	}
	if err == nil {
		o.kferry, err = versionOf(o.binary)
	}
	if err != nil {
		return false, err
	}
	return runBeds(ctx, chosen, o, s)
}

// build makes the kferry that is tried, with the version that git tells.
func build(dir string) (binary string, err error) {
	version, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		version = []byte("unknown")
	}
	binary = filepath.Join(dir, "kferry")
	cmd := exec.Command("go", "build", "-o", binary, "-ldflags", "-X main.version="+strings.TrimSpace(string(version)), "github.com/kferry/kferry/cmd/kferry")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kferry: %w: %s", err, out)
	}
	return binary, nil
}

// versionOf is what a kferry says of itself.
func versionOf(binary string) (string, error) {
	out, err := exec.Command(binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", binary, err)
	}
	words := strings.Fields(string(out))
	if len(words) < 2 {
		return "", fmt.Errorf("%s says %q of its version", binary, out)
	}
	return words[1], nil
}

// choose finds rows by their names.
func choose(names string) (chosen []*row, err error) {
	if names == "" {
		for _, r := range rows {
			if r.peer == "" {
				chosen = append(chosen, r)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		n := len(chosen)
		for _, r := range rows {
			prefix, many := strings.CutSuffix(name, "*")
			if r.name == name || many && strings.HasPrefix(r.name, prefix) {
				chosen = append(chosen, r)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("there is no row %q: -list tells them", name)
		}
	}
	return chosen, nil
}

// place is where rows run together: on one bed, with one program that copies.
type place struct{ bed, peer string }

// runBeds runs the rows of one place after those of another, so that only one pair of clusters is up.
func runBeds(ctx context.Context, chosen []*row, o options, s scores) (failed bool, err error) {
	var places []place
	for _, r := range chosen {
		if at := (place{r.bed, r.peer}); !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	for _, at := range places {
		var due []*row
		for _, r := range chosen {
			if at == (place{r.bed, r.peer}) && (o.seed != 0 || short(s, r, o.trials)) {
				due = append(due, r)
			}
		}
		if len(due) == 0 {
			continue
		}
		bad, err := runBed(ctx, at.bed, due, o, s)
		failed = failed || bad
		if err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// short says whether a row has too few trials yet.
func short(s scores, r *row, want int) bool {
	rows, err := s.read()
	return err != nil || rows[r.name] == nil || rows[r.name].Trials < want
}

// runBed runs one trial of each row in turn until every row has enough.
func runBed(ctx context.Context, name string, due []*row, o options, s scores) (failed bool, err error) {
	b, err := openBed(ctx, name)
	if err != nil {
		return false, err
	}
	defer func() { b.close() }()
	mishaps := 0
	for again := true; again; {
		again = false
		for _, r := range due {
			if o.seed == 0 && !short(s, r, o.trials) {
				continue
			}
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			seed := o.seed
			if seed == 0 {
				seed = rand.Uint64N(1<<32-1) + 1
				again = true
			}
			res, err := runTrial(ctx, b, r, seed, o)
			if err != nil {
				if ctx.Err() != nil {
					return failed, ctx.Err()
				}
				fmt.Fprintf(os.Stderr, "trials: row %s, seed %d: no trial: %v (logs in %s)\n", r.name, seed, err, o.logs)
				if mishaps++; mishaps > 5 {
					return true, fmt.Errorf("bed %s: too many trials went wrong by themselves, the last: %w", name, err)
				}
				failed = true
				b.close() // who knows in what state it is
				if b, err = openBed(ctx, name); err != nil {
					return failed, err
				}
				continue
			}
			if err := say(ctx, res, r, o, s); err != nil {
				return failed, err
			}
			failed = failed || !res.Passed
		}
	}
	return failed, nil
}

// say prints a result and adds it up.
func say(ctx context.Context, res result, r *row, o options, s scores) error {
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if !res.Passed {
		fmt.Fprintf(os.Stderr, "trials: row %s, seed %d did not pass: %s\n  logs: %s\n", r.name, res.Seed, strings.Join(res.Why, "\n  "), filepath.Join(o.logs, trialName(r, res.Seed)))
	}
	if o.seed != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return s.change(ctx, func(rows map[string]*tally) {
		if rows[r.name] == nil {
			rows[r.name] = &tally{}
		}
		rows[r.name].add(res, r.peer != "")
	})
}
