package kafka

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxStoreBytes bounds what is read as a certificate store; real ones are a few kilobytes, the largest
// collections of public roots less than a megabyte.
const maxStoreBytes = 16 << 20

// Store is a set of certificates in a file, or given as PEM text. JKS, PKCS12 and PEM are told apart by their
// content: Java, too, opens a PKCS12 file that is declared to be JKS.
type Store struct {
	// Path names a JKS, PKCS12 or PEM file.
	Path string
	// PEM holds the text itself, in place of Path; a secret because a key may be in it.
	PEM Secret
	// Password opens a PKCS12 file and checks the integrity of a JKS file. Without it a JKS file is read
	// unchecked, as Java does. PEM files have none.
	Password Secret
}

// IsZero reports whether no store is given.
func (s Store) IsZero() bool { return s.Path == "" && s.PEM.IsZero() }

// storeKind is what a store's first bytes say it is.
type storeKind int

const (
	kindUnknown storeKind = iota
	kindPEM
	kindJKS
	kindJCEKS
	kindPKCS12
)

func detectStore(data []byte) storeKind {
	switch {
	case bytes.HasPrefix(data, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return kindJKS
	case bytes.HasPrefix(data, []byte{0xCE, 0xCE, 0xCE, 0xCE}):
		return kindJCEKS
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return kindPEM
	case len(data) > 2 && data[0] == 0x30: // an ASN.1 SEQUENCE
		return kindPKCS12
	}
	return kindUnknown
}

// errKind explains a store that cannot be opened by what it is.
func errKind(k storeKind) error {
	if k == kindJCEKS {
		return errors.New("JCEKS stores are not supported: convert it with keytool -importkeystore -deststoretype PKCS12")
	}
	return errors.New("it is neither JKS, PKCS12 nor PEM")
}

// roots reads the store as trust anchors.
func (s Store) roots() (*x509.CertPool, error) {
	name := storeName("truststore", s.Path)
	data, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var certs []*x509.Certificate
	switch k := detectStore(data); k {
	case kindPEM:
		certs, err = pemCertificates(data)
	case kindJKS:
		certs, err = jksRoots(data, s.Password)
	case kindPKCS12:
		certs, err = pkcs12Roots(data, s.Password)
	default:
		err = errKind(k)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("read %s: it holds no certificate to trust: import the CA that signed the brokers' certificates", name)
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

func (s Store) read() ([]byte, error) {
	if !s.PEM.IsZero() {
		return []byte(s.PEM.Reveal()), nil
	}
	return readBounded(s.Path)
}

func storeName(what, path string) string {
	if path == "" {
		return what + " given as PEM text"
	}
	return what + " " + path
}

// readBounded reads a small file; its errors name the cause but not the path, which the caller adds.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStoreBytes+1))
	switch {
	case err != nil:
		return nil, bare(err)
	case len(data) > maxStoreBytes:
		return nil, fmt.Errorf("it is larger than %d bytes", maxStoreBytes)
	case len(data) == 0:
		return nil, errors.New("the file is empty")
	}
	return data, nil
}

// bare strips operation and path from a file error.
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// pemCertificates collects the CERTIFICATE blocks and ignores others.
func pemCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
}
