package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The SASL mechanisms that kferry speaks, by the names Kafka gives them.
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
	MechanismOAuthBearer = "OAUTHBEARER"
	MechanismMSKIAM      = "AWS_MSK_IAM"
)

// Mechanisms lists what [SASL.Mechanism] may be.
func Mechanisms() []string {
	return []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512, MechanismOAuthBearer, MechanismMSKIAM}
}

// SASL says which mechanism to speak and with which credentials.
type SASL struct {
	// Mechanism is one of [Mechanisms].
	Mechanism string
	// Username and Password are for PLAIN and SCRAM.
	Username string
	Password Secret
	// DelegationToken says that Username and Password are a delegation token's id and HMAC (KIP-48, SCRAM only).
	DelegationToken bool
	// OAuth is for OAUTHBEARER.
	OAuth *OAuth
	// MSKIAM is for AWS_MSK_IAM.
	MSKIAM *MSKIAM
	// Insecure allows PLAIN, OAUTHBEARER and AWS_MSK_IAM without TLS, where the network can read the password or token.
	Insecure bool
	// Refresh, when set, is asked before every authentication for the credentials that are valid then, so that
	// a rotated password is picked up without a restart. Only Username, Password, OAuth.ClientSecret and
	// OAuth.Token of its answer are used. It must be safe for concurrent use.
	Refresh func(context.Context) (*SASL, error)
}

// CheckMechanism explains why a mechanism cannot be used, or returns nil.
func CheckMechanism(name string) error {
	switch {
	case slices.Contains(Mechanisms(), name):
		return nil
	case name == "GSSAPI":
		return errors.New("GSSAPI (Kerberos) is not supported yet: use a listener with SCRAM-SHA-512, OAUTHBEARER or mutual TLS, or add one to the brokers for the time of the migration")
	case name == "":
		return errors.New("no SASL mechanism given: write one of " + strings.Join(Mechanisms(), ", "))
	}
	return fmt.Errorf("SASL mechanism %q is unknown: write one of %s", name, strings.Join(Mechanisms(), ", "))
}

// inTheClear says whether the mechanism sends something that a listener on the network could use itself.
func (s *SASL) inTheClear() bool {
	switch s.Mechanism {
	case MechanismPlain, MechanismOAuthBearer, MechanismMSKIAM:
		return true
	}
	return false
}

func (s *SASL) what() string {
	switch s.Mechanism {
	case MechanismOAuthBearer:
		return "token"
	case MechanismMSKIAM:
		return "signed request"
	}
	return "password"
}

func (s *SASL) validate() error {
	if err := CheckMechanism(s.Mechanism); err != nil {
		return err
	}
	switch s.Mechanism {
	case MechanismOAuthBearer:
		if s.OAuth == nil {
			return errors.New("OAUTHBEARER needs a token endpoint with client id and secret, or a token file")
		}
		return s.OAuth.validate()
	case MechanismMSKIAM:
		if s.MSKIAM == nil {
			return nil
		}
		return s.MSKIAM.validate()
	}
	if s.Username == "" {
		return fmt.Errorf("%s needs a user name", s.Mechanism)
	}
	if s.Password.IsZero() {
		return fmt.Errorf("%s needs a password for user %q", s.Mechanism, s.Username)
	}
	if s.Mechanism != MechanismPlain && strings.ContainsFunc(s.Username, func(r rune) bool { return r > '~' }) {
		return fmt.Errorf("SCRAM user name %q is not ASCII, and Kafka's brokers (2.8 to 4.3) take no other: use another user", s.Username)
	}
	if s.DelegationToken && s.Mechanism == MechanismPlain {
		return errors.New("a delegation token needs SCRAM-SHA-256 or SCRAM-SHA-512, not PLAIN (KIP-48)")
	}
	return nil
}

// mechanism builds franz-go's mechanism around a function that is called for each authentication.
func (s *SASL) mechanism(ctx context.Context) (sasl.Mechanism, error) {
	m, err := s.bareMechanism(ctx)
	if err != nil {
		return nil, err
	}
	return checked{m}, nil
}

func (s *SASL) bareMechanism(ctx context.Context) (sasl.Mechanism, error) {
	creds := &credentials{SASL: s, last: s}
	switch s.Mechanism {
	case MechanismPlain:
		return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			cur, err := creds.current(ctx)
			if err != nil {
				return plain.Auth{}, err
			}
			return plain.Auth{User: cur.Username, Pass: cur.Password.Reveal()}, nil
		}), nil
	case MechanismScramSHA256:
		return scram.Sha256(creds.scram), nil
	case MechanismScramSHA512:
		return scram.Sha512(creds.scram), nil
	case MechanismOAuthBearer:
		return creds.oauthMechanism()
	case MechanismMSKIAM:
		return s.mskMechanism(ctx)
	}
	return nil, CheckMechanism(s.Mechanism)
}

// credentials hands out what [SASL.Refresh] gives and remembers it.
type credentials struct {
	*SASL

	mu   sync.Mutex
	last *SASL
}

func (c *credentials) scram(ctx context.Context) (scram.Auth, error) {
	cur, err := c.current(ctx)
	if err != nil {
		return scram.Auth{}, err
	}
	return scram.Auth{User: cur.Username, Pass: cur.Password.Reveal(), IsToken: c.DelegationToken}, nil
}

// current returns the credentials that are valid now. When they cannot be had (a secret store that is away for
// a moment), the last ones are tried: a connection that works is worth more than the newest password, and
// the broker refuses what is no longer right.
func (c *credentials) current(ctx context.Context) (*SASL, error) {
	if c.Refresh == nil {
		return c.SASL, nil
	}
	cur, err := c.Refresh(ctx)
	if err == nil {
		err = cur.usableFor(c.SASL)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.last = cur
	case ctx.Err() != nil:
		return nil, fmt.Errorf("renew the %s credentials: %w", c.Mechanism, err)
	default:
		slog.WarnContext(ctx, "credentials not renewed, the last ones are tried", "mechanism", c.Mechanism, "err", err)
	}
	return c.last, nil
}

// usableFor refuses what no longer fits what the mechanism was built for.
func (s *SASL) usableFor(first *SASL) error {
	if s.Mechanism != first.Mechanism {
		return fmt.Errorf("the mechanism changed to %s: restart kferry to use it", s.Mechanism)
	}
	if (s.OAuth == nil) != (first.OAuth == nil) {
		return errors.New("the credentials changed their kind: restart kferry to use them")
	}
	return nil
}

// CredentialsError says that what a login needs could not be had: no token, no AWS credentials. No broker was
// asked yet, so its address is not the trouble.
type CredentialsError struct{ err error }

// Error is the cause and what to check.
func (e *CredentialsError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *CredentialsError) Unwrap() error { return e.err }

// checked marks the errors of a mechanism's first step.
type checked struct{ sasl.Mechanism }

// Authenticate implements sasl.Mechanism.
func (m checked) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, msg, err := m.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, &CredentialsError{err}
	}
	return s, msg, nil
}
