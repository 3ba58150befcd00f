package config

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Bad input of files that is tested elsewhere in this package: unknown and repeated keys, anchors, aliases, bombs of
// them, depth, size, encodings (TestInvalidFilesTellEveryMistake, TestHostileFilesEndInOneLine), secrets
// (TestSecretsStayHidden and every case with the canary), huge numbers and negative durations (testdata/invalid/values.yaml).

// FuzzScalars: no word may panic, run over, or become something else when it is written and read again.
func FuzzScalars(f *testing.F) {
	for _, s := range []string{
		"0", "-1", "1048576", "96MiB", "1.5GiB", "10 MB", "9223372036854775807", "9223372036854775808", "8388608TiB", "-8388609TiB", "1e400", "NaN", "+Inf", "0x1p10", "1_000", "",
		"5s", "-5s", "1h2m3s", "2562047h47m16.854775807s", "2562047h47m16.854775808s", "5", "5 s", "µs", "1ns1ns", "source", "32768", "-0", "٣", "\xff", "a\x00b",
		"orders.*", "(", "*", "[a-", `\pL{1000}`, "(?i)x", "a{1001}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBytes(s); err == nil {
			if again, err := ParseBytes(b.String()); err != nil || again != b {
				t.Errorf("%q is %d, written %q, which is %d, %v", s, b, b, again, err)
			}
		} else {
			told(t, s, err)
		}
		if d, err := parseDuration(s); err == nil {
			if again, err := parseDuration(d.String()); (err != nil || again != d) && d != 0 {
				t.Errorf("%q is %v, which reads as %v, %v", s, d, again, err)
			}
		} else {
			told(t, s, err)
		}
		var c CountPolicy
		if err := setCountPolicy(&c, s); err == nil {
			var again CountPolicy
			if err := setCountPolicy(&again, c.String()); err != nil || again != c || (c.Number < 1) == !c.Exact {
				t.Errorf("%q is %+v, written %q, which is %+v, %v", s, c, c, again, err)
			}
			if n := c.Resolve(3, 2); n < 1 {
				t.Errorf("%q resolves to %d replicas", s, n)
			}
		} else {
			told(t, s, err)
		}
		if p, err := ParsePattern(s); err == nil {
			p.Match(s)
		} else {
			told(t, s, err)
		}
	})
}

// told checks that an error is one line of bounded length, for valid input at least.
func told(t *testing.T, s string, err error) {
	t.Helper()
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\n\r") && strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("not one line: %q", err)
	}
}

// Patterns that blow up while they are compiled are refused, or cost little.
func TestBadInputPatterns(t *testing.T) {
	for name, p := range map[string]string{
		"a thousand letters, a hundred times": strings.Repeat(`\pL{1000}`, 100),
		"folded":                              strings.Repeat(`(?i)[a-z]{1000}`, 60),
		"nested repetition":                   "((a{10}){10}){10}",
		"more of it":                          "(((a{100}){100}){100}){100}",
		"empty repeated":                      strings.Repeat("(?:)*", 190),
		"parentheses":                         strings.Repeat("(", 450) + "a" + strings.Repeat(")", 450),
		"alternatives":                        strings.Repeat("a|", 490) + "b",
		"any character":                       strings.Repeat(".{0,1000}", 100),
		"one over the length":                 strings.Repeat("a", maxPatternLen+1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		pattern, err := ParsePattern(p)
		if err == nil {
			pattern.Match(strings.Repeat("a", 249))
		} else if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 3*maxPatternLen {
			t.Errorf("%s: %.300v", name, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
			t.Errorf("%s: %d MiB were allocated", name, n>>20)
		}
		if d := time.Since(start); d > time.Minute { // a second, without the race detector
			t.Errorf("%s: it took %v", name, d)
		}
	}
}

func TestBadInputNumbers(t *testing.T) {
	for s, want := range map[string]Bytes{
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "8388607TiB": 8388607 << 40, "0.5KiB": 512, "-1.5GB": -1.5e9,
	} {
		if got, err := ParseBytes(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"9223372036854775808", "8388608TiB", "-8388609TiB", "9223372036854775807KB", "1e400", "1e3", "NaN", "inf", "0x10", "1_000", "", "MiB", "--1", "1 2", "٣",
	} {
		if got, err := ParseBytes(s); err == nil {
			t.Errorf("%q is %d bytes", s, got)
		}
	}
	for _, s := range []string{"5", "0", "1e3s", "9999999999999h", "5 s", "", "s", "∞"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// A file may be anything that can be opened: it is read to a limit and never waited for without end.
func TestBadInputFiles(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop.yaml")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/dev/zero":                  "it is larger than 1048576 bytes",
		"/dev/null":                  "",
		"/proc/self/mem":             "cannot be read",
		loop:                         "cannot be read",
		dir:                          "is a directory",
		filepath.Join(dir, "a\xffb"): "there is no such file",
		strings.Repeat("x", 5000):    "cannot be read",
		"a\x00b":                     "cannot be read",
		filepath.Join(dir, "../../..", dir, "none"): "there is no such file",
	} {
		start := time.Now()
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %.300v, want %q", path, err, want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%.60q: not one line: %.300q", path, err)
		}
		if d := time.Since(start); d > time.Minute { // a second, without the race detector
			t.Errorf("%.60q: it took %v", path, d)
		}
	}
}
