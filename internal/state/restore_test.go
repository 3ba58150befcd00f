package state

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/kafka"
)

// A topic that was deleted while it was in use is created again, and everything is written once more.
func TestRestore(t *testing.T) { restores(t, embedded(t)) }

func restores(t *testing.T, c *kafka.Cluster) {
	ctx := t.Context()
	s := open(t, c, "a-b", Options{Create: true, Topic: "restored"})
	about := Flow{SourceCluster: "a", TargetCluster: "b", Created: noon}
	memory := Memory{Topic: "orders"}
	put := func() {
		t.Helper()
		if err := s.PutMemory(ctx, memory); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutFlow(ctx, about); err != nil {
		t.Fatal(err)
	}
	put()
	if again, err := s.Restore(ctx); again || err != nil {
		t.Fatalf("restored what was there: %v, %v", again, err)
	}
	before := load(t, s)
	if err := deleted(c.DeleteTopics(ctx, []string{"restored"})); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Restore(ctx); !again || err != nil {
		t.Fatalf("restored %v, %v", again, err)
	}
	put()
	after := load(t, s)
	if diff := cmp.Diff(before.Flow, after.Flow); diff != "" {
		t.Errorf("the flow (-before +after):\n%s", diff)
	}
	if len(after.Memory) != 1 {
		t.Errorf("remembered %v, want orders", after.Memory)
	}
}

// deleted is why a topic could not be deleted.
func deleted(refused map[string]error, err error) error {
	for _, why := range refused {
		if err == nil {
			err = why
		}
	}
	return err
}
