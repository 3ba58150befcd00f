package config

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	yaml "go.yaml.in/yaml/v4"

	"github.com/kferry/kferry/internal/kafka"
)

func TestSecretRefResolves(t *testing.T) {
	dir := t.TempDir()
	writeTemp(t, dir, "pw", canary+"\n")
	writeTemp(t, dir, "crlf", canary+"\r\n")
	writeTemp(t, dir, "empty", "\n")
	writeTemp(t, dir, "binary", "\xff\xfe")
	writeTemp(t, dir, "large", strings.Repeat("x", maxSecretBytes+1))
	script := writeTemp(t, dir, "print", "#!/bin/sh\necho "+canary+"\n")
	os.Chmod(script, 0o700)
	t.Setenv("KFERRY_TEST_PASSWORD", canary)
	t.Setenv("KFERRY_TEST_EMPTY", "")
	tests := []struct {
		ref  SecretRef
		want string // of the error
	}{
		{SecretRef{Env: "KFERRY_TEST_PASSWORD"}, ""},
		{SecretRef{File: filepath.Join(dir, "pw")}, ""},
		{SecretRef{File: "pw", dir: dir}, ""},
		{SecretRef{File: "crlf", dir: dir}, ""},
		{SecretRef{Exec: []string{"sh", "-c", "printf '%s' " + canary}}, ""},
		{SecretRef{Exec: []string{"./print"}, dir: dir}, ""},
		{SecretRef{Env: "KFERRY_TEST_NONE"}, "read secret from environment variable KFERRY_TEST_NONE: it is not set: export it before starting kferry"},
		{SecretRef{Env: "KFERRY_TEST_EMPTY"}, "read secret from environment variable KFERRY_TEST_EMPTY: it is empty"},
		{SecretRef{File: "none", dir: dir}, "read secret from file " + dir + "/none: no such file or directory"},
		{SecretRef{File: "empty", dir: dir}, "it is empty"},
		{SecretRef{File: "binary", dir: dir}, "it is not UTF-8 text"},
		{SecretRef{File: "large", dir: dir}, "it is larger than 65536 bytes"},
		{SecretRef{File: "/dev/zero"}, "it is larger than 65536 bytes"},
		{SecretRef{File: ".", dir: dir}, "is a directory"},
		{SecretRef{Exec: []string{"sh", "-c", "echo " + canary + " >&2; exit 3", canary}}, "read secret from command sh: exit status 3: run it by hand to see why"},
		{SecretRef{Exec: []string{"kferry-no-such-command"}}, "read secret from command kferry-no-such-command: executable file not found in $PATH: run it by hand"},
		{SecretRef{Exec: []string{"sh", "-c", "yes " + canary + " | head -c 100000"}}, "it printed more than 65536 bytes"},
		{SecretRef{}, "no place given"},
	}
	for _, tt := range tests {
		got, err := tt.ref.Resolve(t.Context())
		switch {
		case tt.want == "" && (err != nil || got.Reveal() != canary):
			t.Errorf("%s: %v", tt.ref, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s\ngot  %v\nwant %s", tt.ref, err, tt.want)
		case err != nil && strings.Contains(err.Error(), canary):
			t.Errorf("the secret is in %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	hang := SecretRef{Exec: []string{"sleep", "60"}}
	if _, err := hang.Resolve(ctx); err == nil || !strings.Contains(err.Error(), "command sleep: it did not end") {
		t.Errorf("a command that hangs: %v", err)
	}
}

// canaryMigration has a secret in every place that can hold one.
const canaryMigration = `apiVersion: kferry.io/v1alpha1
kind: Migration
metadata: {name: canary}
spec:
  clusters:
    - {alias: plain, bootstrapServers: ['a:1'], tls: {}, auth: {plain: {username: u, password: {file: pw}}}}
    - {alias: scram, bootstrapServers: ['b:1'], auth: {scram: {username: u, password: {env: KFERRY_TEST_PASSWORD}}}}
    - alias: oauth
      bootstrapServers: ['c:1']
      tls: {cert: c.pem, keyPassword: {file: pw}, truststore: {path: t, password: {file: pw}}}
      auth: {oauth: {tokenUrl: 'https://idp/t', clientId: c, clientSecret: {exec: [sh, -c, cat $0/pw, DIR]}}}
    - {alias: token, bootstrapServers: ['d:1'], tls: {keystore: {path: k, password: {file: pw}, keyPassword: {file: pw}}}, auth: {oauth: {token: {env: KFERRY_TEST_PASSWORD}}}}
    - {alias: java, properties: c.properties}
    - {alias: java2, properties: d.properties}
  flows: [{source: plain, target: scram, topics: [x]}]
`

// TestSecretsAreNeverShown resolves every secret there is and prints everything in every way.
func TestSecretsAreNeverShown(t *testing.T) {
	dir := t.TempDir()
	writeTemp(t, dir, "pw", canary+"\n")
	t.Setenv("KFERRY_TEST_PASSWORD", canary)
	writeTemp(t, dir, "c.properties", "bootstrap.servers=e:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.keystore.password="+canary+
		"\nssl.key.password="+canary+"\nssl.truststore.password="+canary+"\nssl.keystore.key=-----BEGIN PRIVATE KEY-----"+canary+"-----END PRIVATE KEY-----\nssl.keystore.certificate.chain=x"+
		"\nsasl.jaas.config="+plainModule+` required username="u" password="`+canary+`";`+"\nmy.password="+canary+"\nsasl.pasword="+canary)
	writeTemp(t, dir, "d.properties", "bootstrap.servers=f:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/t\nsasl.jaas.config="+
		oauthModule+` required clientId="c" clientSecret="`+canary+`" ssl.truststore.location="/t" ssl.truststore.password="`+canary+`";`)
	m, err := Load(writeTemp(t, dir, "m.yaml", strings.ReplaceAll(canaryMigration, "DIR", dir)))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	show := map[string]any{"migration": m, "warnings": m.Warnings}
	for i := range m.Spec.Clusters {
		c := &m.Spec.Clusters[i]
		conn, err := c.Connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s := conn.Security.SASL; s.Password.Reveal() == canary || s.OAuth != nil && (s.OAuth.ClientSecret.Reveal() == canary || s.OAuth.Token.Reveal() == canary) {
			found++
		}
		show["cluster "+c.Alias] = *c
		show["connection "+c.Alias] = conn
		a, err := conn.Auth(t.Context())
		show["auth "+c.Alias], show["error "+c.Alias] = a, err
		if a != nil {
			show["mechanism "+c.Alias] = a.Mechanism
		}
	}
	if found != len(m.Spec.Clusters) {
		t.Errorf("the secret reached %d of %d connections", found, len(m.Spec.Clusters))
	}
	var logs bytes.Buffer
	for name, v := range show {
		out := fmt.Sprintf("%v\n%+v\n%s\n%q\n%x", v, v, v, v, v)
		if b, err := json.Marshal(v); err == nil {
			out += string(b)
		}
		if b, err := yaml.Marshal(v); err == nil {
			out += string(b)
		}
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
		// The parsed properties file is text with the secret in it; it must not be reachable by printing.
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			i := strings.Index(out, canary)
			t.Errorf("%s shows the secret: ...%s", name, out[max(0, i-200):])
		}
	}
	if strings.Contains(logs.String(), canary) {
		t.Error("the logs show the secret")
	}
}

// TestRotatedSecretsAreUsed changes the places of secrets under a connection that is in use.
func TestRotatedSecretsAreUsed(t *testing.T) {
	dir := t.TempDir()
	writeTemp(t, dir, "pw", "first\n")
	writeTemp(t, dir, "c.properties", "bootstrap.servers=e:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=${directory:.:pw}\n")
	m, err := Load(writeTemp(t, dir, "m.yaml", `apiVersion: kferry.io/v1alpha1
kind: Migration
metadata: {name: rotate}
spec:
  clusters:
    - {alias: a, bootstrapServers: ['a:1'], tls: {}, auth: {plain: {username: u, password: {file: pw}}}}
    - {alias: b, properties: c.properties}
  flows: [{source: a, target: b, topics: [x]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	synctest.Test(t, func(t *testing.T) {
		var auths []*kafka.Auth
		for i := range m.Spec.Clusters {
			conn, err := m.Spec.Clusters[i].Connection(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			a, err := conn.Auth(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			auths = append(auths, a)
		}
		for _, step := range []struct {
			password, want string
			wait           time.Duration
		}{{"first", "first", 0}, {"second", "first", time.Second}, {"second", "second", refreshInterval}} {
			writeTemp(t, dir, "pw", step.password+"\n")
			time.Sleep(step.wait)
			for i, a := range auths {
				_, msg, err := a.Mechanism.Authenticate(context.Background(), "a:1")
				if want := "\x00u\x00" + step.want; err != nil || string(msg) != want {
					t.Errorf("cluster %d sent %q, %v, want %q", i, msg, err, want)
				}
			}
		}
	})
}
