package names

import (
	"regexp"
	"testing"
)

func TestFilter(t *testing.T) {
	list := func(patterns ...string) (out []*regexp.Regexp) {
		for _, p := range patterns {
			out = append(out, regexp.MustCompile(p))
		}
		return out
	}
	for _, c := range []struct {
		name             string
		include, exclude []*regexp.Regexp
		of               string
		takes, literally bool
	}{
		{"whole name", list(`orders`), nil, "orders", true, true},
		{"not a part", list(`orders`), nil, "orders-eu", false, false},
		{"alternatives keep their anchors", list(`a|b`), nil, "ab", false, false},
		{"alternative", list(`a|b`), nil, "b", true, false},
		{"already anchored", list(`^orders$`), nil, "orders", true, true},
		{"escaped literal", list(`a\.b`), nil, "a.b", true, true},
		{"dot is any character", list(`a.b`), nil, "a.b", true, false},
		{"flags", list(`(?i)ORDERS`), nil, "orders", true, false},
		{"exclude is stronger", list(`orders`), list(`ord.*`), "orders", false, false},
		{"exclude matches whole names", list(`.*`), list(`ord`), "orders", true, false},
		{"nothing included", nil, nil, "orders", false, false},
	} {
		f := NewFilter(c.include, c.exclude)
		if got := f.Takes(c.of); got != c.takes {
			t.Errorf("%s: Takes(%q) = %v, want %v", c.name, c.of, got, c.takes)
		}
		if got := f.TakesLiterally(c.of); got != c.literally {
			t.Errorf("%s: TakesLiterally(%q) = %v, want %v", c.name, c.of, got, c.literally)
		}
	}
}
