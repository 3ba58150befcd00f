package console

import (
	"io"
	"strings"
	"unicode"
)

// Clean makes text safe to print on one line: control characters, escape sequences among them, become "?",
// line breaks and tabs become spaces.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r == unicode.ReplacementChar, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return '?'
		}
		return r
	}, s)
}

// cells is how many columns of a terminal s takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

// runeCells knows the wide scripts; everything else is taken for one column, combining marks for none.
func runeCells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		return 0
	case r >= 0x1100 && r <= 0x115f, // Hangul initials
		r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, // CJK, kana, Yi
		r >= 0xac00 && r <= 0xd7a3,                // Hangul
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f900 && r <= 0x1f9ff, // pictures
		r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// fit shortens s to at most width columns. The middle goes, because names differ at both ends; two dots stand
// for it.
func fit(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	if width < 6 {
		return clip(s, width)
	}
	tail := (width - 2) / 2
	head := width - 2 - tail
	runes := []rune(s)
	end, n := len(runes), 0
	for end > 0 && n+runeCells(runes[end-1]) <= tail {
		end--
		n += runeCells(runes[end])
	}
	return clip(s, head) + ".." + string(runes[end:])
}

// clip cuts s after width columns.
func clip(s string, width int) string {
	n := 0
	for i, r := range s {
		if n += runeCells(r); n > width {
			return s[:i]
		}
	}
	return s
}

// pad fills s with spaces to width columns, on the left if right is asked for.
func pad(s string, width int, right bool) string {
	fill := strings.Repeat(" ", max(0, width-cells(s)))
	if right {
		return fill + s
	}
	return s + fill
}

// WriteText prints one paragraph, wrapped at width columns; 0 is unlimited.
func WriteText(w io.Writer, text string, width int) error {
	_, err := io.WriteString(w, strings.Join(wrap(Clean(text), width), "\n")+"\n")
	return err
}

// wrap breaks text at spaces into lines of at most width columns; a width of 0 gives one line. All lines are
// indented like the first. A word that is longer than a line is cut.
func wrap(text string, width int) []string {
	if width <= 0 || cells(text) <= width {
		return []string{text}
	}
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	if len(indent) > 0 && len(indent) < width/2 {
		lines := wrap(text[len(indent):], width-len(indent))
		for i := range lines {
			lines[i] = indent + lines[i]
		}
		return lines
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for cells(word) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			head := clip(word, width)
			if head == "" { // one wide character in one column
				return append(lines, word)
			}
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case cells(line)+1+cells(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
