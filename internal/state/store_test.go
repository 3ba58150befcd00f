package state

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/kafka"
)

// embedded opens an embedded cluster.
func embedded(t *testing.T, opts ...kfake.Opt) *kafka.Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c, err := kafka.Open(t.Context(), kafka.Connection{Alias: "b", Bootstrap: fake.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, c *kafka.Cluster, flow string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), c, flow, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t *testing.T, s *Store) Snapshot {
	t.Helper()
	snapshot, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestStore(t *testing.T) { roundTrip(t, embedded(t)) }

// roundTrip is what a store must do on any cluster.
func roundTrip(t *testing.T, c *kafka.Cluster) {
	ctx := t.Context()
	now := func() time.Time { return noon }

	reader := open(t, c, "a-b", Options{})
	if s := load(t, reader); s.Flow != nil || len(s.Memory) != 0 || s.Report != nil {
		t.Fatalf("a missing topic reads as %+v", s)
	}
	if _, ok, err := reader.Report(ctx); ok || err != nil {
		t.Fatalf("a missing topic has a report: %v, %v", ok, err)
	}

	s := open(t, c, "a-b", Options{Create: true, Now: now})
	open(t, c, "a-b", Options{Create: true}) // finds it and is content
	other := open(t, c, "c-d", Options{Create: true})
	flow := Flow{SourceCluster: "s", TargetCluster: "t", Created: noon}
	small, large := document(1, 3, 1), document(40, 300, 40)
	must(t, s.PutFlow(ctx, flow))
	must(t, s.PutMemory(ctx, memory("x", 1), memory("y", 2), memory("z", 3)))
	must(t, other.PutMemory(ctx, memory("x", 9)))
	must(t, s.PutMemory(ctx, memory("y", 4)))
	must(t, s.Forget(ctx, "z"))
	must(t, s.PutReport(ctx, large))

	want := Snapshot{Flow: &flow, Memory: map[string]Memory{"x": memory("x", 1), "y": memory("y", 4)}, Report: &large, ReportAt: noon}
	same := func(when string, want Snapshot) {
		t.Helper()
		got := load(t, open(t, c, "a-b", Options{}))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Snapshot{})); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", when, diff)
		}
	}
	same("after a large report", want)

	// A new process, which knows the pieces from reading only, publishes a small report in their place.
	s = open(t, c, "a-b", Options{Create: true, Now: now})
	load(t, s)
	must(t, s.PutReport(ctx, small))
	want.Report = &small
	same("after a small report", want)
	if keys := load(t, reader).keys; len(keys) != 0 {
		t.Errorf("pieces left over: %d", len(keys))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A replication and a finalize that know nothing of each other write about the same topic.
func TestFinalizedOutlivesARunningReplication(t *testing.T) {
	c := embedded(t)
	replication, finalize := open(t, c, "a-b", Options{Create: true}), open(t, c, "a-b", Options{Create: true})
	is := func(when string, want bool) {
		t.Helper()
		if m := load(t, replication).Memory["x"]; (m.Finalized != nil) != want || m.TargetID != (estate.TopicID{1, 1}) {
			t.Errorf("%s: %+v, want finalized: %v", when, m, want)
		}
	}
	must(t, replication.PutMemory(t.Context(), memory("x", 1)))
	is("copied", false)
	must(t, finalize.PutMemory(t.Context(), done(memory("x", 1))))
	later := memory("x", 1)
	later.Partitions[0].LogStart++
	must(t, replication.PutMemory(t.Context(), later))
	is("finalized while it is copied", true)
	must(t, replication.Reopened(t.Context(), "x"))
	is("reopened", false)
}

func TestUnchangedIsNotWrittenAgain(t *testing.T) {
	c := embedded(t)
	s := open(t, c, "a-b", Options{Create: true})
	doc := document(30, 300, 0)
	count := func() int {
		t.Helper()
		records, err := c.ReadAll(t.Context(), DefaultTopic, maxTopic)
		if err != nil {
			t.Fatal(err)
		}
		return len(records)
	}
	must(t, s.PutReport(t.Context(), doc))
	must(t, s.PutMemory(t.Context(), memory("x", 1)))
	before := count()
	must(t, s.PutMemory(t.Context(), memory("x", 1)))
	doc.Updated = doc.Updated.Add(time.Second)
	doc.Topics[7].Partitions[0].LagRecords++
	must(t, s.PutReport(t.Context(), doc))
	if got := count() - before; got != 2 {
		t.Errorf("%d records for a new time and one changed topic of %d, want 2", got, len(doc.Topics))
	}
}

func TestForeignTopicIsRefused(t *testing.T) {
	c := embedded(t, kfake.SeedTopics(1, "not-compacted"), kfake.SeedTopics(3, "wide"))
	for topic, word := range map[string]string{"not-compacted": "compact", "wide": "3 partitions"} {
		_, err := Open(t.Context(), c, "a-b", Options{Topic: topic, Create: true})
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), topic) {
			t.Errorf("%s: %v, want an error about %q", topic, err, word)
		}
	}
}

func TestNewerWriterIsNamed(t *testing.T) {
	c := embedded(t)
	s := open(t, c, "a-b", Options{Create: true})
	must(t, c.Append(t.Context(), DefaultTopic, []kafka.Record{raw("flow/a-b", `{"schema":7}`)}))
	_, err := s.Load(t.Context())
	var newer *NewerError
	if !errors.As(err, &newer) || newer.Topic != DefaultTopic {
		t.Errorf("%v, want a NewerError about %s", err, DefaultTopic)
	}
}

func TestReadIsBounded(t *testing.T) {
	c := embedded(t)
	open(t, c, "a-b", Options{Create: true})
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	must(t, c.Append(t.Context(), DefaultTopic, []kafka.Record{{Key: []byte("k"), Value: noise}}))
	if _, err := c.ReadAll(t.Context(), DefaultTopic, 100); err == nil {
		t.Error("a topic larger than the limit was read")
	}
}

func TestCancelledReadReturns(t *testing.T) {
	c := embedded(t)
	s := open(t, c, "a-b", Options{Create: true})
	must(t, s.PutMemory(t.Context(), memory("x", 1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}
