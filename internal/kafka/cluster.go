package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// Cluster is one Kafka cluster: a franz-go client for everything that may be retried, and a dialer for
// ordered connections of our own. All methods may be called from any goroutine.
type Cluster struct {
	alias  string
	dialer dialer
	client *kgo.Client
	admin  *kadm.Client
	id     string

	mu      sync.Mutex // guards id, brokers and errands
	brokers map[int32]estate.Broker
	errands map[int32]*Conn // connections for single questions, by node id
}

// DefaultDialTimeout bounds connecting, TLS handshake and authentication together.
const DefaultDialTimeout = 10 * time.Second

// Open reaches a cluster through one of its bootstrap addresses, authenticates and learns the cluster id.
// The error names every address that was tried and why it did not answer.
func Open(ctx context.Context, conn Connection) (*Cluster, error) {
	auth, err := conn.Auth(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{alias: conn.Alias, brokers: map[int32]estate.Broker{}, errands: map[int32]*Conn{}}
	c.dialer = dialer{clientID: conn.ClientID, timeout: conn.DialTimeout, patience: conn.RequestTimeout, auth: auth}
	if c.dialer.clientID == "" {
		c.dialer.clientID = "kferry"
	}
	if c.dialer.timeout <= 0 {
		c.dialer.timeout = DefaultDialTimeout
	}
	if c.dialer.patience <= 0 {
		c.dialer.patience = defaultPatience
	}
	if err := c.reach(ctx, conn.Bootstrap); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(conn.Bootstrap...),
		kgo.ClientID(c.dialer.clientID),
		kgo.SoftwareNameAndVersion(clientSoftwareName, Version),
		kgo.RequestTimeoutOverhead(20 * time.Second),
		kgo.RetryTimeout(30 * time.Second),
		kgo.WithLogger(kgo.BasicLogger(discard{}, kgo.LogLevelNone, nil)),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}
	if auth.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(auth.TLS.Clone()))
	}
	if auth.Mechanism != nil {
		opts = append(opts, kgo.SASL(auth.Mechanism))
	}
	if c.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("set up client for cluster %s: %w", c.alias, err)
	}
	c.admin = kadm.NewClient(c.client)
	return c, nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// reach asks the bootstrap addresses, in order, who they are.
func (c *Cluster) reach(ctx context.Context, bootstrap []string) error {
	var tried []string
	var last error
	for _, addr := range bootstrap {
		conn, err := c.dialer.dial(ctx, addr, -1)
		if err == nil {
			var md estate.Metadata
			if md, err = conn.metadata(ctx, []string{}); err == nil {
				conn.Close()
				c.learn(md)
				return nil
			}
			conn.Close()
		}
		err = c.dialer.auth.Explain(addr, err)
		last = err
		tried = append(tried, err.Error())
	}
	if len(tried) == 0 {
		return fmt.Errorf("cluster %s has no bootstrap servers", c.alias)
	}
	return &UnreachableError{Alias: c.alias, Tried: tried, err: last}
}

// UnreachableError says that no bootstrap address of a cluster could be used, and why for each.
type UnreachableError struct {
	Alias string
	Tried []string
	err   error
}

// Error names the cluster and every attempt.
func (e *UnreachableError) Error() string {
	text := fmt.Sprintf("reach cluster %s: %s", e.Alias, strings.Join(e.Tried, "; "))
	var refused *RefusedError
	var credentials *CredentialsError
	if errors.As(e.err, &refused) || errors.As(e.err, &credentials) { // say themselves what to check
		return text
	}
	return text + "; check the address, the port and that the listener is the one meant"
}

// Unwrap is the reason of the last attempt.
func (e *UnreachableError) Unwrap() error { return e.err }

// Alias is the cluster's name in the configuration.
func (c *Cluster) Alias() string { return c.alias }

// ID is the cluster's own id, empty for the rare cluster that has none.
func (c *Cluster) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Close ends all connections.
func (c *Cluster) Close() {
	c.mu.Lock()
	errands := c.errands
	c.errands = map[int32]*Conn{}
	c.mu.Unlock()
	for _, conn := range errands {
		conn.Close()
	}
	if c.client != nil {
		c.client.Close()
	}
}

func (c *Cluster) learn(md estate.Metadata) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if md.ClusterID != "" {
		c.id = md.ClusterID
	}
	c.brokers = md.Brokers
}

// Brokers are the nodes of the last metadata, by id.
func (c *Cluster) Brokers() map[int32]estate.Broker {
	c.mu.Lock()
	defer c.mu.Unlock()
	brokers := make(map[int32]estate.Broker, len(c.brokers))
	for id, b := range c.brokers {
		brokers[id] = b
	}
	return brokers
}

// Dial opens a new ordered connection to one broker. The caller closes it.
func (c *Cluster) Dial(ctx context.Context, broker int32) (*Conn, error) {
	c.mu.Lock()
	b, ok := c.brokers[broker]
	c.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("connect to node %d of cluster %s: not in the cluster's metadata: %w", broker, c.alias, kerr.BrokerNotAvailable)
	}
	conn, err := c.dialer.dial(ctx, b.Addr, broker)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.alias, err)
	}
	return conn, nil
}

// errand returns the shared connection for single questions to one broker, dialling it if there is none.
func (c *Cluster) errand(ctx context.Context, broker int32) (*Conn, error) {
	c.mu.Lock()
	conn := c.errands[broker]
	c.mu.Unlock()
	if conn != nil && conn.Err() == nil {
		return conn, nil
	}
	fresh, err := c.Dial(ctx, broker)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.errands[broker]; other != nil && other != conn && other.Err() == nil {
		fresh.Close()
		return other, nil
	}
	c.errands[broker] = fresh
	return fresh, nil
}

// Ask sends one request to one broker over a shared connection, without any retry. An answer that did not
// come in time closes the connection, so that no late answer is taken for another's.
func (c *Cluster) ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	conn, err := c.errand(ctx, broker)
	if err != nil {
		return nil, err
	}
	resp, err := conn.Do(ctx, req)
	if err != nil && ctx.Err() != nil {
		slog.Debug("question unanswered", "cluster", c.alias, "broker", broker, "api", kmsg.NameForKey(req.Key()), "err", err)
	}
	return resp, err
}
