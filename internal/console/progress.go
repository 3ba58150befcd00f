package console

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

// Progress shows how flows are going. There are three: [Bars] for a terminal, [Plain] for everything else that
// people read, [Lines] for programs. All methods may be called from any goroutine.
type Progress interface {
	// Report shows a document of a flow; it is called about once a second for each flow.
	Report(doc *report.Document)
	// Say prints one line of words.
	Say(format string, args ...any)
	// Logs is where log lines go, so that they do not tear what is on the screen.
	Logs() io.Writer
	// Close leaves the screen in order. Nothing is shown afterwards.
	Close()
}

// news finds in a flow's documents what is said once.
type news struct {
	flows map[string]*flowNews
}

type flowNews struct {
	known     map[string]bool // faults by place and kind
	following bool            // caught up, and not behind for long since
	behind    int             // documents in a row with a lag
}

// muchBehind is how many documents in a row, about one a second, show a lag before catching up is news again:
// a flow with live producers is a few records behind every other moment.
const muchBehind = 30

// look returns the faults that were not there before, and whether the flow caught up just now.
func (n *news) look(doc *report.Document) (faults []fault.Fault, caughtUp bool) {
	f := n.flow(doc)
	seen := map[string]bool{}
	for _, ft := range doc.Faults {
		key := fmt.Sprint(ft.Kind, " ", ft.Topic, "-", ft.Partition)
		seen[key] = true
		if !f.known[key] {
			faults = append(faults, ft)
		}
	}
	f.known = seen // a fault that went away is news when it comes back
	switch {
	case !doc.CaughtUp:
		if f.behind++; f.behind >= muchBehind {
			f.following = false
		}
	case doc.Totals.Partitions > 0:
		caughtUp = !f.following
		f.following, f.behind = true, 0
	}
	return faults, caughtUp
}

func (n *news) flow(doc *report.Document) *flowNews {
	if n.flows == nil {
		n.flows = map[string]*flowNews{}
	}
	f := n.flows[doc.Flow]
	if f == nil {
		f = &flowNews{}
		n.flows[doc.Flow] = f
	}
	return f
}

// sentence is a flow's state in one line, the most important words first.
func sentence(doc *report.Document) []string {
	t := doc.Totals
	var all sums
	for i := range doc.Topics {
		all.add(sumTopic(&doc.Topics[i]))
	}
	var words []string
	switch {
	case t.Partitions == 0:
		words = append(words, "looking at topics")
	case doc.CaughtUp:
		words = append(words, "caught up")
	default:
		lag := "lag " + plural(t.LagRecords, "record", "records")
		if t.LagBytes > 0 {
			lag += " (" + Bytes(t.LagBytes) + ")"
		}
		words = append(words, fmt.Sprintf("%d%%", percent(all.share())), lag)
		if eta := ETA(t.ETASeconds); eta != "-" {
			words = append(words, "ETA "+eta)
		}
	}
	if n := len(doc.Faults); n > 0 {
		words = append(words, strings.ToUpper(plural(int64(n), "fault", "faults")))
	}
	if t.Partitions == 0 {
		return words
	}
	rates := []string{Rate(t.RecordsPerSec), BytesRate(t.BytesPerSec)}
	size := []string{plural(int64(t.Topics), "topic", "topics"), plural(int64(t.Partitions), "partition", "partitions")}
	if doc.CaughtUp {
		return slices.Concat(words, size, rates)
	}
	return slices.Concat(words, rates, size)
}

// percent says 100 only when there is nothing left.
func percent(share float64) int {
	if share >= 1 {
		return 100
	}
	return min(99, max(0, int(share*100)))
}

// faultNews is what is said at once when a fault appears.
func faultNews(flow string, f fault.Fault) string {
	s := fmt.Sprintf("%s: FAULT %s", flow, faultLine(f))
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Next != "" {
		s += "; next: " + f.Next
	}
	return Clean(s)
}

// bundle is the topics that share a bar.
type bundle struct {
	label string
	sums
}

// bundles puts a document's topics into at most limit bars: one for each topic while they are few, otherwise one
// for each common beginning of names, cut where names are usually cut.
func bundles(doc *report.Document, limit int) []bundle {
	limit = max(limit, 1)
	keys := make([]string, len(doc.Topics))
	for i := range doc.Topics {
		keys[i] = doc.Topics[i].Name
	}
	if len(keys) > limit {
		keys = stems(doc, limit)
	}
	byKey := map[string]*bundle{}
	var order []string
	for i := range doc.Topics {
		b := byKey[keys[i]]
		if b == nil {
			b = &bundle{label: doc.Topics[i].Name}
			byKey[keys[i]] = b
			order = append(order, keys[i])
		}
		b.add(sumTopic(&doc.Topics[i]))
		if b.topics > 1 {
			b.label = fmt.Sprintf("%s (%d)", keys[i], b.topics)
		}
	}
	out := make([]bundle, len(order))
	for i, k := range order {
		out[i] = *byKey[k]
	}
	return out
}

const others = "others"

// stems gives each topic the beginning of its name that it shares with its bundle, as long as possible so that
// there are at most limit bundles. Where even first words are too many, the rarest go together as others.
func stems(doc *report.Document, limit int) []string {
	keys := make([]string, len(doc.Topics))
	for depth := 4; depth >= 1; depth-- {
		counts := map[string]int{}
		for i := range doc.Topics {
			keys[i] = stem(doc.Topics[i].Name, depth)
			counts[keys[i]]++
		}
		if len(counts) <= limit {
			return keys
		}
		if depth == 1 {
			kept := commonest(counts, limit-1)
			for i := range keys {
				if !kept[keys[i]] {
					keys[i] = others
				}
			}
		}
	}
	return keys
}

// stem is the first depth words of a name and a star for the rest.
func stem(name string, depth int) string {
	rest := name
	for range depth {
		i := strings.IndexAny(rest, "._-")
		if i < 0 {
			return name
		}
		rest = rest[i+1:]
	}
	return name[:len(name)-len(rest)] + "*"
}

func commonest(counts map[string]int, n int) map[string]bool {
	var keys []string
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if counts[keys[i]] != counts[keys[j]] {
			return counts[keys[i]] > counts[keys[j]]
		}
		return keys[i] < keys[j]
	})
	kept := map[string]bool{}
	for _, k := range keys[:min(n, len(keys))] {
		kept[k] = true
	}
	return kept
}
