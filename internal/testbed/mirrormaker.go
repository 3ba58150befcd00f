package testbed

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"syscall"
	"time"
)

// MirrorMakerOptions says how to run MirrorMaker 2.
type MirrorMakerOptions struct {
	Version Version // 3.9 or 4.3; default 4.3
	HeapMB  int     // maximum Java heap in MiB; default 512
	// QuickStart uses the settings that start quickest instead of the full JIT
	// and G1; never for a measurement.
	QuickStart bool

	// Source and Target are bootstrap addresses of plain listeners. They become
	// the clusters "source" and "target" and one flow source->target.
	Source, Target string
	// Properties are further lines of mm2.properties, which override the test
	// bed's own: one replica for every internal topic, and nothing else.
	Properties map[string]string
}

// MirrorMakerProcess is a running MirrorMaker 2 in dedicated mode.
type MirrorMakerProcess struct {
	proc   *process
	log    string
	remove func()
}

// MirrorMaker starts MirrorMaker 2 and returns at once: the first records
// arrive some seconds later. Topics have their source's name prefixed by
// "source." unless the properties set another replication policy.
func MirrorMaker(ctx context.Context, o MirrorMakerOptions) (*MirrorMakerProcess, error) {
	if o.Version == "" {
		o.Version = V43
	}
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	if o.Version.zooKeeper() {
		return nil, fmt.Errorf("start MirrorMaker 2 of %s: take that of 3.9 or 4.3, which also speak with 2.8 brokers", o.Version)
	}
	jars, err := Jars(ctx, o.Version)
	if err != nil {
		return nil, fmt.Errorf("start MirrorMaker 2: %w", err)
	}
	cp, err := classPath(jars)
	if err != nil {
		return nil, fmt.Errorf("start MirrorMaker 2: %w", err)
	}
	dir, remove, err := scratchDir("mirrormaker")
	if err != nil {
		return nil, fmt.Errorf("start MirrorMaker 2: %w", err)
	}
	m := &MirrorMakerProcess{log: filepath.Join(dir, "mirrormaker.log"), remove: remove}
	file := filepath.Join(dir, "mm2.properties")
	if err = writeProperties(file, mirrorMakerProperties(o)); err == nil {
		args := append(javaFlags(o.HeapMB, !o.QuickStart), "-cp", cp, "org.apache.kafka.connect.mirror.MirrorMaker", file)
		m.proc, err = startProcess("java", args, nil, dir, m.log)
	}
	if err != nil {
		remove()
		return nil, fmt.Errorf("start MirrorMaker 2: %w", err)
	}
	return m, nil
}

func mirrorMakerProperties(o MirrorMakerOptions) map[string]string {
	p := map[string]string{
		"clusters":                              "source,target",
		"source.bootstrap.servers":              o.Source,
		"target.bootstrap.servers":              o.Target,
		"source->target.enabled":                "true",
		"target->source.enabled":                "false",
		"replication.factor":                    "1",
		"config.storage.replication.factor":     "1",
		"offset.storage.replication.factor":     "1",
		"status.storage.replication.factor":     "1",
		"checkpoints.topic.replication.factor":  "1",
		"heartbeats.topic.replication.factor":   "1",
		"offset-syncs.topic.replication.factor": "1",
	}
	maps.Copy(p, o.Properties)
	return p
}

// PID returns the process id.
func (m *MirrorMakerProcess) PID() int { return m.proc.pid() }

// Err returns nil while MirrorMaker runs, and afterwards an error with what
// its log tells.
func (m *MirrorMakerProcess) Err() error {
	if m.proc.running() {
		return nil
	}
	return fmt.Errorf("MirrorMaker 2 ended (%s); its log says:\n%s", m.proc.ended(), gistOfFile(m.log, 20))
}

// Kill ends MirrorMaker with SIGKILL; Close still has to be called.
func (m *MirrorMakerProcess) Kill() { m.proc.kill() }

// Pause freezes the process with SIGSTOP, Resume lets it go on; neither does anything after its end.
func (m *MirrorMakerProcess) Pause() { m.proc.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (m *MirrorMakerProcess) Resume() { m.proc.signal(syscall.SIGCONT) }

// CPU returns user plus system time, after Close that of its whole life.
func (m *MirrorMakerProcess) CPU() (time.Duration, error) { return m.proc.cpu() }

// PeakRSS returns the highest resident memory so far in bytes, after Close that
// of its whole life.
func (m *MirrorMakerProcess) PeakRSS() (int64, error) { return m.proc.peakRSS() }

// LogFile returns the path of what MirrorMaker printed; Close removes it.
func (m *MirrorMakerProcess) LogFile() string { return m.log }

// Close stops MirrorMaker, by force after 15 s, and removes its files.
func (m *MirrorMakerProcess) Close() error {
	err := m.proc.stop(15 * time.Second)
	m.remove()
	if err != nil {
		return fmt.Errorf("stop MirrorMaker 2: %w", err)
	}
	return nil
}
