package main

import (
	"errors"
	"flag"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// everyday is how many worlds an ordinary run of the tests has.
const everyday = 100_000

var (
	seeds = flag.Uint64("seeds", everyday, "worlds to run")
	first = flag.Uint64("from", 1, "the first one's seed; the same every day, nights look for others (make sim)")
)

// In every world the target ends equal to the source at every offset, or the partition stops with a fault that has
// a cause; and in so many worlds everything occurs that the simulator can do.
func TestWorlds(t *testing.T) {
	t.Logf("seeds from %d on", *first)
	if raced {
		// Nothing in a world runs beside anything else, so the race detector finds in a few what it would in
		// many; it makes each ten times as slow.
		judge(t, run(*first+*seeds, *seeds/50, sane, nil), false)
		out, code := command(t, "-seeds", strconv.FormatUint(*seeds, 10), "-from", strconv.FormatUint(*first, 10))
		if code != 0 {
			t.Fatalf("%s", out)
		}
		t.Log(out)
		return
	}
	judge(t, run(*first, *seeds, sane, nil), *seeds >= everyday)
}

func judge(t *testing.T, r *result, all bool) {
	t.Helper()
	if r.err != nil {
		t.Fatalf("go run ./internal/sim -seed %d: %v", r.failed, r.err)
	}
	t.Logf("%s, %s", r, r.took.Round(time.Millisecond))
	if missing := r.tally.missing(); all && len(missing) > 0 {
		t.Errorf("never occurred: %q", missing)
	}
	if testing.Verbose() {
		t.Logf("\n%s", &r.tally)
	}
}

// command runs the command as it is without the race detector. It returns what it said, and its exit code.
func command(t *testing.T, args ...string) (string, int) {
	bin := filepath.Join(t.TempDir(), "sim")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// The same seed is the same world.
func TestSeedsRepeat(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		story, err := retell(seed, sane)
		again, err2 := retell(seed, sane)
		if story != again || (err == nil) != (err2 == nil) {
			t.Fatalf("seed %d is two worlds", seed)
		}
		if r := run(seed, 1, sane, nil); (r.err == nil) != (err == nil) {
			t.Fatalf("seed %d ends with %v if it is told, with %v if not", seed, err, r.err)
		}
	}
}

// A simulator that finds nothing proves something only if it finds what is wrong: every mistake that a driver
// could make is noticed.
func TestMistakesAreNoticed(t *testing.T) {
	const most = 20_000
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		t.Run(name, func(t *testing.T) {
			if raced {
				out, code := command(t, "-mutant", name, "-from", "1", "-seeds", strconv.Itoa(most), "-counts=false")
				if code != 1 || !strings.Contains(out, "again: go run") {
					t.Fatalf("exit code %d: %s", code, out)
				}
				return
			}
			r := run(1, most, mutants[name], nil)
			if r.err == nil {
				t.Fatalf("%d worlds went well", r.seeds)
			}
			t.Logf("after %d seeds: %v", r.seeds, r.err)
		})
	}
}

// The heap of events gives them back in order.
func TestQueue(t *testing.T) {
	var q queue
	for i := range 1000 {
		q.push(event{at: int64(i * 7919 % 101), n: i})
	}
	last := event{at: -1}
	for len(q) > 0 {
		e := q.pop()
		if !last.before(&e) {
			t.Fatalf("%d.%d after %d.%d", e.at, e.n, last.at, last.n)
		}
		last = e
	}
}
