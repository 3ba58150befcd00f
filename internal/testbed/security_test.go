package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// fortress is a cluster with every kind of listener. Alice, the client
// certificate and the OAuth client may do everything, Bob nothing.
func fortress(t *testing.T, v Version) *Cluster {
	return New(t, Options{Version: v, HeapMB: 300, Security: Security{
		Listeners: []Listener{
			{Protocol: "SSL"},
			{Name: "mutual", Protocol: "SSL", ClientAuth: true},
			{Name: "plain", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"PLAIN"}},
			{Name: "scram", Protocol: "SASL_SSL", Mechanisms: []string{"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"}},
			{Name: "oauth", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"OAUTHBEARER"}},
		},
		Users:      []User{{"alice", `a "quoted\" secret`}, {"bob", "bob's"}},
		Authorizer: true,
		SuperUsers: []string{"User:alice", ClientPrincipal, "User:oauth-client"},
		MaxReauth:  2 * time.Second,
	}})
}

func TestEveryKindOfListenerLetsInWhoMay(t *testing.T) {
	for _, v := range Versions() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := fortress(t, v)
			mustCreateTopic(t, client(t, c.Internal()), "guarded", 1)
			ca := &tls.Config{RootCAs: c.Certificates().TLS().RootCAs}
			alice := scram.Auth{User: "alice", Pass: `a "quoted\" secret`}
			for name, try := range map[string]struct {
				listener string
				opts     []kgo.Opt
				want     error // nil: a record can be written; errAny: some error
			}{
				"tls":                  {"ssl", []kgo.Opt{kgo.DialTLSConfig(ca)}, nil},
				"tls, CA not trusted":  {"ssl", []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: pool(t, c.Certificates().OtherCA)})}, errAny},
				"mtls":                 {"mutual", []kgo.Opt{kgo.DialTLSConfig(c.Certificates().TLS())}, nil},
				"mtls, no certificate": {"mutual", []kgo.Opt{kgo.DialTLSConfig(ca)}, errAny},
				"plain":                {"plain", []kgo.Opt{kgo.SASL(plain.Auth{User: alice.User, Pass: alice.Pass}.AsMechanism())}, nil},
				"plain, wrong":         {"plain", []kgo.Opt{kgo.SASL(plain.Auth{User: "alice", Pass: "x"}.AsMechanism())}, kerr.SaslAuthenticationFailed},
				"plain over tls":       {"scram", []kgo.Opt{kgo.DialTLSConfig(ca), kgo.SASL(plain.Auth{User: alice.User, Pass: alice.Pass}.AsMechanism())}, nil},
				"scram-256":            {"scram", []kgo.Opt{kgo.DialTLSConfig(ca), kgo.SASL(alice.AsSha256Mechanism())}, nil},
				"scram-512":            {"scram", []kgo.Opt{kgo.DialTLSConfig(ca), kgo.SASL(alice.AsSha512Mechanism())}, nil},
				"scram, wrong":         {"scram", []kgo.Opt{kgo.DialTLSConfig(ca), kgo.SASL(scram.Auth{User: "alice", Pass: "x"}.AsSha256Mechanism())}, kerr.SaslAuthenticationFailed},
				"scram, not allowed":   {"scram", []kgo.Opt{kgo.DialTLSConfig(ca), kgo.SASL(scram.Auth{User: "bob", Pass: "bob's"}.AsSha256Mechanism())}, kerr.TopicAuthorizationFailed},
				"oauth":                {"oauth", []kgo.Opt{kgo.SASL(oauth.Oauth(tokenOf(c, "oauth-client")))}, nil},
				"oauth, not allowed":   {"oauth", []kgo.Opt{kgo.SASL(oauth.Oauth(tokenOf(c, "stranger")))}, kerr.TopicAuthorizationFailed},
				"oauth, bad token":     {"oauth", []kgo.Opt{kgo.SASL(oauth.Auth{Token: "e30.e30.e30"}.AsMechanism())}, errAny},
			} {
				t.Run(name, func(t *testing.T) {
					err := tryWrite(t, c.Listener(try.listener), try.opts)
					switch {
					case try.want == nil && err != nil, try.want == errAny && err == nil:
						t.Errorf("write a record: %v", err)
					case try.want != nil && try.want != errAny && !errors.Is(err, try.want):
						t.Errorf("write a record: %v, want %v", err, try.want)
					}
				})
			}
			t.Run("login is renewed", func(t *testing.T) { checkRenewal(t, c) })
			if v == V43 {
				t.Run("java stores", func(t *testing.T) { checkStores(t, c) })
			}
		})
	}
}

