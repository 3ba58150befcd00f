package config

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kferry/kferry/internal/kafka"
)

// readProperties reads a properties file and checks what it says as far as that is possible now: where a
// reference cannot be followed yet, the checks wait for [Cluster.Connection].
func readProperties(path string) (*Properties, []string, Problems) {
	p, warnings, problems := readPropertiesFile(path)
	if len(problems) > 0 {
		return nil, nil, problems
	}
	full, unresolved := p.expanded()
	if len(unresolved) > 0 {
		return p, warnings, nil
	}
	r := newPropertyReader(full)
	r.connection(&kafka.Connection{})
	if len(r.problems) > 0 {
		return nil, nil, r.problems
	}
	return p, append(warnings, r.warnings...), nil
}

// connection follows the references and fills in what the file says about security. What conn already has
// from the migration file stays.
func (p *Properties) connection(ctx context.Context, conn kafka.Connection, insecure bool) (kafka.Connection, error) {
	if err := ctx.Err(); err != nil {
		return conn, err
	}
	full, problems := p.expanded()
	if len(problems) > 0 {
		return conn, problems.sorted()
	}
	r := newPropertyReader(full)
	r.connection(&conn)
	if len(r.problems) > 0 {
		return conn, r.problems.sorted()
	}
	if s := conn.Security.SASL; s != nil {
		s.Insecure = s.Insecure || insecure
		if s.OAuth != nil {
			s.OAuth.Insecure = s.Insecure
		}
	}
	return conn, nil
}

// refresh reads the file and what it refers to again.
func (p *Properties) refresh(ctx context.Context) (*kafka.SASL, error) {
	now, _, problems := readPropertiesFile(p.path)
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	conn, err := now.connection(ctx, kafka.Connection{}, true)
	if err != nil {
		return nil, err
	}
	if conn.Security.SASL == nil {
		return nil, fmt.Errorf("%s no longer asks for SASL", p.path)
	}
	return conn.Security.SASL, nil
}

// propertyReader translates keys of Java's client and of librdkafka, and notes which ones it understood.
type propertyReader struct {
	p        *Properties
	used     map[string]bool
	warnings []string
	problems Problems
}

func newPropertyReader(p *Properties) *propertyReader {
	return &propertyReader{p: p, used: map[string]bool{}}
}

// str returns the first of several keys with the same meaning that is set.
func (r *propertyReader) str(keys ...string) string {
	var out string
	for _, k := range keys {
		if !r.p.has(k) {
			continue
		}
		r.used[k] = true
		if out == "" {
			out = r.p.get(k)
		}
	}
	return out
}

func (r *propertyReader) secret(keys ...string) kafka.Secret { return kafka.NewSecret(r.str(keys...)) }

// path is str for a file name.
func (r *propertyReader) path(keys ...string) string { return javaPath(r.p.path, r.str(keys...)) }

func (r *propertyReader) problem(key, what, fix string) {
	r.problems = append(r.problems, &Problem{File: r.p.path, Line: max(1, r.p.line(key)), Path: key, What: what, Fix: fix})
}

func (r *propertyReader) problemErr(key string, err error) {
	what, fix := cutFix(err)
	r.problem(key, what, fix)
}

func (r *propertyReader) warn(key, text string) {
	r.warnings = append(r.warnings, fmt.Sprintf("%s:%d: %s: %s", r.p.path, r.p.line(key), printable(key), text))
}

