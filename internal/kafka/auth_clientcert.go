package kafka

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// ClientStore is our own certificate and key: one JKS, PKCS12 or PEM file, two PEM files, or PEM text.
type ClientStore struct {
	// Cert is the key store, or the PEM file with the certificate chain.
	Cert Store
	// Key is the PEM key when it is not in Cert.
	Key Store
	// KeyPassword decrypts the key; empty means the password of Cert (JKS, PKCS12) or none (PEM).
	KeyPassword Secret
}

// IsZero reports whether no client certificate is given.
func (c ClientStore) IsZero() bool { return c.Cert.IsZero() && c.Key.IsZero() }

// load reads every usable certificate of the store.
func (c ClientStore) load() ([]tls.Certificate, error) {
	if c.Cert.IsZero() {
		return nil, fmt.Errorf("client key %s has no certificate: give the certificate chain as well", c.Key.Path)
	}
	name := storeName("client certificate", c.Cert.Path)
	data, err := c.Cert.read()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var certs []tls.Certificate
	switch k := detectStore(data); k {
	case kindPEM:
		return c.loadPEM(name, data)
	case kindJKS:
		certs, err = jksKeys(data, c.Cert.Password, c.KeyPassword)
	case kindPKCS12:
		certs, err = pkcs12Keys(data, c.Cert.Password)
	default:
		err = errKind(k)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("read %s: it holds no private key", name)
	}
	return certs, nil
}

func (c ClientStore) loadPEM(name string, data []byte) ([]tls.Certificate, error) {
	chain, err := pemCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	keyName, keyData := name, data
	if !c.Key.IsZero() {
		keyName = storeName("client key", c.Key.Path)
		if keyData, err = c.Key.read(); err != nil {
			return nil, fmt.Errorf("read %s: %w", keyName, err)
		}
	}
	key, err := pemKey(keyData, c.KeyPassword)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keyName, err)
	}
	tc, err := keyPair(key, chain)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return []tls.Certificate{tc}, nil
}

// keyPair joins a key to the certificate in chain that it belongs to and puts that one first.
func keyPair(key crypto.PrivateKey, chain []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a key of type %T cannot sign", key)
	}
	pub, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a key of type %T is not supported", key)
	}
	i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return pub.Equal(c.PublicKey) })
	if i < 0 {
		return tls.Certificate{}, errors.New("no certificate in it belongs to the key")
	}
	tc := tls.Certificate{PrivateKey: signer, Leaf: chain[i], Certificate: [][]byte{chain[i].Raw}}
	for j, c := range chain {
		if j != i {
			tc.Certificate = append(tc.Certificate, c.Raw)
		}
	}
	return tc, nil
}

// pemKey finds the first private key.
func pemKey(data []byte, password Secret) (crypto.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("it holds no private key")
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("its key is encrypted in OpenSSL's old form: rewrite it with openssl pkcs8 -topk8 -v2 aes256")
		}
		switch block.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			if password.IsZero() {
				return nil, errors.New("its key is encrypted: give the key's password")
			}
			der, err := decryptPKCS8(block.Bytes, password)
			if err != nil {
				return nil, err
			}
			key, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				return nil, errKeyPassword
			}
			return key, nil
		}
	}
}

// certReloader serves the client certificate and reads it again when a file changed, so that short-lived
// certificates (cert-manager, SPIFFE) need no restart.
type certReloader struct {
	store ClientStore

	mu    sync.Mutex
	certs []tls.Certificate
	stamp string
}

func newCertReloader(store ClientStore) (*certReloader, error) {
	r := &certReloader{store: store, stamp: store.stamp()}
	certs, err := store.load()
	if err != nil {
		return nil, err
	}
	r.certs = certs
	return r, nil
}

// get is a tls.Config.GetClientCertificate. While certificate and key are being replaced one after the other
// they do not fit; the previous pair then serves on, and the next handshake tries again.
func (r *certReloader) get(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	if stamp := r.store.stamp(); stamp != r.stamp {
		if certs, err := r.store.load(); err == nil {
			r.certs, r.stamp = certs, stamp
		}
	}
	certs := r.certs
	r.mu.Unlock()
	for i := range certs {
		if info.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	// None fits the authorities that the broker names. Some brokers name none of theirs: the first one is
	// offered all the same, and the broker's refusal is a better message than an empty answer.
	return &certs[0], nil
}

// stamp changes when a file of the store does.
func (c ClientStore) stamp() string {
	var s string
	for _, path := range []string{c.Cert.Path, c.Key.Path} {
		if path == "" {
			continue
		}
		if fi, err := os.Stat(path); err == nil {
			s += fmt.Sprintf("%d@%s;", fi.Size(), fi.ModTime().Format(time.RFC3339Nano))
		}
	}
	return s
}
