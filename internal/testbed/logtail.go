package testbed

import (
	"os"
	"regexp"
	"strings"
)

// lastLines returns the last n lines of s.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// gist returns the last n lines of a Java log that may tell what went wrong:
// not the INFO lines that a broker prints by the hundred when it shuts down,
// nor the frames of stack traces. A log with no other line gives its end.
func gist(log string, n int) string {
	var telling []string
	for line := range strings.Lines(log) {
		if !chatter.MatchString(line) && strings.TrimSpace(line) != "" {
			telling = append(telling, strings.TrimRight(line, "\n"))
		}
	}
	if len(telling) == 0 {
		return lastLines(log, n)
	}
	return strings.Join(telling[max(0, len(telling)-n):], "\n")
}

// chatter matches INFO and DEBUG lines (time, level, class), stack frames, and
// the dump of a configuration (one tab, key = value).
var chatter = regexp.MustCompile(`^(\[?[\d:., -]+\]? (INFO|DEBUG|TRACE) |\s+at |\s+\.\.\. \d+ more|\t[\w.]+ = )`)

// gistOfFile is gist of a file's content, or the reason why it cannot be read.
func gistOfFile(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return gist(string(b), n)
}
