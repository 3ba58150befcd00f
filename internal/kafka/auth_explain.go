package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// RefusedError says that a broker and we could not agree on who the other is. It is one line: the broker, what
// was refused, what to check. Trying again without a change does not help.
type RefusedError struct {
	// Broker is the host:port that was dialled.
	Broker string
	// What was refused, by whom.
	What string
	// Check is what to look at.
	Check string

	err error
}

// Error writes broker, what and check on one line.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("broker %s %s: %s", e.Broker, e.What, e.Check)
}

// Unwrap gives the cause.
func (e *RefusedError) Unwrap() error { return e.err }

// Explain turns the error of a first TLS handshake, authentication or request at addr into a [RefusedError]
// where the cause is known, and returns err itself otherwise. It works on franz-go's errors and on our own
// connections' alike. A connection that the broker ends without a word counts as refused, so it is not for
// brokers that were spoken to before.
func (a *Auth) Explain(addr string, err error) error {
	if err = a.explainRefusal(addr, err); err == nil {
		return nil
	}
	if what, check := a.explainSilence(err); what != "" && !isRefused(err) {
		return &RefusedError{Broker: addr, What: what, Check: check, err: err}
	}
	return err
}

// explainRefusal is Explain for any connection: a silent end stays what it is.
func (a *Auth) explainRefusal(addr string, err error) error {
	if err == nil || isRefused(err) {
		return err
	}
	what, check := a.explainTLS(addr, err)
	if what == "" {
		what, check = a.explainSASL(err)
	}
	if what == "" {
		return err
	}
	return &RefusedError{Broker: addr, What: what, Check: check, err: err}
}

func isRefused(err error) bool {
	var known *RefusedError
	return errors.As(err, &known)
}

func (a *Auth) explainTLS(addr string, err error) (what, check string) {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "presented a certificate that no trusted authority signed" + issuedBy(authority.Cert),
			"trust the CA that signed it (tls.ca, ssl.truststore.location)"
	case errors.As(err, &host):
		name, _, _ := net.SplitHostPort(addr)
		return fmt.Sprintf("presented a certificate for %s, not for %s", certNames(host.Certificate), name),
			"use a name that the certificate has, or say which to expect (tls.serverName)"
	case errors.As(err, &invalid):
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return fmt.Sprintf("presented a certificate that is valid from %s to %s", invalid.Cert.NotBefore.Format(time.DateOnly), invalid.Cert.NotAfter.Format(time.DateOnly)),
				"renew the broker's certificate, or correct this machine's clock"
		}
		return "presented a certificate that is not acceptable (" + oneLine(invalid.Error()) + ")", "have the broker's certificate issued again"
	case errors.As(err, &record):
		return "does not speak TLS on this port", "use the port of its TLS listener, or leave TLS out (tls.enabled: false, security.protocol)"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" && op.Err != nil {
		return a.explainAlert(op.Err.Error())
	}
	return "", ""
}

// explainAlert reads what the broker says before it hangs up. TLS 1.3 brokers say it only in answer to the
// first request.
func (a *Auth) explainAlert(alert string) (what, check string) {
	alert = strings.TrimPrefix(alert, "tls: ")
	ours := a.TLS != nil && a.TLS.GetClientCertificate != nil
	switch {
	case strings.Contains(alert, "certificate required"), strings.Contains(alert, "bad certificate") && !ours:
		return "wants a client certificate", "give one (tls.cert and tls.key, tls.keystore, ssl.keystore.location)"
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "authority"):
		return "refused our client certificate (" + alert + ")", "check that the broker trusts its CA, that it is not expired and may be used by clients"
	case strings.Contains(alert, "protocol version"):
		return "shares no TLS version with us", "compare the broker's ssl.enabled.protocols with ours (tls.minVersion, ssl.enabled.protocols); TLS 1.2 and 1.3 are spoken"
	case strings.Contains(alert, "handshake failure"):
		return "refused the TLS handshake", "it may want a client certificate (tls.cert, ssl.keystore.location) or a cipher that is no longer spoken"
	}
	return "ended the TLS handshake (" + alert + ")", "read the broker's log"
}

