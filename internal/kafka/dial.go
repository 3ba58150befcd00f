package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
)

// dialer opens authenticated connections to the brokers of one cluster.
type dialer struct {
	clientID string
	timeout  time.Duration // for dialling
	patience time.Duration // for an answer
	auth     *Auth
}

// dial connects, negotiates versions and authenticates. broker is the node id, for messages.
func (d *dialer) dial(ctx context.Context, addr string, broker int32) (*Conn, error) {
	c, err := d.open(ctx, addr, broker)
	if err != nil && d.auth != nil {
		err = d.auth.explainRefusal(addr, err)
	}
	return c, err
}

func (d *dialer) open(ctx context.Context, addr string, broker int32) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	nc, err := d.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		addr: addr, broker: broker, clientID: d.clientID, nc: nc, w: newFrameWriter(nc),
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(d.clientID)),
		closed: make(chan struct{}), patience: d.patience,
	}
	go c.read()
	go c.watchdog()
	if err := c.negotiate(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("ask %s for its API versions: %w", addr, err)
	}
	if d.auth != nil && d.auth.Mechanism != nil {
		c.writing.Lock()
		err := c.authenticate(ctx, d.auth.Mechanism)
		c.writing.Unlock()
		if err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (d *dialer) connect(ctx context.Context, addr string) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: 30 * time.Second}
	nc, err := nd.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	if d.auth == nil || d.auth.TLS == nil {
		return nc, nil
	}
	cfg := d.auth.TLS
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			nc.Close()
			return nil, fmt.Errorf("connect to %s: %w", addr, err)
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
	}
	return tc, nil
}

// authenticate runs one SASL exchange and arms the next one when the broker limits the session (KIP-368).
// The caller holds c.writing: a broker refuses any other request while an exchange is under way.
func (c *Conn) authenticate(ctx context.Context, m sasl.Mechanism) error {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Mechanism = m.Name()
	handshake.Version = 1
	resp, err := c.doLocked(ctx, handshake)
	if err != nil {
		return fmt.Errorf("SASL handshake with %s: %w", c.addr, err)
	}
	hs := resp.(*kmsg.SASLHandshakeResponse)
	if err := kerr.ErrorForCode(hs.ErrorCode); err != nil {
		return fmt.Errorf("SASL handshake with %s: mechanism %s refused, the listener offers %v: %w", c.addr, m.Name(), hs.SupportedMechanisms, err)
	}
	session, msg, err := m.Authenticate(ctx, c.addr)
	if err != nil {
		return fmt.Errorf("prepare %s credentials for %s: %w", m.Name(), c.addr, err)
	}
	var lifetime time.Duration
	for done := false; !done; {
		auth := kmsg.NewPtrSASLAuthenticateRequest()
		auth.SASLAuthBytes = msg
		if err := c.pickVersion(auth); err != nil {
			return err
		}
		resp, err := c.doLocked(ctx, auth)
		if err != nil {
			return fmt.Errorf("authenticate to %s with %s: %w", c.addr, m.Name(), err)
		}
		sa := resp.(*kmsg.SASLAuthenticateResponse)
		if err := kerr.ErrorForCode(sa.ErrorCode); err != nil {
			return authRefused(c.addr, m.Name(), msg, sa, err)
		}
		lifetime = time.Duration(sa.SessionLifetimeMillis) * time.Millisecond
		if done, msg, err = session.Challenge(sa.SASLAuthBytes); err != nil {
			return fmt.Errorf("authenticate to %s with %s: %w", c.addr, m.Name(), err)
		}
	}
	c.armReauth(lifetime, m)
	return nil
}

func authRefused(addr, mechanism string, sent []byte, sa *kmsg.SASLAuthenticateResponse, err error) error {
	if sa.ErrorMessage != nil && *sa.ErrorMessage != "" {
		return fmt.Errorf("authenticate to %s with %s: %s: %w", addr, mechanism, withoutEcho(*sa.ErrorMessage, sent), err)
	}
	return fmt.Errorf("authenticate to %s with %s: %w", addr, mechanism, err)
}

// maxWords bounds the words of a broker that are put into an error.
const maxWords = 500

func cutWords(s string) string {
	if len(s) <= maxWords {
		return s
	}
	return strings.ToValidUTF8(s[:maxWords], "") + " ..."
}

// withoutEcho keeps a broker's words out of errors and logs when they repeat what was sent to authenticate: a
// password (all that stands behind the last NUL of PLAIN's message) or what is long enough to be a token or proof.
func withoutEcho(words string, sent []byte) string {
	const leastToken = 16
	echoes := func(secret []byte, least int) bool {
		return len(secret) >= least && strings.Contains(words, string(secret))
	}
	hidden := false
	if i := bytes.LastIndexByte(sent, 0); i >= 0 {
		hidden = echoes(sent[i+1:], 1)
	}
	for _, part := range bytes.FieldsFunc(sent, func(r rune) bool { return r <= ' ' || r == ',' || r == '"' }) {
		hidden = hidden || echoes(part, leastToken)
	}
	if hidden {
		return "the broker's words repeat the credentials and are not shown"
	}
	return cutWords(words)
}

// armReauth authenticates again on the same connection before the broker would close it: at 85 % of the
// session, like the Java client's earliest moment. Writers wait meanwhile; what is in flight is answered.
func (c *Conn) armReauth(lifetime time.Duration, m sasl.Mechanism) {
	if lifetime <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.reauth = time.AfterFunc(lifetime*85/100, func() {
		ctx, cancel := context.WithTimeout(context.Background(), max(lifetime*15/100, 2*time.Second))
		defer cancel()
		c.writing.Lock()
		err := c.authenticate(ctx, m)
		c.writing.Unlock()
		if err != nil && !errors.Is(err, ErrClosed) {
			c.fail(fmt.Errorf("authenticate again: %w", err))
		}
	})
}

// doLocked is Do for a caller that holds c.writing and has set the version.
func (c *Conn) doLocked(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return c.exchange(ctx, func(done func([]byte, error)) error { return c.startLocked(req, own, done) }, req)
}
