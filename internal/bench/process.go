package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/kferry/kferry/internal/bench/proc"
	"github.com/kferry/kferry/internal/testbed"
)

// subject is a process that is measured.
type subject interface {
	PID() int
	// Ended says whether the process has ended, and the error it ended with.
	Ended() (bool, error)
	// Stop ends the process if it still runs, and waits for that.
	Stop() error
	// LifeCPU is user plus system time of the whole life of a process that has ended.
	LifeCPU() (time.Duration, error)
}

// child is a subject that we started. It dies with this program, however that
// ends; for that it must be started on the main thread, see main.
type child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // valid when done is closed
}

// startChild starts a program. Its output goes to a file; standard output goes
// to stdout instead if that is not nil.
func startChild(log string, stdout *os.File, program string, args ...string) (*child, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	defer out.Close()
	c := &child{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) PID() int { return c.cmd.Process.Pid }

func (c *child) Ended() (bool, error) {
	select {
	case <-c.done:
		if c.err != nil {
			return true, fmt.Errorf("%w: %s", c.err, tail(c.log, 10))
		}
		return true, nil
	default:
		return false, nil
	}
}

func (c *child) Stop() error {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if ended, _ := c.Ended(); ended {
			return nil
		}
		_ = c.cmd.Process.Signal(s) // it may end by itself meanwhile
		select {
		case <-c.done:
			return nil
		case <-time.After(15 * time.Second):
		}
	}
	return fmt.Errorf("process %d does not end", c.PID())
}

func (c *child) LifeCPU() (time.Duration, error) {
	<-c.done
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime(), nil
}

// mirrorMaker makes testbed's MirrorMaker 2 a subject. It never ends by itself.
type mirrorMaker struct{ *testbed.MirrorMakerProcess }

func (m mirrorMaker) Ended() (bool, error) {
	err := m.Err()
	return err != nil, err
}

func (m mirrorMaker) Stop() error { return m.Close() }

func (m mirrorMaker) LifeCPU() (time.Duration, error) { return m.CPU() }

// cpuOf is what a subject has used so far; the last known value stands in when
// it has just ended.
func cpuOf(s subject, last time.Duration) time.Duration {
	if used, err := proc.CPU(s.PID()); err == nil {
		return max(used, last)
	}
	return last
}

// tail is the end of a log file, on one line.
func tail(file string, n int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
