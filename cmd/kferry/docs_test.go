package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/commands.md")

// TestCommandsPage keeps docs/commands.md what the commands say.
func TestCommandsPage(t *testing.T) {
	const path = "../../docs/commands.md"
	want := commandsMarkdown(newRootCommand(streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readText(t, path) != want {
		t.Errorf("docs/commands.md is not what `kferry docs` prints; run go test ./cmd/kferry -run TestCommandsPage -update")
	}
}

// TestReadme keeps what the README says of the command line true: its exit codes, its flags, its example.
func TestReadme(t *testing.T) {
	readme := readText(t, "../../README.md")
	for _, row := range exitCodes {
		if want := fmt.Sprintf("| %d | %s |\n", row.code, row.meaning); !strings.Contains(readme, want) {
			t.Errorf("the README's exit codes lack %q", want)
		}
	}
	root := newRootCommand(streams{})
	for _, m := range regexp.MustCompile(`kferry ([a-z]+)((?:[^\n`+"`"+`]|\\\n)*)`).FindAllStringSubmatch(readme, -1) {
		cmd, _, err := root.Find([]string{m[1]})
		if err != nil || cmd == root {
			continue // a word of a sentence
		}
		for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[2], -1) {
			if cmd.Flags().Lookup(flag[1]) == nil && flag[1] != "help" {
				t.Errorf("the README gives %s the flag --%s, which it has not", m[1], flag[1])
			}
		}
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readme)
	if example == nil {
		t.Fatal("the README has no migration.yaml")
	}
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "msk.properties"), "bootstrap.servers=b-1.msk.example.com:9098\n")
	writeText(t, filepath.Join(dir, "migration.yaml"), example[1])
	if _, err := config.Load(filepath.Join(dir, "migration.yaml")); err != nil {
		t.Errorf("the README's migration.yaml: %v", err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
