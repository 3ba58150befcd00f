package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// binary is the kferry that is tested.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kferry-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "kferry")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/kferry/kferry/cmd/kferry").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build kferry: %v\n%s", err, out)
		return 1
	}
	defer closeShared()
	return m.Run()
}

// long says whether the longer variants are asked for.
func long() bool { return os.Getenv("KFERRY_LONG") != "" }

// quickCleaner are broker settings that make the log cleaner and retention look every moment.
var quickCleaner = map[string]string{
	"log.cleaner.backoff.ms":          "200",
	"log.retention.check.interval.ms": "500",
	"log.cleaner.threads":             "1",
}

var shared = struct {
	sync.Mutex
	clusters map[testbed.Version]*testbed.Cluster
}{clusters: map[testbed.Version]*testbed.Cluster{}}

// login is the listener on which ACLs count. The first listener is plain, and everybody there is a super user.
var login = testbed.Listener{Name: "LOGIN", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"PLAIN"}}

// cluster returns the one cluster of a release that all tests use.
func cluster(t *testing.T, v testbed.Version) *testbed.Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if c := shared.clusters[v]; c != nil {
		return c
	}
	started := time.Now()
	c, err := testbed.Start(context.Background(), testbed.Options{
		Version: v, Config: quickCleaner,
		Security: testbed.Security{Listeners: []testbed.Listener{{}, login}, Authorizer: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kafka %s started in %.1f s", v, time.Since(started).Seconds())
	shared.clusters[v] = c
	return c
}

func closeShared() {
	shared.Lock()
	defer shared.Unlock()
	for _, c := range shared.clusters {
		if err := c.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: close kafka %s: %v\n", c.Version, err)
		}
	}
}

// writer opens a writer of histories to a cluster.
func seeded(t *testing.T, c *testbed.Cluster, seed uint64) *history.Writer {
	t.Helper()
	w, err := history.NewWriter(history.Options{Bootstrap: c.Addrs(), Seed: seed, OldFormats: c.Version == testbed.V28})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}
