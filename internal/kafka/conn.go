package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrame bounds what a broker may send in one answer. The largest legitimate answer is a fetch of one
// oversized batch, which a broker's own socket.request.max.bytes kept below 100 MiB when it was produced.
const maxFrame = 256 << 20

// ErrClosed is what a call gets when its connection was closed before the answer came: the outcome of the
// request is unknown.
var ErrClosed = errors.New("connection closed")

// Conn is one authenticated connection to one broker. A broker works on one request of a connection at a
// time and answers in order, so requests on one Conn take effect in the order in which they were sent.
// Conn never retries. All methods may be called from any goroutine.
type Conn struct {
	addr     string
	broker   int32
	clientID string
	nc       net.Conn
	w        *frameWriter
	versions apiVersions
	format   *kmsg.RequestFormatter

	writing sync.Mutex // guards writing of frames, scratch, next and the order of pending
	scratch []byte
	next    int32

	patience time.Duration // the request timeout

	mu      sync.Mutex // guards pending, heard and err
	pending []call
	heard   time.Time // when the last answer came
	err     error

	inFlight atomic.Int64 // requests sent and not answered
	closed   chan struct{}
	reauth   *time.Timer
}

// call is one request that waits for its answer. done runs on the reading goroutine: it must not block on
// an answer of the same connection. frame is valid until done returns unless alloc provided it.
type call struct {
	id       int32
	sent     time.Time
	flexible bool
	alloc    func(n int) []byte
	done     func(frame []byte, err error)
}

// Addr is host:port of the broker.
func (c *Conn) Addr() string { return c.addr }

// Broker is the node id this connection was dialled for, -1 for a bootstrap address.
func (c *Conn) Broker() int32 { return c.broker }

// Closed is closed when the connection is no longer usable.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Close ends the connection; calls without an answer get ErrClosed.
func (c *Conn) Close() { c.fail(ErrClosed) }

func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	pending := c.pending
	c.pending = nil
	if c.reauth != nil {
		c.reauth.Stop()
	}
	c.mu.Unlock()
	c.nc.Close()
	close(c.closed)
	for _, p := range pending {
		p.done(nil, err)
	}
}

// Err is why the connection ended, nil while it is usable.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// send queues the call and writes its frame. The caller holds c.writing. After a nil return the call will be
// answered, if only with the error of the connection.
func (c *Conn) send(frame net.Buffers, p call) error {
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		return err
	}
	p.sent = time.Now()
	c.pending = append(c.pending, p)
	c.mu.Unlock()
	c.inFlight.Add(1)
	if err := c.w.write(frame); err != nil {
		// done is called by fail, so the caller must not treat this as "never sent".
		c.fail(fmt.Errorf("write to %s: %w", c.addr, err))
	}
	return nil
}

// Start sends a request and calls done with the answer's body (after the response header), from the
// reading goroutine. An error return means that nothing was sent and done will not be called.
// If alloc is not nil it provides the memory of the answer, and done owns it.
func (c *Conn) Start(req kmsg.Request, alloc func(n int) []byte, done func(body []byte, err error)) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.startLocked(req, alloc, done)
}

func (c *Conn) startLocked(req kmsg.Request, alloc func(n int) []byte, done func(body []byte, err error)) error {
	id := c.nextID()
	c.scratch = c.format.AppendRequest(c.scratch[:0], req, id)
	// ApiVersions answers always carry the old response header (KIP-511), so that any client can read it.
	flexible := req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions)
	return c.send(net.Buffers{c.scratch}, call{id: id, flexible: flexible, alloc: alloc, done: done})
}

func (c *Conn) nextID() int32 {
	c.next++
	if c.next < 0 {
		c.next = 1
	}
	return c.next
}

// Do sends a request in the highest version that both sides know (never above the version already set in
// the request, if that is greater than 0) and waits for the answer.
func (c *Conn) Do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if err := c.pickVersion(req); err != nil {
		return nil, err
	}
	return c.exchange(ctx, func(done func([]byte, error)) error { return c.Start(req, own, done) }, req)
}

// own gives an answer memory of its own: decoded answers go on pointing into their bytes (record batches, opaque
// blobs), while the connection, which others share, reads the next answer.
func own(n int) []byte { return make([]byte, n) }

