package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"runtime/debug"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/testbed"
)

// describe notes what the book was measured with.
func describe(ctx context.Context, book *result.Book, version testbed.Version) error {
	var err error
	if book.Machine, err = proc.ThisMachine(); err != nil {
		return err
	}
	book.Kafka = string(version)
	if _, err := testbed.Jars(ctx, version); err != nil { // finds Java, or installs it
		return err
	}
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask java for its version: %w", err)
	}
	if m := regexp.MustCompile(`version "([^"]+)"`).FindSubmatch(out); m != nil {
		book.Java = string(m[1])
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/twmb/franz-go" {
				book.FranzGo = d.Version
			}
		}
	}
	return nil
}

// commitOf finds the commit in what "kferry version -o json" prints.
func commitOf(out []byte) string {
	var v struct {
		Commit   string `json:"commit"`
		Modified bool   `json:"modified"`
	}
	if json.Unmarshal(out, &v) != nil || v.Commit == "" {
		return ""
	}
	if v.Modified {
		return v.Commit + " with changes"
	}
	return v.Commit
}
