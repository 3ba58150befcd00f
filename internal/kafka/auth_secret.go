package kafka

import (
	"fmt"
	"log/slog"
)

// redacted stands in for a secret wherever one would be printed.
const redacted = "[secret]"

// Secret is a password, token or key that prints as "[secret]" by every verb, marshaller and log handler.
// The value sits behind a pointer, so that even reflection over an unexported field shows no more than an
// address. The zero Secret is "not set".
type Secret struct {
	value *string
}

// NewSecret keeps s as a secret; the empty string gives the zero Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Reveal returns the value. Call it only where the value goes on the wire or into a decryption.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether no secret is set.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares the values.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb reaches the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, which JSON, XML and map keys use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML implements the YAML marshaller's interface.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
