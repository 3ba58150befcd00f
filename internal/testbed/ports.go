package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// port is a TCP port on 127.0.0.1 that belongs to one cluster until release.
// A broker must find its port again after a restart, so a port is taken
// outside the range that the kernel gives to outgoing connections and kept by
// a lock that other test processes see.
type port struct {
	number  int
	release func()
}

func (p port) addr() string { return loopback(p.number) }

func loopback(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n)) }

// takePort finds a free port.
func takePort() (port, error) {
	low, high := portRange()
	for range 500 {
		p, err := takeThisPort(low + rand.IntN(high-low))
		if err == nil {
			return p, nil
		}
	}
	return port{}, fmt.Errorf("find a free port on 127.0.0.1 between %d and %d: none in 500 tries", low, high)
}

// takeThisPort takes port n if nobody holds or uses it.
func takeThisPort(n int) (port, error) {
	unlock, err := tryLockFile(lockPath("port-" + strconv.Itoa(n)))
	if errors.Is(err, errLocked) {
		return port{}, fmt.Errorf("port %d belongs to another cluster", n)
	}
	if err != nil {
		return port{}, err
	}
	l, err := net.Listen("tcp", loopback(n))
	if err != nil {
		unlock()
		return port{}, fmt.Errorf("port %d is in use: %w", n, err)
	}
	l.Close()
	return port{number: n, release: unlock}, nil
}

// portRange is what lies below the kernel's range for outgoing connections.
func portRange() (low, high int) {
	low, high = 15000, 32768
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return low, high
	}
	var ephemeral int
	if _, err := fmt.Sscan(string(b), &ephemeral); err == nil && ephemeral > low+1000 {
		high = ephemeral
	}
	return low, high
}
