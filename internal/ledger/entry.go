package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/shift"
)

// Entry is what is kept of one partition.
type Entry struct {
	Mode     string         // how the copy was begun: report.ModeIdentical or report.ModeShifted
	SourceID estate.TopicID // of the topics that it is about
	TargetID estate.TopicID
	Map      shift.Map // empty: offsets are equal, or nothing is copied yet
	// Held is until when a replicating kferry leaves the topic alone because a repair is at work on it; zero: it
	// is not held.
	Held time.Time
}

// About says whether the entry is about these very topics, not about others of their name.
func (e Entry) About(source, target estate.TopicID) bool {
	return same(e.SourceID, source) && same(e.TargetID, target)
}

// same takes clusters without topic ids at their word.
func same(a, b estate.TopicID) bool { return a.IsZero() || b.IsZero() || a == b }

// mark begins every entry. A form that is not understood by this one gets another mark.
const mark = "kferry/1"

// String is the metadata that is stored.
func (e Entry) String() string {
	s := fmt.Sprintf("%s mode=%s source=%s target=%s", mark, e.Mode, e.SourceID, e.TargetID)
	if !e.Held.IsZero() {
		s += fmt.Sprintf(" held=%d", e.Held.Unix())
	}
	if len(e.Map) > 0 {
		s += " map=" + e.Map.String()
	}
	return s
}

// Parse reads what String writes. Keys that are not known are passed over.
func Parse(text string) (Entry, error) {
	var e Entry
	rest, ok := strings.CutPrefix(text, mark+" ")
	if !ok {
		return e, fmt.Errorf("it does not begin with %q: another kferry wrote it, or somebody else", mark)
	}
	for field := range strings.FieldsSeq(rest) {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "mode":
			e.Mode = value
		case "source":
			err = e.SourceID.UnmarshalText([]byte(value))
		case "target":
			err = e.TargetID.UnmarshalText([]byte(value))
		case "held":
			var seconds int64
			seconds, err = strconv.ParseInt(value, 10, 64)
			e.Held = time.Unix(seconds, 0)
		case "map":
			e.Map, err = shift.Parse(value)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	return e, nil
}
