package proc

import (
	"os"
	"testing"
	"time"
)

func TestOwnProcessIsSeen(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	machineBefore, _, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<20)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		for i := range block {
			block[i]++
		}
	}
	after, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after - before; used < 20*time.Millisecond {
		t.Errorf("200 ms of work used %v of CPU", used)
	}
	machineAfter, _, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	if machineAfter <= machineBefore {
		t.Errorf("the machine worked from %v to %v", machineBefore, machineAfter)
	}
	m, err := MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.Peak < 64<<20 || m.Now > m.Peak {
		t.Errorf("memory with a block of 64 MiB: %+v", m)
	}
	if len(block) == 0 {
		t.Fatal()
	}
}

func TestNoSuchProcess(t *testing.T) {
	const none = 1 << 30 // above pid_max
	if _, err := CPU(none); err == nil {
		t.Error("CPU of a process that does not exist")
	}
	if _, err := MemoryOf(none); err == nil {
		t.Error("memory of a process that does not exist")
	}
}

func TestThisMachine(t *testing.T) {
	m, err := ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	if m.Cores < 1 || m.MemoryMB < 64 || m.Go == "" {
		t.Errorf("this machine: %+v", m)
	}
}
