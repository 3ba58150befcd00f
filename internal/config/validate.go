package config

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/kafka"
)

// validator checks what no single value shows: references, exclusive choices, what the mode allows.
type validator struct {
	*decoder
	m *Migration
}

func (v *validator) migration() {
	seen := map[string]string{}
	for i := range v.m.Spec.Clusters {
		path := fmt.Sprintf("spec.clusters[%d]", i)
		c := &v.m.Spec.Clusters[i]
		if first, ok := seen[c.Alias]; ok && c.Alias != "" {
			v.at(path+".alias", fmt.Sprintf("alias %s is already the name of %s", quoted(c.Alias), first), "give each cluster its own")
		} else {
			seen[c.Alias] = path
		}
		v.cluster(c, path)
	}
	names := map[string]string{}
	for i := range v.m.Spec.Flows {
		path := fmt.Sprintf("spec.flows[%d]", i)
		f := &v.m.Spec.Flows[i]
		v.flow(f, path)
		if first, ok := names[f.Name]; ok && f.Name != "" {
			v.at(path+".name", fmt.Sprintf("flow %s is already the name of %s", quoted(f.Name), first), "give each flow its own name")
		} else {
			names[f.Name] = path
		}
	}
}

func (v *validator) cluster(c *Cluster, path string) {
	if c.Properties != "" {
		v.properties(c, path)
	} else if len(c.BootstrapServers) == 0 {
		v.at(path+".bootstrapServers", "there is no broker to ask", "write [host:port] or name a properties file")
	}
	for i, b := range c.BootstrapServers {
		if err := kafka.CheckAddress(b); err != nil {
			p := fmt.Sprintf("%s.bootstrapServers[%d]", path, i)
			what, fix := cutFix(err)
			v.at(p, what, fix)
		}
	}
	if c.TLS != nil {
		v.tls(c.TLS, path+".tls")
	}
	if c.Auth != nil {
		v.auth(c, path)
	}
}

// properties reads the Java client file; its keys then replace auth and tls.
func (v *validator) properties(c *Cluster, path string) {
	for _, k := range []string{"auth", "tls"} {
		if v.has(path + "." + k) {
			v.at(path+"."+k, "auth and tls cannot stand beside properties, which say the same", "keep one of them")
		}
	}
	props, warnings, problems := readProperties(resolvePath(c.dir, c.Properties))
	v.m.Warnings = append(v.m.Warnings, warnings...)
	if len(problems) > 0 {
		for _, p := range problems {
			if p.Line == 0 { // the file as a whole: say who asks for it
				v.at(path+".properties", p.File+": "+p.What, p.Fix)
			} else {
				v.problems = append(v.problems, p)
			}
		}
		return
	}
	c.props = props
	c.written = map[string]bool{}
	for _, k := range []string{"clientId", "requestTimeout", "dialTimeout"} {
		c.written[k] = v.has(path + "." + k)
	}
	v.propertiesInTheClear(c, path)
	if len(c.BootstrapServers) == 0 && len(props.servers()) == 0 {
		v.at(path+".bootstrapServers", "there is no broker to ask, neither here nor in "+c.Properties, "write [host:port] here or bootstrap.servers there")
	}
}

// propertiesInTheClear applies the rule of auth to a properties file whose references can be followed now.
func (v *validator) propertiesInTheClear(c *Cluster, path string) {
	conn, err := c.props.connection(context.Background(), kafka.Connection{}, c.Insecure)
	if err != nil {
		return
	}
	if err := conn.Security.CheckInTheClear(); err != nil {
		what, fix := cutFix(err)
		v.at(path+".properties", c.Properties+": "+what, fix)
	}
}

