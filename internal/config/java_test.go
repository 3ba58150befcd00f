package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/testbed"
)

// askJava runs testdata/JavaParsers.java over texts with the class path of a Kafka client and decodes the JSON line
// that it prints for each.
func askJava(t *testing.T, what string, texts []string) []map[string]string {
	t.Helper()
	jars, err := testbed.Jars(t.Context(), testbed.V43) // installs Java and Maven where it may, or says what to install
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(jars, "*"), "testdata/JavaParsers.java", what}
	for i, text := range texts {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.CommandContext(t.Context(), "java", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the Java parsers: %v: %s", err, stderr.String())
	}
	var answers []map[string]string
	for line := range bytes.Lines(out) {
		var m map[string]string
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("read the Java parsers' answer %s: %v", line, err)
		}
		answers = append(answers, m)
	}
	if len(answers) != len(texts) {
		t.Fatalf("%d answers to %d texts: %s", len(answers), len(texts), stderr.String())
	}
	return answers
}

func TestPropertiesEqualJava(t *testing.T) {
	for i, want := range askJava(t, "properties", propertyTexts) {
		p, _, problems := parseProperties("f", []byte(propertyTexts[i]))
		if len(problems) > 0 {
			t.Errorf("%q: %v", propertyTexts[i], problems)
			continue
		}
		got := map[string]string{}
		for _, e := range p.entries {
			got[e.key] = e.text()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-java +ours):\n%s", propertyTexts[i], d)
		}
	}
}

// TestJAASEqualsJava also checks that what Kafka refuses is refused here.
func TestJAASEqualsJava(t *testing.T) {
	for i, want := range askJava(t, "jaas", jaasTexts) {
		m, err := parseJAAS(jaasTexts[i])
		if _, refused := want["refused"]; refused || err != nil {
			if (err != nil) != refused {
				t.Errorf("%s\nJava: %v\nours: %v", jaasTexts[i], want, err)
			}
			continue
		}
		got := map[string]string{"class": m.class}
		for k, v := range m.options {
			got["option "+k] = v
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-java +ours):\n%s", jaasTexts[i], d)
		}
	}
}
