package testbed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are the files that clients of a cluster with SSL listeners
// need, in every form that Kafka clients take. They live as long as the
// cluster. Keys are ECDSA P-256, in PKCS#8 and not encrypted; what has a
// password has Password.
type Certificates struct {
	CA         string // PEM: signed the brokers' and the client's certificates
	OtherCA    string // PEM: signed nothing here; trusting only it must fail
	ClientCert string // PEM: certificate of "CN=client"
	ClientKey  string // PEM: its private key
	ClientPEM  string // PEM: key and certificate in one file, a Java keystore of type PEM

	TruststoreP12, TruststoreJKS string // hold the CA
	KeystoreP12, KeystoreJKS     string // hold the client's key and chain, entry "client"
	Password                     string // of the four stores and the keys in them

	server string // PKCS#12: the brokers' key and chain
	config *tls.Config
}

// ClientPrincipal is who a client with the test bed's certificate is.
const ClientPrincipal = "User:CN=client"

// TLS is a configuration that trusts the CA and shows the client certificate
// to a broker that asks for one.
func (c *Certificates) TLS() *tls.Config { return c.config.Clone() }

// makeCertificates makes everything anew, in the directory dir.
func makeCertificates(dir string) (*Certificates, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for certificates: %w", err)
	}
	ca, err := newIdentity("kferry test CA", nil)
	if err != nil {
		return nil, err
	}
	other, err := newIdentity("another CA", nil)
	if err != nil {
		return nil, err
	}
	server, err := newIdentity("broker", ca)
	if err != nil {
		return nil, err
	}
	client, err := newIdentity("client", ca)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	c := &Certificates{
		CA: in("ca.pem"), OtherCA: in("other-ca.pem"),
		ClientCert: in("client.pem"), ClientKey: in("client-key.pem"), ClientPEM: in("client-keystore.pem"),
		TruststoreP12: in("truststore.p12"), TruststoreJKS: in("truststore.jks"),
		KeystoreP12: in("keystore.p12"), KeystoreJKS: in("keystore.jks"),
		Password: "store password", server: in("server.p12"),
	}
	c.config = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	c.config.RootCAs.AddCert(ca.cert)
	c.config.Certificates = []tls.Certificate{{Certificate: [][]byte{client.cert.Raw}, PrivateKey: client.key}}
	files := map[string][]byte{
		c.CA: ca.certPEM(), c.OtherCA: other.certPEM(), c.ClientCert: client.certPEM(), c.ClientKey: client.keyPEM(),
		c.ClientPEM: bytes.Join([][]byte{client.keyPEM(), client.certPEM(), ca.certPEM()}, nil),
	}
	if err := addStores(files, c, ca, client, server); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return c, nil
}

// identity is a certificate and its private key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	der  []byte // the key in PKCS#8
}

// newIdentity makes a certificate for 127.0.0.1 and localhost that signer has
// signed, or a CA that has signed itself when signer is nil.
func newIdentity(name string, signer *identity) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, fmt.Errorf("make a serial number for %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(0, 0, 7),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	if signer == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		template.ExtKeyUsage, template.IPAddresses, template.DNSNames = nil, nil, nil
		signer = &identity{cert: template, key: key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, signer.cert, key.Public(), signer.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate of %s: %w", name, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	return &identity{cert, key, der}, nil
}

func (i *identity) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *identity) keyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: i.der})
}
