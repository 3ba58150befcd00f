package faultproxy

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// conn is one client connection and its partner.
type conn struct {
	proxy          *Proxy
	client, server net.Conn

	mu      sync.Mutex // guards what follows
	pending []pending
	silent  bool
	ended   chan struct{} // closed when either direction has ended
	over    bool
}

// pending is a request that was forwarded and not answered.
type pending struct {
	correlation int32
	rule        *Active
}

// frame is bytes on their way.
type frame struct {
	b   []byte
	due time.Time
}

const (
	maxFrame = 256 << 20
	// underWay is how many frames one direction of a connection holds back.
	underWay = 1024
)

func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.ended)
	c.client.Close()
	c.server.Close()
}

// requests carries frames from the client to the broker.
func (c *conn) requests() {
	c.carry(c.client, c.server, up, c.request)
}

// responses carries frames from the broker to the client.
func (c *conn) responses() {
	c.carry(c.server, c.client, down, c.response)
}

// carry reads frames, lets judge say what becomes of them, and writes them when they are due, in order.
func (c *conn) carry(src, dst net.Conn, d direction, judge func(frame) (frame, bool)) {
	queue := make(chan frame, underWay)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer c.end()
		for f := range queue {
			if !c.rest(time.Until(f.due)) || c.isSilent() {
				continue
			}
			if c.proxy.link.write(dst, f.b, d, c.proxy.done, c.ended) != nil {
				c.end() // the reader ends with it; the rest of the queue is thrown away
			}
		}
	})
	for {
		b, err := readFrame(src)
		if err != nil {
			break
		}
		f, pass := judge(frame{b: b, due: time.Now().Add(c.proxy.link.get().Delay)})
		if c.isSilent() {
			continue
		}
		if !pass {
			break
		}
		select {
		case queue <- f:
		case <-c.ended:
		}
	}
	if c.isSilent() {
		c.end()
	}
	close(queue)
	writer.Wait()
}

// rest waits, false if the connection ended meanwhile.
func (c *conn) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-c.ended:
		return false
	case <-time.After(d):
		return true
	}
}

func (c *conn) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent
}

// request judges a frame of the client; false ends the connection.
func (c *conn) request(f frame) (frame, bool) {
	api, correlation, ok := head(f.b)
	if !ok {
		return f, false
	}
	rule := c.proxy.pick(api)
	if rule != nil {
		if rule.Action != DropResponse && rule.Action != DelayResponse {
			rule.notify()
		}
		switch rule.Action {
		case Late:
			c.end()
			c.proxy.deliver(f.b, rule.Delay, rule)
			return f, false
		case Duplicate:
			c.proxy.deliver(f.b, rule.Delay, rule)
		case DelayRequest:
			f.due = f.due.Add(rule.Delay)
			rule.done.Add(1)
		case Silence:
			rule.done.Add(1)
			c.mu.Lock()
			c.silent = true
			c.mu.Unlock()
		case Reset:
			rule.done.Add(1)
			reset(c.client)
			return f, false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, pending{correlation, rule})
	return f, true
}

// response judges a frame of the broker; false ends the connection.
func (c *conn) response(f frame) (frame, bool) {
	if len(f.b) < 8 {
		return f, false
	}
	rule := c.answered(int32(binary.BigEndian.Uint32(f.b[4:])))
	if rule == nil {
		return f, true
	}
	switch rule.Action {
	case DropResponse:
		rule.notify()
		rule.done.Add(1)
		c.end()
		return f, false
	case DelayResponse:
		rule.notify()
		rule.done.Add(1)
		f.due = f.due.Add(rule.Delay)
	}
	return f, true
}

// answered takes the request with that correlation id off the list, and those before it that had no answer
// (Produce with acks=0).
func (c *conn) answered(correlation int32) *Active {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.pending {
		if p.correlation == correlation {
			c.pending = c.pending[i+1:]
			return p.rule
		}
	}
	return nil
}

// head reads the beginning that all request headers share.
func head(b []byte) (api int16, correlation int32, ok bool) {
	if len(b) < 12 {
		return 0, 0, false
	}
	return int16(binary.BigEndian.Uint16(b[4:])), int32(binary.BigEndian.Uint32(b[8:])), true
}

// readFrame reads a frame with its length in front.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes is none of Kafka's", n)
	}
	b := make([]byte, 4+n)
	copy(b, size[:])
	_, err := io.ReadFull(r, b[4:])
	return b, err
}
