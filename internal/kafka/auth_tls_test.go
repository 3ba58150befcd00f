package kafka_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kferry/kferry/internal/kafka"
)

// tlsBroker accepts TLS connections, answers one byte after the handshake and hangs up. It gives its address and
// the certificates that clients showed.
func tlsBroker(t *testing.T, cfg *tls.Config) (addr string, clients <-chan []*x509.Certificate) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	seen := make(chan []*x509.Certificate, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				tc := tls.Server(c, cfg)
				if tc.Handshake() == nil {
					seen <- tc.ConnectionState().PeerCertificates
					tc.Write([]byte{1})
					tc.Read(make([]byte, 1)) // until the client has read it
				}
			}()
		}
	}()
	return ln.Addr().String(), seen
}

// shake does what a dialer does: handshake, then a first read, in which TLS 1.3 tells a refused certificate.
func shake(t *testing.T, addr string, conf *kafka.TLS) error {
	t.Helper()
	conn := kafka.Connection{Alias: "t", Bootstrap: []string{addr}, Security: kafka.Security{TLS: conf}}
	a, err := conn.Auth(t.Context())
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	cfg := a.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	tc := tls.Client(c, cfg)
	if err := tc.Handshake(); err != nil {
		return a.Explain(addr, err)
	}
	_, err = io.ReadFull(tc, make([]byte, 1))
	return a.Explain(addr, err)
}

func TestTLSChecksBrokers(t *testing.T) {
	dir := t.TempDir()
	ours, other := newAuthority(t, "Our CA"), newAuthority(t, "Other CA")
	ca := writeFile(t, dir, "ca.pem", append([]byte("# the CA of the test\n"), certPEM(other.cert, ours.cert)...))
	otherCA := kafka.Store{PEM: pemText(certPEM(other.cert))}
	good, _ := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "127.0.0.1")}})
	named, _ := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "broker.internal")}})
	key := newKey(t)
	expired, _ := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{ours.issue(t, "127.0.0.1", time.Now().Add(-time.Hour), key.Public()).Raw}, PrivateKey: key,
	}}})
	old, _ := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "127.0.0.1")}, MaxVersion: tls.VersionTLS12})

	tests := []struct {
		name, addr string
		conf       kafka.TLS
		want       string // part of the refusal; empty means it works
	}{
		{"CA from file", good, kafka.TLS{CA: kafka.Store{Path: ca}}, ""},
		{"CA from text", good, kafka.TLS{CA: kafka.Store{PEM: pemText(certPEM(ours.cert))}}, ""},
		{"wrong CA", good, kafka.TLS{CA: otherCA}, `presented a certificate that no trusted authority signed (issued by "Our CA"): trust the CA that signed it (tls.ca, ssl.truststore.location)`},
		{"system's CAs", good, kafka.TLS{}, "no trusted authority signed"},
		{"wrong CA accepted", good, kafka.TLS{CA: otherCA, InsecureSkipVerify: true}, ""},
		{"wrong host", named, kafka.TLS{CA: kafka.Store{Path: ca}}, "presented a certificate for broker.internal, not for 127.0.0.1: use a name that the certificate has, or say which to expect (tls.serverName)"},
		{"other name expected", named, kafka.TLS{CA: kafka.Store{Path: ca}, ServerName: "broker.internal"}, ""},
		{"host not checked", named, kafka.TLS{CA: kafka.Store{Path: ca}, SkipHostName: true}, ""},
		{"host not checked, wrong CA", named, kafka.TLS{CA: otherCA, SkipHostName: true}, "no trusted authority signed"},
		{"expired", expired, kafka.TLS{CA: kafka.Store{Path: ca}}, "presented a certificate that is valid from "},
		{"TLS 1.2", old, kafka.TLS{CA: kafka.Store{Path: ca}}, ""},
		{"TLS 1.3 asked, 1.2 there", old, kafka.TLS{CA: kafka.Store{Path: ca}, MinVersion: tls.VersionTLS13}, "shares no TLS version with us"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := shake(t, tt.addr, &tt.conf)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *kafka.RefusedError
			if !errors.As(err, &refused) || refused.Broker != tt.addr || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant a refusal by %s with %q", err, tt.addr, tt.want)
			}
		})
	}
}

func TestTLSToAPlainPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("\x00\x00\x00\x04hell"))
			c.Close()
		}
	}()
	err = shake(t, ln.Addr().String(), &kafka.TLS{InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "does not speak TLS on this port") {
		t.Error(err)
	}
}

