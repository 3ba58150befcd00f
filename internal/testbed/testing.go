package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// New starts a cluster for one test and closes it when the test ends. The test
// fails, with the last lines of the broker's log, when the cluster does not
// start or when a broker ends that nobody stopped or killed.
func New(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	c, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.lost(); err != nil {
			tb.Error(err)
		}
		if err := c.Close(); err != nil {
			tb.Errorf("close kafka %s: %v", c.Version, err)
		}
	})
	return c
}

// Shared returns a plain cluster of one broker that all tests of this process
// use, so topics and groups need names of their own. It is started by the
// first call for that version and closed by Main, which TestMain must call.
func Shared(tb testing.TB, v Version) *Cluster {
	tb.Helper()
	shared.Lock()
	underMain, start := shared.underMain, shared.starts[v]
	if start == nil {
		start = sync.OnceValues(func() (*Cluster, error) {
			return Start(context.Background(), Options{Version: v})
		})
		shared.starts[v] = start
	}
	shared.Unlock()
	if !underMain {
		tb.Fatal("testbed.Shared: the package needs func TestMain(m *testing.M) { testbed.Main(m) }")
	}
	c, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.lost(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Main runs the tests of a package and then closes the shared clusters. It
// leaves the exit code to the testing package, so that TestMain may clean up
// more after it.
func Main(m *testing.M) {
	shared.Lock()
	shared.underMain = true
	shared.Unlock()
	m.Run()
	shared.Lock()
	defer shared.Unlock()
	for v, start := range shared.starts {
		c, err := start()
		if err != nil {
			continue // a test has said so
		}
		if err := c.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "testbed: close the shared kafka %s: %v\n", v, err)
		}
	}
}

var shared = struct {
	sync.Mutex
	underMain bool
	starts    map[Version]func() (*Cluster, error) // started or to be started once
}{starts: map[Version]func() (*Cluster, error){}}

// lost reports brokers whose process ended by itself.
func (c *Cluster) lost() error {
	var errs []error
	for _, b := range c.brokers {
		if p := b.process(); p != nil && !p.running() && !p.asked.Load() {
			errs = append(errs, fmt.Errorf("broker %d of kafka %s ended by itself (%s); its log says:\n%s",
				b.ID, c.Version, p.ended(), b.Tail(20)))
		}
	}
	return errors.Join(errs...)
}
