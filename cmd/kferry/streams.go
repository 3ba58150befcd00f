package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// streams are where a command reads and writes: data on out, words on err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// terminal says whether a stream is one that lines can be redrawn on.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// size asks a terminal for its size; a terminal that does not know it is taken for the classic one.
func size(stream any) (columns, rows int) {
	if f, ok := stream.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
			return c, r
		}
	}
	return 80, 24
}

// tableWidth is the room for tables on a stream: a terminal's columns, unlimited elsewhere.
func tableWidth(stream any) int {
	if !terminal(stream) {
		return 0
	}
	columns, _ := size(stream)
	return columns
}

// colored follows https://no-color.org: any value of NO_COLOR, set and not empty, switches colour off.
func colored() bool { return os.Getenv("NO_COLOR") == "" }
