package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/kafka"
)

// TestSamplesToConnections turns the clusters of the samples into connections.
func TestSamplesToConnections(t *testing.T) {
	for _, name := range []string{"DC1_PASSWORD", "STORE_PASSWORD", "KEY_PASSWORD", "TOKEN_HMAC"} {
		t.Setenv(name, "of "+name)
	}
	secret := kafka.NewSecret
	tlsWith := func(change func(*kafka.TLS)) *kafka.TLS {
		c := &kafka.TLS{}
		change(c)
		return c
	}
	want := map[string]map[string]kafka.Connection{
		"msk.yaml": {
			"dc1": {Bootstrap: []string{"kafka1.dc1.example.com:9094", "kafka2.dc1.example.com:9094"}, Security: kafka.Security{
				TLS:  tlsWith(func(c *kafka.TLS) { c.CA.Path = "testdata/dc1-ca.pem" }),
				SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: "kferry", Password: secret("of DC1_PASSWORD")}}},
			"msk": {Bootstrap: []string{"b-1.shop.abc123.c2.kafka.eu-central-1.amazonaws.com:9098", "b-2.shop.abc123.c2.kafka.eu-central-1.amazonaws.com:9098"}, Security: kafka.Security{
				TLS: &kafka.TLS{},
				SASL: &kafka.SASL{Mechanism: "AWS_MSK_IAM", MSKIAM: &kafka.MSKIAM{RoleARN: "arn:aws:iam::123456789012:role/kferry",
					RoleSessionName: "kferry-shop", RoleExternalID: "shop", STSRegion: "eu-central-1"}}}},
		},
		"certificates.yaml": {
			"java": {Bootstrap: []string{"[2001:db8::1]:9093"}, Security: kafka.Security{TLS: tlsWith(func(c *kafka.TLS) {
				c.SkipHostName = true
				c.CA = kafka.Store{Path: "testdata/truststore.jks", Password: secret("of STORE_PASSWORD")}
				c.Client = kafka.ClientStore{Cert: kafka.Store{Path: "testdata/keystore.p12", Password: secret("of STORE_PASSWORD")}, KeyPassword: secret("of KEY_PASSWORD")}
			})}},
		},
		"oauth.yaml": {
			"k8s": {Bootstrap: []string{"kafka.kafka.svc:9093"}, Security: kafka.Security{
				TLS:  tlsWith(func(c *kafka.TLS) { c.CA.Path = "/var/run/secrets/kafka/ca.crt" }),
				SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{TokenFile: "/var/run/secrets/tokens/kafka"}}}},
		},
		"everything.yaml": {
			"east": {Bootstrap: []string{"east:9092"}, ClientID: "kferry-east"},
			"new": {Bootstrap: []string{"new:9092"}, Security: kafka.Security{
				TLS:  &kafka.TLS{InsecureSkipVerify: true},
				SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-256", Username: "token-id", Password: secret("of TOKEN_HMAC"), DelegationToken: true}}},
		},
	}
	for file, clusters := range want {
		m, err := Load("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for alias, w := range clusters {
			c, err := m.Cluster(alias)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Connection(t.Context())
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if s := got.Security.SASL; s != nil {
				s.Refresh = nil
			}
			w.Alias, w.RequestTimeout, w.DialTimeout = alias, 30*time.Second, 10*time.Second
			if w.ClientID == "" {
				w.ClientID = "kferry"
			}
			if d := cmp.Diff(w, got, ignoreEmpty); d != "" {
				t.Errorf("%s, cluster %s (-want +got):\n%s", file, alias, d)
			}
		}
	}
}

// TestMissingSecretNamesTheClusterAndPlace: the message leads to what has to be set.
func TestMissingSecretNamesTheClusterAndPlace(t *testing.T) {
	m, err := Load("testdata/certificates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for alias, want := range map[string]string{
		"pem":  "cluster pem: read secret from file testdata/kferry.key.password: no such file or directory",
		"java": "cluster java: read secret from environment variable ",
	} {
		c, err := m.Cluster(alias)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connection(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
