package config

import (
	"context"
	"errors"

	"github.com/kferry/kferry/internal/kafka"
)

// Properties is a parsed Java client properties file.
type Properties struct{}

func readProperties(path string) (*Properties, []string, Problems) {
	return nil, nil, Problems{{File: path, What: "properties files are not read yet", Fix: "use auth and tls"}}
}

func (p *Properties) has(string) bool   { return false }
func (p *Properties) get(string) string { return "" }

func (p *Properties) connection(context.Context, kafka.Connection, bool) (kafka.Connection, error) {
	return kafka.Connection{}, errors.New("properties files are not read yet: use auth and tls")
}