func (a *Auth) explainSASL(err error) (what, check string) {
	mechanism := "SASL"
	if a.Mechanism != nil {
		mechanism = a.Mechanism.Name()
	}
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "refused our " + a.credentials() + brokerSays(err, mechanism), a.checkCredentials()
	case errors.Is(err, kerr.UnsupportedSaslMechanism), strings.Contains(err.Error(), "SASL mechanism is not supported"):
		return "does not offer " + mechanism + " on this port", "use another mechanism or the port of another listener"
	case errors.Is(err, kerr.IllegalSaslState):
		return "asks for no authentication on this port", "use the port of its SASL listener, or leave the credentials out"
	case strings.Contains(err.Error(), "the broker refused the token"):
		return "refused our " + a.credentials() + afterLast(err.Error(), "the broker refused the token"), a.checkCredentials()
	}
	return "", ""
}

// brokerSays finds the broker's own words in the error of our own connections or franz-go's; "" when they say no
// more than that the password is wrong.
func brokerSays(err error, mechanism string) string {
	text := err.Error()
	_, words, ok := strings.Cut(text, "SASL Authentication failed.: ") // franz-go puts them last
	if !ok {
		before, _, _ := strings.Cut(text, ": SASL_AUTHENTICATION_FAILED") // we put them first
		_, words, _ = strings.Cut(before, "with "+mechanism+": ")
	}
	if words == "" || strings.Contains(words, "Invalid username or password") || strings.Contains(words, "invalid credentials") {
		return ""
	}
	return " (" + oneLine(words) + ")"
}

func afterLast(s, mark string) string {
	return s[strings.LastIndex(s, mark)+len(mark):]
}

// credentials names what we showed, never its secret part.
func (a *Auth) credentials() string {
	if a.Mechanism == nil {
		return "connection without credentials"
	}
	switch a.Mechanism.Name() {
	case MechanismOAuthBearer:
		return "OAUTHBEARER token"
	case MechanismMSKIAM:
		return "AWS_MSK_IAM identity"
	}
	return fmt.Sprintf("%s credentials of user %q", a.Mechanism.Name(), a.user)
}

func (a *Auth) checkCredentials() string {
	switch {
	case a.Mechanism == nil:
		return "add an auth block or sasl.jaas.config"
	case a.Mechanism.Name() == MechanismOAuthBearer:
		return "check that it is not expired and that its issuer, audience and scope are the ones the broker wants"
	case a.Mechanism.Name() == MechanismMSKIAM:
		return "check that the role or user may kafka-cluster:Connect to this cluster, and this machine's clock"
	case a.Mechanism.Name() == MechanismPlain:
		return "check user name and password"
	}
	return "check user name and password, and that the user was created for " + a.Mechanism.Name()
}

// explainSilence is for a broker that hangs up without a word that we understand: it does so when it is spoken
// to in a protocol that its listener does not have.
func (a *Auth) explainSilence(err error) (what, check string) {
	switch text := err.Error(); {
	case strings.Contains(text, "spoken to in plaintext"), strings.Contains(text, "speaking to a tls endpoint"):
		// Our own connections and franz-go recognize the TLS alert that comes for an answer.
		return "speaks TLS on this port", "enable it (tls, security.protocol)"
	case a.TLS != nil && silent(err) && (strings.Contains(text, "TLS handshake") || strings.Contains(text, "immediately after a dial")):
		return "hung up during the TLS handshake", "this port may be one without TLS (tls.enabled: false, security.protocol)"
	case silent(err):
	case a.protocol == "SSL" && strings.Contains(text, "bad record MAC"):
		// 2.8 brokers send the alert for a missing client certificate with keys that TLS 1.3 has not yet put in use.
	default:
		return "", ""
	}
	switch a.protocol {
	case "PLAINTEXT":
		return "hung up on a connection without TLS and credentials", "this port may want TLS, SASL or both (tls, auth, security.protocol)"
	case "SASL_PLAINTEXT":
		return "hung up on a connection without TLS", "this port may want TLS (tls, security.protocol=SASL_SSL)"
	case "SSL":
		return "hung up on a TLS connection without credentials", "this port may want SASL or a client certificate (auth, security.protocol)"
	}
	return "hung up during authentication", "check that this is the port of a SASL_SSL listener, and read the broker's log"
}

func silent(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func issuedBy(c *x509.Certificate) string {
	if c == nil || c.Issuer.CommonName == "" {
		return ""
	}
	return fmt.Sprintf(" (issued by %q)", oneLine(c.Issuer.CommonName))
}

func certNames(c *x509.Certificate) string {
	if c == nil {
		return "another host"
	}
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host name at all"
	}
	if len(names) > 3 {
		names = append(names[:3], "others")
	}
	return oneLine(strings.Join(names, ", "))
}
