package kafka

import (
	"testing"
	"time"
)

// The configured request timeout decides how soon a connection without answers counts as dead.
func TestSilenceFollowsTheRequestTimeout(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{
		defaultPatience: 75 * time.Second, 5 * time.Second: 12500 * time.Millisecond, time.Second: 10 * time.Second, 15 * time.Minute: 2250 * time.Second,
	} {
		if got := (&Conn{patience: patience}).silence(); got != want {
			t.Errorf("request timeout %v: silence %v, want %v", patience, got, want)
		}
	}
}
