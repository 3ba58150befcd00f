package faultproxy

import (
	"net"
	"sync"
	"time"
)

// Link is how all bytes travel, in each direction.
type Link struct {
	Delay          time.Duration // one way; a round trip takes twice as long
	BytesPerSecond int           // over all connections, each direction for itself; 0 is no limit
}

// SetLink changes the link for frames that arrive from now on.
func (p *Proxy) SetLink(l Link) {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.now = l
}

// Partition closes or opens the gate. While it is closed nothing passes, connections stay open and new ones
// are accepted and not answered; when it opens, what was held back goes on, as TCP would go on.
func (p *Proxy) Partition(closed bool) {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	select {
	case <-p.link.open: // it is open
		if closed {
			p.link.open = make(chan struct{})
		}
	default:
		if !closed {
			close(p.link.open)
		}
	}
}

// link is the state behind Link and Partition.
type link struct {
	mu   sync.Mutex
	now  Link
	open chan struct{}         // closed while bytes may pass
	free [directions]time.Time // when the narrow link is free again
}

type direction int

const (
	up direction = iota
	down
	directions
)

func (l *link) get() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// wait waits for the gate; false when the proxy or the connection ends before.
func (l *link) wait(ends ...chan struct{}) bool {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	var second chan struct{}
	if len(ends) > 1 {
		second = ends[1]
	}
	select {
	case <-open:
		return true
	case <-ends[0]:
	case <-second:
	}
	return false
}

// slice is how much is written at a time where the link is narrow.
const slice = 50 * time.Millisecond

// write writes b at the speed of the link.
func (l *link) write(dst net.Conn, b []byte, d direction, ends ...chan struct{}) error {
	for len(b) > 0 {
		if !l.wait(ends...) {
			return net.ErrClosed
		}
		n, pause := l.reserve(len(b), d)
		time.Sleep(pause)
		if _, err := dst.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// reserve says how many of n bytes may be written, and after what pause.
func (l *link) reserve(n int, d direction) (int, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate := l.now.BytesPerSecond
	if rate == 0 {
		return n, 0
	}
	n = min(n, max(1, int(float64(rate)*slice.Seconds())))
	now := time.Now()
	start := l.free[d]
	if start.Before(now) {
		start = now
	}
	l.free[d] = start.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return n, start.Sub(now)
}
