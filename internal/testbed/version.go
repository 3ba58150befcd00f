package testbed

import (
	"fmt"
	"strings"
)

// Version is a release of Apache Kafka that the test bed can run.
type Version string

// The releases that the test bed runs.
const (
	// V28 is the old source: ZooKeeper, and the last line that still lets a
	// topic keep message format v0 or v1 by configuration without a warning.
	V28 Version = "2.8.2"
	// V39 is the last line before 4.0: KRaft, old request versions still served.
	V39 Version = "3.9.2"
	// V43 is the newest release of which all jars are published.
	V43 Version = "4.3.1"
)

// Versions lists every release that the test bed runs, oldest first.
func Versions() []Version { return []Version{V28, V39, V43} }

// ParseVersion finds the release that s names, by its full number ("3.9.2") or
// by its line ("3.9", or any other patch release of the line).
func ParseVersion(s string) (Version, error) {
	for _, v := range Versions() {
		if s == string(v) || s == v.line() || strings.HasPrefix(s, v.line()+".") {
			return v, nil
		}
	}
	return "", fmt.Errorf("kafka version %q is not one of %v", s, Versions())
}

// line is the release without its patch number: "3.9".
func (v Version) line() string {
	s := string(v)
	return s[:strings.LastIndexByte(s, '.')]
}

// zooKeeper says whether the release is run with ZooKeeper instead of KRaft.
func (v Version) zooKeeper() bool { return v == V28 }

func (v Version) check() error {
	for _, known := range Versions() {
		if v == known {
			return nil
		}
	}
	return fmt.Errorf("kafka version %q is not one of %v", v, Versions())
}
