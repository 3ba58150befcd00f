package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kferry/kferry/internal/kafka"
)

const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
	oauthModule = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
	iamModule   = "software.amazon.msk.auth.iam.IAMLoginModule"
)

func writeTemp(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fromProperties makes the connection that a properties file describes.
func fromProperties(t *testing.T, text string) (kafka.Connection, []string, error) {
	t.Helper()
	path := writeTemp(t, t.TempDir(), "c.properties", text)
	m, err := FromFlags("", "target:9092", []string{"x"}, nil, path, "")
	if err != nil {
		return kafka.Connection{}, nil, err
	}
	conn, err := m.Spec.Clusters[0].Connection(t.Context())
	if conn.Security.SASL != nil {
		conn.Security.SASL.Refresh = nil // not comparable; TestRotatedSecretsAreUsed has it
	}
	return conn, m.Warnings, err
}

var ignoreEmpty = cmpopts.EquateEmpty()

func TestPropertiesToConnection(t *testing.T) {
	secret := kafka.NewSecret
	tests := []struct {
		name, text string
		want       kafka.Connection
	}{
		{"plaintext", "bootstrap.servers=a:1, b:2", kafka.Connection{Bootstrap: []string{"a:1", "b:2"}}},
		{"general", "bootstrap.servers=a:1\nclient.id=me\nrequest.timeout.ms=1500\nsocket.connection.setup.timeout.ms=2500\nsecurity.protocol=PLAINTEXT",
			kafka.Connection{ClientID: "me", RequestTimeout: 1500 * time.Millisecond, DialTimeout: 2500 * time.Millisecond}},
		{"TLS", "bootstrap.servers=a:1\nsecurity.protocol=ssl", kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}}}},
		{"PLAIN", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=" + plainModule + ` required username="u" password="p w";`,
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret("p w")}}}},
		{"SCRAM with a token", "bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config=" + scramModule + ` required username="u" password="p" tokenauth="true";`,
			kafka.Connection{Security: kafka.Security{SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-256", Username: "u", Password: secret("p"), DelegationToken: true}}}},
		{"librdkafka", "metadata.broker.list=a:1\nsecurity.protocol=sasl_ssl\nsasl.mechanisms=SCRAM-SHA-512\nsasl.username=u\nsasl.password=p\nssl.ca.location=/ca.pem\nssl.certificate.location=/c.pem\nssl.key.location=/k.pem\nssl.key.password=kp",
			kafka.Connection{Security: kafka.Security{
				TLS:  &kafka.TLS{CA: kafka.Store{Path: "/ca.pem"}, Client: kafka.ClientStore{Cert: kafka.Store{Path: "/c.pem"}, Key: kafka.Store{Path: "/k.pem"}, KeyPassword: secret("kp")}},
				SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: secret("p")}}}},
		{"librdkafka's system CAs", "bootstrap.servers=a:1\nsecurity.protocol=ssl\nssl.ca.location=probe", kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}}}},
		{"stores", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.truststore.location=/t.jks\nssl.truststore.password=tp\nssl.truststore.type=jks\nssl.keystore.location=/k.p12\nssl.keystore.password=kp\nssl.keystore.type=PKCS12\nssl.key.password=kk\nssl.enabled.protocols=TLSv1.3\nssl.protocol=TLSv1.3",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{
				CA: kafka.Store{Path: "/t.jks", Password: secret("tp")}, MinVersion: 0x0304,
				Client: kafka.ClientStore{Cert: kafka.Store{Path: "/k.p12", Password: secret("kp")}, KeyPassword: secret("kk")}}}}},
		{"PEM text", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.certificates=-----BEGIN CERTIFICATE----- AAAA BBBB\\n CCCC-----END CERTIFICATE-----\n",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{CA: kafka.Store{PEM: secret("-----BEGIN CERTIFICATE-----\nAAAABBBBCCCC\n-----END CERTIFICATE-----\n")}}}}},
		{"PEM key", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.keystore.key=-----BEGIN PRIVATE KEY-----\\\n   AAAA\\\n -----END PRIVATE KEY-----\nssl.keystore.certificate.chain=-----BEGIN CERTIFICATE-----A-----END CERTIFICATE----------BEGIN CERTIFICATE-----B-----END CERTIFICATE-----",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{Client: kafka.ClientStore{
				Key:  kafka.Store{PEM: secret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
				Cert: kafka.Store{PEM: secret("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----\n")}}}}}},
		{"no host check", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.endpoint.identification.algorithm=", kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{SkipHostName: true}}}},
		{"no check", "bootstrap.servers=a:1\nsecurity.protocol=ssl\nenable.ssl.certificate.verification=false", kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{InsecureSkipVerify: true}}}},
		{"OAuth of KIP-768", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/t\nsasl.login.callback.handler.class=x\nsasl.jaas.config=" + oauthModule + ` required clientId="c" clientSecret="s" scope="a b" extension_logicalCluster="l" ssl.truststore.location="/t.jks" ssl.truststore.password="tp";`,
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{
				TokenURL: "https://idp/t", ClientID: "c", ClientSecret: secret("s"), Scopes: []string{"a", "b"}, Extensions: map[string]string{"logicalCluster": "l"},
				EndpointTLS: &kafka.TLS{CA: kafka.Store{Path: "/t.jks", Password: secret("tp")}}}}}}},
		{"OAuth of KIP-1139", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/t\nsasl.oauthbearer.client.credentials.client.id=c\nsasl.oauthbearer.client.credentials.client.secret=s\nsasl.oauthbearer.scope=a\nsasl.jaas.config=" + oauthModule + " required;",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{
				TokenURL: "https://idp/t", ClientID: "c", ClientSecret: secret("s"), Scopes: []string{"a"}}}}}},
		{"OAuth of librdkafka", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.method=oidc\nsasl.oauthbearer.token.endpoint.url=https://idp/t\nsasl.oauthbearer.client.id=c\nsasl.oauthbearer.client.secret=s\nsasl.oauthbearer.extensions=a=1,b=2",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{
				TokenURL: "https://idp/t", ClientID: "c", ClientSecret: secret("s"), Extensions: map[string]string{"a": "1", "b": "2"}}}}}},
		{"OAuth token in a file", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=file:///var/token\nsasl.jaas.config=" + oauthModule + " required;",
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: &kafka.OAuth{TokenFile: "/var/token"}}}}},
		{"IAM", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=AWS_MSK_IAM\nsasl.jaas.config=" + iamModule + ` required awsProfileName="p" awsRoleArn="arn:aws:iam::1:role/r" awsRoleSessionName="s" awsStsRegion="eu-west-1" awsRoleExternalId="x" awsDebugCreds="true";`,
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "AWS_MSK_IAM", MSKIAM: &kafka.MSKIAM{
				Profile: "p", RoleARN: "arn:aws:iam::1:role/r", RoleSessionName: "s", STSRegion: "eu-west-1", RoleExternalID: "x"}}}}},
		{"IAM by OAUTHBEARER", "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.login.callback.handler.class=software.amazon.msk.auth.iam.IAMOAuthBearerLoginCallbackHandler\nsasl.jaas.config=" + oauthModule + ` required awsProfileName="p";`,
			kafka.Connection{Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: "AWS_MSK_IAM", MSKIAM: &kafka.MSKIAM{Profile: "p"}}}}},
		{"insecure", "bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nkferry.insecure=true\nsasl.mechanism=PLAIN\nsasl.jaas.config=" + plainModule + ` required username="u" password="p";`,
			kafka.Connection{Security: kafka.Security{SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret("p"), Insecure: true}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := fromProperties(t, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Alias = "source"
			if want.Bootstrap == nil {
				want.Bootstrap = []string{"a:1"}
			}
			if want.ClientID == "" {
				want.ClientID = "kferry"
			}
			if want.RequestTimeout == 0 {
				want.RequestTimeout, want.DialTimeout = 30*time.Second, 10*time.Second
			}
			if d := cmp.Diff(want, got, ignoreEmpty); d != "" {
				t.Errorf("connection (-want +got):\n%s", d)
			}
		})
	}
}

