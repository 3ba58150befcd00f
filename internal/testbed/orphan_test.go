package testbed

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const childVariable = "KFERRY_TESTBED_CHILD"

// child starts a cluster, tells the broker's process id and waits to be killed.
func child() {
	c, err := Start(context.Background(), Options{Version: V39, HeapMB: 256})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.Broker(0).PID())
	select {}
}

// A test that is killed must not leave brokers behind: they would keep their
// memory and ports for ever.
func TestBrokersDieWithTheProcessThatStartedThem(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, parseErr := strconv.Atoi(strings.TrimSpace(line))
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || parseErr != nil {
		t.Fatalf("the child said %q: %v, %v", line, err, parseErr)
	}
	for end := time.Now().Add(20 * time.Second); exists(fmt.Sprintf("/proc/%d", pid)); time.Sleep(20 * time.Millisecond) {
		if zombie(pid) {
			return // dead, and nobody has reaped it yet
		}
		if time.Now().After(end) {
			t.Fatalf("broker process %d outlives the process that started it", pid)
		}
	}
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && strings.HasPrefix(rest, "Z")
}
