package testbed

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A broker gives up when its disk is full, and comes back with what it had when there is room again.
func TestDiskFull(t *testing.T) {
	c, err := Start(t.Context(), Options{Version: V43, HeapMB: 256, DiskMB: 96})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cl := client(t, c.Bootstrap())
	mustCreateTopic(t, cl, "full", 1)
	mustProduce(t, cl, "full", "a")
	b := c.Broker(0)
	if err := b.FillDisk(); err != nil {
		t.Fatal(err)
	}
	cl.Produce(t.Context(), &kgo.Record{Topic: "full", Value: []byte("there is no room for this")}, nil)
	for deadline := time.Now().Add(time.Minute); b.Running(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broker runs on without a byte of space")
		}
	}
	if err := b.FreeDisk(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if got := mustConsume(t, c.Bootstrap(), "full", 1); got[0] != "a" {
		t.Errorf("the topic holds %q", got)
	}
}

func TestFillDiskNeedsADiskOfItsOwn(t *testing.T) {
	t.Parallel()
	if err := Shared(t, V39).Broker(0).FillDisk(); err == nil {
		t.Error("a disk was filled that everybody uses")
	}
}
