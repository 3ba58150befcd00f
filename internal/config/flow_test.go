package config

import (
	"strings"
	"testing"
	"time"
)

func patterns(t *testing.T, texts ...string) []Pattern {
	t.Helper()
	var out []Pattern
	for _, s := range texts {
		p, err := ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestMatchTopic(t *testing.T) {
	f := Flow{
		Topics:  patterns(t, "orders.*", "payments", "__ours", ".*_log", "__kferry-.*"),
		Exclude: patterns(t, `orders\.tmp`),
	}
	for name, want := range map[string]bool{
		"orders": true, "orders.eu": true, "orders.tmp": false, "orders.tmp2": true, "payments": true, "payments2": false,
		"my-orders": false, "__ours": true, "__theirs_log": false, "x_log": true, "__consumer_offsets": false,
		"__kferry-state": false, "": false,
	} {
		if got := f.MatchTopic(name); got != want {
			t.Errorf("MatchTopic(%q) = %v", name, got)
		}
	}
	all := Flow{Topics: patterns(t, ".*", "__consumer_offsets")}
	for _, name := range append([]string{"__kferry-main", "__amazon_msk_canary"}, brokerTopics...) {
		if all.MatchTopic(name) {
			t.Errorf("%s is carried", name)
		}
	}
	// Alternatives must not escape the anchors.
	alt := Flow{Topics: patterns(t, "a|b")}
	if alt.MatchTopic("ax") || alt.MatchTopic("xb") || !alt.MatchTopic("b") {
		t.Error("a|b matches a part of a name")
	}
}

func TestMatchGroup(t *testing.T) {
	f := Flow{Groups: patterns(t, ".*"), ExcludeGroups: patterns(t, "console-consumer-.*")}
	for name, want := range map[string]bool{
		"shop": true, "console-consumer-12": false, "my-console-consumer-1": true, "__kferry-main": false, "__other": true, "": true,
	} {
		if got := f.MatchGroup(name); got != want {
			t.Errorf("MatchGroup(%q) = %v", name, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "1": 1, "1024B": 1024, "96MiB": 96 << 20, "1.5GiB": 3 << 29, "10 MB": 10e6, "2kB": 2000, "2KB": 2000, "1TiB": 1 << 40, "-1": -1,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "MiB", "1 XiB", "1e3", "0x10", "NaN", "Inf", "1e400GiB", "9223372036854775808", "9223372036854775807KiB", "1_000", "1,5MiB", "1MiBMiB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d", text, got)
		}
	}
	for b, want := range map[Bytes]string{0: "0", 1: "1", 96 << 20: "96MiB", 1536: "1536", 1024: "1KiB", 1 << 40: "1TiB", 3 << 29: "1536MiB"} {
		if got := b.String(); got != want {
			t.Errorf("%d prints %s, want %s", int64(b), got, want)
		}
		if back, err := ParseBytes(b.String()); err != nil || back != b {
			t.Errorf("%s reads back as %d, %v", b, back, err)
		}
	}
}

func TestCountPolicy(t *testing.T) {
	tests := []struct {
		text          string
		source, limit int
		want          int
	}{
		{"", 3, 5, 3}, {"", 3, 1, 1}, {"", 0, 3, 1}, {"source", 3, 1, 3}, {"2", 3, 1, 2},
	}
	for _, tt := range tests {
		var c CountPolicy
		if tt.text != "" {
			if err := setCountPolicy(&c, tt.text); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Resolve(tt.source, tt.limit); got != tt.want {
			t.Errorf("%q of %d with room for %d is %d, want %d", tt.text, tt.source, tt.limit, got, tt.want)
		}
	}
}

func TestFromFlags(t *testing.T) {
	m, err := FromFlags("a:1, b:2", "c:3", []string{"orders.*", "x{1,3}"}, []string{"orders.big"}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Flow("")
	if err != nil || f.Name != "source-target" || !f.MatchTopic("orders.eu") || !f.MatchTopic("xx") || f.GroupSyncInterval != 5*time.Second || f.SeedLimit != 1e10 {
		t.Errorf("%+v, %v", f, err)
	}
	if p := f.ShiftedTopics(); len(p) != 1 || p[0].String() != "orders.big" {
		t.Errorf("shifted: %v", p)
	}
	f.Mode = ModeShifted
	if p := f.ShiftedTopics(); len(p) != 1 || !p[0].Match("anything") {
		t.Errorf("mode shifted: %v", p)
	}
	conn, err := m.Spec.Clusters[0].Connection(t.Context())
	if err != nil || strings.Join(conn.Bootstrap, " ") != "a:1 b:2" || conn.Alias != "source" || conn.ClientID != "kferry" || conn.DialTimeout != 10*time.Second || conn.Security.Protocol() != "PLAINTEXT" {
		t.Errorf("%+v, %v", conn, err)
	}
	tests := []struct {
		name, source, target string
		topics               []string
		sourceProps          string
		want                 string
	}{
		{"everything missing", "", "", nil, "", `--topics: no topics are named: write for example --topics 'orders.*,payments'
--source-bootstrap-server: there is no broker to ask: write [host:port] or name a properties file
--target-bootstrap-server: there is no broker to ask: write [host:port] or name a properties file`},
		{"one cluster", "a:1,b:1", "B:1,a:1", []string{"x"}, "", "--target-bootstrap-server: source source and target target have the same bootstrap servers: a cluster cannot be carried onto itself: correct one of them"},
		{"bad address", "a", "b:1", []string{"x"}, "", `--source-bootstrap-server: bootstrap server "a" is not host:port: write for example broker1.example.com:9092`},
		{"bad pattern", "a:1", "b:1", []string{"*x", "y"}, "", "--topics: \"*x\" is not a regular expression, missing argument to repetition operator: `*`: write '.*x' (regular expression, not shell pattern)"},
		{"no file", "a:1", "b:1", []string{"x"}, "/none/c.properties", "--source-command-config: /none/c.properties: there is no such file: check the path"},
		{"brokers' own topic", "a:1", "b:1", []string{"__consumer_offsets"}, "", "--topics: __consumer_offsets belongs to the brokers and cannot be carried: remove it; group offsets are carried by groups"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FromFlags(tt.source, tt.target, tt.topics, nil, tt.sourceProps, "")
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
