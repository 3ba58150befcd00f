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
		re, err := Whole(p.String())
		if err != nil {
			panic("names: " + err.Error()) // it was compiled once
		}
		out[i] = re
	}
	return out
}

// Whole compiles a pattern so that it matches whole names only. A dot matches line breaks too: groups may have them
// in their names. The pattern must be one that compiles alone, so that no parenthesis of it is closed here.
func Whole(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`(?s)^(?:` + pattern + `)$`)
	if err != nil { // it may end inside a quotation
		if re, err := regexp.Compile(`(?s)^(?:` + pattern + `\E)$`); err == nil {
			return re, nil
		}
	}
	return re, err
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
