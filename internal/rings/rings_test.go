// Package rings has no code: its test keeps the direction of imports, with the reason beside each rule.
package rings

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/kferry/kferry/"

// ring is how far out a package is; a package imports only lower rings, or its own where peers is true.
type ring struct {
	level int
	peers bool
}

var rings = map[string]ring{
	// 0: nouns and formats, no I/O.
	"internal/estate": {0, true},
	"internal/fault":  {0, true},
	"internal/names":  {0, true},
	"internal/report": {0, true},
	"internal/shift":  {0, true},
	"internal/batch":  {0, false},
	// 1: decisions, pure.
	"internal/replicate/mirror": {1, false},
	"internal/topics/settings":  {1, false},
	"internal/groups/position":  {1, false},
	"internal/verify/digest":    {1, false},
	// 1: wires, I/O only. They never import a decision.
	"internal/kafka": {1, false},
	// 2: drivers join one decision to the wires.
	"internal/topics": {2, false},
	"internal/groups": {2, false},
	"internal/ledger": {2, false},
	"internal/state":  {2, true}, // knows the form of topic settings that it remembers
	"internal/verify": {2, true}, // selects topics as the copy does
	// 3: the engine joins the drivers.
	"internal/replicate": {3, false},
	"internal/repair":    {3, false},
	// 4: surfaces.
	"internal/config":  {4, false},
	"internal/console": {4, false},
	"internal/demo":    {4, true},
	// 5: main.
	"cmd/kferry": {5, false},
}

// only lists who may import what from outside, and why.
var only = []struct {
	imports string
	by      []string
	why     string
}{
	{"github.com/twmb/franz-go", []string{"internal/kafka", "internal/demo"},
		"requests that must never be repeated blind would be, if anybody could reach a client that retries; the demo has traffic generators and embedded clusters"},
	{"github.com/spf13/cobra", []string{"cmd/kferry"}, "commands are main's business"},
	{"net", []string{"internal/kafka", "internal/config", "internal/demo", "cmd/kferry"}, "nobody else opens sockets"},
}

// pure packages decide; the same events must give the same actions on any machine at any time.
var pure = []string{"internal/batch", "internal/replicate/mirror", "internal/topics/settings", "internal/groups/position", "internal/verify/digest", "internal/estate", "internal/report", "internal/shift"}

var impure = []string{"net", "os", "log/slog", "math/rand", "math/rand/v2"}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
}

// tooling is not part of the product: test beds, workloads, benchmarks.
func tooling(path string) bool {
	for _, prefix := range []string{"internal/testbed", "internal/history", "internal/sim", "internal/bench", "internal/rings", "test/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func TestImportsPointInwards(t *testing.T) {
	for _, p := range packages(t) {
		if tooling(p.ImportPath) {
			continue
		}
		from, ok := rings[p.ImportPath]
		if !ok {
			t.Errorf("%s has no ring: give it one here", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			path, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			to, ok := rings[path]
			if !ok || to.level > from.level || (to.level == from.level && !from.peers) {
				t.Errorf("%s imports %s, which is not in a lower ring", p.ImportPath, path)
			}
		}
	}
}

func TestOutsideImports(t *testing.T) {
	for _, p := range packages(t) {
		if tooling(p.ImportPath) {
			continue
		}
		for _, imp := range p.Imports {
			for _, rule := range only {
				if imp != rule.imports && !(strings.Contains(rule.imports, ".") && strings.HasPrefix(imp, rule.imports)) {
					continue
				}
				allowed := false
				for _, by := range rule.by {
					allowed = allowed || by == p.ImportPath
				}
				if !allowed {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, rule.why)
				}
			}
		}
	}
}

func TestPureStaysPure(t *testing.T) {
	for _, p := range packages(t) {
		for _, pkg := range pure {
			if p.ImportPath != pkg {
				continue
			}
			for _, imp := range p.Imports {
				for _, bad := range impure {
					if imp == bad {
						t.Errorf("%s is pure and imports %s", pkg, imp)
					}
				}
			}
		}
	}
}
