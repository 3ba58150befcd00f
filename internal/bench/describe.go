package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"

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

// commit names the commit that is measured, with a mark if files differ from it;
// "" outside a repository.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
