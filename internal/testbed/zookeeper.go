package testbed

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// zooKeeper is the single ZooKeeper node of a 2.8 cluster.
type zooKeeper struct {
	cluster *Cluster
	port    port
	proc    *process
}

func (c *Cluster) newZooKeeper() (*zooKeeper, error) {
	p, err := takePort()
	if err != nil {
		return nil, err
	}
	return &zooKeeper{cluster: c, port: p}, nil
}

// sessionTimeoutMillis is how long ZooKeeper remembers a broker that was killed.
// Until then its registration stands in the way of the same broker's next
// start, and the default of 18 s is long for a test.
const sessionTimeoutMillis = 5000

// start does not wait until ZooKeeper answers: brokers connect until it does.
func (z *zooKeeper) start() error {
	dir := filepath.Join(z.cluster.dir, "zookeeper")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of zookeeper: %w", err)
	}
	file := filepath.Join(z.cluster.dir, "zookeeper.properties")
	err := writeProperties(file, map[string]string{
		"dataDir":            dir,
		"clientPort":         strconv.Itoa(z.port.number),
		"clientPortAddress":  "127.0.0.1",
		"admin.enableServer": "false",
		"maxClientCnxns":     "0",
		// Sessions of killed brokers are to end soon, see sessionTimeoutMillis.
		"tickTime":               "500",
		"4lw.commands.whitelist": "dump",
	})
	if err != nil {
		return err
	}
	args := slices.Concat(javaFlags(128, false), z.cluster.archive, []string{"-cp", z.cluster.classPath,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", file})
	z.proc, err = startProcess("java", args, nil, z.cluster.dir, filepath.Join(z.cluster.dir, "zookeeper.log"))
	return err
}

// awaitForgotten waits until the registration of a broker's former life is
// gone: a broker that finds it gives up at once.
func (z *zooKeeper) awaitForgotten(ctx context.Context, broker int) error {
	node := fmt.Sprintf("/brokers/ids/%d", broker)
	for {
		dump, err := z.ask("dump")
		if err == nil && !slices.Contains(strings.Fields(dump), node) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until zookeeper forgets %s (%v): %w", node, err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ask sends one of ZooKeeper's four-letter commands; dump lists the ephemeral
// nodes of every session.
func (z *zooKeeper) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", z.port.addr(), time.Second)
	if err != nil {
		return "", fmt.Errorf("ask zookeeper: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte(command)); err != nil {
		return "", fmt.Errorf("ask zookeeper for %s: %w", command, err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("read zookeeper's answer to %s: %w", command, err)
	}
	return string(answer), nil
}

func (z *zooKeeper) close() {
	if z.proc != nil {
		z.proc.kill()
	}
	z.port.release()
}
