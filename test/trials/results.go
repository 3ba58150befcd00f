package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/kferry/kferry/internal/history"
)

// result is one trial, one line of JSON.
type result struct {
	Row      string `json:"row"`
	Seed     uint64 `json:"seed"`
	Versions string `json:"versions"`
	Kferry   string `json:"kferry"`
	history.Counts
	Records    int64     `json:"records"`    // compared
	SourceLost int64     `json:"sourceLost"` // acknowledged by the source and lost there
	Skipped    int64     `json:"skipped"`    // MirrorMaker 2: deleted on the source before it was copied, and not said
	TimeSeeks  int64     `json:"timeSeeks"`  // seeks by time that both sides answer differently
	MaxStall   float64   `json:"maxStallSeconds"`
	Drained    bool      `json:"drained"`           // everything that was to be copied was
	Self       bool      `json:"recoveredByItself"` // and nobody had to do anything
	Stopped    string    `json:"stopped,omitempty"` // kind of the fault with which kferry stopped a partition
	Passed     bool      `json:"passed"`
	Why        []string  `json:"why,omitempty"`
	Seconds    float64   `json:"seconds"`
	At         time.Time `json:"at"`
}

func (r *result) take(v *history.Verdict) {
	r.Counts, r.Records, r.SourceLost, r.Skipped, r.TimeSeeks = v.Counts, v.Records, v.SourceLost, v.Skipped, v.TimeSeeks
}

// tally is what all trials of a row have shown.
type tally struct {
	Trials  int `json:"trials"`
	Passed  int `json:"passed"`
	Harmed  int `json:"harmed"` // trials with anything but zeros in the counts
	Self    int `json:"recoveredByItself"`
	Drained int `json:"drained"`
	WasStop int `json:"stopped"` // trials in which a partition was stopped with a named fault
	history.Counts
	Records     int64    `json:"records"`
	SourceLost  int64    `json:"sourceLost"`
	Skipped     int64    `json:"skipped"`
	TimeSeeks   int64    `json:"timeSeeks"`
	MaxStall    float64  `json:"maxStallSeconds"`
	Seconds     float64  `json:"seconds"` // sum
	Versions    []string `json:"versions"`
	Kferry      []string `json:"kferry"`
	Stops       []string `json:"stops,omitempty"` // kinds of faults
	FailedSeeds []uint64 `json:"failedSeeds,omitempty"`
	FirstAt     string   `json:"from"`
	LastAt      string   `json:"to"`
}

func (t *tally) add(r result, shifted bool) {
	t.Trials++
	count := func(n *int, when bool) {
		if when {
			*n++
		}
	}
	counts := r.Counts
	if shifted {
		counts.OffsetDiff = 0 // by design
	}
	count(&t.Passed, r.Passed)
	count(&t.Harmed, !counts.Zero() || r.Skipped > 0)
	count(&t.Self, r.Self)
	count(&t.Drained, r.Drained)
	count(&t.WasStop, r.Stopped != "")
	t.Counts.Add(r.Counts)
	t.Records += r.Records
	t.SourceLost += r.SourceLost
	t.Skipped += r.Skipped
	t.TimeSeeks += r.TimeSeeks
	t.MaxStall = max(t.MaxStall, r.MaxStall)
	t.Seconds += r.Seconds
	t.Versions = with(t.Versions, r.Versions)
	t.Kferry = with(t.Kferry, r.Kferry)
	if r.Stopped != "" {
		t.Stops = with(t.Stops, r.Stopped)
	}
	if !r.Passed {
		t.FailedSeeds = append(t.FailedSeeds, r.Seed)
	}
	day := r.At.Format(time.DateOnly)
	if t.FirstAt == "" {
		t.FirstAt = day
	}
	t.LastAt = day
}

func with(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	list = append(list, s)
	slices.Sort(list)
	return list
}

// scores is docs/reliability.json: a tally for each row. Several processes may add to it at once.
type scores struct {
	dir string // of reliability.json and reliability.md
}

func (s scores) file() string { return filepath.Join(s.dir, "reliability.json") }
func (s scores) page() string { return filepath.Join(s.dir, "reliability.md") }

// read returns the tallies as they are now.
func (s scores) read() (map[string]*tally, error) {
	rows := map[string]*tally{}
	b, err := os.ReadFile(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		return rows, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the results so far: %w", err)
	}
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, fmt.Errorf("read the results so far: %s: %w", s.file(), err)
	}
	return rows, nil
}

// change lets f change the tallies while nobody else does, and writes them and the page.
func (s scores) change(ctx context.Context, f func(map[string]*tally)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rows, err := s.read()
	if err != nil {
		return err
	}
	f(rows)
	b, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(s.file(), append(b, '\n')); err != nil {
		return err
	}
	return replace(s.page(), []byte(scorecard(rows)))
}

// lock holds a lock that ends with this process. Its file lies with other temporary files, not in the tree.
func (s scores) lock(ctx context.Context) (unlock func(), err error) {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(os.TempDir(), fmt.Sprintf("kferry-trials-%x.lock", dir))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the results: %w", err)
	}
	for syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return func() { f.Close() }, nil
}

// replace writes a file aside and renames it.
func replace(path string, b []byte) error {
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".tmp", path)
}
