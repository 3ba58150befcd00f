package kafka

import (
	"bufio"
	"crypto/tls"
	"net"
	"time"
)

// writeTimeout bounds how long a peer may refuse to take bytes before the connection counts as dead. A
// broker that throttles mutes the connection for at most a few quota windows, far below this.
const writeTimeout = 2 * time.Minute

// frameWriter writes frames that consist of a head and of record bytes lying elsewhere. On a plain socket
// the parts go out in one writev without being copied; on TLS they are gathered so that no small record is
// encrypted alone.
type frameWriter struct {
	nc  net.Conn
	buf *bufio.Writer // nil for plain sockets
}

func newFrameWriter(nc net.Conn) *frameWriter {
	w := &frameWriter{nc: nc}
	if _, ok := nc.(*tls.Conn); ok {
		w.buf = bufio.NewWriterSize(nc, 64<<10)
	}
	return w
}

// write sends one frame given in parts. The bytes are not kept; the slice of parts is used up.
func (w *frameWriter) write(parts net.Buffers) error {
	if err := w.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if w.buf == nil {
		_, err := parts.WriteTo(w.nc)
		return err
	}
	for _, p := range parts {
		if _, err := w.buf.Write(p); err != nil {
			return err
		}
	}
	return w.buf.Flush()
}
