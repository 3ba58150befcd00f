package faultproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Proxy forwards from a loopback port to one broker. Its methods may be called from several goroutines.
type Proxy struct {
	target   string
	listener net.Listener
	link     link
	done     chan struct{} // closed by Close
	wg       sync.WaitGroup

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	rules []*Active
	seen  map[int16]int
	conns map[net.Conn]struct{}
	shut  bool
}

// New listens on a free loopback port and forwards to target.
func New(target string, seed uint64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy to %s: %w", target, err)
	}
	p := &Proxy{
		target: target, listener: l, done: make(chan struct{}), rng: rand.New(rand.NewPCG(seed, 0)),
		seen: map[int16]int{}, conns: map[net.Conn]struct{}{},
	}
	p.link.open = make(chan struct{})
	close(p.link.open)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is the address that the proxy listens on.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Seed makes the rules draw from another seed from now on.
func (p *Proxy) Seed(seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rng = rand.New(rand.NewPCG(seed, 0))
}

// Cut closes every open connection; new ones are taken. What was under way is lost, in both directions.
func (p *Proxy) Cut() { p.each(func(c net.Conn) { c.Close() }) }

// Reset is Cut with a TCP reset in place of an orderly end.
func (p *Proxy) Reset() { p.each(reset) }

func (p *Proxy) each(do func(net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		do(c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// Close stops listening, closes every connection and waits until nothing of the proxy runs any more, late
// requests included. It may be called more than once.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.shut {
		p.shut = true
		close(p.done)
	}
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wg.Go(func() { p.serve(client) })
		}
	}
}

// serve forwards one connection until either side has ended it.
func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) || !p.link.wait(p.done) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		reset(client) // a dead broker's host would refuse; this is the nearest that a proxy can do
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	c := &conn{proxy: p, client: client, server: server, ended: make(chan struct{})}
	var lanes sync.WaitGroup
	lanes.Go(func() { c.requests(); c.end() })
	lanes.Go(func() { c.responses(); c.end() })
	lanes.Wait()
}

// keep notes an open connection, unless the proxy is closed.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shut {
		p.conns[c] = struct{}{}
	}
	return !p.shut
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	c.Close()
}

// deliver sends a request to the broker over a connection of its own, after a time, and reads the answer away.
func (p *Proxy) deliver(request []byte, after time.Duration, a *Active) {
	p.wg.Go(func() {
		select {
		case <-p.done:
			return
		case <-time.After(after):
		}
		server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
		if err != nil {
			return
		}
		defer p.drop(server)
		if !p.keep(server) {
			return
		}
		server.SetDeadline(time.Now().Add(time.Minute))
		if _, err := server.Write(request); err != nil {
			return
		}
		if _, err := readFrame(server); err == nil {
			a.done.Add(1)
		}
	})
}