// clientStores are one certificate and key in the forms that users have.
func clientStores(t *testing.T, a *authority, dir string) map[string]kafka.ClientStore {
	t.Helper()
	key := newKey(t)
	cert := a.issue(t, "kferry", time.Now().Add(time.Hour), key.Public())
	// The CA first: the certificate of the key must be found, not taken for the first.
	chain := writeFile(t, dir, "chain.pem", certPEM(a.cert, cert))
	keyFile := writeFile(t, dir, "key.pem", keyPEM(t, key))
	both := writeFile(t, dir, "both.pem", append(keyPEM(t, key), certPEM(cert)...))
	p12, jks, twoPasswords := filepath.Join(dir, "k.p12"), filepath.Join(dir, "k.jks"), filepath.Join(dir, "two.jks")
	openssl(t, "pkcs12", "-export", "-in", both, "-name", "kferry", "-out", p12, "-passout", "pass:changeit")
	keytool(t, "-importkeystore", "-noprompt", "-srckeystore", p12, "-srcstoretype", "PKCS12", "-srcstorepass", "changeit",
		"-destkeystore", jks, "-deststoretype", "JKS", "-deststorepass", "changeit")
	keytool(t, "-importkeystore", "-noprompt", "-srckeystore", p12, "-srcstoretype", "PKCS12", "-srcstorepass", "changeit", "-srcalias", "kferry",
		"-destkeystore", twoPasswords, "-deststoretype", "JKS", "-deststorepass", "changeit", "-destkeypass", "another1")
	javaP12 := filepath.Join(dir, "java.p12")
	keytool(t, "-importkeystore", "-noprompt", "-srckeystore", jks, "-srcstorepass", "changeit",
		"-destkeystore", javaP12, "-deststoretype", "PKCS12", "-deststorepass", "changeit")
	pass := kafka.NewSecret("changeit")
	return map[string]kafka.ClientStore{
		"two PEM files":          {Cert: kafka.Store{Path: chain}, Key: kafka.Store{Path: keyFile}},
		"one PEM file":           {Cert: kafka.Store{Path: both}},
		"PEM text":               {Cert: kafka.Store{PEM: pemText(certPEM(cert))}, Key: kafka.Store{PEM: pemText(keyPEM(t, key))}},
		"PKCS12 of openssl":      {Cert: kafka.Store{Path: p12, Password: pass}},
		"PKCS12 of Java":         {Cert: kafka.Store{Path: javaP12, Password: pass}},
		"JKS":                    {Cert: kafka.Store{Path: jks, Password: pass}},
		"JKS with key password":  {Cert: kafka.Store{Path: twoPasswords, Password: pass}, KeyPassword: kafka.NewSecret("another1")},
		"JKS unchecked, key pwd": {Cert: kafka.Store{Path: jks}, KeyPassword: pass},
	}
}

