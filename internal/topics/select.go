package topics

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/estate"
)

// Select returns, sorted, the names of the topics that one of include matches and none of exclude does. A
// pattern matches the whole name, as in Kafka's own tools. Kafka's internal topics and those that begin with
// two underscores (kferry's own among them) are taken only when a pattern is their literal name.
func Select(all []estate.Topic, include, exclude []*regexp.Regexp) []string {
	include, exclude = anchored(include), anchored(exclude)
	var names []string
	for _, t := range all {
		hidden := t.Internal || strings.HasPrefix(t.Name, "__")
		if matches(include, t.Name, hidden) && !matches(exclude, t.Name, false) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// matches says whether a pattern matches name; with literally, whether a pattern is nothing but that name.
func matches(patterns []*regexp.Regexp, name string, literally bool) bool {
	for _, p := range patterns {
		if literally {
			if prefix, complete := p.LiteralPrefix(); complete && prefix == name {
				return true
			}
			continue
		}
		if p.MatchString(name) {
			return true
		}
	}
	return false
}

// anchored makes patterns match whole names only.
func anchored(patterns []*regexp.Regexp) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		out[i] = regexp.MustCompile(`^(?:` + p.String() + `)$`)
	}
	return out
}
