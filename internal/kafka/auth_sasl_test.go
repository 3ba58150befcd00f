package kafka_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kferry/kferry/internal/kafka"
)

func TestConnectionsAreChecked(t *testing.T) {
	secret := kafka.NewSecret(canary)
	plain := &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret}
	tests := []struct {
		name      string
		bootstrap string
		security  kafka.Security
		want      string
	}{
		{"plaintext", "b:9092", kafka.Security{}, ""},
		{"IPv6", "[::1]:9092", kafka.Security{}, ""},
		{"no port", "b", kafka.Security{}, `bootstrap server "b" is not host:port: write for example broker1.example.com:9092`},
		{"port 0", "b:0", kafka.Security{}, "no port between 1 and 65535"},
		{"port x", "b:x", kafka.Security{}, "no port between 1 and 65535"},
		{"port 99999", "b:99999", kafka.Security{}, "no port between 1 and 65535"},
		{"URL", "https://b:9092", kafka.Security{}, "is not host:port"},
		{"password in it", "u:" + canary + "@b:9092", kafka.Security{}, "carries something before an @"},
		{"PLAIN with TLS", "b:1", kafka.Security{TLS: &kafka.TLS{}, SASL: plain}, ""},
		{"PLAIN without", "b:1", kafka.Security{SASL: plain}, "PLAIN without TLS would send the password readable over the network: enable TLS, or allow it with insecure: true"},
		{"PLAIN insecure", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret, Insecure: true}}, ""},
		{"SCRAM without TLS", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: secret}}, ""},
		{"token without TLS", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{Token: secret}}}, "would send the token readable"},
		{"IAM without TLS", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "AWS_MSK_IAM"}}, "would send the signed request readable"},
		{"no user", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-256", Password: secret}}, "SCRAM-SHA-256 needs a user name"},
		{"no password", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-256", Username: "u"}}, `SCRAM-SHA-256 needs a password for user "u"`},
		{"SCRAM user", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-256", Username: "bjørn", Password: secret}}, `SCRAM user name "bjørn" is not ASCII`},
		{"Kerberos", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "GSSAPI"}}, "GSSAPI (Kerberos) is not supported yet: use a listener with SCRAM-SHA-512, OAUTHBEARER or mutual TLS"},
		{"unknown", "b:1", kafka.Security{SASL: &kafka.SASL{Mechanism: "DIGEST-MD5"}}, `SASL mechanism "DIGEST-MD5" is unknown: write one of PLAIN, `},
		{"no OAuth", "b:1", kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "OAUTHBEARER"}}, "needs a token endpoint"},
		{"token as PLAIN", "b:1", kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret, DelegationToken: true}}, "a delegation token needs SCRAM"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := kafka.Connection{Alias: "old", Bootstrap: []string{tt.bootstrap}, Security: tt.security}
			_, err := c.Auth(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "cluster old: ")):
				t.Errorf("got  %v\nwant %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the password is in %v", err)
			}
		})
	}
	var none kafka.Connection
	if _, err := none.Auth(t.Context()); err == nil || !strings.Contains(err.Error(), "no bootstrap server") {
		t.Error(err)
	}
}

// TestCredentialsAreRenewed: each authentication asks Refresh; while it fails the last good answer serves.
func TestCredentialsAreRenewed(t *testing.T) {
	var next func() (*kafka.SASL, error)
	give := func(password string) func() (*kafka.SASL, error) {
		return func() (*kafka.SASL, error) {
			return &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: kafka.NewSecret(password)}, nil
		}
	}
	conn := kafka.Connection{Bootstrap: []string{"b:1"}, Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{
		Mechanism: "PLAIN", Username: "u", Password: kafka.NewSecret("start"),
		Refresh: func(context.Context) (*kafka.SASL, error) { return next() },
	}}}
	a, err := conn.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fail := func() (*kafka.SASL, error) { return nil, errors.New("vault is sealed") }
	other := func() (*kafka.SASL, error) { return &kafka.SASL{Mechanism: "SCRAM-SHA-256"}, nil }
	for _, step := range []struct {
		refresh func() (*kafka.SASL, error)
		want    string
	}{{fail, "start"}, {give("one"), "one"}, {give("two"), "two"}, {fail, "two"}, {other, "two"}, {give("three"), "three"}} {
		next = step.refresh
		_, msg, err := a.Mechanism.Authenticate(t.Context(), "b:1")
		if want := "\x00u\x00" + step.want; err != nil || string(msg) != want {
			t.Errorf("sent %q, %v, want %q", msg, err, want)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	next = fail
	if _, _, err := a.Mechanism.Authenticate(done, "b:1"); err == nil {
		t.Error("a cancelled authentication went on")
	}
}

func TestProtocolNames(t *testing.T) {
	for want, s := range map[string]kafka.Security{
		"PLAINTEXT": {}, "SSL": {TLS: &kafka.TLS{}}, "SASL_PLAINTEXT": {SASL: &kafka.SASL{}}, "SASL_SSL": {TLS: &kafka.TLS{}, SASL: &kafka.SASL{}},
	} {
		if got := s.Protocol(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
