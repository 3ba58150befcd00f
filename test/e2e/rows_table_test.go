package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/fault"
)

// root is the repository, seen from this package.
const root = "../.."

// rowCounts are how many rows the table has of each letter.
var rowCounts = map[string]int{"A": 13, "B": 7, "C": 11, "D": 6, "E": 8, "F": 4}

// The table of docs/reliability-rows.md has every row once, names no fault that there is not, and what it says shows
// a row is there.
func TestRowsAreShown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "reliability-rows.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\| ([A-F])(\d+) \| (.*) \| (.*) \| (.*) \|$`)
	code := regexp.MustCompile("`([^`]+)`")
	seen := map[string]int{}
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		id, what, ends, shown := m[1]+m[2], m[3], m[4], m[5]
		seen[id]++
		if n, _ := strconv.Atoi(m[2]); n < 1 || n > rowCounts[m[1]] {
			t.Errorf("there is no row %s", id)
		}
		if what == "" {
			t.Errorf("row %s does not say what happens", id)
		}
		if _, stops, ok := strings.Cut(ends, "stops:"); ok {
			kinds := code.FindAllStringSubmatch(stops, -1)
			if !slices.ContainsFunc(kinds, func(k []string) bool { return slices.Contains(fault.Kinds, fault.Kind(k[1])) }) {
				t.Errorf("row %s stops with no fault that there is: %s", id, ends)
			}
		}
		references := code.FindAllStringSubmatch(shown, -1)
		if notHere := strings.HasPrefix(ends, "cannot run here: "); notHere != (len(references) == 0) || notHere && id != "A12" {
			t.Errorf("row %s: %q, and %d references", id, ends, len(references))
		}
		for _, r := range references {
			if why := missing(r[1]); why != "" {
				t.Errorf("row %s: %s: %s", id, r[1], why)
			}
		}
	}
	for letter, n := range rowCounts {
		for i := range n {
			if id := fmt.Sprint(letter, i+1); seen[id] != 1 {
				t.Errorf("row %s is in the table %d times", id, seen[id])
			}
		}
	}
}

// missing is why what a reference names does not exist, empty if it does.
func missing(reference string) string {
	where, name, ok := strings.Cut(reference, ":")
	if !ok {
		return "is no reference"
	}
	switch where {
	case "story":
		if _, err := os.Stat(filepath.Join(root, "internal/replicate/mirror/testdata", name+".txt")); err != nil {
			return err.Error()
		}
		return ""
	case "trial":
		return notIn(filepath.Join(root, "test/trials"), "rows.go", fmt.Sprintf("{name: %q,", name))
	case "mutant":
		return notIn(filepath.Join(root, "internal/sim"), "mutant.go", fmt.Sprintf("%q:", name))
	}
	dir := filepath.Join(root, filepath.FromSlash(where))
	test, part, _ := strings.Cut(name, "/")
	if why := notIn(dir, "*_test.go", "\nfunc "+test+"(t *testing.T)"); why != "" || part == "" {
		return why
	}
	return notIn(dir, "*_test.go", strconv.Quote(part))
}

// notIn says that no file in a directory holds a text, empty if one does.
func notIn(dir, files, text string) string {
	paths, err := filepath.Glob(filepath.Join(dir, files))
	if err != nil || len(paths) == 0 {
		return fmt.Sprintf("there is no %s in %s (%v)", files, dir, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		if strings.Contains(string(b), text) {
			return ""
		}
	}
	return fmt.Sprintf("not in %s/%s", dir, files)
}
