// Package config reads what the user wrote: a migration.yaml, Java client .properties files and the few flags
// of a first try. It gives back plain, checked data with defaults filled in, or every mistake at once, each on
// one line with its place, what is wrong and what to do.
//
// It opens no connection and decides nothing about a migration. Secrets are referenced, not contained; they
// are read when [Cluster.Connection] is called, and never printed.
//
// A key exists in exactly one place, a struct field of this package: its tags hold name, default, range and
// allowed words, its comment the meaning. The decoder, the JSON Schema and docs/configuration.md follow it.
package config
