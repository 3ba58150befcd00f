package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Cluster is a running Apache Kafka cluster on loopback.
type Cluster struct {
	Version Version

	options   Options
	classPath string
	archive   []string // Java flags of every process: read the class archive
	dump      []string // Java flags of brokers: write it
	dir       string
	brokers   []*Broker
	zooKeeper *zooKeeper // nil with KRaft

	certificates *Certificates // nil without TLS
	tokens       *TokenServer  // nil without OAUTHBEARER

	closers   []func() // what Close undoes last, in reverse order
	closeOnce sync.Once
	closeErr  error
}

// startTimeout bounds one start of a broker: seconds on an idle machine, and
// more than a minute on two cores that many processes fight for.
const startTimeout = 3 * time.Minute

// Start starts a cluster and returns when every broker knows every other one
// and takes requests. On an error everything is stopped again and the error
// carries the last lines of the broker's log.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	jars, err := Jars(ctx, o.Version)
	if err != nil {
		return nil, fmt.Errorf("start kafka %s: %w", o.Version, err)
	}
	cp, err := classPath(jars)
	if err != nil {
		return nil, fmt.Errorf("start kafka %s: %w", o.Version, err)
	}
	c := &Cluster{Version: o.Version, options: o, classPath: cp}
	if !o.Benchmark {
		if c.archive, err = archiveFlags(ctx, o.Version, jars, cp); err != nil {
			return nil, fmt.Errorf("start kafka %s: %w", o.Version, err)
		}
	}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start kafka %s: %w", o.Version, errors.Join(err, c.Close()))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.makeDir(); err != nil {
		return err
	}
	if err := c.prepareSecurity(); err != nil {
		return err
	}
	if c.Version.zooKeeper() {
		zk, err := c.newZooKeeper()
		if err != nil {
			return err
		}
		c.zooKeeper = zk
		if err := zk.start(); err != nil {
			return err
		}
	}
	for id := range c.options.Brokers {
		b, err := c.newBroker(id)
		if err != nil {
			return err
		}
		c.brokers = append(c.brokers, b)
	}
	if err := c.startBrokers(ctx); err != nil {
		return err
	}
	return c.createSCRAMUsers(ctx)
}

// startBrokers starts all brokers at once: a KRaft quorum has no leader, and so
// no broker is ready, before most of them run.
func (c *Cluster) startBrokers(ctx context.Context) error {
	errs := make([]error, len(c.brokers))
	var wg sync.WaitGroup
	for i, b := range c.brokers {
		wg.Go(func() {
			if errs[i] = b.format(ctx); errs[i] == nil {
				errs[i] = b.launch()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, b := range c.brokers {
		if err := b.awaitReady(ctx, len(c.brokers)); err != nil {
			return err
		}
	}
	return nil
}

// Bootstrap returns the addresses of the first client listener, separated by
// commas, as a client's bootstrap.servers takes them.
func (c *Cluster) Bootstrap() string { return strings.Join(c.Addrs(), ",") }

// Addrs returns what each broker advertises on the first client listener, in
// the order of the broker ids.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		addrs[i] = b.advertised[0]
	}
	return addrs
}

// Listener returns the bootstrap addresses of the client listener with that
// name. It panics when there is none: that is a mistake in the test.
func (c *Cluster) Listener(name string) string {
	for i, l := range c.options.Security.Listeners {
		if !strings.EqualFold(l.Name, name) {
			continue
		}
		addrs := make([]string, len(c.brokers))
		for k, b := range c.brokers {
			addrs[k] = b.advertised[i]
		}
		return strings.Join(addrs, ",")
	}
	panic(fmt.Sprintf("testbed: no listener %q", name))
}

// Internal returns the bootstrap addresses of the brokers' own listener: plain,
// never proxied, and with an authorizer its anonymous user is a super user.
func (c *Cluster) Internal() string {
	addrs := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		addrs[i] = b.internal.addr()
	}
	return strings.Join(addrs, ",")
}

// Broker returns broker i, whose id in Kafka is i as well.
func (c *Cluster) Broker(i int) *Broker { return c.brokers[i] }

// Brokers returns how many brokers the cluster was started with.
func (c *Cluster) Brokers() int { return len(c.brokers) }

// CPU returns the sum of Broker.CPU over the brokers that run.
func (c *Cluster) CPU() (time.Duration, error) {
	var sum time.Duration
	for _, b := range c.brokers {
		used, err := b.CPU()
		if err != nil && !errors.Is(err, errNotRunning) {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// ClusterID returns the id that a KRaft cluster was formatted with. A 2.8
// cluster makes its own id; ask it by a Metadata request.
func (c *Cluster) ClusterID() string { return c.options.ClusterID }

// Close stops all processes and removes the data. Brokers whose data is thrown
// away are killed, which is quicker; with Options.DataDir they are stopped in
// order, ZooKeeper last. Close may be called more than once.
func (c *Cluster) Close() error {
	c.closeOnce.Do(func() { c.closeErr = c.close() })
	return c.closeErr
}

func (c *Cluster) close() error {
	errs := make([]error, len(c.brokers))
	var wg sync.WaitGroup
	for i, b := range c.brokers {
		wg.Go(func() {
			if c.options.DataDir != "" {
				errs[i] = b.Stop()
			} else {
				b.Kill()
			}
		})
	}
	wg.Wait()
	if c.zooKeeper != nil {
		c.zooKeeper.close()
	}
	for _, b := range c.brokers {
		b.releasePorts()
	}
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
	return errors.Join(errs...)
}

// makeDir makes the directory for data and logs.
func (c *Cluster) makeDir() error {
	if c.options.DataDir != "" {
		dir, err := filepath.Abs(c.options.DataDir)
		if err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		c.dir = dir
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		return nil
	}
	dir, remove, err := scratchDir("kafka-" + c.Version.line())
	if err != nil {
		return err
	}
	c.dir = dir
	c.closers = append(c.closers, remove)
	return nil
}
