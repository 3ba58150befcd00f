package testbed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy forwards TCP connections from a loopback port to one address and holds
// every byte back for a fixed time in each direction, without limiting how
// many are under way: a long road, not a narrow one. Opening a connection is
// not delayed.
type Proxy struct {
	target   string
	listener net.Listener
	delay    atomic.Int64 // nanoseconds, one way
	up, down atomic.Int64 // bytes forwarded to the target and back

	mu     sync.Mutex // guards conns and closed
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// maxUnderWay bounds the bytes that one direction of one connection holds
// back; with 50 ms that still lets through more than a gigabyte a second.
const maxUnderWay = 64 << 20

// NewProxy listens on a free loopback port and forwards to target, delaying by
// delay in each direction: a round trip takes twice as long.
func NewProxy(target string, delay time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy to %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: l, conns: map[net.Conn]struct{}{}}
	p.SetDelay(delay)
	p.wg.Go(p.accept)
	return p, nil
}

// Delayed is an Options.Advertise that puts a proxy before every broker. The
// proxies are closed when the test ends.
func Delayed(tb testing.TB, delay time.Duration) func(broker int, addr string) string {
	return func(broker int, addr string) string {
		p, err := NewProxy(addr, delay)
		if err != nil {
			tb.Fatalf("proxy before broker %d: %v", broker, err)
		}
		tb.Cleanup(p.Close)
		return p.Addr()
	}
}

// Addr is the address that the proxy listens on.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetDelay changes the delay in each direction for bytes that arrive from now on.
func (p *Proxy) SetDelay(d time.Duration) { p.delay.Store(int64(d)) }

// Bytes returns how many bytes have gone to the target and come back.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

// Cut closes every open connection; new ones are taken. What was held back is
// lost, in both directions.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Close stops listening, closes every connection and waits until nothing of
// the proxy runs any more. It may be called more than once.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
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
			p.wg.Go(func() { p.forward(client) })
		}
	}
}

// forward serves one connection until both directions have ended.
func (p *Proxy) forward(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		return // the client sees a closed connection, as from a dead broker
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { p.carry(server, client, &p.up) })
	directions.Go(func() { p.carry(client, server, &p.down) })
	directions.Wait()
}

// keep notes an open connection, unless the proxy is closed.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	c.Close()
}

// carry moves bytes from src to dst until src ends, then ends dst's writing
// side. When dst takes no more, src is closed, so that its reader ends as well.
func (p *Proxy) carry(dst, src net.Conn, count *atomic.Int64) {
	q := newDelayQueue()
	var reader sync.WaitGroup
	reader.Go(func() {
		defer q.end()
		buf := make([]byte, 256<<10)
		for {
			n, err := src.Read(buf)
			if n > 0 && !q.put(buf[:n], time.Now().Add(time.Duration(p.delay.Load()))) {
				return
			}
			if err != nil {
				return
			}
		}
	})
	for {
		b, err := q.take()
		if err != nil {
			break
		}
		if _, err := dst.Write(b); err != nil {
			src.Close()
			break
		}
		count.Add(int64(len(b)))
	}
	q.stop()
	if half, ok := dst.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	reader.Wait()
}

// delayQueue holds copies of bytes until they are due, in order.
type delayQueue struct {
	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	parts   []delayed
	bytes   int
	ended   bool // nothing will be put any more
	stopped bool // nothing will be taken any more
}

type delayed struct {
	due time.Time
	b   []byte
}

func newDelayQueue() *delayQueue {
	q := &delayQueue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// put copies b into the queue and waits while that is full. It returns false
// when nobody will take it.
func (q *delayQueue) put(b []byte, due time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= maxUnderWay && !q.stopped {
		q.changed.Wait()
	}
	q.parts = append(q.parts, delayed{due, append([]byte(nil), b...)})
	q.bytes += len(b)
	q.changed.Broadcast()
	return !q.stopped
}

// take waits for the next bytes and until they are due; io.EOF at the end.
func (q *delayQueue) take() ([]byte, error) {
	q.mu.Lock()
	for len(q.parts) == 0 && !q.ended {
		q.changed.Wait()
	}
	if len(q.parts) == 0 {
		q.mu.Unlock()
		return nil, io.EOF
	}
	next := q.parts[0]
	q.parts[0] = delayed{}
	q.parts = q.parts[1:]
	q.mu.Unlock()
	time.Sleep(time.Until(next.due))
	q.mu.Lock()
	q.bytes -= len(next.b)
	q.changed.Broadcast()
	q.mu.Unlock()
	return next.b, nil
}

func (q *delayQueue) end()  { q.set(&q.ended) }
func (q *delayQueue) stop() { q.set(&q.stopped) }

func (q *delayQueue) set(flag *bool) {
	q.mu.Lock()
	*flag = true
	q.changed.Broadcast()
	q.mu.Unlock()
}
