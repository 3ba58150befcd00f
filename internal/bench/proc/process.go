// Package proc reads from /proc what processes and the machine have used: CPU
// time and memory. It starts and stops nothing, and it works on Linux only.
//
// Peak memory is read while a process lives (VmHWM). What wait4 reports is no
// substitute: Linux lets a child begin with the peak of the process that
// started it, and ours may have been larger than the child ever gets.
package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the CPU times in /proc: USER_HZ, which Linux has fixed at
// 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// CPU returns user plus system time that a process has used, to 10 ms.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses and may hold spaces.
	i := strings.LastIndex(string(b), ") ")
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time of process %d: its stat line is cut off", pid)
	}
	return sumTicks(fields[11:13]) // utime and stime
}

// Memory is a process's resident memory in bytes.
type Memory struct {
	Now  int64 // VmRSS
	Peak int64 // VmHWM, the highest so far
}

// MemoryOf reads the memory of a process that lives.
func MemoryOf(pid int) (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	var m Memory
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &m.Now, "VmHWM": &m.Peak}[key]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		*into = kib << 10
	}
	if m.Peak == 0 {
		return Memory{}, fmt.Errorf("read the memory of process %d: it is ending", pid)
	}
	return m, nil
}

func sumTicks(fields []string) (time.Duration, error) {
	var sum int64
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU times: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
