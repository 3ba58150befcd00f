package topics

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/names"
)

// Select returns, sorted, the names of the topics that one of include matches as a whole and none of exclude
// does. Kafka's internal topics and those that begin with two underscores (kferry's own among them) are
// taken only when a pattern is their literal name.
func Select(all []estate.Topic, include, exclude []*regexp.Regexp) []string {
	filter := names.NewFilter(include, exclude)
	var out []string
	for _, t := range all {
		takes := filter.Takes
		if t.Internal || strings.HasPrefix(t.Name, "__") {
			takes = filter.TakesLiterally
		}
		if takes(t.Name) {
			out = append(out, t.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
