package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newDocsCommand prints docs/commands.md; a test keeps the file equal to it.
func newDocsCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:    "docs",
		Short:  "Print the reference of all commands as Markdown",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(s.out, commandsMarkdown(cmd.Root()))
			return err
		},
	}
}

func commandsMarkdown(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\n")
	b.WriteString("This page is what `kferry docs` prints; `go test ./cmd/kferry -update` writes it anew.\n\n")
	b.WriteString("Data goes to standard output, words to standard error. A flag can also be given as an environment variable: `--source-bootstrap-server` is `KFERRY_SOURCE_BOOTSTRAP_SERVER`; a flag that is typed is stronger. `NO_COLOR` switches colour off.\n\n")
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", row.code, row.meaning)
	}
	b.WriteString("\n## Flags of every command\n\n" + flagTable(root.PersistentFlags()))
	for _, cmd := range root.Commands() {
		if cmd.Hidden || cmd.Name() == "help" {
			continue
		}
		fmt.Fprintf(&b, "\n## kferry %s\n\n%s.\n\n", cmd.Name(), cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(&b, "```text\n%s\n```\n\n", strings.TrimSpace(cmd.Long))
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "```sh\n%s\n```\n\n", unindent(cmd.Example))
		}
		b.WriteString(flagTable(cmd.LocalNonPersistentFlags()))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// flagTable is one row for each flag, as --help words it.
func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"))
	})
	if b.Len() == 0 {
		return ""
	}
	return "| flag | meaning |\n|---|---|\n" + b.String()
}

func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
