package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kferry/kferry/internal/bench/result"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
)

// rig is what every run needs: the source, the programs, a place for logs.
type rig struct {
	o      options
	book   *result.Book
	dir    string // temporary
	kferry string // the program
	self   string // this program, for workers
	source *side
	filled []string // topics on the source
}

// side is one cluster and our own way to it.
type side struct {
	*testbed.Cluster
	wire     *kafka.Cluster // through the brokers' own listener, so never through a proxy
	replicas int
	proxies  []*testbed.Proxy
}

func newRig(ctx context.Context, o options, book *result.Book) (*rig, error) {
	r := &rig{o: o, book: book}
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if r.dir, err = os.MkdirTemp("", "kferry-bench-"); err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	r.kferry = filepath.Join(r.dir, "kferry")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", r.kferry, "github.com/kferry/kferry/cmd/kferry").CombinedOutput(); err != nil {
		return r, fmt.Errorf("build kferry: %w: %s", err, out)
	}
	r.source, err = startSide(ctx, "source", testbed.Options{Version: o.version})
	return r, err
}

// close stops the source and removes what is temporary.
func (r *rig) close() error {
	var err error
	if r.source != nil {
		err = r.source.close()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// brokerConfig is what differs from Kafka's defaults.
var brokerConfig = map[string]string{
	// What one run wrote shall be gone before the next begins.
	"log.segment.delete.delay.ms": "1000",
	// Linux 6.18 on ext4 takes 3 to 5 ms for the first write into a mapped, empty file of 10 MiB, the default
	// size of each of the two indexes of a segment, and time in proportion for smaller ones: with 1,000 young
	// partitions nothing else would be measured. 256 KiB is room for 350 MB in batches of 16 KB.
	"log.index.size.max.bytes": "262144",
}

// startSide starts a cluster as production runs it.
func startSide(ctx context.Context, alias string, o testbed.Options) (*side, error) {
	o.Benchmark, o.HeapMB, o.Config = true, 1024, brokerConfig
	c, err := testbed.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &side{Cluster: c, replicas: min(c.Brokers(), 3)}
	s.wire, err = kafka.Open(ctx, kafka.Connection{Alias: alias, Bootstrap: strings.Split(c.Internal(), ","), ClientID: "bench"})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// startFarSide starts one broker that clients reach through a delay.
func startFarSide(ctx context.Context, version testbed.Version, oneWay time.Duration) (*side, error) {
	var proxies []*testbed.Proxy
	var failed error
	s, err := startSide(ctx, "target", testbed.Options{Version: version, Advertise: func(_ int, addr string) string {
		p, err := testbed.NewProxy(addr, oneWay)
		if err != nil {
			failed = err
			return addr
		}
		proxies = append(proxies, p)
		return p.Addr()
	}})
	if err = errors.Join(err, failed); err != nil {
		for _, p := range proxies {
			p.Close()
		}
		return nil, err
	}
	s.proxies = proxies
	return s, nil
}

func (s *side) close() error {
	s.wire.Close()
	err := s.Cluster.Close()
	for _, p := range s.proxies {
		p.Close()
	}
	return err
}

// fill makes sure that the workloads' topics are on the source and on its disk.
func (r *rig) fill(ctx context.Context, workloads ...workload) error {
	for _, w := range workloads {
		if r.isFilled(w) {
			continue
		}
		began := time.Now()
		done, err := fill(ctx, r.source.wire, w, r.o.scale)
		if err != nil {
			return err
		}
		r.book.SetWorkload(done)
		r.filled = append(r.filled, w.name)
		say("filled %s: %d records, %.0f MB on the wire, %.1f s", w.name, done.Records, float64(done.WireBytes)/1e6, time.Since(began).Seconds())
	}
	syscall.Sync() // or the kernel writes while we measure
	return nil
}

func (r *rig) isFilled(w workload) bool {
	for _, name := range r.filled {
		if name == w.name {
			return true
		}
	}
	return false
}

// logFile names a file for what a run prints.
func (r *rig) logFile(parts ...string) string {
	name := strings.ReplaceAll(strings.Join(parts, "-"), " ", "-")
	return filepath.Join(r.dir, name+".log")
}
