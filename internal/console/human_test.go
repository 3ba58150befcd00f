package console

import (
	"math"
	"testing"
	"time"
)

func TestHumanNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(9999), "9999"}, {Count(10_000), "10.0k"}, {Count(99_949), "99.9k"}, {Count(99_950), "100k"},
		{Count(999_499), "999k"}, {Count(999_500), "1.00M"}, {Count(1_234_567), "1.23M"}, {Count(math.MaxInt64), "9.22E"},
		{Bytes(-1), "?"}, {Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(1024), "1.00 KiB"}, {Bytes(96 << 20), "96.0 MiB"},
		{Bytes(1<<30 - 1), "1.00 GiB"}, {Bytes(math.MaxInt64), "8.00 EiB"},
		{Rate(0), "0/s"}, {Rate(0.04), "0.0/s"}, {Rate(9.94), "9.9/s"}, {Rate(12.4), "12/s"}, {Rate(1e6), "1.00M/s"},
		{Rate(math.NaN()), "-"}, {Rate(-1), "-"}, {BytesRate(5 << 20), "5.00 MiB/s"},
		{ETA(-1), "-"}, {ETA(0), "-"}, {ETA(0.2), "1s"}, {ETA(60), "1m00s"}, {ETA(math.Inf(1)), "-"}, {ETA(math.NaN()), "-"},
		{Duration(3600 * time.Second), "1h00m"}, {Duration(26 * time.Hour), "1d02h"}, {Duration(-time.Second), "-"},
		{Duration(200 * 24 * time.Hour), "200d"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTextIsMadeSafeAndShort(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Clean("a\x1b[2Jb\r\nc\x00\u202ed"), "a?[2Jb? c??d"},
		{fit("orders.placed.v2", 11), "order..d.v2"}, {fit("abc", 3), "abc"}, {fit("abcdefgh", 4), "abcd"},
		{fit("注文注文注文", 9), "注文..文"}, {pad("注文", 6, true), "  注文"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for width := 1; width < 40; width++ {
		for _, line := range wrap("the quick brown fox 注文注文注文 jumps over-the-lazy-dog-again-and-again", width) {
			if cells(line) > width && width > 1 {
				t.Errorf("width %d: %q", width, line)
			}
		}
	}
}
