package proc

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Busy returns the CPU time that the whole machine has spent working since it
// started, and the time that its hypervisor gave to others meanwhile.
func Busy() (work, stolen time.Duration, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("read the machine's CPU times: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	// cpu user nice system idle iowait irq softirq steal ...
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, 0, fmt.Errorf("read the machine's CPU times: /proc/stat begins with %q", line)
	}
	if work, err = sumTicks([]string{f[1], f[2], f[3], f[6], f[7]}); err != nil {
		return 0, 0, err
	}
	stolen, err = sumTicks(f[8:9])
	return work, stolen, err
}

// Machine is what a reader of measurements wants to know of the machine.
type Machine struct {
	Cores     int    `json:"cores"`
	Processor string `json:"processor"`
	MemoryMB  int64  `json:"memoryMB"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
}

// ThisMachine describes the machine without naming it.
func ThisMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	mem, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, fmt.Errorf("read the machine's memory: %w", err)
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(value(string(mem), "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return m, fmt.Errorf("read the machine's memory: %w", err)
	}
	m.MemoryMB = kib >> 10
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Processor = value(string(cpu), "model name")
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(kernel))
	}
	return m, nil
}

// value finds the first "key : value" line.
func value(text, key string) string {
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(line, ":")
		if strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
