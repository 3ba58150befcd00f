package testbed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Certificates returns the files for SSL listeners; nil when there are none.
func (c *Cluster) Certificates() *Certificates { return c.certificates }

// Tokens returns the token server of a cluster with an OAUTHBEARER listener;
// nil when there is none.
func (c *Cluster) Tokens() *TokenServer { return c.tokens }

// prepareSecurity makes what the brokers' properties refer to.
func (c *Cluster) prepareSecurity() (err error) {
	if c.options.Security.tls() {
		if c.certificates, err = makeCertificates(c.dir + "/certificates"); err != nil {
			return err
		}
	}
	if c.options.Security.speaks(oauthBearer) {
		if c.tokens, err = newTokenServer(c.Version.zooKeeper()); err != nil {
			return err
		}
		c.closers = append(c.closers, c.tokens.close)
	}
	return nil
}

// securityFlags are the Java flags that the listeners need. From 3.9.1 on a
// broker asks no URL for keys that is not listed here.
func (c *Cluster) securityFlags() []string {
	if c.tokens == nil {
		return nil
	}
	return []string{"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + c.tokens.JWKSURL}
}

// createSCRAMUsers creates the users through the internal listener and waits
// until every broker lets the first one in: brokers learn of new users by
// metadata, and one after the other.
func (c *Cluster) createSCRAMUsers(ctx context.Context) error {
	if !c.options.Security.speaks(scram256, scram512) {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.Internal(), ",")...))
	if err != nil {
		return fmt.Errorf("make a client to create SCRAM users: %w", err)
	}
	defer cl.Close()
	if err := c.upsertSCRAM(ctx, kadm.NewClient(cl)); err != nil {
		return fmt.Errorf("create SCRAM users: %w", err)
	}
	for i, l := range c.options.Security.Listeners {
		for _, m := range l.Mechanisms {
			for _, b := range c.brokers {
				if err := b.awaitLogin(ctx, l, b.clients[i].addr(), m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// upsertSCRAM asks once per mechanism: KRaft refuses a request that names a
// user twice.
func (c *Cluster) upsertSCRAM(ctx context.Context, adm *kadm.Client) error {
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		var upserts []kadm.UpsertSCRAM
		for _, u := range c.options.Security.Users {
			upserts = append(upserts, kadm.UpsertSCRAM{User: u.Name, Password: u.Password, Mechanism: m, Iterations: 4096})
		}
		altered, err := adm.AlterUserSCRAMs(ctx, nil, upserts)
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitLogin waits until the broker lets the first user in by SCRAM.
func (b *Broker) awaitLogin(ctx context.Context, l Listener, addr, mechanism string) error {
	first := b.cluster.options.Security.Users[0]
	auth := scram.Auth{User: first.Name, Pass: first.Password}
	by := map[string]sasl.Mechanism{scram256: auth.AsSha256Mechanism(), scram512: auth.AsSha512Mechanism()}[mechanism]
	if by == nil {
		return nil // PLAIN users are in the broker's properties
	}
	opts := []kgo.Opt{kgo.SeedBrokers(addr), kgo.SASL(by)}
	if l.tls() {
		opts = append(opts, kgo.DialTLSConfig(b.cluster.certificates.TLS()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("make a client to log in to broker %d: %w", b.ID, err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := cl.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("log in to broker %d as %s by %s: %w", b.ID, first.Name, mechanism, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
