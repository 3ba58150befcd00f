package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
)

// Connection says how to reach one cluster and how to prove who we are. It is plain data: nothing is opened,
// read or asked before [Connection.Auth].
type Connection struct {
	// Alias is the cluster's name in the migration; it is used in messages only.
	Alias string
	// Bootstrap are host:port pairs; one that answers is enough.
	Bootstrap []string
	// ClientID appears in the broker's request log and quotas; empty means "kferry".
	ClientID string
	Security Security
	// RequestTimeout is how long a request may stay unanswered; 0 means 30 s.
	RequestTimeout time.Duration
	// DialTimeout covers connecting, TLS handshake and authentication; 0 means [DefaultDialTimeout].
	DialTimeout time.Duration
}

// Security is what a listener asks for: PLAINTEXT (both nil), SSL (TLS), SASL_PLAINTEXT (SASL), SASL_SSL (both).
type Security struct {
	// TLS is nil for a listener without encryption.
	TLS *TLS
	// SASL is nil where no SASL exchange takes place.
	SASL *SASL
}

// Protocol names the combination as Kafka's security.protocol does.
func (s Security) Protocol() string {
	switch {
	case s.TLS != nil && s.SASL != nil:
		return "SASL_SSL"
	case s.TLS != nil:
		return "SSL"
	case s.SASL != nil:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// CheckInTheClear refuses a password, token or signed request over a connection without TLS, unless it is
// allowed by [SASL.Insecure]. SCRAM passes: it shows no password to who listens.
func (s Security) CheckInTheClear() error {
	if s.TLS != nil || s.SASL == nil || !s.SASL.inTheClear() || s.SASL.Insecure {
		return nil
	}
	return fmt.Errorf("%s without TLS would send the %s readable over the network: enable TLS, or allow it with insecure: true (kferry.insecure=true in a properties file)",
		s.SASL.Mechanism, s.SASL.what())
}

// Auth is what opening a connection needs. It is built once per cluster and is safe for concurrent use.
type Auth struct {
	// TLS is nil where the listener is not encrypted. ServerName is empty unless the user fixed it: whoever
	// dials sets it, on a clone, to the host that it dials.
	TLS *tls.Config
	// Mechanism is nil where no SASL is spoken. Every Authenticate call fetches what is valid then (token,
	// rotated password, AWS credentials), so the same value serves re-authentication (KIP-368).
	Mechanism sasl.Mechanism

	protocol string // security.protocol, for messages
	user     string // whose password it is, for messages
}

// Auth reads the stores, checks that the description is complete and builds what a dialer needs. Tokens and
// AWS credentials are not fetched here but at each Authenticate. An error names the file or setting.
func (c *Connection) Auth(ctx context.Context) (*Auth, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.name(), err)
	}
	a := &Auth{protocol: c.Security.Protocol()}
	if t := c.Security.TLS; t != nil {
		cfg, err := t.config()
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", c.name(), err)
		}
		a.TLS = cfg
	}
	if s := c.Security.SASL; s != nil {
		m, err := s.mechanism(ctx)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", c.name(), err)
		}
		a.Mechanism, a.user = m, s.Username
	}
	return a, nil
}

func (c *Connection) name() string {
	if c.Alias != "" {
		return c.Alias
	}
	return strings.Join(c.Bootstrap, ",")
}

func (c *Connection) validate() error {
	if len(c.Bootstrap) == 0 {
		return errors.New("no bootstrap server: give at least one host:port")
	}
	for _, b := range c.Bootstrap {
		if err := CheckAddress(b); err != nil {
			return err
		}
	}
	s := c.Security.SASL
	if s == nil {
		return nil
	}
	if err := c.Security.CheckInTheClear(); err != nil {
		return err
	}
	return s.validate()
}

// CheckAddress reports what is wrong with a host:port. It never repeats what stands before an @, because that
// may be a password pasted as part of a URL.
func CheckAddress(addr string) error {
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		return fmt.Errorf("bootstrap server %q carries something before an @: write host:port only, credentials belong into the auth block", "..."+addr[i:])
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || strings.ContainsAny(host, "/ \t") {
		return fmt.Errorf("bootstrap server %q is not host:port: write for example broker1.example.com:9092", addr)
	}
	var n int
	if _, err := fmt.Sscanf(port, "%d", &n); err != nil || fmt.Sprint(n) != port || n < 1 || n > 65535 {
		return fmt.Errorf("bootstrap server %q has no port between 1 and 65535: write for example %s:9092", addr, host)
	}
	return nil
}
