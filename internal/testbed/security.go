package testbed

import (
	"fmt"
	"strings"
)

// Security says how clients reach the brokers and what they may do there.
type Security struct {
	// Listeners are the client listeners, each with its own port. Default: one
	// PLAINTEXT listener.
	Listeners []Listener
}

// Listener is one client listener of every broker.
type Listener struct {
	// Name is what Cluster.Listener finds it by; default: the protocol.
	Name string
	// Protocol is PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
	Protocol string
}

func (s Security) withDefaults() (Security, error) {
	if len(s.Listeners) == 0 {
		s.Listeners = []Listener{{}}
	}
	listeners := make([]Listener, len(s.Listeners))
	seen := map[string]bool{internalListener: true, controllerListener: true}
	for i, l := range s.Listeners {
		if l.Protocol == "" {
			l.Protocol = "PLAINTEXT"
		}
		if l.Name == "" {
			l.Name = l.Protocol
		}
		l.Name = strings.ToUpper(l.Name)
		if seen[l.Name] {
			return s, fmt.Errorf("listener name %s is used twice", l.Name)
		}
		seen[l.Name] = true
		listeners[i] = l
	}
	s.Listeners = listeners
	return s, nil
}

// Every broker has these two beside the client listeners. The internal one is
// plain, is never proxied, and carries the brokers' own traffic and the test
// bed's questions.
const (
	internalListener   = "INTERNAL"
	controllerListener = "CONTROLLER"
)
