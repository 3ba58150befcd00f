package replicate

import (
	"regexp"
	"testing"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/ledger"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
	"github.com/kferry/kferry/internal/state"
)

// What the two memories say together: the longer list is the later one, entries about other topics do not count,
// and a contradiction is no knowledge.
func TestTwoMemories(t *testing.T) {
	source, target, other := estate.TopicID{1}, estate.TopicID{2}, estate.TopicID{3}
	tp := estate.TopicPartition{Topic: "big"}
	first := shift.Begin(1000)
	longer := first.Attach(1005, 1005, 9)
	memory := func(mode string, id estate.TopicID, m shift.Map) *state.Memory {
		return &state.Memory{Topic: "big", SourceID: source, TargetID: id, Mode: mode, Partitions: []state.PartitionMemory{{Segments: m}}}
	}
	entry := func(mode string, id estate.TopicID, m shift.Map) *ledger.Entry {
		return &ledger.Entry{Mode: mode, SourceID: source, TargetID: id, Map: m}
	}
	for _, c := range []struct {
		name   string
		state  *state.Memory
		ledger *ledger.Entry
		flow   string // shifted of the flow
		want   shift.Map
		fails  bool
	}{
		{name: "nothing remembered, identical"},
		{name: "nothing remembered, and the flow says shifted", flow: "big", fails: true},
		{name: "both say the same", state: memory(report.ModeShifted, target, first), ledger: entry(report.ModeShifted, target, first), want: first},
		{name: "state only", state: memory(report.ModeShifted, target, first), want: first},
		{name: "ledger only", ledger: entry(report.ModeShifted, target, first), want: first},
		{name: "the ledger is later", state: memory(report.ModeShifted, target, first), ledger: entry(report.ModeShifted, target, longer), want: longer},
		{name: "the state is later", state: memory(report.ModeShifted, target, longer), ledger: entry(report.ModeShifted, target, first), want: longer},
		{name: "a contradiction", state: memory(report.ModeShifted, target, first), ledger: entry(report.ModeShifted, target, shift.Begin(999)), fails: true},
		{name: "an entry about an earlier target topic", state: memory(report.ModeIdentical, target, nil), ledger: entry(report.ModeShifted, other, first)},
		{name: "a memory of an earlier target topic", state: memory(report.ModeShifted, other, first), flow: "big", fails: true},
		{name: "begun shifted, and the map is lost", state: memory(report.ModeShifted, target, nil), fails: true},
		{name: "a damaged map", state: memory(report.ModeShifted, target, shift.Map{{From: 5, Until: 3}}), ledger: entry(report.ModeShifted, target, first), want: first},
		{name: "identical, attached anew by a repair", ledger: entry(report.ModeIdentical, target, shift.Map(nil).Attach(15, 15, 19)), want: shift.Map(nil).Attach(15, 15, 19)},
		{name: "of a kferry that knew no modes", state: memory("", target, nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var patterns []*regexp.Regexp
			if c.flow != "" {
				patterns = append(patterns, regexp.MustCompile(c.flow))
			}
			s := &Shifts{
				Snapshot: state.Snapshot{Memory: map[string]state.Memory{}}, Entries: map[estate.TopicPartition]ledger.Entry{},
				wanted: func(topic string) string { return modeWanted(patterns, topic) },
			}
			if c.state != nil {
				s.Snapshot.Memory["big"] = *c.state
			}
			if c.ledger != nil {
				s.Entries[tp] = *c.ledger
			}
			got, err := s.Of(tp, source, target)
			if got.String() != c.want.String() || (err != nil) != c.fails {
				t.Errorf("%v, %v; want %v, an error: %v", got, err, c.want, c.fails)
			}
		})
	}
}

func TestModeWanted(t *testing.T) {
	patterns := []*regexp.Regexp{regexp.MustCompile("a|ab"), regexp.MustCompile("big.*")}
	for topic, want := range map[string]string{"ab": report.ModeShifted, "abc": report.ModeIdentical, "bigger": report.ModeShifted, "not-big": report.ModeIdentical} {
		if got := modeWanted(patterns, topic); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	if got := modeWanted(nil, "x"); got != report.ModeIdentical {
		t.Errorf("without patterns: %s", got)
	}
}
