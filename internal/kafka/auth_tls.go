package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLS says how to check the brokers and how to present ourselves to them.
type TLS struct {
	// CA holds the certificates that sign the brokers' certificates; the zero Store means the system's roots.
	CA Store
	// Client holds our own certificate and key for mutual TLS; the zero value means none is presented.
	Client ClientStore
	// ServerName replaces the dialled host in the certificate check and in SNI; empty means the dialled host.
	ServerName string
	// SkipHostName checks the chain but not that the certificate is for the dialled host, as the Java client
	// does with an empty ssl.endpoint.identification.algorithm.
	SkipHostName bool
	// InsecureSkipVerify accepts any certificate. Anyone between us and the brokers can then read and change
	// everything.
	InsecureSkipVerify bool
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0 means TLS 1.2. Older versions are not spoken.
	MinVersion uint16
}

// config reads the stores. The CA is read once; the client certificate again whenever its files change.
func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: max(t.MinVersion, tls.VersionTLS12),
		ServerName: t.ServerName,
	}
	if !t.CA.IsZero() {
		roots, err := t.CA.roots()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = roots
	}
	switch {
	case t.InsecureSkipVerify:
		cfg.InsecureSkipVerify = true
	case t.SkipHostName:
		// Go has no switch for this: the built-in check is off and the chain is verified here instead.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = verifyChain(cfg.RootCAs)
	}
	if !t.Client.IsZero() {
		r, err := newCertReloader(t.Client)
		if err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = r.get
	}
	return cfg, nil
}

// verifyChain is the standard check without the host name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("the broker presented no certificate")
		}
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
		}
		return nil
	}
}

// ParseTLSVersion reads "TLSv1.2" or "TLSv1.3" (also "1.2", "1.3"); empty is 0, the default.
func ParseTLSVersion(s string) (uint16, error) {
	switch s {
	case "":
		return 0, nil
	case "TLSv1.2", "1.2":
		return tls.VersionTLS12, nil
	case "TLSv1.3", "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("TLS version %q is not spoken: write TLSv1.2 or TLSv1.3", s)
}
