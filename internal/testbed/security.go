package testbed

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Security says how clients reach the brokers and what they may do there. The
// zero value is one PLAINTEXT listener on which everything is allowed.
type Security struct {
	// Listeners are the client listeners, each with its own port. Default: one
	// PLAINTEXT listener.
	Listeners []Listener
	// Users are who may log in by PLAIN and SCRAM, on every listener. Default:
	// DefaultUser.
	Users []User
	// Authorizer refuses what no ACL allows: StandardAuthorizer, or AclAuthorizer
	// on 2.8. The brokers, and so everybody on Cluster.Internal, are the super
	// user User:ANONYMOUS; a PLAINTEXT client listener is therefore one as well.
	Authorizer bool
	// SuperUsers are further principals without limits, such as "User:admin".
	SuperUsers []string
	// MaxReauth is how long a SASL connection lives without a new login, KIP-368;
	// 0 is for ever, but never longer than an OAUTHBEARER token.
	MaxReauth time.Duration
}

// Listener is one client listener of every broker.
type Listener struct {
	// Name is what Cluster.Listener finds it by, in any case; default: Protocol.
	Name string
	// Protocol is PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
	Protocol string
	// ClientAuth demands a client certificate signed by the cluster's CA. With
	// SSL the principal is then the certificate's name, "User:CN=client".
	ClientAuth bool
	// Mechanisms are the SASL mechanisms of a SASL_ protocol: PLAIN,
	// SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER. The principal is
	// "User:<name>", with OAUTHBEARER the token's subject.
	Mechanisms []string
}

// User is a name and password for PLAIN and SCRAM.
type User struct{ Name, Password string }

// DefaultUser is who may log in when Security.Users is empty.
var DefaultUser = User{"alice", "alice's secret"}

// Every broker has these two beside the client listeners. The internal one is
// plain, is never proxied, and carries the brokers' own traffic and the test
// bed's questions.
const (
	internalListener   = "INTERNAL"
	controllerListener = "CONTROLLER"
)

// anonymous is the principal of everybody on a listener without authentication.
const anonymous = "User:ANONYMOUS"

func (s Security) withDefaults() (Security, error) {
	if len(s.Listeners) == 0 {
		s.Listeners = []Listener{{}}
	}
	if len(s.Users) == 0 {
		s.Users = []User{DefaultUser}
	}
	s.Listeners = slices.Clone(s.Listeners)
	seen := map[string]bool{internalListener: true, controllerListener: true}
	for i, l := range s.Listeners {
		l, err := l.withDefaults()
		if err != nil {
			return s, err
		}
		if seen[l.Name] {
			return s, fmt.Errorf("listener name %s is used twice", l.Name)
		}
		seen[l.Name] = true
		s.Listeners[i] = l
	}
	return s, nil
}

func (l Listener) withDefaults() (Listener, error) {
	if l.Protocol == "" {
		l.Protocol = "PLAINTEXT"
	}
	if l.Name == "" {
		l.Name = l.Protocol
	}
	l.Name = strings.ToUpper(l.Name)
	if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, l.Protocol) {
		return l, fmt.Errorf("listener %s: protocol %q is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", l.Name, l.Protocol)
	}
	if l.ClientAuth && !l.tls() {
		return l, fmt.Errorf("listener %s: a client certificate needs SSL or SASL_SSL", l.Name)
	}
	if l.sasl() != (len(l.Mechanisms) > 0) {
		return l, fmt.Errorf("listener %s: protocol %s and mechanisms %v do not go together", l.Name, l.Protocol, l.Mechanisms)
	}
	for _, m := range l.Mechanisms {
		if !slices.Contains([]string{"PLAIN", scram256, scram512, oauthBearer}, m) {
			return l, fmt.Errorf("listener %s: unknown mechanism %q", l.Name, m)
		}
	}
	return l, nil
}

const (
	scram256    = "SCRAM-SHA-256"
	scram512    = "SCRAM-SHA-512"
	oauthBearer = "OAUTHBEARER"
)

func (l Listener) tls() bool  { return strings.HasSuffix(l.Protocol, "SSL") }
func (l Listener) sasl() bool { return strings.HasPrefix(l.Protocol, "SASL") }

func (s Security) tls() bool { return slices.ContainsFunc(s.Listeners, Listener.tls) }

// speaks says whether any listener has one of the mechanisms.
func (s Security) speaks(mechanisms ...string) bool {
	return slices.ContainsFunc(s.Listeners, func(l Listener) bool {
		return slices.ContainsFunc(l.Mechanisms, func(m string) bool { return slices.Contains(mechanisms, m) })
	})
}
