package verify

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/verify/digest"
)

func example() *Result {
	three := int32(3)
	return &Result{
		Result: Different, Topics: 2, Partitions: 5, RecordsCompared: 1200, BytesCompared: 2_500_000, ElapsedSeconds: 0.5,
		Differences: []Difference{
			{Topic: "orders", Partition: 2, Offset: 57, Kind: digest.Value, Detail: "value: 3 bytes on the source, null on the target"},
			{Topic: "payments", Partition: -1, Offset: -1, Kind: digest.MissingTopic, Detail: "the target does not have the topic"},
		},
		Skipped: []Skip{{Topic: "orders", Partition: &three, What: "offsets 5 to 9", Why: "5 offsets are not yet copied"}},
		Notes:   []string{"4 records are echoes"},
		PerTopic: []TopicResult{
			{Topic: "orders", Result: Different, Partitions: 4, Compared: 2, RecordsCompared: 1200, BytesCompared: 2_500_000, Differences: 1, Skipped: 1},
			{Topic: "payments", Result: Different, Partitions: 1, Differences: 1},
		},
	}
}

func TestWriteTable(t *testing.T) {
	var b strings.Builder
	if err := example().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `TOPIC     PARTITIONS  COMPARED  RECORDS  BYTES   RESULT
orders    4           2         1200     2.5 MB  different
payments  1           0         0        0 B     different

Differences (the first of each partition):
  orders-2  57  value          value: 3 bytes on the source, null on the target
  payments  -   missing-topic  the target does not have the topic

Not compared:
  orders-3  offsets 5 to 9  5 offsets are not yet copied
Note: 4 records are echoes

DIFFERENT: 2 topics, 5 partitions, 1200 records (2.5 MB) compared in 0.5 s, 5.0 MB/s, 2 differences, 1 parts not compared
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if err := example().WriteTable(brokenPipe{}); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// The names are a contract with scripts.
func TestWriteJSON(t *testing.T) {
	var b strings.Builder
	if err := example().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"result": "different", "topics": 2.0, "partitions": 5.0, "records_compared": 1200.0, "bytes_compared": 2_500_000.0,
		"skipped": []any{map[string]any{"topic": "orders", "partition": 3.0, "what": "offsets 5 to 9", "why": "5 offsets are not yet copied"}},
		"differences": []any{
			map[string]any{"topic": "orders", "partition": 2.0, "offset": 57.0, "kind": "value", "detail": "value: 3 bytes on the source, null on the target"},
			map[string]any{"topic": "payments", "partition": -1.0, "offset": -1.0, "kind": "missing-topic", "detail": "the target does not have the topic"},
		},
	} {
		if diff := cmp.Diff(want, doc[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
}

// What is said from the ends of the logs alone.
func TestJudgedByTheEnds(t *testing.T) {
	type ends = kafka.Ends
	for name, c := range map[string]struct {
		goal     int64
		s, t     ends
		from, to int64
		ok       bool
		differs  []digest.Kind
		skips    int
	}{
		"settled":                      {10, ends{Start: 2, High: 12, Stable: 12}, ends{Start: 2, High: 12, Stable: 12}, 2, 10, true, nil, 0},
		"open transaction":             {10, ends{High: 10, Stable: 7}, ends{High: 7, Stable: 7}, 0, 7, false, nil, 1},
		"open transaction and lag":     {10, ends{High: 10, Stable: 7}, ends{High: 5, Stable: 5}, 0, 5, false, nil, 2},
		"lag":                          {10, ends{High: 10, Stable: 10}, ends{High: 5, Stable: 5}, 0, 5, false, nil, 1},
		"open transaction on target":   {10, ends{High: 10, Stable: 10}, ends{High: 10, Stable: 5}, 0, 5, false, nil, 1},
		"target ahead":                 {10, ends{High: 10, Stable: 10}, ends{High: 11, Stable: 11}, 0, 10, true, []digest.Kind{digest.LogEnd}, 0},
		"target beyond what is stable": {10, ends{High: 10, Stable: 7}, ends{High: 8, Stable: 8}, 0, 7, false, []digest.Kind{digest.LogEnd}, 1},
		"target starts later":          {10, ends{High: 10, Stable: 10}, ends{Start: 4, High: 10, Stable: 10}, 4, 10, true, []digest.Kind{digest.LogStart}, 0},
		"target starts earlier":        {10, ends{Start: 4, High: 10, Stable: 10}, ends{High: 10, Stable: 10}, 4, 10, true, []digest.Kind{digest.LogStart}, 0},
		"not seeded":                   {10, ends{Start: 4, High: 10, Stable: 10}, ends{High: 3, Stable: 3}, 4, 3, false, nil, 1},
		"source emptied":               {10, ends{Start: 10, High: 10, Stable: 10}, ends{High: 3, Stable: 3}, 10, 3, false, nil, 1},
		"source moved on":              {10, ends{Start: 20, High: 25, Stable: 25}, ends{High: 12, Stable: 12}, 20, 10, false, nil, 1},
		"ends not read":                {10, ends{Err: errBroken}, ends{}, 0, 0, false, nil, 1},
		"goal not read":                {-1, ends{High: 3}, ends{}, 0, 0, false, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var r run
			p := &partition{TopicPartition: estate.TopicPartition{Topic: "t"}, topic: &topicScope{name: "t"}, goal: c.goal, ends: [2]kafka.Ends{c.s, c.t}}
			from, to, ok := r.bounds(p)
			var kinds []digest.Kind
			for _, d := range r.differs {
				kinds = append(kinds, d.Kind)
			}
			if from != c.from || to != c.to || ok != c.ok || !cmp.Equal(kinds, c.differs) || len(r.skips) != c.skips {
				t.Errorf("offsets %d to %d, %v, differences %v, skipped %v; want %+v", from, to, ok, kinds, r.skips, c)
			}
			if settled := p.settled(); settled != (ok && len(kinds) == 0) {
				t.Errorf("settled is %v", settled)
			}
		})
	}
}
