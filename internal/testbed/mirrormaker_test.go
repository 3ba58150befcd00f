package testbed

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestMirrorMakerCopiesATopic(t *testing.T) {
	t.Parallel()
	source, target := Shared(t, V28), Shared(t, V43)
	cl := client(t, source.Bootstrap())
	mustCreateTopic(t, cl, "mirrored", 1)
	mustProduce(t, cl, "mirrored", "a", "b", "c")
	m, err := MirrorMaker(t.Context(), MirrorMakerOptions{
		Source: source.Bootstrap(), Target: target.Bootstrap(), QuickStart: true,
		Properties: map[string]string{
			"source->target.topics":           "mirrored",
			"replication.policy.class":        "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
			"refresh.topics.interval.seconds": "1",
			"emit.heartbeats.enabled":         "false",
			"emit.checkpoints.enabled":        "false",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	adm := kadm.NewClient(client(t, target.Bootstrap()))
	for end := int64(0); end < 3; time.Sleep(100 * time.Millisecond) {
		if err := m.Err(); err != nil {
			t.Fatal(err)
		}
		offsets, err := adm.ListEndOffsets(deadline(t), "mirrored")
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup("mirrored", 0); ok {
			end = o.Offset
		}
		if t.Context().Err() != nil {
			t.Fatalf("the target's log ends at %d", end)
		}
	}
	if got := mustConsume(t, target.Bootstrap(), "mirrored", 3); got[0] != "a" || got[2] != "c" {
		t.Errorf("the target holds %q", got)
	}
	running, err := m.CPU()
	if err != nil || running <= 0 {
		t.Errorf("CPU while running: %v, %v", running, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if total, err := m.CPU(); err != nil || total < running {
		t.Errorf("CPU of the whole life: %v, %v; while running it was %v", total, err, running)
	}
	if peak, err := m.PeakRSS(); err != nil || peak < 50<<20 {
		t.Errorf("peak memory: %d bytes, %v", peak, err)
	}
}