// connection translates the whole file.
func (r *propertyReader) connection(conn *kafka.Connection) {
	if s := r.str("bootstrap.servers", "metadata.broker.list"); len(conn.Bootstrap) == 0 {
		conn.Bootstrap = splitList(s)
		for _, b := range conn.Bootstrap {
			if err := kafka.CheckAddress(b); err != nil {
				r.problemErr("bootstrap.servers", err)
			}
		}
	}
	if s := r.str("client.id"); conn.ClientID == "" {
		conn.ClientID = s
	}
	if d := r.millis("request.timeout.ms"); conn.RequestTimeout == 0 {
		conn.RequestTimeout = d
	}
	if d := r.millis("socket.connection.setup.timeout.ms"); conn.DialTimeout == 0 {
		conn.DialTimeout = d
	}
	insecure := r.str("kferry.insecure") == "true"
	protocol := strings.ToUpper(r.str("security.protocol"))
	useTLS, useSASL := false, false
	switch protocol {
	case "", "PLAINTEXT":
		r.withoutProtocol()
	case "SSL":
		useTLS = true
	case "SASL_PLAINTEXT":
		useSASL = true
	case "SASL_SSL":
		useTLS, useSASL = true, true
	default:
		r.problem("security.protocol", quoted(protocol)+" is unknown", "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
	}
	tls := r.tls()
	if useTLS {
		conn.Security.TLS = tls
	}
	if useSASL {
		conn.Security.SASL = r.sasl(insecure)
		r.inTheClear(conn.Security, insecure)
	}
	r.unused(useSASL)
}

// withoutProtocol warns of the most frequent mistake: security settings that Java ignores as well.
func (r *propertyReader) withoutProtocol() {
	for _, e := range r.p.entries {
		if strings.HasPrefix(e.key, "ssl.") || strings.HasPrefix(e.key, "sasl.") {
			r.warn(e.key, "it has no effect, because security.protocol is PLAINTEXT; set it to SSL, SASL_PLAINTEXT or SASL_SSL")
			return
		}
	}
}

func (r *propertyReader) inTheClear(s kafka.Security, insecure bool) {
	if s.TLS != nil || s.SASL == nil || strings.HasPrefix(s.SASL.Mechanism, "SCRAM") {
		return
	}
	if insecure {
		r.warn("security.protocol", "the password or token travels without TLS and can be read on the way")
	}
}

func (r *propertyReader) millis(key string) time.Duration {
	s := r.str(key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		r.problem(key, quoted(s)+" is not a number of milliseconds", "write for example 30000")
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

func (r *propertyReader) tls() *kafka.TLS {
	t := &kafka.TLS{}
	t.CA.Path = r.path("ssl.truststore.location", "ssl.ca.location")
	if t.CA.Path != "" && r.p.get("ssl.ca.location") == "probe" {
		t.CA.Path = "" // librdkafka's word for the system's authorities
	}
	t.CA.PEM = normalizePEM(r.str("ssl.truststore.certificates", "ssl.ca.pem"))
	t.CA.Password = r.secret("ssl.truststore.password")
	t.Client.Cert.Path = r.path("ssl.keystore.location", "ssl.certificate.location")
	t.Client.Cert.PEM = normalizePEM(r.str("ssl.keystore.certificate.chain", "ssl.certificate.pem"))
	t.Client.Cert.Password = r.secret("ssl.keystore.password")
	t.Client.Key.Path = r.path("ssl.key.location")
	t.Client.Key.PEM = normalizePEM(r.str("ssl.keystore.key", "ssl.key.pem"))
	t.Client.KeyPassword = r.secret("ssl.key.password")
	for _, k := range []string{"ssl.truststore.type", "ssl.keystore.type"} {
		if s := r.str(k); s != "" && !slices.Contains([]string{"JKS", "PKCS12", "PEM"}, strings.ToUpper(s)) {
			r.problem(k, quoted(s)+" stores are not read", "convert it to PKCS12 with keytool -importkeystore -deststoretype PKCS12")
		}
	}
	if !t.Client.Key.IsZero() && t.Client.Cert.IsZero() {
		r.problem(r.firstSet("ssl.keystore.key", "ssl.key.pem", "ssl.key.location"), "there is a key but no certificate", "add ssl.keystore.certificate.chain")
	}
	r.verification(t)
	r.protocols(t)
	return t
}

func (r *propertyReader) firstSet(keys ...string) string {
	i := slices.IndexFunc(keys, r.p.has)
	return keys[max(0, i)]
}

func (r *propertyReader) verification(t *kafka.TLS) {
	const name, verify = "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification"
	switch s := strings.ToLower(r.str(name)); {
	case r.p.has(name) && (s == "" || s == "none"):
		t.SkipHostName = true
		r.warn(name, "host names in certificates are not checked; anyone with a certificate of the same authority can pose as a broker")
	case s != "" && s != "https":
		r.problem(name, quoted(s)+" is unknown", "write https, or nothing to skip the check")
	}
	if r.str(verify) == "false" {
		t.InsecureSkipVerify = true
		r.warn(verify, "any certificate is accepted; anyone on the way can read and change everything")
	}
}

// protocols takes the oldest version that both sides may speak; below TLS 1.2 kferry speaks none.
func (r *propertyReader) protocols(t *kafka.TLS) {
	list := splitList(r.str("ssl.enabled.protocols"))
	r.str("ssl.protocol")
	switch {
	case len(list) == 0:
	case slices.Contains(list, "TLSv1.2"):
	case slices.Contains(list, "TLSv1.3"):
		t.MinVersion, _ = kafka.ParseTLSVersion("TLSv1.3")
	default:
		r.problem("ssl.enabled.protocols", "it allows neither TLSv1.2 nor TLSv1.3, and older versions are not spoken", "add TLSv1.2")
	}
}

var pemBlock = regexp.MustCompile(`(?s)-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END ([A-Z0-9 ]+)-----`)

// normalizePEM restores the line breaks that a properties file easily loses: in one, PEM text stands on one
// line or on continued lines, which Kafka accepts (KIP-651).
func normalizePEM(s string) kafka.Secret {
	var b strings.Builder
	for _, m := range pemBlock.FindAllStringSubmatch(s, -1) {
		body := strings.Join(strings.Fields(m[2]), "")
		fmt.Fprintf(&b, "-----BEGIN %s-----\n", m[1])
		for len(body) > 64 {
			b.WriteString(body[:64] + "\n")
			body = body[64:]
		}
		fmt.Fprintf(&b, "%s\n-----END %s-----\n", body, m[3])
	}
	if b.Len() == 0 { // let the reader of the store say what is wrong with it
		return kafka.NewSecret(s)
	}
	return kafka.NewSecret(b.String())
}

// silent are keys of a Java client's connection that need no warning: kferry does the same in its own way.
var silent = []string{
	"sasl.client.callback.handler.class", "sasl.login.class", "sasl.login.callback.handler.class",
	"sasl.kerberos.", "sasl.login.", "sasl.oauthbearer.", "config.providers", "ssl.provider", "ssl.secure.random.implementation",
	"ssl.keymanager.algorithm", "ssl.trustmanager.algorithm", "kferry.",
}

// unused warns of keys that were not understood: a likely misspelling by name, the rest in one line.
func (r *propertyReader) unused(useSASL bool) {
	known := slices.Sorted(maps.Keys(r.used))
	known = append(known, "security.protocol", "sasl.mechanism", "sasl.jaas.config", "bootstrap.servers", "ssl.truststore.location",
		"ssl.truststore.password", "ssl.truststore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type", "ssl.key.password")
	var rest []string
	seen := map[string]bool{}
	for _, e := range r.p.entries {
		switch {
		case r.used[e.key], seen[e.key], !useSASL && strings.HasPrefix(e.key, "sasl."):
		case slices.ContainsFunc(silent, func(s string) bool { return strings.HasPrefix(e.key, s) }):
		case len(seen) >= maxProblems: // a wrong file; the first hundred keys say so
		default:
			seen[e.key] = true
			if near := nearest(e.key, known); near != "" && editDistance(e.key, near) <= 2 {
				r.warn(e.key, "unknown key, ignored; did you mean "+near+"?")
			} else {
				rest = append(rest, printable(e.key))
			}
		}
	}
	if len(rest) > 0 {
		slices.Sort(rest)
		r.warnings = append(r.warnings, fmt.Sprintf("%s: ignored, kferry has no use for them: %s", r.p.path, strings.Join(rest, ", ")))
	}
}
