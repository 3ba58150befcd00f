package state

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// Bad input in the state topic that is tested elsewhere in this package: truncated and damaged JSON, garbage keys,
// foreign flows, pieces without their head (TestAssemble), schemas of the future (TestNewerSchemaIsRefused,
// TestNewerWriterIsNamed), a topic that is something else (TestForeignTopicIsRefused), one that is too large
// (TestReadIsBounded). There are no leases and no journal in it: who writes is decided by the target's log, and what is
// remembered stands for itself record by record, so that order matters only between records of one key.

// Every order of the same records, each key's own order kept, reads the same.
func TestBadInputOutOfOrder(t *testing.T) {
	records := []kafka.Record{
		record(t, "memory/a-b/x", memory("x", 1)), record(t, "flow/a-b", Flow{SourceCluster: "s"}), record(t, "memory/a-b/x", memory("x", 2)),
		raw("report/a-b/topic/y/0", `{"schema":1,"data":{}}`), record(t, "memory/a-b/z", memory("z", 3)), {Key: []byte("memory/a-b/z")},
	}
	want, err := assemble("a-b", records)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(records) - 1 {
		if string(records[i].Key) == string(records[i+1].Key) {
			continue
		}
		swapped := append([]kafka.Record(nil), records...)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		got, err := assemble("a-b", swapped)
		if err != nil || text(t, got) != text(t, want) {
			t.Errorf("with %d and %d exchanged: %s, %v", i, i+1, text(t, got), err)
		}
	}
}

// JSON that costs more than it is worth.
func TestBadInputDocuments(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
	for name, value := range map[string]string{
		"deep":                     `{"schema":1,"data":` + deep + `}`,
		"deep lists":               `{"schema":1,"data":` + strings.Repeat("[", 1_000_000),
		"a number of many digits":  `{"schema":` + strings.Repeat("9", 100_000) + `,"data":{}}`,
		"schema 2^63":              `{"schema":9223372036854775808,"data":{}}`,
		"schema as a text":         `{"schema":"1","data":{}}`,
		"schema 1.5":               `{"schema":1.5,"data":{}}`,
		"schema null":              `{"schema":null,"data":{}}`,
		"a time that cannot be":    `{"schema":1,"at":"2026-13-45T99:99:99Z","data":{}}`,
		"two documents":            `{"schema":1,"data":{}}{"schema":1,"data":{}}`,
		"UTF-16":                   "\xff\xfe{\x00}\x00",
		"partitions of a negative": `{"schema":1,"data":{"partitions":-1}}`,
		"an epoch over 32 bits":    `{"schema":1,"data":{"partitions":[{"leaderEpoch":2147483648}]}}`,
	} {
		var before, after runtime.MemStats
		start := time.Now()
		runtime.ReadMemStats(&before)
		s, err := assemble("a-b", []kafka.Record{raw("memory/a-b/x", value), raw("flow/a-b", `{"schema":1,"data":{"sourceCluster":"s"}}`)})
		runtime.ReadMemStats(&after)
		if err != nil || s.Garbage != 1 || len(s.Memory) != 0 || s.Flow == nil {
			t.Errorf("%s: %d garbage, memory %v, flow %v, %v", name, s.Garbage, s.Memory, s.Flow, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(40*len(value)+1<<20) {
			t.Errorf("%s: %d bytes were allocated for %d", name, n, len(value))
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
	}
	// A key twice in one object: the last one counts, as everywhere in JSON.
	s, err := assemble("a-b", []kafka.Record{raw("flow/a-b", `{"schema":1,"data":{"sourceCluster":"s"},"data":{"sourceCluster":"t"}}`)})
	if err != nil || s.Flow == nil || s.Flow.SourceCluster != "t" {
		t.Errorf("%+v, %v", s.Flow, err)
	}
}

// The clock may say anything.
func TestBadInputClock(t *testing.T) {
	c := embedded(t)
	for i, now := range []time.Time{{}, time.Unix(0, 0), time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		s := open(t, c, fmt.Sprint("flow-", i), Options{Create: true, Now: func() time.Time { return now }})
		must(t, s.PutFlow(t.Context(), Flow{SourceCluster: "s"}))
		must(t, s.PutMemory(t.Context(), memory("x", 1)))
		must(t, s.PutReport(t.Context(), document(1, 1, 1)))
		got := load(t, s)
		if got.Garbage != 0 || got.Flow == nil || len(got.Memory) != 1 || got.Report == nil || !got.ReportAt.Equal(now) {
			t.Errorf("at %v: %+v", now, got)
		}
	}
}

// A batch that somebody else put into the topic and that would become much: a named error, bounded memory.
func TestBadInputBombInTheTopic(t *testing.T) {
	c := embedded(t)
	s := open(t, c, "a-b", Options{Create: true})
	must(t, s.PutMemory(t.Context(), memory("x", 1)))
	var b batch.Builder
	must(t, b.Append(&batch.Record{Key: []byte("memory/a-b/x"), Value: make([]byte, 200<<20)}))
	bomb, err := b.Finish(batch.Zstd)
	must(t, err)
	must(t, batch.Rewrite(bomb, batch.Producer{ID: 12345}))
	conn, err := c.Dial(t.Context(), 0)
	must(t, err)
	defer conn.Close()
	if _, err := conn.ProduceOne(t.Context(), estate.TopicPartition{Topic: DefaultTopic}, bomb, ""); err != nil {
		t.Fatal(err)
	}
	b = batch.Builder{}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = s.Load(t.Context())
	runtime.ReadMemStats(&after)
	if !errors.Is(err, batch.ErrLimit) || !strings.Contains(err.Error(), DefaultTopic) {
		t.Errorf("%v, want an error about a limit", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
		t.Errorf("%d MiB were allocated", n>>20)
	}
}
