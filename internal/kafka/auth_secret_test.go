package kafka_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"github.com/kferry/kferry/internal/kafka"
)

const canary = "c4n4ry-hunter2"

// TestSecretsDoNotPrint prints a connection full of secrets in every way that Go offers and looks for them.
func TestSecretsDoNotPrint(t *testing.T) {
	secret := kafka.NewSecret(canary)
	conn := kafka.Connection{
		Alias: "a", Bootstrap: []string{"b:1"},
		Security: kafka.Security{
			TLS: &kafka.TLS{CA: kafka.Store{Path: "ca", Password: secret}, Client: kafka.ClientStore{KeyPassword: secret}},
			SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: secret,
				OAuth: &kafka.OAuth{ClientSecret: secret, Token: secret}},
		},
	}
	type hidden struct{ s kafka.Secret } // reflection cannot call methods on an unexported field
	values := map[string]any{
		"secret": secret, "pointer": &secret, "connection": conn, "sasl": conn.Security.SASL, "sasl value": *conn.Security.SASL,
		"tls": conn.Security.TLS, "hidden": hidden{secret}, "slice": []kafka.Secret{secret}, "map": map[string]kafka.Secret{"k": secret},
		"key": map[kafka.Secret]int{secret: 1}, "error": fmt.Errorf("with %v", secret), "joined": errors.Join(fmt.Errorf("%s", secret)),
	}
	for name, v := range values {
		var out []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s", "%08b"} {
			out = append(out, fmt.Sprintf(verb, v))
		}
		out = append(out, fmt.Sprint(v), fmt.Sprintln(v))
		if b, err := json.Marshal(v); err == nil {
			out = append(out, string(b))
		}
		if b, err := yaml.Marshal(v); err == nil {
			out = append(out, string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			out = append(out, string(b))
		}
		var logs bytes.Buffer
		slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
		out = append(out, logs.String())
		for _, s := range out {
			if strings.Contains(s, canary) || strings.Contains(s, fmt.Sprintf("%x", canary)) || strings.Contains(s, fmt.Sprintf("%X", canary)) {
				t.Errorf("%s prints the secret: %s", name, s)
			}
		}
	}
	if got := secret.Reveal(); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	if b, err := json.Marshal(conn.Security.SASL.Password); err != nil || string(b) != `"[secret]"` {
		t.Errorf("JSON is %s, %v", b, err)
	}
	if !kafka.NewSecret("").IsZero() || !kafka.NewSecret("x").Equal(kafka.NewSecret("x")) || secret.Equal(kafka.Secret{}) {
		t.Error("zero or equality is wrong")
	}
}
