package testbed

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"
)

// echoServer sends back whatever it gets and returns its address.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dialProxy(t *testing.T, delay time.Duration) (*Proxy, net.Conn) {
	t.Helper()
	p, err := NewProxy(echoServer(t), delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return p, conn
}

func TestProxyDelaysARoundTripTwice(t *testing.T) {
	const delay = 40 * time.Millisecond
	_, conn := dialProxy(t, delay)
	begin := time.Now()
	conn.Write([]byte("x"))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("a round trip took %v, want at least %v", took, 2*delay)
	}
}

// 64 MB through a round trip of 100 ms: a proxy that waits for one part before
// it takes the next would need 25 s.
func TestProxyDoesNotLimitBandwidth(t *testing.T) {
	p, conn := dialProxy(t, 50*time.Millisecond)
	sent := make([]byte, 64<<20)
	rand.Read(sent)
	begin := time.Now()
	go func() {
		conn.Write(sent)
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back and differ from the %d sent", len(got), len(sent))
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("64 MB took %v", took)
	}
	if up, down := p.Bytes(); up != int64(len(sent)) || down != up {
		t.Errorf("counted %d bytes up and %d down, want %d", up, down, len(sent))
	}
}

func TestProxyCutClosesConnections(t *testing.T) {
	p, conn := dialProxy(t, 0)
	conn.Write([]byte("x"))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a connection that was cut", n)
	}
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatalf("dial after a cut: %v", err)
	}
	again.Close()
	p.Close()
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		conn.Close()
		t.Error("a closed proxy takes connections")
	}
}

func TestClusterAdvertisesItsProxy(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	c := New(t, Options{Version: V39, HeapMB: 256, Advertise: Delayed(t, delay)})
	if c.Bootstrap() == c.Broker(0).Addr() {
		t.Fatalf("bootstrap %s is the broker's own address", c.Bootstrap())
	}
	cl := client(t, c.Bootstrap())
	mustCreateTopic(t, cl, "far", 1)
	mustProduce(t, cl, "far", "connections are open now")
	begin := time.Now()
	mustProduce(t, cl, "far", "x")
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("a record was acknowledged after %v, want at least %v", took, 2*delay)
	}
}
