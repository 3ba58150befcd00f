package testbed

import (
	"fmt"
	"strconv"
	"strings"
)

// securityProperties are the lines of server.properties that Options.Security
// asks for.
func (c *Cluster) securityProperties() map[string]string {
	s := c.options.Security
	p := map[string]string{}
	for _, l := range s.Listeners {
		prefix := "listener.name." + strings.ToLower(l.Name) + "."
		if l.tls() {
			c.addTLS(p, prefix, l)
		}
		if l.sasl() {
			c.addSASL(p, prefix, l)
		}
	}
	if s.speaks(oauthBearer) && !c.Version.zooKeeper() {
		// The validator of KIP-768. 2.8 has none and takes unsigned tokens.
		p["sasl.oauthbearer.jwks.endpoint.url"] = c.tokens.JWKSURL
		p["sasl.oauthbearer.expected.audience"] = tokenAudience
		p["sasl.oauthbearer.expected.issuer"] = c.tokens.Issuer
	}
	if s.MaxReauth > 0 {
		p["connections.max.reauth.ms"] = strconv.FormatInt(s.MaxReauth.Milliseconds(), 10)
	}
	if s.Authorizer {
		p["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		if c.Version.zooKeeper() {
			p["authorizer.class.name"] = "kafka.security.authorizer.AclAuthorizer"
		}
		p["super.users"] = strings.Join(append([]string{anonymous}, s.SuperUsers...), ";")
	}
	return p
}

// addTLS gives the listener PKCS#12 stores. PEM would do as well (KIP-651), but
// 2.8 takes no PEM key that is not encrypted.
func (c *Cluster) addTLS(p map[string]string, prefix string, l Listener) {
	p[prefix+"ssl.keystore.type"] = "PKCS12"
	p[prefix+"ssl.keystore.location"] = c.certificates.server
	p[prefix+"ssl.keystore.password"] = c.certificates.Password
	p[prefix+"ssl.key.password"] = c.certificates.Password
	p[prefix+"ssl.truststore.type"] = "PKCS12"
	p[prefix+"ssl.truststore.location"] = c.certificates.TruststoreP12
	p[prefix+"ssl.truststore.password"] = c.certificates.Password
	if l.ClientAuth {
		p[prefix+"ssl.client.auth"] = "required"
	}
}

func (c *Cluster) addSASL(p map[string]string, prefix string, l Listener) {
	p[prefix+"sasl.enabled.mechanisms"] = strings.Join(l.Mechanisms, ",")
	const modules = "org.apache.kafka.common.security."
	for _, m := range l.Mechanisms {
		var jaas string
		switch m {
		case "PLAIN":
			jaas = modules + "plain.PlainLoginModule required"
			for _, u := range c.options.Security.Users {
				jaas += fmt.Sprintf(" user_%s=%s", u.Name, jaasQuote(u.Password))
			}
		case oauthBearer:
			// The broker only checks tokens, but its login module wants some name
			// to make a token of its own that nobody ever sees.
			jaas = modules + `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"`
			if !c.Version.zooKeeper() {
				p[prefix+"oauthbearer.sasl.server.callback.handler.class"] = modules + "oauthbearer.OAuthBearerValidatorCallbackHandler"
			}
		default:
			jaas = modules + "scram.ScramLoginModule required"
		}
		p[prefix+strings.ToLower(m)+".sasl.jaas.config"] = jaas + ";"
	}
}

// jaasQuote writes a value of a JAAS line.
func jaasQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
