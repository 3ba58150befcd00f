package kafka

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

var errStorePassword = errors.New("the store's password is wrong or missing, or the file is damaged")

// jksRoots takes what Java's default trust manager would: the trusted certificates and the first
// certificate of each key entry.
func jksRoots(data []byte, password Secret) ([]*x509.Certificate, error) {
	ks, err := openJKS(data, password)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, alias := range ks.Aliases() {
		var raw []byte
		if ks.IsTrustedCertificateEntry(alias) {
			e, err := ks.GetTrustedCertificateEntry(alias)
			if err != nil {
				return nil, fmt.Errorf("entry %q: %w", alias, err)
			}
			raw = e.Certificate.Content
		} else {
			chain, err := ks.GetPrivateKeyEntryCertificateChain(alias)
			if err != nil || len(chain) == 0 {
				continue
			}
			raw = chain[0].Content
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", alias, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// jksKeys takes every private key entry; the one the broker accepts is chosen in the handshake.
func jksKeys(data []byte, password, keyPassword Secret) ([]tls.Certificate, error) {
	ks, err := openJKS(data, password)
	if err != nil {
		return nil, err
	}
	if keyPassword.IsZero() {
		keyPassword = password
	}
	var certs []tls.Certificate
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(keyPassword.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("entry %q: the key's password is wrong or missing", alias)
		}
		key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", alias, err)
		}
		var chain []*x509.Certificate
		for _, c := range e.CertificateChain {
			cert, err := x509.ParseCertificate(c.Content)
			if err != nil {
				return nil, fmt.Errorf("entry %q: %w", alias, err)
			}
			chain = append(chain, cert)
		}
		tc, err := keyPair(key, chain)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", alias, err)
		}
		certs = append(certs, tc)
	}
	return certs, nil
}

// openJKS opens the store. Its last 20 bytes are a SHA-1 over password and content; Java skips that check when
// no password is given, so the digest is then replaced by the one for the empty password.
func openJKS(data []byte, password Secret) (keystore.KeyStore, error) {
	ks := keystore.New(keystore.WithCaseExactAliases(), keystore.WithOrderedAliases())
	if password.IsZero() && len(data) > sha1.Size {
		body := data[:len(data)-sha1.Size]
		h := sha1.New()
		h.Write([]byte("Mighty Aphrodite")) // the constant that the format mixes in
		h.Write(body)
		data = h.Sum(bytes.Clone(body))
	}
	if err := ks.Load(bytes.NewReader(data), []byte(password.Reveal())); err != nil {
		return ks, errStorePassword
	}
	return ks, nil
}

func pkcs12Roots(data []byte, password Secret) ([]*x509.Certificate, error) {
	certs, err := pkcs12.DecodeTrustStore(data, password.Reveal())
	if err == nil {
		return certs, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, errStorePassword
	}
	// A key store used as a trust store: Java trusts the certificate of the key.
	if _, leaf, chain, err := pkcs12.DecodeChain(data, password.Reveal()); err == nil {
		return append([]*x509.Certificate{leaf}, chain...), nil
	}
	return nil, fmt.Errorf("%w: Java would not trust it either; import the CA with keytool -importcert, or give it as PEM", err)
}

func pkcs12Keys(data []byte, password Secret) ([]tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password.Reveal())
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, errStorePassword
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	tc, err := keyPair(signer, append([]*x509.Certificate{leaf}, chain...))
	if err != nil {
		return nil, err
	}
	return []tls.Certificate{tc}, nil
}
