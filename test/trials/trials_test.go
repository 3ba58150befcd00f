package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/history"
)

// The cheap rows of the fault lab, one trial each with a seed of its own; make trials runs all of them, often.
func TestFaultLab(t *testing.T) {
	dir := t.TempDir()
	o := options{logs: dir}
	var err error
	if o.binary, err = build(dir); err != nil {
		t.Fatal(err)
	}
	b, err := openBed(t.Context(), "single")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	seed := uint64(time.Now().UnixNano())%(1<<32-1) + 1
	for _, r := range rows {
		if !r.cheap {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			seed++
			t.Logf("again: go run ./test/trials -rows %s -seed %d", r.name, seed)
			res, err := runTrial(t.Context(), b, r, seed, o)
			if err != nil {
				t.Fatal(err)
			}
			if !res.Passed {
				log, err := os.ReadFile(dir + "/" + trialName(r, seed) + "/trial.log")
				t.Errorf("%s\n%s (%v)", strings.Join(res.Why, "\n"), log, err)
			}
			t.Logf("%.1f s, %d records, longest stall %.1f s", res.Seconds, res.Records, res.MaxStall)
			if res.Records < 500 {
				t.Errorf("only %d records were compared", res.Records)
			}
		})
	}
}

// What a row has shown is added up, and the page says so.
func TestScores(t *testing.T) {
	s := scores{dir: t.TempDir()}
	add := func(r result) {
		t.Helper()
		err := s.change(t.Context(), func(rows map[string]*tally) {
			if rows[r.Row] == nil {
				rows[r.Row] = &tally{}
			}
			rows[r.Row].add(r, false)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add(result{Row: "kill", Seed: 1, Versions: "a to b", Records: 10, MaxStall: 1.5, Drained: true, Self: true, Passed: true, At: at})
	add(result{Row: "kill", Seed: 2, Versions: "a to b", Records: 20, MaxStall: 0.5, Drained: true, Self: true, Passed: true, At: at})
	page := func() string {
		t.Helper()
		b, err := os.ReadFile(s.page())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if want := "| kill -9 at random times | kferry | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1.5 s | 100 % | 100 % |"; !strings.Contains(page(), want) {
		t.Errorf("the page lacks %q", want)
	}
	add(result{Row: "kill", Seed: 3, Counts: history.Counts{Lost: 4}, Stopped: "truncation", At: at})
	if want := "| 3 | 4 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 1.5 s | 66 % | failed 1 of 3 |"; !strings.Contains(page(), want) {
		t.Errorf("the page lacks %q", want)
	}
	rows, err := s.read()
	if err != nil || rows["kill"].Trials != 3 || rows["kill"].FailedSeeds[0] != 3 || rows["kill"].Records != 30 {
		t.Errorf("%+v, %v", rows["kill"], err)
	}
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] || r.inject == nil || r.fault == "" || r.peer == "" && r.recipe == "" {
			t.Errorf("row %q: seen %v, or incomplete", r.name, seen[r.name])
		}
		seen[r.name] = true
	}
}
