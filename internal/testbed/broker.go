package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Broker is one broker of a Cluster; in KRaft it is a controller as well. Its
// methods may be called from several goroutines.
type Broker struct {
	ID int // node.id or broker.id, from 0

	cluster    *Cluster
	clients    []port   // one per client listener
	advertised []string // one per client listener: what clients are told
	internal   port
	inside     string // what the other brokers are told of internal
	controller port   // zero with ZooKeeper

	mu    sync.Mutex // guards what follows
	extra map[string]string
	proc  *process
}

// stopTimeout bounds a clean stop: moving leaders away, flushing the logs.
const stopTimeout = 30 * time.Second

func (c *Cluster) newBroker(id int) (*Broker, error) {
	b := &Broker{ID: id, cluster: c, extra: map[string]string{}}
	if err := b.takePorts(); err != nil {
		b.releasePorts()
		return nil, err
	}
	b.inside = b.internal.addr()
	if c.options.AdvertiseInternal != nil {
		b.inside = c.options.AdvertiseInternal(id, b.inside)
	}
	for _, p := range b.clients {
		addr := p.addr()
		if c.options.Advertise != nil {
			addr = c.options.Advertise(id, addr)
		}
		b.advertised = append(b.advertised, addr)
	}
	if err := os.MkdirAll(b.dataDir(), 0o755); err != nil {
		return nil, fmt.Errorf("make the data directory of broker %d: %w", id, err)
	}
	if c.options.DiskMB > 0 {
		unmount, err := mountDisk(b.dataDir(), c.options.DiskMB)
		if err != nil {
			return nil, err
		}
		c.closers = append(c.closers, unmount)
	}
	return b, nil
}

func (b *Broker) takePorts() (err error) {
	if b.internal, err = takePort(); err != nil {
		return err
	}
	if !b.cluster.Version.zooKeeper() {
		if b.controller, err = takePort(); err != nil {
			return err
		}
	}
	for i := range b.cluster.options.Security.Listeners {
		take := takePort
		if fixed := b.cluster.options.Port; i == 0 && fixed != 0 {
			take = func() (port, error) { return takeThisPort(fixed + b.ID) }
		}
		p, err := take()
		if err != nil {
			return err
		}
		b.clients = append(b.clients, p)
	}
	return nil
}

func (b *Broker) releasePorts() {
	for _, p := range append([]port{b.internal, b.controller}, b.clients...) {
		if p.release != nil {
			p.release()
		}
	}
}

func (b *Broker) name() string           { return "broker-" + strconv.Itoa(b.ID) }
func (b *Broker) dataDir() string        { return filepath.Join(b.cluster.dir, b.name()) }
func (b *Broker) propertiesFile() string { return b.dataDir() + ".properties" }

// LogFile returns the path of what the broker's process printed since it was
// first started; restarts append.
func (b *Broker) LogFile() string { return b.dataDir() + ".log" }

// Addr returns the address on which the broker's first client listener really
// listens, which is what a proxy connects to.
func (b *Broker) Addr() string { return b.clients[0].addr() }

// format writes the broker's properties and, for KRaft, the empty log
// directory that a broker insists on.
func (b *Broker) format(ctx context.Context) error {
	if err := writeProperties(b.propertiesFile(), b.serverProperties()); err != nil {
		return err
	}
	if b.cluster.Version.zooKeeper() || exists(filepath.Join(b.dataDir(), "meta.properties")) {
		return nil
	}
	c := b.cluster
	args := slices.Concat(javaFlags(128, false), c.archive, []string{"-cp", c.classPath,
		"kafka.tools.StorageTool", "format", "-t", c.options.ClusterID, "-c", b.propertiesFile()})
	out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w: %s", b.ID, err, gist(string(out), 10))
	}
	return nil
}

// launch starts the process and does not wait for it.
func (b *Broker) launch() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc.running() {
		return fmt.Errorf("broker %d is running already", b.ID)
	}
	if err := writeProperties(b.propertiesFile(), b.serverProperties()); err != nil {
		return err
	}
	o := b.cluster.options
	c := b.cluster
	args := slices.Concat(javaFlags(o.HeapMB, o.Benchmark), c.archive, c.dump, c.securityFlags(),
		[]string{"-cp", c.classPath, "kafka.Kafka", b.propertiesFile()})
	proc, err := startProcess("java", args, nil, b.cluster.dir, b.LogFile())
	if err != nil {
		return err
	}
	b.proc = proc
	return nil
}

func (b *Broker) process() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proc
}

// Start starts a broker that was stopped or killed, on the same ports and the
// same data, and returns when it takes requests.
//
// On 2.8 a broker that was killed can come back only when ZooKeeper has
// forgotten it, which takes up to 6 s; Start waits for it.
func (b *Broker) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if zk := b.cluster.zooKeeper; zk != nil && !b.Running() {
		if err := zk.awaitForgotten(ctx, b.ID); err != nil {
			return fmt.Errorf("start broker %d: %w", b.ID, err)
		}
	}
	if err := b.launch(); err != nil {
		return err
	}
	return b.awaitReady(ctx, 1)
}

// Stop stops the broker cleanly: it hands its leaderships over and closes its
// logs. A paused broker is resumed for it. One that does not stop within 30 s
// is killed and reported.
func (b *Broker) Stop() error {
	p := b.process()
	if !p.running() {
		return nil
	}
	if err := p.stop(stopTimeout); err != nil {
		return fmt.Errorf("stop broker %d: %w", b.ID, err)
	}
	return nil
}

// Kill ends the broker with SIGKILL and waits until it is gone. What it had in
// the page cache survives: only the process dies, not the machine.
func (b *Broker) Kill() {
	if p := b.process(); p != nil {
		p.kill()
	}
}

// Pause stops the process in its tracks with SIGSTOP: connections stay open
// and nothing answers.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (b *Broker) Resume() error { return b.signal(syscall.SIGCONT) }

// Restart stops the broker cleanly if it runs and starts it again. The lines
// of extra are added to its server.properties, now and for later starts.
func (b *Broker) Restart(extra map[string]string) error {
	if err := b.Stop(); err != nil {
		return err
	}
	b.mu.Lock()
	maps.Copy(b.extra, extra)
	b.mu.Unlock()
	return b.Start()
}

func (b *Broker) signal(s syscall.Signal) error {
	p := b.process()
	if !p.running() {
		return fmt.Errorf("send %v to broker %d: it is not running", s, b.ID)
	}
	return p.signal(s)
}

// Running says whether the broker's process exists, paused or not.
func (b *Broker) Running() bool { return b.process().running() }

// PID returns the process id, or 0 when the broker is not running.
func (b *Broker) PID() int {
	if p := b.process(); p.running() {
		return p.pid()
	}
	return 0
}

var errNotRunning = errors.New("not running")

// CPU returns user plus system time of the running process, to 10 ms.
func (b *Broker) CPU() (time.Duration, error) {
	pid := b.PID()
	if pid == 0 {
		return 0, fmt.Errorf("CPU time of broker %d: %w", b.ID, errNotRunning)
	}
	return processCPU(pid)
}

// RSS returns the resident memory of the running process in bytes.
func (b *Broker) RSS() (int64, error) {
	pid := b.PID()
	if pid == 0 {
		return 0, fmt.Errorf("memory of broker %d: %w", b.ID, errNotRunning)
	}
	return processMemory(pid, "VmRSS")
}

// Tail returns the last n telling lines of the broker's log: warnings, errors
// and what is no log line at all, or its plain end when there are none.
func (b *Broker) Tail(n int) string { return gistOfFile(b.LogFile(), n) }
