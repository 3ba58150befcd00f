package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/report"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func record(t testing.TB, k string, data any) kafka.Record {
	t.Helper()
	w, err := newWrite(k, data)
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Record{Key: []byte(k), Value: encode(noon, w.data)}
}

func raw(k, value string) kafka.Record {
	return kafka.Record{Key: []byte(k), Value: []byte(value)}
}

func memory(topic string, id byte) Memory {
	return Memory{
		Topic: topic, SourceID: estate.TopicID{id}, TargetID: estate.TopicID{id, id},
		Partitions: []PartitionMemory{{LeaderEpoch: 3, LogStart: 9}, {LeaderEpoch: -1}},
		Faults:     []fault.Fault{{Kind: fault.Truncation, Topic: topic, Partition: 1, Offset: 7, At: noon}},
	}
}

func done(m Memory) Memory {
	m.Finalized = &noon
	return m
}

func TestAssemble(t *testing.T) {
	flow := Flow{SourceCluster: "s", TargetCluster: "t", Created: noon}
	for _, c := range []struct {
		name    string
		records []kafka.Record
		want    Snapshot
	}{
		{name: "nothing", want: Snapshot{}},
		{
			name: "the last record of a key counts, a tombstone removes",
			records: []kafka.Record{
				record(t, "memory/a-b/x", memory("x", 1)), record(t, "memory/a-b/y", memory("y", 2)),
				record(t, "memory/a-b/x", memory("x", 3)), {Key: []byte("memory/a-b/y")},
			},
			want: Snapshot{Memory: map[string]Memory{"x": memory("x", 3)}},
		},
		{
			name: "a topic is finalized as long as it is the same topic",
			records: []kafka.Record{
				record(t, "finalized/a-b/x", finalized{estate.TopicID{1}, estate.TopicID{1, 1}, noon}), record(t, "memory/a-b/x", memory("x", 1)),
				record(t, "finalized/a-b/y", finalized{estate.TopicID{1}, estate.TopicID{1, 1}, noon}), record(t, "memory/a-b/y", memory("y", 2)),
				record(t, "finalized/a-b/z", finalized{estate.TopicID{3}, estate.TopicID{3, 3}, noon}),
			},
			want: Snapshot{Memory: map[string]Memory{
				"x": done(memory("x", 1)), "y": memory("y", 2),
				"z": {Topic: "z", SourceID: estate.TopicID{3}, TargetID: estate.TopicID{3, 3}, Finalized: &noon},
			}},
		},
		{
			name: "other flows are left alone, damaged, newer or not",
			records: []kafka.Record{
				record(t, "memory/c-d/x", memory("x", 1)), raw("memory/c-d/y", "{"), raw("memory/c-d/z", `{"schema":99}`),
				record(t, "flow/a-b", flow),
			},
			want: Snapshot{Flow: &flow},
		},
		{
			name: "garbage is counted",
			records: []kafka.Record{
				raw("", ""), raw("memory", "x"), raw("unknown/a-b", "{}"), raw("memory/a-b/x/y", "{}"), raw("memory/a-b/%zz", "{}"), raw("memory/a-b/%41", "{}"),
				raw("memory/a-b/a", `{"schema":1,"data":`), raw("memory/a-b/b", `{"schema":1,"data":[]}`), raw("memory/a-b/c", `{}`), raw("memory/a-b/d", "\x00\xff"),
				raw("memory/a-b/e", `{"schema":1,"data":{"sourceTopicId":"short"}}`), raw("memory/a-b/f", `{"schema":-1,"data":{}}`), raw("memory/a-b/g", `{"schema":1}`),
				raw("report/a-b", `[]`), raw("report/a-b/topic/x/-1", `{"schema":1,"data":{}}`), raw("report/a-b/topic/x/one", `{"schema":1,"data":{}}`), raw("report/a-b/what/x/0", `{"schema":1,"data":{}}`),
				record(t, "flow/a-b", flow),
			},
			want: Snapshot{Flow: &flow, Garbage: 17},
		},
		{
			name: "pieces without their head are no report", records: []kafka.Record{record(t, "report/a-b/topic/x/0", report.Topic{})},
		},
		{
			name:    "a head without pieces is a report",
			records: []kafka.Record{record(t, "report/a-b", head{Split: true, Document: report.Document{Version: 1, Flow: "a-b"}})},
			want:    Snapshot{Report: &report.Document{Version: 1, Flow: "a-b"}, ReportAt: noon},
		},
		{
			name: "fields of tomorrow are ignored", records: []kafka.Record{raw("flow/a-b", `{"schema":1,"data":{"sourceCluster":"s","later":true},"more":1}`)},
			want: Snapshot{Flow: &Flow{SourceCluster: "s"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := assemble("a-b", c.records)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Snapshot{})); diff != "" {
				t.Errorf("snapshot (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	for _, k := range []string{"flow/a-b", "memory/a-b/x", "finalized/a-b/x", "report/a-b", "report/a-b/topic/x/0"} {
		_, err := assemble("a-b", []kafka.Record{raw(k, `{"schema":2,"data":"who knows"}`)})
		var newer *NewerError
		if !errors.As(err, &newer) || newer.Key != k || newer.Schema != 2 {
			t.Errorf("%s: %v, want a NewerError", k, err)
		}
		if err != nil && !strings.Contains(err.Error(), "newer kferry") {
			t.Errorf("%s: %q does not say what to do", k, err)
		}
	}
}

func TestKeysAreReversible(t *testing.T) {
	for _, parts := range [][]string{{"A->B"}, {"a/b", "c%2Fd"}, {"", ""}, {"ü", "x y", "0"}, {"..", "\x00"}} {
		kind, got, ok := splitKey(key("report", parts...))
		if !ok || kind != "report" || !cmp.Equal(got, parts) {
			t.Errorf("%q: %q %q %v", parts, kind, got, ok)
		}
	}
}

// document is a report with so many partitions and group offsets, faults among them.
func document(topics, partitions, groups int) report.Document {
	doc := report.Document{Version: 1, Flow: "a-b", Updated: noon, Running: true, Notes: []string{"a note"}}
	for i := range topics {
		topic := report.Topic{Name: fmt.Sprintf("topic-%03d", i), ID: estate.TopicID{byte(i)}, Notes: []string{"odd"}}
		for p := range partitions {
			part := report.Partition{ID: int32(p), State: report.Following, SourceEnd: rand.Int64(), Traffic: report.Traffic{BytesRaw: rand.Int64()}}
			if p%7 == 3 {
				part.State = report.Faulted
				part.Fault = &fault.Fault{Kind: fault.ForeignAppend, Topic: topic.Name, Partition: part.ID, Detail: "somebody wrote", At: noon}
				doc.Faults = append(doc.Faults, *part.Fault)
			}
			topic.Partitions = append(topic.Partitions, part)
		}
		doc.Topics = append(doc.Topics, topic)
	}
	for i := range groups {
		g := report.Group{ID: fmt.Sprintf("group/%03d", i), At: noon}
		for p := range partitions {
			g.Offsets = append(g.Offsets, report.GroupOffset{Topic: "topic-000", Partition: int32(p), Source: rand.Int64()})
		}
		doc.Groups = append(doc.Groups, g)
	}
	return doc
}

func TestReportSurvivesSplitting(t *testing.T) {
	for _, most := range []int{300, 3000, 100_000, 10 << 20} {
		doc := document(5, 20, 6)
		writes, err := split("a-b", doc, most)
		if err != nil {
			t.Fatal(err)
		}
		var records []kafka.Record
		for _, w := range writes {
			if most >= 3000 && len(w.data) > most {
				t.Errorf("%s has %d bytes, most are %d", w.key, len(w.data), most)
			}
			records = append(records, kafka.Record{Key: []byte(w.key), Value: encode(noon, w.data)})
		}
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		got, err := assemble("a-b", records)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&doc, got.Report, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("most %d: report (-want +got):\n%s", most, diff)
		}
		if got.Garbage != 0 {
			t.Errorf("most %d: %d garbage", most, got.Garbage)
		}
	}
}

// A report is never smaller than it is estimated to be at least: one that fits must not be split.
func TestLeastSize(t *testing.T) {
	doc := report.Document{Topics: []report.Topic{{Partitions: make([]report.Partition, 50)}}, Groups: []report.Group{{Offsets: make([]report.GroupOffset, 50)}}}
	if got, least := len(text(t, doc)), leastSize(doc); got < least {
		t.Errorf("%d bytes, estimated %d", got, least)
	}
}

// BenchmarkSplit lays out the report of a thousand topics.
func BenchmarkSplit(b *testing.B) {
	doc := document(1000, 8, 100)
	for b.Loop() {
		if _, err := split("a-b", doc, maxValue); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzAssemble feeds what anybody may have written into the topic. What could be read is written again and
// must read the same.
func FuzzAssemble(f *testing.F) {
	for _, k := range []string{"flow/a-b", "memory/a-b/x", "report/a-b", "report/a-b/topic/x/0", "report/a-b/group/g/1", "memory/a-b/%2F", "finalized/a-b/x"} {
		for _, v := range []string{`{"schema":1,"data":{}}`, `{"schema":1,"at":"2026-03-04T12:00:00Z","data":{"split":true,"topic":"y"}}`, `{"schema":2}`, `{`, ``} {
			f.Add(k, []byte(v), "report/a-b", []byte(`{"schema":1,"data":{"split":true,"document":{}}}`))
		}
	}
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte) {
		records := []kafka.Record{{Key: []byte(k1), Value: v1}, {Key: []byte(k2), Value: v2}}
		s, err := assemble("a-b", records)
		if err != nil {
			var newer *NewerError
			if !errors.As(err, &newer) {
				t.Fatalf("error of an unknown kind: %v", err)
			}
			return
		}
		var again []kafka.Record
		if s.Flow != nil {
			again = append(again, record(t, key(kindFlow, "a-b"), s.Flow))
		}
		for topic, m := range s.Memory {
			again = append(again, record(t, key(kindMemory, "a-b", topic), m))
		}
		if s.Report != nil {
			writes, err := split("a-b", *s.Report, 400)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range writes {
				again = append(again, kafka.Record{Key: []byte(w.key), Value: encode(noon, w.data)})
			}
		}
		got, err := assemble("a-b", again)
		if err != nil || got.Garbage != 0 {
			t.Fatalf("own records: %v, %d garbage", err, got.Garbage)
		}
		if a, b := text(t, s.Memory), text(t, got.Memory); a != b {
			t.Fatalf("memory %s became %s", a, b)
		}
	})
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
