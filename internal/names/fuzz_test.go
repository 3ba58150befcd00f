package names

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
	"time"
)

// FuzzFilter: a filter takes a name exactly when an include pattern matches the whole of it and no exclude pattern
// does, whatever the patterns are, and never panics.
func FuzzFilter(f *testing.F) {
	for _, c := range [][3]string{
		{"orders.*", "", "orders-eu"}, {"a|b", "b", "ab"}, {"^orders$", "", "orders"}, {`(?i)\QORDERS\E`, "", "orders"}, {"(?m)^a$", "", "a\nb"},
		{"(?s).*", "(?U)a+?", "aaa"}, {`\pL{200}`, "", "x"}, {"a\\", "", "a"}, {"", "", ""}, {"(?:a", "b)", "ab"}, {"\xff", ".", "\xff"}, {"a$|^b", "", "b"},
		{`\Aorders\z`, "", "orders"}, {`(?i)k`, "", "\u212a"}, {`\Q`, "", "0"}, {`a|\Qb)`, "", "b)"}, {"#x", "(?-s).", "#x"},
	} {
		f.Add(c[0], c[1], c[2])
	}
	f.Fuzz(func(t *testing.T, include, exclude, name string) {
		if len(include) > 200 || len(exclude) > 200 || len(name) > 300 {
			return
		}
		in, err := regexp.Compile(include)
		if err != nil {
			return
		}
		var out []*regexp.Regexp
		if ex, err := regexp.Compile(exclude); err == nil && exclude != "" {
			out = append(out, ex)
		}
		filter := NewFilter([]*regexp.Regexp{in}, out)
		takes := filter.Takes(name)
		if literally := filter.TakesLiterally(name); literally && !takes {
			t.Fatalf("%q is taken literally by %q and not at all", name, include)
		}
		if takes != (whole(in, name) && (out == nil || !whole(out[0], name))) {
			t.Fatalf("%q, include %q, exclude %q: %v", name, include, exclude, takes)
		}
	})
}

// whole finds out by the longest match whether a pattern matches all of a name. For a pattern with alternatives that
// end before others the longest one is asked for.
func whole(p *regexp.Regexp, name string) bool {
	re, err := syntax.Parse(p.String(), syntax.Perl|syntax.DotNL)
	if err != nil {
		panic(err)
	}
	return regexp.MustCompile(`\A(?:` + re.String() + `)\z`).MatchString(name)
}

// RE2 matches in linear time: patterns that take others exponential time are no trouble.
func TestBadInputPatterns(t *testing.T) {
	start := time.Now()
	for _, p := range []string{`(a+)+`, `(a|aa)+`, `(a|a?)+`, `(.*a){20}`, `([a-z]+)*`, strings.Repeat("a?", 100) + strings.Repeat("a", 100)} {
		f := NewFilter([]*regexp.Regexp{regexp.MustCompile(p)}, []*regexp.Regexp{regexp.MustCompile(`(x+x+)+y`)})
		for range 100 {
			if f.Takes(strings.Repeat("a", 248) + "!") {
				t.Errorf("%s takes what it does not match", p)
			}
			f.Takes(strings.Repeat("x", 249))
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}