var errAny = errors.New("any error")

func tryWrite(t *testing.T, bootstrap string, opts []kgo.Opt) error {
	cl := client(t, bootstrap, append(opts, kgo.RecordRetries(1), kgo.RetryTimeout(15*time.Second))...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		return err
	}
	return cl.ProduceSync(ctx, &kgo.Record{Topic: "guarded", Value: []byte("x")}).FirstErr()
}

func tokenOf(c *Cluster, subject string) func(context.Context) (oauth.Auth, error) {
	return func(context.Context) (oauth.Auth, error) {
		token, err := c.Tokens().Token(subject)
		return oauth.Auth{Token: token}, err
	}
}

func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		t.Fatalf("no certificate in %s", file)
	}
	return p
}

// checkRenewal keeps one connection busy for longer than MaxReauth and expects
// further logins on it.
func checkRenewal(t *testing.T, c *Cluster) {
	var logins atomic.Int32
	token := tokenOf(c, "oauth-client")
	cl := client(t, c.Listener("oauth"), kgo.SASL(oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		logins.Add(1)
		return token(ctx)
	})))
	ask := func() {
		t.Helper()
		if _, err := cl.SeedBrokers()[0].Request(deadline(t), kmsg.NewPtrMetadataRequest()); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	first := logins.Load()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		ask()
	}
	if now := logins.Load(); now <= first {
		t.Errorf("%d logins at first and %d after 3 s, with a login valid for 2 s", first, now)
	}
}

// checkStores lets the Java client use the stores in all three forms.
func checkStores(t *testing.T, c *Cluster) {
	files := c.Certificates()
	for kind, file := range map[string][2]string{
		"JKS":    {files.TruststoreJKS, files.KeystoreJKS},
		"PKCS12": {files.TruststoreP12, files.KeystoreP12},
		"PEM":    {files.CA, files.ClientPEM},
	} {
		args := []string{"bootstrap=" + c.Listener("mutual"), "topic=guarded", "count=1", "config.security.protocol=SSL", "config.max.block.ms=10000",
			"config.ssl.truststore.type=" + kind, "config.ssl.truststore.location=" + file[0],
			"config.ssl.keystore.type=" + kind, "config.ssl.keystore.location=" + file[1]}
		if kind != "PEM" {
			args = append(args, "config.ssl.truststore.password="+files.Password,
				"config.ssl.keystore.password="+files.Password, "config.ssl.key.password="+files.Password)
		}
		if err := JavaProduce(deadline(t), V43, args...); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTokenServerGrantsToItsClientOnly(t *testing.T) {
	s, err := newTokenServer(false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ask := func(secret string) (int, string) {
		resp, err := http.PostForm(s.TokenURL, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {s.ClientID}, "client_secret": {secret}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := ask(s.ClientSecret); status != http.StatusOK || !strings.Contains(body, "access_token") || s.Issued() != 1 {
		t.Errorf("right secret: %d %s, %d issued", status, body, s.Issued())
	}
	if status, body := ask("wrong"); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_client") || s.Issued() != 1 {
		t.Errorf("wrong secret: %d %s, %d issued", status, body, s.Issued())
	}
}

func TestSecurityIsChecked(t *testing.T) {
	for name, l := range map[string]Listener{
		"unknown protocol":            {Protocol: "TLS"},
		"certificate without tls":     {ClientAuth: true},
		"sasl without mechanism":      {Protocol: "SASL_SSL"},
		"mechanism without sasl":      {Protocol: "SSL", Mechanisms: []string{"PLAIN"}},
		"mechanism that is not there": {Protocol: "SASL_SSL", Mechanisms: []string{"GSSAPI"}},
	} {
		if _, err := (Security{Listeners: []Listener{l}}).withDefaults(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