func (v *validator) auth(c *Cluster, path string) {
	a := c.Auth
	var kinds []string
	for _, k := range []string{"none", "plain", "scram", "oauth", "mskIAM", "mtls"} {
		if v.has(path + ".auth." + k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) != 1 {
		if len(kinds) == 0 && v.troubledBelow(path+".auth") {
			return
		}
		what := "it names no kind of authentication"
		if len(kinds) > 1 {
			what = "it names " + strings.Join(kinds, " and ")
		}
		v.at(path+".auth", what, "write exactly one of none, plain, scram, oauth, mskIAM, mtls")
		return
	}
	tlsOn := c.tlsOn()
	switch {
	case (a.Plain != nil || a.OAuth != nil || a.MSKIAM != nil) && !tlsOn && !c.Insecure:
		v.at(path+".auth", kinds[0]+" without TLS would send the password or token readable over the network", "add a tls block, or allow it with insecure: true beside auth")
	case a.Plain != nil && !tlsOn, a.OAuth != nil && !tlsOn, a.MSKIAM != nil && !tlsOn:
		v.m.Warnings = append(v.m.Warnings, fmt.Sprintf("cluster %s: the password or token travels without TLS and can be read on the way", c.Alias))
	case a.MTLS != nil && !tlsOn:
		v.at(path+".tls.enabled", "mutual TLS needs TLS", "remove enabled: false")
	case a.MTLS != nil && (c.TLS == nil || c.TLS.Cert == "" && c.TLS.Keystore == nil):
		v.at(path+".tls", "mutual TLS needs a client certificate", "give tls.cert and tls.key, or tls.keystore")
	}
	if a.OAuth != nil {
		v.oauth(a.OAuth, path+".auth.oauth", c.Insecure)
	}
	if a.MSKIAM != nil && a.MSKIAM.RoleARN == "" {
		for _, k := range []string{"roleSessionName", "externalId"} {
			if v.has(path + ".auth.mskIAM." + k) {
				v.at(path+".auth.mskIAM."+k, "there is no role to assume", "add roleArn")
			}
		}
	}
}

// tlsOn says whether connections to the cluster are encrypted.
func (c *Cluster) tlsOn() bool {
	if c.TLS != nil {
		return c.TLS.Enabled == nil || *c.TLS.Enabled
	}
	return c.Auth != nil && (c.Auth.MSKIAM != nil || c.Auth.MTLS != nil)
}

func (v *validator) oauth(o *OAuth, path string, insecure bool) {
	switch {
	case v.troubledBelow(path):
	case o.TokenURL != "" && o.Token != nil:
		v.at(path, "it has both tokenUrl and token", "keep one")
	case o.TokenURL == "" && o.Token == nil:
		v.at(path, "it says neither where to ask for a token nor where one is", "add tokenUrl, clientId and clientSecret, or token")
	case o.TokenURL != "" && (o.ClientID == "" || o.ClientSecret == nil):
		v.at(path, "tokenUrl needs to know who asks", "add clientId and clientSecret")
	}
	if o.TokenURL != "" {
		if err := kafka.CheckTokenURL(o.TokenURL, insecure); err != nil {
			what, fix := cutFix(err)
			v.at(path+".tokenUrl", what, fix)
		}
	}
	if o.TLS != nil {
		v.tls(o.TLS, path+".tls")
	}
}

func (v *validator) tls(t *TLS, path string) {
	exclusive := func(a, b string) {
		if v.has(path+"."+a) && v.has(path+"."+b) {
			v.at(path+"."+b, a+" and "+b+" say the same thing", "keep one")
		}
	}
	exclusive("ca", "truststore")
	exclusive("cert", "keystore")
	exclusive("key", "keystore")
	if t.Key != "" && t.Cert == "" {
		v.at(path+".key", "there is a key but no certificate", "add cert")
	}
	if t.KeyPassword != nil && t.Cert == "" {
		v.at(path+".keyPassword", "there is no PEM key for it", "write it into keystore, or add cert and key")
	}
	if t.InsecureSkipVerify {
		for _, k := range []string{"ca", "truststore", "serverName", "verifyHostname"} {
			if v.has(path + "." + k) {
				v.at(path+"."+k, "it has no effect beside insecureSkipVerify: true", "remove one of them")
			}
		}
		v.m.Warnings = append(v.m.Warnings, path+": insecureSkipVerify accepts any certificate; anyone on the way can read and change everything")
	}
}

func (v *validator) flow(f *Flow, path string) {
	if f.Name == "" {
		f.Name = defaultFlowName(f.Source, f.Target)
	}
	source, target := v.alias(f.Source, path+".source"), v.alias(f.Target, path+".target")
	if source != nil && f.Source == f.Target {
		v.at(path+".target", fmt.Sprintf("source and target are both %s", quoted(f.Source)), "name two clusters")
	} else if source != nil && target != nil && sameServers(source.servers(), target.servers()) {
		v.at(path+".target", fmt.Sprintf("source %s and target %s have the same bootstrap servers", f.Source, f.Target), "a cluster cannot be carried onto itself: correct one of them")
	}
	if f.Mode == ModeShifted && len(f.Shifted) > 0 {
		v.at(path+".shifted", "mode: shifted says it for every topic already", "remove one of the two")
	}
	for i, p := range f.Topics {
		if slices.Contains(brokerTopics, p.String()) {
			v.at(fmt.Sprintf("%s.topics[%d]", path, i), p.String()+" belongs to the brokers and cannot be carried", "remove it; group offsets are carried by groups")
		}
	}
}

// servers are the cluster's bootstrap addresses as far as they are known before secrets are read.
func (c *Cluster) servers() []string {
	if len(c.BootstrapServers) > 0 || c.props == nil {
		return c.BootstrapServers
	}
	return c.props.servers()
}

func (v *validator) alias(name, path string) *Cluster {
	if name == "" {
		return nil
	}
	c, err := v.m.Cluster(name)
	if err == nil {
		return c
	}
	var known []string
	for _, c := range v.m.Spec.Clusters {
		known = append(known, c.Alias)
	}
	if len(known) == 0 { // told where the clusters stand
		return nil
	}
	fix := "the clusters are " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
		fix = "did you mean " + near + "?"
	}
	v.at(path, fmt.Sprintf("there is no cluster with alias %s", quoted(name)), fix)
	return nil
}

func sameServers(a, b []string) bool {
	norm := func(in []string) []string {
		out := make([]string, 0, len(in))
		for _, s := range in {
			out = append(out, strings.ToLower(s))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return len(a) > 0 && slices.Equal(norm(a), norm(b))
}

// defaultFlowName makes "old->new" safe for Kafka names.
func defaultFlowName(source, target string) string {
	if source == "" || target == "" {
		return ""
	}
	return source + "-" + target
}
