package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/names"
)

// StringList is a list of strings; the file may also hold one comma separated string.
type StringList []string

// splitList cuts at commas and drops blanks and empty pieces.
func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// Pattern is a regular expression (RE2) that matches whole names, never a part of one.
type Pattern struct {
	text string
	re   *regexp.Regexp
}

// maxPatternLen bounds a pattern; a topic name has at most 249 characters.
const maxPatternLen = 1000

// ParsePattern compiles a pattern; the error says what the user can change.
func ParsePattern(s string) (Pattern, error) {
	if s == "" {
		return Pattern{}, errors.New("the pattern is empty: write for example '.*' for everything")
	}
	if len(s) > maxPatternLen {
		return Pattern{}, fmt.Errorf("the pattern has %d characters: write several shorter ones (at most %d)", len(s), maxPatternLen)
	}
	// Compiled alone first, so that a stray parenthesis is not closed by the anchors.
	if _, err := regexp.Compile(s); err != nil {
		hint := "correct it (RE2 syntax)"
		if strings.HasPrefix(s, "*") {
			hint = "write '." + s + "' (regular expression, not shell pattern)"
		}
		var what = err.Error()
		if i := strings.Index(what, ": "); i >= 0 {
			what = what[i+2:] // drop "error parsing regexp"
		}
		return Pattern{}, fmt.Errorf("%q is not a regular expression, %s: %s", s, what, hint)
	}
	re, err := names.Whole(s)
	if err != nil {
		return Pattern{}, fmt.Errorf("%q is too large a regular expression: write several smaller ones", s)
	}
	return Pattern{text: s, re: re}, nil
}

// String returns the pattern as written.
func (p Pattern) String() string { return p.text }

// Match reports whether the whole name matches. The zero Pattern matches nothing.
func (p Pattern) Match(name string) bool { return p.re != nil && p.re.MatchString(name) }

// MarshalText writes the pattern as it was read.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// Bytes is a size in bytes.
type Bytes int64

var byteUnits = []struct {
	suffix string
	factor int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1}, {"", 1},
}

// ParseBytes reads 1048576, 96MiB, 1.5GiB or 10 MB.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range byteUnits {
		num, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		num = strings.TrimSpace(num)
		if n, err := strconv.ParseInt(num, 10, 64); err == nil {
			if n > math.MaxInt64/u.factor || n < math.MinInt64/u.factor {
				return 0, fmt.Errorf("%q is too large a size", s)
			}
			return Bytes(n * u.factor), nil
		}
		f, err := strconv.ParseFloat(num, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f*float64(u.factor)) >= math.MaxInt64 || strings.ContainsAny(num, "xXpPeEiInN_") {
			break
		}
		return Bytes(f * float64(u.factor)), nil
	}
	return 0, fmt.Errorf("%q is not a size: write a number of bytes, or for example 96MiB or 1GB", s)
}

// String writes the size with the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.factor == 0 {
			return strconv.FormatInt(int64(b)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes the size in a form that ParseBytes reads.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// parseDuration reads Go's form and refuses a bare number, which other tools read as milliseconds.
func parseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return d, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("%s has no unit: write for example %ss or %sms", s, s, s)
	}
	return 0, fmt.Errorf("%q is not a duration: write for example 500ms, 5s or 10m", s)
}

// CountPolicy is a number of replicas, or how it follows from the source. The zero value is the default:
// the source's value, capped by what the target can hold.
type CountPolicy struct {
	// Number is the fixed value, 1 to 32767; 0 means it follows from the source.
	Number int
	// Exact takes the source's value even where the target cannot hold it, so that creation fails loudly.
	Exact bool
}

// Resolve gives the value to use, where the source has source and the target can hold limit.
func (c CountPolicy) Resolve(source, limit int) int {
	switch {
	case c.Number > 0:
		return c.Number
	case c.Exact:
		return source
	}
	return max(1, min(source, limit))
}

// String writes the policy as the file would.
func (c CountPolicy) String() string {
	switch {
	case c.Number > 0:
		return strconv.Itoa(c.Number)
	case c.Exact:
		return "source"
	}
	return "source, capped"
}
