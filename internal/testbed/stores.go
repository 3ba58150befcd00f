package testbed

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// addStores adds the contents of the PKCS#12 and JKS stores to files.
func addStores(files map[string][]byte, c *Certificates, ca, client, server *identity) (err error) {
	files[c.TruststoreP12], err = pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, c.Password)
	if err != nil {
		return fmt.Errorf("make the PKCS#12 truststore: %w", err)
	}
	for name, i := range map[string]*identity{c.KeystoreP12: client, c.server: server} {
		files[name], err = pkcs12.Modern.Encode(i.key, i.cert, []*x509.Certificate{ca.cert}, c.Password)
		if err != nil {
			return fmt.Errorf("make the PKCS#12 keystore %s: %w", name, err)
		}
	}
	return addJKS(files, c, ca, client)
}

// addJKS adds the stores in Java's own old format.
func addJKS(files map[string][]byte, c *Certificates, ca, client *identity) error {
	x509Cert := func(i *identity) keystore.Certificate {
		return keystore.Certificate{Type: "X509", Content: i.cert.Raw}
	}
	trust, own := keystore.New(), keystore.New()
	err := trust.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{
		CreationTime: time.Now(), Certificate: x509Cert(ca)})
	if err != nil {
		return fmt.Errorf("make the JKS truststore: %w", err)
	}
	err = own.SetPrivateKeyEntry("client", keystore.PrivateKeyEntry{
		CreationTime: time.Now(), PrivateKey: client.der,
		CertificateChain: []keystore.Certificate{x509Cert(client), x509Cert(ca)},
	}, []byte(c.Password))
	if err != nil {
		return fmt.Errorf("make the JKS keystore: %w", err)
	}
	for name, store := range map[string]keystore.KeyStore{c.TruststoreJKS: trust, c.KeystoreJKS: own} {
		var b bytes.Buffer
		if err := store.Store(&b, []byte(c.Password)); err != nil {
			return fmt.Errorf("write the JKS store %s: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	return nil
}
