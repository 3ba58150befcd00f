package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one Java process and the file that takes what it prints.
type process struct {
	cmd   *exec.Cmd
	log   string
	done  chan struct{} // closed when the process has been reaped
	asked atomic.Bool   // somebody told it to end
}

// startProcess starts a program in a process group of its own (a Ctrl-C for
// the test does not reach it) that is killed by the kernel when this process
// dies, however it dies. Output is appended to logFile.
func startProcess(name string, args []string, env []string, dir, logFile string) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := onStarterThread(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{cmd: cmd, log: logFile, done: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is read from ProcessState
		close(p.done)
	}()
	return p, nil
}

// onStarterThread runs f on one thread that lives as long as this process:
// the kernel sends Pdeathsig when the *thread* that forked ends, and Go ends
// threads as it likes.
func onStarterThread(f func() error) error {
	starterOnce.Do(func() {
		starter = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range starter {
				f()
			}
		}()
	})
	result := make(chan error, 1)
	starter <- func() { result <- f() }
	return <-result
}

var (
	starterOnce sync.Once
	starter     chan func()
)

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ended says how the process ended; call it only when done is closed.
func (p *process) ended() string { return p.cmd.ProcessState.String() }

func (p *process) signal(s syscall.Signal) error {
	if !p.running() {
		return fmt.Errorf("send %v: process is not running", s)
	}
	return p.cmd.Process.Signal(s)
}

// stop asks the process to end and waits for it; after grace it is killed and
// an error is returned. A paused process is resumed first.
func (p *process) stop(grace time.Duration) error {
	if !p.running() {
		return nil
	}
	p.asked.Store(true)
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT)
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.kill()
		return fmt.Errorf("process %d did not stop within %v and was killed", p.pid(), grace)
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	if p.running() {
		p.asked.Store(true)
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// cpu returns user plus system time: so far, or of the whole life of a process
// that has ended.
func (p *process) cpu() (time.Duration, error) {
	if p.running() {
		if used, err := processCPU(p.pid()); err == nil {
			return used, nil
		}
	}
	<-p.done // it ended, perhaps just now
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
}

// peakRSS returns the highest resident memory in bytes, as cpu does.
func (p *process) peakRSS() (int64, error) {
	if p.running() {
		if peak, err := processMemory(p.pid(), "VmHWM"); err == nil {
			return peak, nil
		}
	}
	<-p.done
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, fmt.Errorf("peak memory of process %d: not known", p.pid())
	}
	return usage.Maxrss << 10, nil // Linux counts in KiB
}
