package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kferry/kferry/internal/config"
	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
)

const (
	brokerUser     = "alice"
	brokerPassword = `a "quoted\" secret, with = and 'marks'`
	otherUser      = "bjorn"
	otherPassword  = `"quoted" ä€😀`
)

// sessionLimit is how long a broker lets a SASL connection live without a new login (KIP-368).
const sessionLimit = 4 * time.Second

// secured is a cluster with every kind of listener, on which what is not allowed is refused.
func secured(t *testing.T, v testbed.Version) *testbed.Cluster {
	t.Helper()
	return testbed.New(t, testbed.Options{Version: v, HeapMB: 300, Security: testbed.Security{
		Listeners: []testbed.Listener{
			{Name: "open", Protocol: "PLAINTEXT"},
			{Name: "tls", Protocol: "SSL"},
			{Name: "mtls", Protocol: "SSL", ClientAuth: true},
			{Name: "clear", Protocol: "SASL_PLAINTEXT", Mechanisms: []string{"PLAIN", "SCRAM-SHA-256"}},
			{Name: "login", Protocol: "SASL_SSL", Mechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
			{Name: "oauth", Protocol: "SASL_SSL", Mechanisms: []string{"OAUTHBEARER"}},
		},
		Users:      []testbed.User{{Name: brokerUser, Password: brokerPassword}, {Name: otherUser, Password: otherPassword}},
		SuperUsers: []string{"User:" + brokerUser, "User:" + otherUser, testbed.ClientPrincipal, "User:oauth-client"},
		Authorizer: true,
		MaxReauth:  sessionLimit,
	}})
}

// way is one way to describe a connection, and what comes of it.
type way struct {
	listener string
	yaml     string // auth, tls, insecure of a migration file
	props    string // or a properties file
	want     string // part of the refusal; empty means topics are listed
}

func waysIn(c *testbed.Cluster, dir string) map[string]way {
	f, tok := c.Certificates(), c.Tokens()
	q := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	jaas := func(module, options string) string {
		// Backslashes are doubled twice: for JAAS and for the properties file.
		return "sasl.jaas.config=org.apache.kafka.common.security." + module + " required " + strings.ReplaceAll(options, `\`, `\\`) + ";\n"
	}
	login := fmt.Sprintf(`username="%s" password="%s"`, brokerUser, q(brokerPassword))
	trust := "ssl.truststore.location=" + f.CA + "\nssl.truststore.type=PEM\n"
	secretFile := "{file: " + filepath.Join(dir, "password") + "}"
	store := filepath.Join(dir, "store-password")
	ca := "tls: {ca: " + f.CA + "}\n"
	scram := func(mechanism, password string) string {
		return fmt.Sprintf("auth: {scram: {mechanism: %s, username: %s, password: %s}}\n", mechanism, brokerUser, password)
	}
	oauth := fmt.Sprintf("auth: {oauth: {tokenUrl: '%s', clientId: %s, clientSecret: {file: %s}}}\n", tok.TokenURL, tok.ClientID, filepath.Join(dir, "client-secret"))
	return map[string]way{
		"plaintext":       {listener: "open"},
		"TLS":             {listener: "tls", yaml: ca},
		"mTLS PEM":        {listener: "mtls", yaml: fmt.Sprintf("auth: {mtls: }\ntls: {ca: %s, cert: %s, key: %s}\n", f.CA, f.ClientCert, f.ClientKey)},
		"mTLS one PEM":    {listener: "mtls", props: "security.protocol=SSL\n" + trust + "ssl.keystore.type=PEM\nssl.keystore.location=" + f.ClientPEM},
		"mTLS JKS":        {listener: "mtls", props: fmt.Sprintf("security.protocol=SSL\nssl.truststore.location=%s\nssl.truststore.password=%s\nssl.keystore.location=%s\nssl.keystore.password=%[2]s\nssl.key.password=%[2]s\n", f.TruststoreJKS, f.Password, f.KeystoreJKS)},
		"mTLS PKCS12":     {listener: "mtls", yaml: fmt.Sprintf("auth: {mtls: }\ntls: {truststore: {path: %s, password: {file: %s}}, keystore: {path: %s, password: {file: %[2]s}}}\n", f.TruststoreP12, store, f.KeystoreP12)},
		"PLAIN over TLS":  {listener: "login", yaml: ca + "auth: {plain: {username: " + brokerUser + ", password: " + secretFile + "}}\n"},
		"PLAIN insecure":  {listener: "clear", props: "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nkferry.insecure=true\n" + jaas("plain.PlainLoginModule", login)},
		"PLAIN refused":   {listener: "clear", props: "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n" + jaas("plain.PlainLoginModule", login), want: "PLAIN without TLS would send the password readable"},
		"SCRAM-256":       {listener: "login", yaml: ca + scram("SCRAM-SHA-256", secretFile)},
		"SCRAM-512":       {listener: "login", props: "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n" + trust + jaas("scram.ScramLoginModule", login)},
		"SCRAM, accents":  {listener: "login", yaml: ca + fmt.Sprintf("auth: {scram: {username: %s, password: {file: %s}}}\n", otherUser, filepath.Join(dir, "other-password"))},
		"SCRAM, no TLS":   {listener: "clear", yaml: scram("SCRAM-SHA-256", secretFile)},
		"OAUTHBEARER":     {listener: "oauth", yaml: ca + oauth},
		"OAuth, KIP-768":  {listener: "oauth", props: "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=" + tok.TokenURL + "\n" + trust + jaas("oauthbearer.OAuthBearerLoginModule", fmt.Sprintf(`clientId="%s" clientSecret="%s" scope="kafka"`, tok.ClientID, tok.ClientSecret))},
		"OAuth from file": {listener: "oauth", yaml: ca + "auth: {oauth: {token: {file: " + filepath.Join(dir, "token") + "}}}\n"},

		"wrong CA":             {listener: "tls", yaml: "tls: {ca: " + f.OtherCA + "}\n", want: "presented a certificate that no trusted authority signed"},
		"system's CAs":         {listener: "login", yaml: "tls: {}\n" + scram("SCRAM-SHA-512", secretFile), want: "trust the CA that signed it (tls.ca, ssl.truststore.location)"},
		"no certificate":       {listener: "mtls", yaml: ca, want: "client certificate"}, // 2.8: "may want", others: "wants",
		"wrong PLAIN password": {listener: "login", yaml: ca + "auth: {plain: {username: alice, password: {env: KFERRY_TEST_CANARY}}}\n", want: `refused our PLAIN credentials of user "alice": check user name and password`},
		"wrong SCRAM password": {listener: "login", yaml: ca + scram("SCRAM-SHA-512", "{env: KFERRY_TEST_CANARY}"), want: `refused our SCRAM-SHA-512 credentials of user "alice": check user name and password, and that the user was created for SCRAM-SHA-512`},
		"wrong token":          {listener: "oauth", yaml: ca + "auth: {oauth: {token: {env: KFERRY_TEST_CANARY}}}\n", want: "refused our OAUTHBEARER token"},
		"wrong client secret":  {listener: "oauth", yaml: ca + strings.Replace(oauth, "client-secret", "wrong-secret", 1), want: `refused client "oauth-client": invalid_client (wrong client id or secret): check client id, client secret and scope`},
		"mechanism not there":  {listener: "oauth", yaml: ca + scram("SCRAM-SHA-512", secretFile), want: "does not offer SCRAM-SHA-512 on this port"},
		"SASL to plaintext":    {listener: "open", yaml: scram("SCRAM-SHA-512", secretFile), want: "asks for no authentication on this port"},
		"TLS to plaintext":     {listener: "open", yaml: ca, want: "hung up during the TLS handshake: this port may be one without TLS"},
		"plaintext to TLS":     {listener: "tls", want: "speaks TLS on this port: enable it (tls, security.protocol)"},
		"plaintext to SASL":    {listener: "clear", want: "hung up on a connection without TLS and credentials"},
	}
}

// connectionOf loads the description as a user would write it.
func connectionOf(t *testing.T, dir, addr string, w way) (kafka.Connection, error) {
	t.Helper()
	cluster := "    - alias: secured\n      bootstrapServers: ['" + addr + "']\n      dialTimeout: 8s\n"
	if w.props != "" {
		cluster += "      properties: " + writeFile(t, dir, "client.properties", []byte(w.props)) + "\n"
	}
	for line := range strings.Lines(w.yaml) {
		cluster += "      " + line
	}
	m, err := config.Load(writeFile(t, dir, "m.yaml", []byte("apiVersion: kferry.io/v1alpha1\nkind: Migration\nmetadata: {name: x}\nspec:\n  clusters:\n"+cluster+
		"    - {alias: other, bootstrapServers: ['other:1']}\n  flows: [{source: secured, target: other, topics: [x]}]\n")))
	if err != nil {
		return kafka.Connection{}, err
	}
	return m.Spec.Clusters[0].Connection(t.Context())
}

// TestEveryWayIntoRealBrokers describes each connection in a migration or properties file and lists topics by our
// own connections and by franz-go's client, or reads the refusal.
func TestEveryWayIntoRealBrokers(t *testing.T) {
	t.Setenv("KFERRY_TEST_CANARY", canary)
	for _, v := range []testbed.Version{testbed.V28, testbed.V39, testbed.V43} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := secured(t, v)
			dir := t.TempDir()
			writeFile(t, dir, "password", []byte(brokerPassword+"\n"))
			writeFile(t, dir, "other-password", []byte(otherPassword))
			writeFile(t, dir, "store-password", []byte(c.Certificates().Password))
			token, err := c.Tokens().Token("oauth-client")
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, "token", []byte(token))
			writeFile(t, dir, "client-secret", []byte(c.Tokens().ClientSecret))
			writeFile(t, dir, "wrong-secret", []byte(canary))
			ways := waysIn(c, dir)
			for _, name := range slices.Sorted(maps.Keys(ways)) {
				w := ways[name]
				t.Run(name, func(t *testing.T) { tryWay(t, t.TempDir(), c.Listener(w.listener), w) })
			}
			t.Run("sessions are renewed", func(t *testing.T) {
				for _, name := range []string{"SCRAM-512", "OAUTHBEARER"} {
					outliveSession(t, c, ways[name])
				}
			})
		})
	}
}

func tryWay(t *testing.T, dir, addr string, w way) {
	conn, err := connectionOf(t, dir, addr, w)
	if err == nil {
		err = listTopics(t, conn)
	}
	if w.want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), w.want) {
		t.Fatalf("got  %v\nwant %s", err, w.want)
	}
	if strings.Contains(w.want, "refused client") && strings.Contains(err.Error(), "check the address") {
		t.Errorf("a refused client id leads to the broker's address: %v", err)
	}
	if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "quoted") {
		t.Errorf("not one line, or with a secret: %v", err)
	}
	var refused *kafka.RefusedError
	if errors.As(err, &refused) && refused.Broker != addr {
		t.Errorf("the message names broker %s, not %s", refused.Broker, addr)
	}
	if conn.Bootstrap == nil || strings.Contains(w.want, "refused client") { // refused before any broker was asked
		return
	}
	if err := listByFranz(t, conn); err == nil || !strings.Contains(err.Error(), w.want) {
		t.Errorf("by franz-go's client:\ngot  %v\nwant %s", err, w.want)
	}
}

// listTopics asks by both paths: our own wire and franz-go's client.
func listTopics(t *testing.T, conn kafka.Connection) error {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := kafka.Open(ctx, conn)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Metadata(ctx, nil); err != nil {
		return err
	}
	for id := range c.Brokers() {
		own, err := c.Dial(ctx, id)
		if err != nil {
			return err
		}
		own.Close()
	}
	return listByFranz(t, conn)
}

// outliveSession keeps a connection of our own and franz-go's client busy for longer than a session may last. The
// broker ends a connection whose login is too old at its next request.
func outliveSession(t *testing.T, brokers *testbed.Cluster, w way) {
	t.Helper()
	brokers.Tokens().SetLifetime(sessionLimit)
	conn, err := connectionOf(t, t.TempDir(), brokers.Listener(w.listener), w)
	if err != nil {
		t.Fatal(err)
	}
	before := brokers.Tokens().Issued()
	c, err := kafka.Open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own, err := c.Dial(t.Context(), slices.Min(slices.Collect(maps.Keys(c.Brokers()))))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for end := time.Now().Add(sessionLimit * 2); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := own.Ping(t.Context()); err != nil {
			t.Fatalf("%s: our own connection: %v", conn.Security.SASL.Mechanism, err)
		}
		if _, err := c.Metadata(t.Context(), nil); err != nil {
			t.Fatalf("%s: franz-go's client: %v", conn.Security.SASL.Mechanism, err)
		}
	}
	if issued := brokers.Tokens().Issued() - before; w.listener == "oauth" && (issued < 2 || issued > 8) {
		t.Errorf("%d tokens were asked for while two lifetimes passed", issued)
	}
}

func listByFranz(t *testing.T, conn kafka.Connection) error {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := conn.Auth(ctx)
	if err != nil {
		return err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(conn.Bootstrap...), kgo.RetryTimeout(2 * time.Second), kgo.RequestRetries(0)}
	if a.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(a.TLS))
	}
	if a.Mechanism != nil {
		opts = append(opts, kgo.SASL(a.Mechanism))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).ListTopics(ctx)
	return a.Explain(conn.Bootstrap[0], err)
}
