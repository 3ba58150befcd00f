package kafka_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/kafka"
)

func openssl(t testing.TB, args ...string) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl not found: install it, on Debian: apt-get install openssl")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v: %s", args, err, out)
	}
}

func TestEncryptedKeys(t *testing.T) {
	raw, err := os.ReadFile("testdata/pkcs8/plain.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	cert := newAuthority(t, "CA").issue(t, "kferry", time.Now().Add(time.Hour), key.(crypto.Signer).Public())
	rewrite := "openssl pkcs8 -topk8 -v2 aes256"
	tests := []struct{ file, password, want string }{
		{"plain", "", ""},
		{"aes256-sha256", "changeit", ""},
		{"aes128-sha1", "changeit", ""},
		{"aes192-sha384", "changeit", ""},
		{"aes256-sha512", "changeit", ""},
		{"des3", "changeit", ""},
		{"aes256-sha256", "", "its key is encrypted: give the key's password"},
		{"aes256-sha256", canary, "the key's password is wrong"},
		{"aes128-sha1", canary, "the key's password is wrong"},
		{"des3", canary, "the key's password is wrong"},
		{"scrypt", "changeit", rewrite},
		{"pbes1", "changeit", rewrite},
		{"legacy", "changeit", rewrite},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.password, func(t *testing.T) {
			path := "testdata/pkcs8/" + tt.file + ".pem"
			conn := kafka.Connection{Bootstrap: []string{"b:1"}, Security: kafka.Security{TLS: &kafka.TLS{Client: kafka.ClientStore{
				Cert: kafka.Store{PEM: pemText(certPEM(cert))}, Key: kafka.Store{Path: path}, KeyPassword: kafka.NewSecret(tt.password),
			}}}}
			_, err := conn.Auth(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path)):
				t.Errorf("got %v, want %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the password is in %v", err)
			}
		})
	}
	other := kafka.Connection{Bootstrap: []string{"b:1"}, Security: kafka.Security{TLS: &kafka.TLS{Client: kafka.ClientStore{
		Cert: kafka.Store{PEM: pemText(certPEM(newAuthority(t, "x").cert))}, Key: kafka.Store{Path: "testdata/pkcs8/plain.pem"},
	}}}}
	if _, err := other.Auth(t.Context()); err == nil || !strings.Contains(err.Error(), "no certificate in it belongs to the key") {
		t.Errorf("a certificate of another key: %v", err)
	}
}
