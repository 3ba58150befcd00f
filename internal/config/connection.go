package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/kferry/kferry/internal/kafka"
)

// Connection reads the cluster's secrets and gives what [kafka.Open] needs. Secrets from files and commands
// are read again at every authentication, so that a rotated password is picked up while kferry runs. The
// error names the cluster, the setting and the cause.
func (c *Cluster) Connection(ctx context.Context) (kafka.Connection, error) {
	conn, err := c.connection(ctx)
	if err != nil {
		return kafka.Connection{}, fmt.Errorf("cluster %s: %w", c.Alias, err)
	}
	return conn, nil
}

func (c *Cluster) connection(ctx context.Context) (kafka.Connection, error) {
	conn := kafka.Connection{Alias: c.Alias, Bootstrap: c.BootstrapServers}
	if c.props != nil {
		return c.fromProperties(ctx, conn)
	}
	conn.ClientID, conn.RequestTimeout, conn.DialTimeout = c.ClientID, c.RequestTimeout, c.DialTimeout
	var err error
	if c.tlsOn() {
		if conn.Security.TLS, err = c.TLS.resolve(ctx, c.dir); err != nil {
			return conn, err
		}
	}
	if conn.Security.SASL, err = c.sasl(ctx); err != nil {
		return conn, err
	}
	if s := conn.Security.SASL; s != nil && c.credentialsChange() {
		s.Refresh = refreshed(c.sasl)
	}
	return conn, nil
}

// fromProperties takes from the properties file what the migration file does not say itself.
func (c *Cluster) fromProperties(ctx context.Context, conn kafka.Connection) (kafka.Connection, error) {
	if c.written["clientId"] {
		conn.ClientID = c.ClientID
	}
	if c.written["requestTimeout"] {
		conn.RequestTimeout = c.RequestTimeout
	}
	if c.written["dialTimeout"] {
		conn.DialTimeout = c.DialTimeout
	}
	conn, err := c.props.connection(ctx, conn, c.Insecure)
	if err != nil {
		return conn, err
	}
	if conn.ClientID == "" {
		conn.ClientID = c.ClientID
	}
	if conn.RequestTimeout == 0 {
		conn.RequestTimeout = c.RequestTimeout
	}
	if conn.DialTimeout == 0 {
		conn.DialTimeout = c.DialTimeout
	}
	if s := conn.Security.SASL; s != nil {
		s.Refresh = refreshed(c.props.refresh)
	}
	return conn, nil
}

// refreshInterval is how long resolved credentials serve: a client that opens connections to many brokers at
// once must not run a command for each of them.
const refreshInterval = 10 * time.Second

// refreshed calls resolve at most once in refreshInterval, one call at a time.
func refreshed(resolve func(context.Context) (*kafka.SASL, error)) func(context.Context) (*kafka.SASL, error) {
	var (
		mu    sync.Mutex
		last  *kafka.SASL
		since time.Time
	)
	return func(ctx context.Context) (*kafka.SASL, error) {
		mu.Lock()
		defer mu.Unlock()
		if last != nil && time.Since(since) < refreshInterval {
			return last, nil
		}
		s, err := resolve(ctx)
		if err != nil {
			return nil, err
		}
		last, since = s, time.Now()
		return s, nil
	}
}

// sasl resolves the auth block; nil where it asks for no SASL.
func (c *Cluster) sasl(ctx context.Context) (*kafka.SASL, error) {
	s := &kafka.SASL{Insecure: c.Insecure}
	var err error
	switch a := c.Auth; {
	case a == nil:
		return nil, nil
	case a.Plain != nil:
		s.Mechanism, s.Username = kafka.MechanismPlain, a.Plain.Username
		s.Password, err = a.Plain.Password.Resolve(ctx)
	case a.Scram != nil:
		s.Mechanism, s.Username = a.Scram.Mechanism, a.Scram.Username
		s.DelegationToken = a.Scram.DelegationToken
		s.Password, err = a.Scram.Password.Resolve(ctx)
	case a.OAuth != nil:
		s.Mechanism = kafka.MechanismOAuthBearer
		s.OAuth, err = a.OAuth.resolve(ctx, c.dir, c.Insecure)
	case a.MSKIAM != nil:
		s.Mechanism = kafka.MechanismMSKIAM
		s.MSKIAM = &kafka.MSKIAM{
			Profile: a.MSKIAM.Profile, RoleARN: a.MSKIAM.RoleARN, RoleSessionName: a.MSKIAM.RoleSessionName,
			RoleExternalID: a.MSKIAM.ExternalID, STSRegion: a.MSKIAM.STSRegion, Region: a.MSKIAM.Region,
		}
		if s.MSKIAM.RoleARN == "" {
			s.MSKIAM.RoleSessionName = ""
		}
	default:
		return nil, nil
	}
	return s, err
}

// credentialsChange says whether the secrets may be others at the next authentication.
func (c *Cluster) credentialsChange() bool {
	switch a := c.Auth; {
	case a == nil:
		return false
	case a.Plain != nil:
		return a.Plain.Password.changes()
	case a.Scram != nil:
		return a.Scram.Password.changes()
	case a.OAuth != nil:
		return a.OAuth.ClientSecret.changes() || a.OAuth.Token.changes()
	}
	return false
}

func (o *OAuth) resolve(ctx context.Context, dir string, insecure bool) (*kafka.OAuth, error) {
	out := &kafka.OAuth{
		TokenURL: o.TokenURL, ClientID: o.ClientID, Scopes: o.Scopes, Params: o.Params,
		Extensions: o.Extensions, Insecure: insecure,
	}
	var err error
	if out.ClientSecret, err = o.ClientSecret.Resolve(ctx); err != nil {
		return nil, err
	}
	if o.Token != nil && o.Token.File != "" {
		out.TokenFile = o.Token.path() // read by the mechanism itself, each time
	} else if out.Token, err = o.Token.Resolve(ctx); err != nil {
		return nil, err
	}
	if o.TLS != nil {
		out.EndpointTLS, err = o.TLS.resolve(ctx, dir)
	}
	return out, err
}

// resolve works on a nil block too, which stands for the system's authorities and no client certificate.
func (t *TLS) resolve(ctx context.Context, dir string) (*kafka.TLS, error) {
	out := &kafka.TLS{}
	if t == nil {
		return out, nil
	}
	out.ServerName, out.InsecureSkipVerify = t.ServerName, t.InsecureSkipVerify
	out.SkipHostName = t.VerifyHostname != nil && !*t.VerifyHostname
	if t.MinVersion == "TLSv1.3" {
		out.MinVersion = tls.VersionTLS13
	}
	out.CA.Path = resolvePath(dir, t.CA)
	out.Client.Cert.Path = resolvePath(dir, t.Cert)
	out.Client.Key.Path = resolvePath(dir, t.Key)
	secrets := []struct {
		ref *SecretRef
		to  *kafka.Secret
	}{{t.KeyPassword, &out.Client.KeyPassword}}
	if s := t.Truststore; s != nil {
		out.CA.Path = resolvePath(dir, s.Path)
		secrets = append(secrets, struct {
			ref *SecretRef
			to  *kafka.Secret
		}{s.Password, &out.CA.Password})
	}
	if s := t.Keystore; s != nil {
		out.Client.Cert.Path = resolvePath(dir, s.Path)
		secrets = append(secrets, []struct {
			ref *SecretRef
			to  *kafka.Secret
		}{{s.Password, &out.Client.Cert.Password}, {s.KeyPassword, &out.Client.KeyPassword}}...)
	}
	for _, s := range secrets {
		var err error
		if *s.to, err = s.ref.Resolve(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}