func TestMutualTLSWithEveryKindOfStore(t *testing.T) {
	dir := t.TempDir()
	ours := newAuthority(t, "Our CA")
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	addr, clients := tlsBroker(t, &tls.Config{
		Certificates: []tls.Certificate{ours.pair(t, "127.0.0.1")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	ca := kafka.Store{PEM: pemText(certPEM(ours.cert))}
	for name, store := range clientStores(t, ours, dir) {
		t.Run(name, func(t *testing.T) {
			if err := shake(t, addr, &kafka.TLS{CA: ca, Client: store}); err != nil {
				t.Fatal(err)
			}
			if certs := <-clients; len(certs) == 0 || certs[0].Subject.CommonName != "kferry" {
				t.Errorf("the broker saw %v", certs)
			}
		})
	}
	if err := shake(t, addr, &kafka.TLS{CA: ca}); err == nil || !strings.Contains(err.Error(), "wants a client certificate: give one") {
		t.Errorf("without a certificate: %v", err)
	}
	foreign, key := pairPEM(t, newAuthority(t, "Foreign CA").pair(t, "kferry"))
	err := shake(t, addr, &kafka.TLS{CA: ca, Client: kafka.ClientStore{Cert: kafka.Store{PEM: pemText(foreign)}, Key: kafka.Store{PEM: pemText(key)}}})
	if err == nil || !strings.Contains(err.Error(), "refused our client certificate") {
		t.Errorf("with a certificate of another CA: %v", err)
	}
}

func TestTruststoresOfJava(t *testing.T) {
	dir := t.TempDir()
	ours := newAuthority(t, "Our CA")
	ca := writeFile(t, dir, "ca.pem", certPEM(ours.cert))
	jks, p12, jceks := filepath.Join(dir, "t.jks"), filepath.Join(dir, "t.p12"), filepath.Join(dir, "t.jceks")
	for path, kind := range map[string]string{jks: "JKS", p12: "PKCS12", jceks: "JCEKS"} {
		keytool(t, "-importcert", "-noprompt", "-alias", "ca", "-file", ca, "-keystore", path, "-storetype", kind, "-storepass", "changeit")
	}
	keyOnly := filepath.Join(dir, "self.jks") // a key entry whose certificate is its own authority
	keytool(t, "-genkeypair", "-alias", "x", "-keyalg", "EC", "-dname", "CN=self", "-keystore", keyOnly, "-storetype", "JKS", "-storepass", "changeit", "-keypass", "changeit")
	addr, _ := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "127.0.0.1")}})
	pass, wrong := kafka.NewSecret("changeit"), kafka.NewSecret(canary)
	empty := writeFile(t, dir, "empty", nil)
	text := writeFile(t, dir, "text", []byte("hello"))
	broken := writeFile(t, dir, "broken.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	keyless := writeFile(t, dir, "key.pem", keyPEM(t, newKey(t)))
	tests := []struct {
		name  string
		store kafka.Store
		want  string
	}{
		{"JKS", kafka.Store{Path: jks, Password: pass}, ""},
		{"JKS without password", kafka.Store{Path: jks}, ""},
		{"JKS with a wrong one", kafka.Store{Path: jks, Password: wrong}, "read truststore " + jks + ": the store's password is wrong or missing"},
		{"PKCS12", kafka.Store{Path: p12, Password: pass}, ""},
		{"PKCS12 with a wrong password", kafka.Store{Path: p12, Password: wrong}, "the store's password is wrong or missing"},
		{"PKCS12 without password", kafka.Store{Path: p12}, "the store's password is wrong or missing"},
		{"JCEKS", kafka.Store{Path: jceks, Password: pass}, "JCEKS stores are not supported: convert it with keytool -importkeystore -deststoretype PKCS12"},
		{"key store with another authority", kafka.Store{Path: keyOnly, Password: pass}, "no trusted authority signed"},
		{"missing", kafka.Store{Path: dir + "/none"}, "read truststore " + dir + "/none: no such file or directory"},
		{"directory", kafka.Store{Path: dir}, "is a directory"},
		{"endless", kafka.Store{Path: "/dev/zero"}, "it is larger than 16777216 bytes"},
		{"empty", kafka.Store{Path: empty}, "the file is empty"},
		{"text", kafka.Store{Path: text}, "it is neither JKS, PKCS12 nor PEM"},
		{"broken PEM", kafka.Store{Path: broken}, "certificate 1: x509: "},
		{"key only", kafka.Store{Path: keyless}, "it holds no certificate to trust"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := shake(t, addr, &kafka.TLS{CA: tt.store})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got  %v\nwant %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

// TestClientCertificateIsReadAgain replaces certificate and key, one after the other, and expects the old pair
// in between and the new one after.
func TestClientCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	ours := newAuthority(t, "Our CA")
	addr, clients := tlsBroker(t, &tls.Config{Certificates: []tls.Certificate{ours.pair(t, "127.0.0.1")}, ClientAuth: tls.RequireAnyClientCert})
	write := func(name string) (cert, key []byte) { return pairPEM(t, ours.pair(t, name)) }
	cert, key := write("first")
	certFile, keyFile := writeFile(t, dir, "c.pem", cert), writeFile(t, dir, "k.pem", key)
	conn := kafka.Connection{Bootstrap: []string{addr}, Security: kafka.Security{TLS: &kafka.TLS{
		CA:     kafka.Store{PEM: pemText(certPEM(ours.cert))},
		Client: kafka.ClientStore{Cert: kafka.Store{Path: certFile}, Key: kafka.Store{Path: keyFile}},
	}}}
	a, err := conn.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := func(name string) {
		t.Helper()
		cfg := a.TLS.Clone()
		cfg.ServerName = "127.0.0.1"
		c, err := tls.Dial("tcp", addr, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := (<-clients)[0].Subject.CommonName; got != name {
			t.Errorf("the broker saw %s, want %s", got, name)
		}
	}
	want("first")
	cert, key = write("second-longer-name")
	writeFile(t, dir, "c.pem", cert)
	later := time.Now().Add(3 * time.Second) // file systems with coarse times would hide the change
	os.Chtimes(certFile, later, later)
	want("first")
	writeFile(t, dir, "k.pem", key)
	os.Chtimes(keyFile, later, later)
	want("second-longer-name")
}
