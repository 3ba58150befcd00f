package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
)

// ferry is one kferry process after another: where one ends that nobody ended, the next is started, as an init
// system would.
type ferry struct {
	binary, file, dir, name string

	mu      sync.Mutex // guards what follows
	cmd     *exec.Cmd
	done    chan struct{}
	asked   bool // somebody ended the present process
	closed  bool
	byself  []string // how processes ended that nobody ended
	starts  int
	faults  []fault.Fault
	last    *report.Document
	stdout  string // of the present process
	lastEnd int
}

func newFerry(binary, file, dir, name string) *ferry {
	return &ferry{binary: binary, file: file, dir: dir, name: name}
}

// start starts `kferry replicate`, unless it runs.
func (f *ferry) start() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cmd != nil {
		select {
		case <-f.done:
		default:
			return nil
		}
	}
	return f.launch()
}

// launch is called with mu held.
func (f *ferry) launch() error {
	f.starts++
	log, err := os.OpenFile(filepath.Join(f.dir, f.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start %d at %s\n", f.starts, time.Now().Format("15:04:05.000"))
	f.stdout = filepath.Join(f.dir, fmt.Sprintf("%s-%d.jsonl", f.name, f.starts))
	out, err := os.Create(f.stdout)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(f.binary, "replicate", "-f", f.file, "-o", "json")
	cmd.Stdout, cmd.Stderr = out, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	f.cmd, f.done, f.asked = cmd, make(chan struct{}), false
	go f.watch(cmd, f.done, f.stdout)
	return nil
}

// watch waits for the end of a process and starts the next one if nobody asked for the end.
func (f *ferry) watch(cmd *exec.Cmd, done chan struct{}, stdout string) {
	_ = cmd.Wait()
	faults, doc, _ := readLines(stdout)
	f.mu.Lock()
	f.faults = append(f.faults, faults...)
	f.last, f.lastEnd = doc, cmd.ProcessState.ExitCode()
	again := !f.asked && !f.closed
	if again {
		f.byself = append(f.byself, cmd.ProcessState.String())
	}
	f.mu.Unlock()
	close(done)
	if again {
		time.Sleep(500 * time.Millisecond)
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.closed && f.cmd == cmd && len(f.byself) < 20 {
			_ = f.launch()
		}
	}
}

// readLines finds what a process said on standard output: faults, the status document at its end, and whether
// it says at present that it is caught up.
func readLines(path string) (faults []fault.Fault, doc *report.Document, caughtUp bool) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, false
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			Event    string           `json:"event"`
			CaughtUp bool             `json:"caughtUp"`
			Fault    *fault.Fault     `json:"fault"`
			Report   *report.Document `json:"report"`
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // cut off by a kill
		}
		caughtUp = line.CaughtUp
		switch line.Event {
		case "fault":
			faults = append(faults, *line.Fault)
		case "end":
			doc = line.Report
		}
	}
	return faults, doc, caughtUp
}

// Faults are those that were said so far, by any process.
func (f *ferry) Faults() []fault.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, _, _ := readLines(f.stdout)
	return append(append([]fault.Fault(nil), f.faults...), now...)
}

// saysCaughtUp waits until the present process says that it is caught up.
func (f *ferry) saysCaughtUp(most time.Duration) bool {
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		f.mu.Lock()
		_, _, yes := readLines(f.stdout)
		f.mu.Unlock()
		if yes {
			return true
		}
	}
	return false
}

// end ends the present process with a signal and waits; no other is started.
func (f *ferry) end(s syscall.Signal, most time.Duration) error {
	f.mu.Lock()
	cmd, done := f.cmd, f.done
	f.asked = true
	f.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(s)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-done:
		return nil
	case <-time.After(most):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		return fmt.Errorf("%s did not end within %v of signal %v", f.name, most, s)
	}
}

// kill ends it with SIGKILL.
func (f *ferry) kill() { _ = f.end(syscall.SIGKILL, time.Minute) }

// stop ends it as an operator would, for good, and returns its last words.
func (f *ferry) stop() (*report.Document, error) {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	if err := f.end(syscall.SIGTERM, 30*time.Second); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		return nil, fmt.Errorf("%s ended with code %d and without a report", f.name, f.lastEnd)
	}
	return f.last, nil
}

// abandon makes sure that nothing runs any more.
func (f *ferry) abandon() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.kill()
}

// signal sends a signal to the present process.
func (f *ferry) signal(s syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cmd != nil {
		_ = f.cmd.Process.Signal(s)
	}
}

func (f *ferry) pause()  { f.signal(syscall.SIGSTOP) }
func (f *ferry) resume() { f.signal(syscall.SIGCONT) }

// endedByItself says how processes ended that nobody ended.
func (f *ferry) endedByItself() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.byself...)
}