func (c *Conn) exchange(ctx context.Context, start func(func([]byte, error)) error, req kmsg.Request) (kmsg.Response, error) {
	type answer struct {
		resp kmsg.Response
		err  error
	}
	answered := make(chan answer, 1)
	err := start(func(body []byte, err error) {
		if err != nil {
			answered <- answer{err: err}
			return
		}
		resp := req.ResponseKind()
		if err := resp.ReadFrom(body); err != nil {
			answered <- answer{err: fmt.Errorf("parse %s answer of %s: %w", kmsg.NameForKey(req.Key()), c.addr, err)}
			return
		}
		answered <- answer{resp: resp}
	})
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s to %s: %w", kmsg.NameForKey(req.Key()), c.addr, ctx.Err())
	}
}

// silence is how long a broker may leave a request unanswered before the connection counts as dead: 75 s with
// the default request timeout of 30 s. It is more than that timeout because requests that wait for replication are
// answered by the broker after the timeout, and not less than 10 s because a quota mutes a connection for a few
// windows of a second each.
func (c *Conn) silence() time.Duration { return max(c.patience*5/2, 10*time.Second) }

// defaultPatience is the request timeout where none is configured.
const defaultPatience = 30 * time.Second

// watchdog closes the connection when the broker has gone silent (stopped process, half-open connection), so
// that nobody waits for ever for an outcome.
func (c *Conn) watchdog() {
	silence := c.silence()
	tick := time.NewTicker(silence / 15)
	defer tick.Stop()
	for {
		select {
		case <-c.closed:
			return
		case now := <-tick.C:
			c.mu.Lock()
			dead := len(c.pending) > 0 && now.Sub(c.pending[0].sent) > silence && now.Sub(c.heard) > silence
			c.mu.Unlock()
			if dead {
				c.fail(fmt.Errorf("%s left a request unanswered for %v: %w", c.addr, silence, ErrClosed))
				return
			}
		}
	}
}

// InFlight is the number of requests that were sent and not yet answered.
func (c *Conn) InFlight() int { return int(c.inFlight.Load()) }

// read hands answers to their calls, in order, until the connection ends.
func (c *Conn) read() {
	r := bufio.NewReaderSize(c.nc, 32<<10)
	var small []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			c.fail(fmt.Errorf("read from %s: %w", c.addr, err))
			return
		}
		n := int(int32(binary.BigEndian.Uint32(head[:])))
		if n < 4 || n > maxFrame {
			c.fail(fmt.Errorf("read from %s: frame of %d bytes (allowed are 4 to %d): not a Kafka broker, or a TLS listener spoken to in plaintext", c.addr, n, maxFrame))
			return
		}
		if err := c.readAnswer(r, n, &small); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Conn) readAnswer(r *bufio.Reader, n int, small *[]byte) error {
	c.mu.Lock()
	if len(c.pending) == 0 {
		c.mu.Unlock()
		return fmt.Errorf("read from %s: an answer that nobody asked for", c.addr)
	}
	p := c.pending[0]
	c.mu.Unlock()

	var frame []byte
	if p.alloc != nil {
		frame = p.alloc(n)
	} else {
		if cap(*small) < n {
			*small = make([]byte, n+n/4)
		}
		frame = (*small)[:n]
	}
	if _, err := io.ReadFull(r, frame); err != nil {
		return fmt.Errorf("read from %s: %w", c.addr, err)
	}
	body, err := stripResponseHeader(frame, p)
	if err != nil {
		return fmt.Errorf("read from %s: %w", c.addr, err)
	}

	c.mu.Lock()
	if c.err != nil { // closed meanwhile: fail() has already answered this call
		c.mu.Unlock()
		return c.err
	}
	c.pending = c.pending[1:]
	c.heard = time.Now()
	c.mu.Unlock()
	c.inFlight.Add(-1)
	p.done(body, nil)
	return nil
}

// stripResponseHeader checks the correlation id and skips the tagged fields of a flexible header (KIP-482).
func stripResponseHeader(frame []byte, p call) ([]byte, error) {
	if id := int32(binary.BigEndian.Uint32(frame)); id != p.id {
		return nil, fmt.Errorf("answer with correlation id %d where %d was due", id, p.id)
	}
	body := frame[4:]
	if !p.flexible {
		return body, nil
	}
	tags, n := binary.Uvarint(body)
	if n <= 0 || tags > 64 {
		return nil, errors.New("answer with a malformed header")
	}
	body = body[n:]
	for range tags {
		_, kn := binary.Uvarint(body)
		if kn <= 0 {
			return nil, errors.New("answer with a malformed header")
		}
		size, sn := binary.Uvarint(body[kn:])
		if sn <= 0 || size > uint64(len(body)-kn-sn) {
			return nil, errors.New("answer with a malformed header")
		}
		body = body[kn+sn+int(size):]
	}
	return body, nil
}