func TestPropertiesRefusals(t *testing.T) {
	const head = "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\n"
	oauth := head + "sasl.mechanism=OAUTHBEARER\nsasl.jaas.config=" + oauthModule + " required"
	tests := []struct{ name, text, want string }{
		{"Kerberos", head + "sasl.mechanism=GSSAPI\n", "c.properties:3: sasl.mechanism: GSSAPI (Kerberos) is not supported yet: use a listener with"},
		{"Kerberos module", head + "sasl.mechanism=GSSAPI\nsasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true;", "c.properties:4: sasl.jaas.config: GSSAPI (Kerberos) is not supported yet"},
		{"mechanism missing", head + "sasl.jaas.config=" + scramModule + ` required username="u" password="p";`, "sasl.mechanism: it is missing, which means Kerberos (GSSAPI), and that is not supported yet: write sasl.mechanism=SCRAM-SHA-512"},
		{"unknown mechanism", head + "sasl.mechanism=CRAM-MD5\n", `c.properties:3: sasl.mechanism: SASL mechanism "CRAM-MD5" is unknown: write one of`},
		{"module of another", head + "sasl.mechanism=OAUTHBEARER\nsasl.jaas.config=" + plainModule + ` required username="u" password="` + canary + `";`, "c.properties:4: sasl.jaas.config: it names the login module PlainLoginModule, but sasl.mechanism is OAUTHBEARER: use OAuthBearerLoginModule, or change sasl.mechanism"},
		{"no password", head + "sasl.mechanism=PLAIN\nsasl.jaas.config=" + plainModule + ` required username="u";`, "c.properties:4: sasl.jaas.config: PLAIN needs a user name and a password: write sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required"},
		{"no JAAS", head + "sasl.mechanism=SCRAM-SHA-512\n", "c.properties:1: sasl.jaas.config: SCRAM-SHA-512 needs a user name and a password"},
		{"JAAS broken", head + "sasl.mechanism=PLAIN\nsasl.jaas.config=" + plainModule + ` required username="u" password="` + canary + `"`, "c.properties:4: sasl.jaas.config: it does not end with a semicolon: add ; at its end"},
		{"protocol", "bootstrap.servers=a:1\nsecurity.protocol=TLS\n", `c.properties:2: security.protocol: "TLS" is unknown: write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL`},
		{"bootstrap", "bootstrap.servers=a\n", `c.properties:1: bootstrap.servers: bootstrap server "a" is not host:port`},
		{"no bootstrap", "client.id=x\n", "--source-bootstrap-server: there is no broker to ask, neither here nor in c.properties"},
		{"number", "bootstrap.servers=a:1\nrequest.timeout.ms=soon", `c.properties:2: request.timeout.ms: "soon" is not a number of milliseconds: write for example 30000`},
		{"PLAIN in the clear", "bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=" + canary, "--source-command-config: c.properties: PLAIN without TLS would send the password readable over the network: enable TLS, or allow it with insecure: true (kferry.insecure=true in a properties file)"},
		{"store type", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.truststore.type=BCFKS", `c.properties:3: ssl.truststore.type: "BCFKS" stores are not read: convert it to PKCS12`},
		{"old TLS", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.enabled.protocols=TLSv1,TLSv1.1", "c.properties:3: ssl.enabled.protocols: it allows neither TLSv1.2 nor TLSv1.3"},
		{"identification", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.endpoint.identification.algorithm=ldap", `"ldap" is unknown: write https, or nothing to skip the check`},
		{"key alone", "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.key.location=/k", "c.properties:3: ssl.key.location: there is a key but no certificate"},
		{"OAuth nowhere", oauth + ";", "c.properties:1: sasl.oauthbearer.token.endpoint.url: it is missing: set it to the token endpoint's https address, or to file:/path"},
		{"OAuth without id", oauth + ";\nsasl.oauthbearer.token.endpoint.url=https://idp/t", "sasl.jaas.config: the token endpoint needs to know who asks"},
		{"OAuth over http", oauth + ` clientId="c" clientSecret="` + canary + `";` + "\nsasl.oauthbearer.token.endpoint.url=http://idp/t", "c.properties:5: sasl.oauthbearer.token.endpoint.url: the token endpoint at idp is http"},
		{"OAuth development", oauth + ` unsecuredLoginStringClaim_sub="x";`, "unsecured tokens are for development and are not made"},
		{"OAuth JWT bearer", oauth + ";\nsasl.oauthbearer.assertion.private.key.file=/k", "the jwt-bearer grant is not supported: use client credentials"},
		{"IAM key", head + "sasl.mechanism=AWS_MSK_IAM\nsasl.jaas.config=" + iamModule + ` required awsRoleAccessKeyId="x" awsRoleSecretAccessKey="` + canary + `";`, "awsRoleAccessKeyId is not supported: put the access key into a profile"},
		{"several", "bootstrap.servers=a\nsecurity.protocol=X\nrequest.timeout.ms=-1", "request.timeout.ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := fromProperties(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestPropertiesWarnings(t *testing.T) {
	const text = `bootstrap.servers=a:1
security.protocol=SASL_SSL
sasl.mechansim=PLAIN
sasl.mechanism=PLAIN
sasl.jaas.config=` + plainModule + ` required username="u" password="` + canary + `";
sasl.login.refresh.buffer.seconds=300
ssl.endpoint.identification.algorithm=
ssl.cipher.suites=TLS_AES_128_GCM_SHA256
acks=all
linger.ms=5
acks=1
`
	_, warnings, err := fromProperties(t, text)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(warnings, "\n")
	for _, want := range []string{
		"c.properties:11: acks was already set in line 9; the last one counts",
		"c.properties:7: ssl.endpoint.identification.algorithm: host names in certificates are not checked",
		"c.properties:3: sasl.mechansim: unknown key, ignored; did you mean sasl.mechanism?",
		"c.properties: ignored, kferry has no use for them: acks, linger.ms, ssl.cipher.suites",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	if len(warnings) != 4 || strings.Contains(got, canary) {
		t.Errorf("%d warnings:\n%s", len(warnings), got)
	}
	_, warnings, err = fromProperties(t, "bootstrap.servers=a:1\nsasl.mechanism=PLAIN\nssl.truststore.location=/x\n")
	if err != nil || len(warnings) != 1 || !strings.HasSuffix(warnings[0], "c.properties:2: sasl.mechanism: it has no effect, because security.protocol is PLAINTEXT; set it to SSL, SASL_PLAINTEXT or SASL_SSL") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestConfigProviderReferences(t *testing.T) {
	dir := t.TempDir()
	writeTemp(t, dir, "secrets.properties", "pw=from a file\njaas="+plainModule+` required username="u" password="jaas line";`+"\n")
	writeTemp(t, dir, "one", "from a directory\n")
	t.Setenv("KFERRY_TEST_PASSWORD", "from the environment")
	const head = "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u\n"
	tests := []struct{ name, text, want string }{
		{"file", "sasl.password=${file:" + dir + "/secrets.properties:pw}", "from a file"},
		{"env", "sasl.password=${env:KFERRY_TEST_PASSWORD}", "from the environment"},
		{"directory", "sasl.password=${directory:" + dir + ":one}", "from a directory"},
		{"beside the file", "sasl.password=${file:secrets.properties:pw}", "from a file"},
		{"inside", `sasl.jaas.config=` + plainModule + ` required username="u" password="a-${env:KFERRY_TEST_PASSWORD}-b";`, "a-from the environment-b"},
		{"whole line", "sasl.jaas.config=${file:" + dir + "/secrets.properties:jaas}", "jaas line"},
		{"declared name", "config.providers=vault\nconfig.providers.vault.class=org.apache.kafka.common.config.provider.FileConfigProvider\nsasl.password=${vault:" + dir + "/secrets.properties:pw}", "from a file"},
		{"not a reference", "sasl.password=${other:x}${y}$", "${other:x}${y}$"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			writeTemp(t, dir, "c.properties", head+tt.text)
			m, err := FromFlags("", "t:1", []string{"x"}, nil, filepath.Join(dir, "c.properties"), "")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := m.Spec.Clusters[0].Connection(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.Security.SASL.Password.Reveal(); got != tt.want {
				t.Errorf("the password is %q, want %q", got, tt.want)
			}
		})
	}
	for text, want := range map[string]string{
		"sasl.password=${env:KFERRY_TEST_NONE}":                                        "reference ${env:KFERRY_TEST_NONE}: environment variable KFERRY_TEST_NONE is not set: export it",
		"sasl.password=${file:" + dir + "/none:pw}":                                    "there is no such file",
		"sasl.password=${file:" + dir + "/secrets.properties:no}":                      "secrets.properties has no key no: add it",
		"sasl.password=${directory:" + dir + ":../x}":                                  "../x is not a file name",
		"sasl.password=${directory:" + dir + ":none}":                                  "no such file or directory",
		"config.providers=v\nsasl.password=${v:a:b}":                                   "its config provider (class ) is not known",
		"config.providers=v\nconfig.providers.v.class=x.Vault\nsasl.password=${v:a:b}": "its config provider (class x.Vault) is not known: use file, env or directory",
	} {
		writeTemp(t, dir, "c.properties", head+text)
		m, err := FromFlags("", "t:1", []string{"x"}, nil, filepath.Join(dir, "c.properties"), "")
		if err != nil { // secrets are read late
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, err := m.Spec.Clusters[0].Connection(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestMigrationFileOverridesProperties: what both files say, the migration file decides.
func TestMigrationFileOverridesProperties(t *testing.T) {
	dir := t.TempDir()
	writeTemp(t, dir, "c.properties", "bootstrap.servers=a:1\nclient.id=theirs\nrequest.timeout.ms=1000\n")
	path := writeTemp(t, dir, "m.yaml", `apiVersion: kferry.io/v1alpha1
kind: Migration
metadata: {name: x}
spec:
  clusters:
    - {alias: a, properties: c.properties}
    - {alias: b, properties: c.properties, bootstrapServers: 'b:1', clientId: ours, requestTimeout: 30s, dialTimeout: 3s}
  flows: [{source: a, target: b, topics: [x]}]
`)
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []kafka.Connection
	for i := range m.Spec.Clusters {
		c, err := m.Spec.Clusters[i].Connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	want := []kafka.Connection{
		{Alias: "a", Bootstrap: []string{"a:1"}, ClientID: "theirs", RequestTimeout: time.Second, DialTimeout: 10 * time.Second},
		{Alias: "b", Bootstrap: []string{"b:1"}, ClientID: "ours", RequestTimeout: 30 * time.Second, DialTimeout: 3 * time.Second},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("connections (-want +got):\n%s", d)
	}
}
