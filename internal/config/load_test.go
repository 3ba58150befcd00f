package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write what the tests see into the files they compare with")

const canary = "c4n4ry-hunter2"

// TestSamplesLoad keeps the examples of the documentation working.
func TestSamplesLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d samples, %v", len(files), err)
	}
	for _, f := range files {
		if _, err := Load(f); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestInvalidFilesTellEveryMistake compares the lines printed for testdata/invalid/*.yaml with the comments at
// their ends, "# want: line:column: key: what is wrong: what to do".
func TestInvalidFilesTellEveryMistake(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("the error is %T: %v", err, err)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("a secret is in the message: %v", err)
			}
			got := strings.ReplaceAll(err.Error(), file+":", "") + "\n"
			if n := strings.Count(got, "\n"); n != len(problems) {
				t.Errorf("%d problems on %d lines:\n%s", len(problems), n, got)
			}
			text, readErr := os.ReadFile(file)
			if readErr != nil {
				t.Fatal(readErr)
			}
			body, want := splitWanted(text)
			if *update {
				for line := range strings.Lines(got) {
					body = append(body, "# want: "+line...)
				}
				if err := os.WriteFile(file, body, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("messages differ (-want +got):\n%s", d)
			}
		})
	}
}

// splitWanted divides a file into its content and the expected lines at its end.
func splitWanted(text []byte) (body []byte, want string) {
	for line := range bytes.Lines(text) {
		if w, ok := bytes.CutPrefix(line, []byte("# want: ")); ok {
			want += string(w)
		} else {
			body = append(body, line...)
		}
	}
	return body, want
}

func TestLoadFillsDefaults(t *testing.T) {
	m, err := Load("testdata/quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Flow("")
	if err != nil {
		t.Fatal(err)
	}
	want := &Flow{
		Name: "old-new", Source: "old", Target: "new", Mode: ModeIdentical, OversizedBatches: "fault", OnRetentionOvertake: "stop",
		Gaps:              Gaps{Wide: 10000, Compacted: "auto", Permission: "auto"},
		GroupSyncInterval: 5 * time.Second, TopicRefreshInterval: 10 * time.Second,
		Limits: Limits{Memory: 16 << 20, InFlightBytes: 64 << 20}, SeedLimit: 10_000_000_000,
	}
	if d := cmp.Diff(want, f, cmpopts.IgnoreTypes([]Pattern{})); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	if got := fmt.Sprint(f.Topics, f.Exclude, f.Groups, f.ExcludeGroups); got != "[orders.* payments] [] [.*] [console-consumer-.*]" {
		t.Error(got)
	}
	c, err := m.Cluster("new")
	if err != nil || c.RequestTimeout != 30*time.Second || c.DialTimeout != 10*time.Second || c.ClientID != "kferry" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := m.Cluster("x"); err == nil || err.Error() != `there is no cluster "x": the clusters are old, new` {
		t.Error(err)
	}
	if _, err := m.Flow("x"); err == nil || err.Error() != `there is no flow "x": the flows are old-new` {
		t.Error(err)
	}
	two, err := Load("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Flow(""); err == nil || err.Error() != "there are 2 flows: choose one of east, west-new" {
		t.Error(err)
	}
	if len(two.Warnings) != 2 {
		t.Errorf("warnings: %q", two.Warnings)
	}
}

// TestHostileFilesEndInOneLine feeds what an accident or an attacker could.
func TestHostileFilesEndInOneLine(t *testing.T) {
	const head = "apiVersion: kferry.io/v1alpha1\nkind: Migration\nmetadata: {name: x}\nspec:\n"
	bomb := head + "  clusters: [{alias: a, bootstrapServers: ['a:1']}]\n  flows:\n    - &f {source: a, target: b, topics: [" +
		strings.Repeat("x, ", 2000) + "x]}\n" + strings.Repeat("    - *f\n", 2000)
	tests := []struct{ name, text, want string }{
		{"bomb of anchors", bomb, "repeats itself too often by anchors: write the values out"},
		{"anchor in itself", head + "  clusters: &a [*a]\n", "x.yaml:"},
		{"deep", head + "  clusters: " + strings.Repeat("[", 20000) + "\n", "x.yaml:"},
		{"deep keys", "a: " + strings.Repeat("{a: ", 20000), "x.yaml:"},
		{"large", strings.Repeat("# comment\n", 200_000), "it cannot be read: it is larger than 1048576 bytes"},
		{"many problems", head + strings.Repeat("  x: 1\n", 2000), "and 900 more"},
		{"UTF-16", "\xff\xfea\x00:\x00", "x.yaml:1: it is not UTF-8 text: save it as UTF-8"},
		{"NUL", head + "  a: \x00\n", "x.yaml:5: it is not UTF-8 text"},
		{"a list", "- a\n", "it must hold keys, not a list"},
		{"a word", "hello\n", "it must hold keys, not a single value"},
		{"directive", "%YAML 9.9\n---\na: 1\n", "x.yaml:"},
		{"long key", "apiVersion: " + strings.Repeat("x", 100_000) + "\n", "x.yaml:1:13: apiVersion: \"xxx"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v\nwant %s", err, tt.want)
			}
			if err != nil && len(err.Error()) > 40_000 {
				t.Errorf("the message has %d characters", len(err.Error()))
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "it cannot be read: is a directory") {
		t.Error(err)
	}
	if _, err := Load("none.yaml"); err == nil || err.Error() != "none.yaml: there is no such file: check the path" {
		t.Error(err)
	}
}

func TestByteOrderMarkIsAccepted(t *testing.T) {
	text, err := os.ReadFile("testdata/quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bom.yaml")
	if err := os.WriteFile(path, append([]byte("\ufeff"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}
