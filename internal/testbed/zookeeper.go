package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
		"tickTime":           "2000",
	})
	if err != nil {
		return err
	}
	args := append(javaFlags(128, false), "-cp", filepath.Join(z.cluster.jars, "*"),
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	z.proc, err = startProcess("java", args, nil, z.cluster.dir, filepath.Join(z.cluster.dir, "zookeeper.log"))
	return err
}

func (z *zooKeeper) close() {
	if z.proc != nil {
		z.proc.kill()
	}
	z.port.release()
}
