// Package names says which topics or groups a list of patterns takes. It knows nothing of either.
package names

import "regexp"

// Filter takes the names that one of its include patterns matches and none of its exclude patterns does.
type Filter struct {
	written          []*regexp.Regexp // include as it came: anchors hide a literal from the regexp package
	include, exclude []*regexp.Regexp
}

// NewFilter makes a filter of patterns that match whole names, as in Kafka's own tools, however they are
// written.
func NewFilter(include, exclude []*regexp.Regexp) Filter {
	return Filter{include, anchored(include), anchored(exclude)}
}

func anchored(patterns []*regexp.Regexp) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		out[i] = regexp.MustCompile(`^(?:` + p.String() + `)$`)
	}
	return out
}

// Takes says whether the filter takes a name.
func (f Filter) Takes(name string) bool { return matches(f.include, name) && !matches(f.exclude, name) }

// TakesLiterally says whether the filter takes a name because a pattern is nothing but that name.
func (f Filter) TakesLiterally(name string) bool {
	for _, p := range f.written {
		if literal, complete := p.LiteralPrefix(); complete && literal == name {
			return !matches(f.exclude, name)
		}
	}
	return false
}

func matches(patterns []*regexp.Regexp, name string) bool {
	for _, p := range patterns {
		if p.MatchString(name) {
			return true
		}
	}
	return false
}
