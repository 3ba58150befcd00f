package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/console"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/replicate"
)

// exitCode is what kferry ends with. Scripts rely on the numbers: they are never given another meaning.
type exitCode int

// The exit codes.
const (
	exitOK          exitCode = 0
	exitFailed      exitCode = 1
	exitUsage       exitCode = 2
	exitDifferent   exitCode = 3
	exitRefused     exitCode = 4
	exitIncomplete  exitCode = 5
	exitFaults      exitCode = 6
	exitUnreachable exitCode = 7
	exitInterrupted exitCode = 130
)

// exitCodes is the one table of their meanings. Every command's help and docs/commands.md print from it.
var exitCodes = []struct {
	code    exitCode
	meaning string
}{
	{exitOK, "done, and nothing is wrong"},
	{exitFailed, "failed for a reason that has no code of its own"},
	{exitUsage, "wrong flags or configuration; source and target are one cluster"},
	{exitDifferent, "verify found a difference"},
	{exitRefused, "refused: no topic matches, a permission is missing, a target does not fit"},
	{exitIncomplete, "verify found no difference but could not compare everything"},
	{exitFaults, "at least one partition is faulted"},
	{exitUnreachable, "a cluster cannot be reached or does not accept the credentials"},
	{exitInterrupted, "interrupted before the work that was asked for was done"},
}

// exitHelp is the EXIT CODES section of a command's help.
func exitHelp(codes ...exitCode) string {
	var b strings.Builder
	b.WriteString("\n\nExit codes:\n")
	for _, row := range exitCodes {
		for _, c := range codes {
			if c == row.code {
				fmt.Fprintf(&b, "  %3d  %s\n", row.code, row.meaning)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// exitError is an error that knows its exit code. Without a cause it has nothing left to say: what there was
// to say has been printed.
type exitError struct {
	code  exitCode
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// usagef is a mistake in the command line.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// silent ends a command with a code when everything has been said.
func silent(code exitCode) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// codeOf maps an error to its exit code.
func codeOf(err error) exitCode {
	if err == nil {
		return exitOK
	}
	for _, rule := range []struct {
		code exitCode
		is   func(error) bool
	}{
		{exitUsage, isA[config.Problems]},
		{exitUsage, isA[*config.Problem]},
		{exitUsage, isA[*replicate.SameClusterError]},
		{exitRefused, isA[*replicate.NoTopicsError]},
		{exitRefused, isA[*replicate.PreflightError]},
		{exitRefused, isA[*kafka.DeniedError]},
		{exitUnreachable, isA[*kafka.UnreachableError]},
		{exitInterrupted, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		if rule.is(err) {
			return rule.code
		}
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// complain prints an error, one line for each of its mistakes.
func complain(s streams, err error) {
	if e, ok := errors.AsType[*exitError](err); ok && e.cause == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintln(s.err, "kferry: "+console.Clean(line))
	}
}
