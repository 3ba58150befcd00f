package console

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Count writes a number of things in at most five characters: 0, 9999, 12.3k, 4.56M, 7.89G.
func Count(n int64) string {
	if n > -10_000 && n < 10_000 {
		return strconv.FormatInt(n, 10)
	}
	return scaled(float64(n), 1000, []string{"k", "M", "G", "T", "P", "E"})
}

// Bytes writes a size in at most eight characters with binary units: 0 B, 1023 B, 1.5 KiB, 96 MiB. A negative
// size is unknown.
func Bytes(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1024:
		return strconv.FormatInt(n, 10) + " B"
	}
	return scaled(float64(n), 1024, []string{" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"})
}

// scaled divides f by base until it has at most three digits before the point (four with base 1024), and
// writes three significant ones.
func scaled(f, base float64, units []string) string {
	unit := ""
	for _, u := range units {
		if math.Abs(f) < base-0.5 {
			break
		}
		f, unit = f/base, u
	}
	digits := 0
	switch a := math.Abs(f); {
	case a < 9.995:
		digits = 2
	case a < 99.95:
		digits = 1
	}
	return strconv.FormatFloat(f, 'f', digits, 64) + unit
}

// Rate writes so many things a second. What is hardly moving is shown as 0.
func Rate(perSecond float64) string {
	if perSecond < 0 || math.IsNaN(perSecond) || math.IsInf(perSecond, 0) {
		return "-"
	}
	if perSecond > 0 && perSecond < 9.95 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	}
	return Count(int64(math.Round(perSecond))) + "/s"
}

// BytesRate writes a size per second.
func BytesRate(perSecond float64) string {
	if perSecond < 0 || math.IsNaN(perSecond) || math.IsInf(perSecond, 0) {
		return "-"
	}
	return Bytes(int64(math.Round(perSecond))) + "/s"
}

// Duration writes a length of time in at most six characters, in the two largest units: 0s, 42s, 3m07s, 2h05m, 3d04h.
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 0:
		return "-"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s < 100*24*3600:
		return fmt.Sprintf("%dd%02dh", s/(24*3600), s%(24*3600)/3600)
	}
	return fmt.Sprintf("%dd", s/(24*3600))
}

// ETA writes seconds until something is done; "-" where nobody can tell and where nothing is left to do.
func ETA(seconds float64) string {
	if !(seconds > 0) || seconds > 10*365*24*3600 {
		return "-"
	}
	return Duration(time.Duration(math.Ceil(seconds)) * time.Second)
}

// plural writes "1 topic" or "3 topics".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}
