package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kferry/kferry/internal/kafka"
)

type versionOptions struct{ output string }

func newVersionCommand(s streams) *cobra.Command {
	opts := &versionOptions{}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runVersion(opts, s) },
	}
	cmd.Flags().StringVarP(&opts.output, "output", "o", "text", "`format`: text or json")
	completeWords(cmd, "output", "text", "json")
	return cmd
}

// build says what this binary was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"` // empty for a build outside a repository
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func runVersion(opts *versionOptions, s streams) error {
	if err := oneOf("--output", opts.output, "text", "json"); err != nil {
		return err
	}
	b := thisBuild()
	if opts.output == "json" {
		return writeJSON(s.out, b)
	}
	commit := ""
	if b.Commit != "" {
		commit = ", commit " + b.Commit
		if b.Modified {
			commit += " with changes"
		}
	}
	_, err := fmt.Fprintf(s.out, "kferry %s (%s %s%s)\n", b.Version, b.Go, b.Platform, commit)
	return err
}

func thisBuild() build {
	b := build{Version: kafka.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
