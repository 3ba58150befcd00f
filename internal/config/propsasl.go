package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kferry/kferry/internal/kafka"
)

// Login modules by the mechanisms they serve. PLAIN and SCRAM take user and password from either module, as
// in Java.
var modules = map[string][]string{
	kafka.MechanismPlain:       {"PlainLoginModule", "ScramLoginModule"},
	kafka.MechanismScramSHA256: {"ScramLoginModule", "PlainLoginModule"},
	kafka.MechanismScramSHA512: {"ScramLoginModule", "PlainLoginModule"},
	kafka.MechanismOAuthBearer: {"OAuthBearerLoginModule"},
	kafka.MechanismMSKIAM:      {"IAMLoginModule"},
}

// sasl translates sasl.* and the JAAS line; nil when that is impossible, with a problem noted.
func (r *propertyReader) sasl(insecure bool) *kafka.SASL {
	mechanism := r.str("sasl.mechanism", "sasl.mechanisms")
	module := r.loginModule()
	if len(r.problems) > 0 {
		return nil
	}
	if mechanism == "" {
		r.noMechanism(module)
		return nil
	}
	mechanism = strings.ToUpper(mechanism)
	if err := kafka.CheckMechanism(mechanism); err != nil {
		r.problemErr("sasl.mechanism", err)
		return nil
	}
	s := &kafka.SASL{Mechanism: mechanism, Insecure: insecure}
	if mechanism == kafka.MechanismOAuthBearer && strings.HasSuffix(r.p.get("sasl.login.callback.handler.class"), "IAMOAuthBearerLoginCallbackHandler") {
		// The other client library of AWS; the same listener speaks AWS_MSK_IAM as well.
		r.warn("sasl.login.callback.handler.class", "AWS_MSK_IAM is spoken in place of OAUTHBEARER, with the same identity")
		s.Mechanism = kafka.MechanismMSKIAM
	} else if module != nil && !slices.Contains(modules[mechanism], module.name()) {
		r.problem("sasl.jaas.config", fmt.Sprintf("it names the login module %s, but sasl.mechanism is %s", printable(module.name()), mechanism),
			fmt.Sprintf("use %s, or change sasl.mechanism", modules[mechanism][0]))
		return nil
	}
	opts := map[string]string{}
	if module != nil {
		opts = module.options
	}
	switch s.Mechanism {
	case kafka.MechanismOAuthBearer:
		s.OAuth = r.oauth(opts, insecure)
	case kafka.MechanismMSKIAM:
		s.MSKIAM = r.mskIAM(opts)
	default:
		r.password(s, opts)
	}
	return s
}

// loginModule parses sasl.jaas.config; nil when it is not set or wrong.
func (r *propertyReader) loginModule() *loginModule {
	s := r.str("sasl.jaas.config")
	if s == "" {
		return nil
	}
	m, err := parseJAAS(s)
	if err != nil {
		r.problemErr("sasl.jaas.config", err)
		return nil
	}
	if m.name() == "Krb5LoginModule" {
		r.problemErr("sasl.jaas.config", kafka.CheckMechanism("GSSAPI"))
		return nil
	}
	return m
}

// noMechanism explains that Java's default is Kerberos, and proposes what the login module points to.
func (r *propertyReader) noMechanism(m *loginModule) {
	fix := "write one of " + strings.Join(kafka.Mechanisms(), ", ")
	if m != nil {
		for _, mech := range kafka.Mechanisms() {
			if modules[mech][0] == m.name() {
				fix = "write sasl.mechanism=" + mech
			}
		}
	}
	r.problem("sasl.mechanism", "it is missing, which means Kerberos (GSSAPI), and that is not supported yet", fix)
}

func (r *propertyReader) password(s *kafka.SASL, opts map[string]string) {
	s.Username, s.Password = opts["username"], kafka.NewSecret(opts["password"])
	if u := r.str("sasl.username"); s.Username == "" {
		s.Username = u
	}
	if p := r.secret("sasl.password"); s.Password.IsZero() {
		s.Password = p
	}
	s.DelegationToken = opts["tokenauth"] == "true"
	if s.Username == "" || s.Password.IsZero() {
		r.problem("sasl.jaas.config", s.Mechanism+" needs a user name and a password", fmt.Sprintf("write sasl.jaas.config=org.apache.kafka.common.security.%s required username=\"...\" password=\"...\";", modulePath(s.Mechanism)))
	}
}

func modulePath(mechanism string) string {
	if mechanism == kafka.MechanismPlain {
		return "plain.PlainLoginModule"
	}
	return "scram.ScramLoginModule"
}

// oauth reads the keys of KIP-768 (client id and secret in the JAAS line), of KIP-1139 (own keys) and of librdkafka.
func (r *propertyReader) oauth(opts map[string]string, insecure bool) *kafka.OAuth {
	o := &kafka.OAuth{Insecure: insecure, Extensions: map[string]string{}}
	const endpoint = "sasl.oauthbearer.token.endpoint.url"
	for k, v := range opts {
		if name, ok := strings.CutPrefix(k, "extension_"); ok {
			o.Extensions[name] = v
		}
		if strings.HasPrefix(k, "unsecuredLogin") {
			r.problem("sasl.jaas.config", "unsecured tokens are for development and are not made", "set "+endpoint+", or to file:/path for a token in a file")
			return o
		}
	}
	for _, pair := range splitList(r.str("sasl.oauthbearer.extensions")) {
		name, value, _ := strings.Cut(pair, "=")
		o.Extensions[name] = value
	}
	if k := r.firstWithPrefix("sasl.oauthbearer.assertion."); k != "" || strings.HasSuffix(r.p.get("sasl.oauthbearer.jwt.retriever.class"), "JwtBearerJwtRetriever") {
		r.problem("sasl.oauthbearer.jwt.retriever.class", "the jwt-bearer grant is not supported", "use client credentials, or let something else write the token into a file and set "+endpoint+"=file:/path")
		return o
	}
	url := r.str(endpoint)
	if strings.HasPrefix(url, "file:") {
		o.TokenFile = javaPath(r.p.path, url)
		return o
	}
	o.TokenURL = url
	if url == "" {
		r.problem(endpoint, "it is missing", "set it to the token endpoint's https address, or to file:/path for a token in a file")
		return o
	}
	if err := kafka.CheckTokenURL(url, insecure); err != nil {
		r.problemErr(endpoint, err)
	}
	o.ClientID = firstOf(opts["clientId"], r.str("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"))
	o.ClientSecret = kafka.NewSecret(firstOf(opts["clientSecret"], r.str("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret")))
	o.Scopes = strings.Fields(firstOf(opts["scope"], r.str("sasl.oauthbearer.scope")))
	if o.ClientID == "" || o.ClientSecret.IsZero() {
		r.problem("sasl.jaas.config", "the token endpoint needs to know who asks", `add clientId="..." clientSecret="..." to the OAuthBearerLoginModule line`)
	}
	o.EndpointTLS = r.endpointTLS(opts)
	return o
}

// endpointTLS reads the ssl.* options that Java takes from the JAAS line for the token endpoint.
func (r *propertyReader) endpointTLS(opts map[string]string) *kafka.TLS {
	t := &kafka.TLS{}
	t.CA.Path = javaPath(r.p.path, opts["ssl.truststore.location"])
	t.CA.PEM = normalizePEM(opts["ssl.truststore.certificates"])
	t.CA.Password = kafka.NewSecret(opts["ssl.truststore.password"])
	t.Client.Cert.Path = javaPath(r.p.path, opts["ssl.keystore.location"])
	t.Client.Cert.Password = kafka.NewSecret(opts["ssl.keystore.password"])
	t.Client.KeyPassword = kafka.NewSecret(opts["ssl.key.password"])
	if t.CA.IsZero() && t.Client.IsZero() {
		return nil
	}
	return t
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (r *propertyReader) firstWithPrefix(prefix string) string {
	for _, e := range r.p.entries {
		if strings.HasPrefix(e.key, prefix) {
			return e.key
		}
	}
	return ""
}

// mskIAM reads the options of software.amazon.msk.auth.iam.IAMLoginModule. Retry and debug options have no
// counterpart; keys in the line itself would be another identity and are refused.
func (r *propertyReader) mskIAM(opts map[string]string) *kafka.MSKIAM {
	m := &kafka.MSKIAM{}
	for _, k := range slices.Sorted(maps.Keys(opts)) {
		switch v := opts[k]; k {
		case "awsProfileName":
			m.Profile = v
		case "awsRoleArn":
			m.RoleARN = v
		case "awsRoleSessionName":
			m.RoleSessionName = v
		case "awsRoleExternalId":
			m.RoleExternalID = v
		case "awsStsRegion":
			m.STSRegion = v
		case "awsRoleAccessKeyId", "awsRoleSecretAccessKey", "awsRoleSessionToken":
			r.problem("sasl.jaas.config", k+" is not supported", "put the access key into a profile of ~/.aws/credentials and name it with awsProfileName")
		case "awsDebugCreds", "awsMaxRetries", "awsMaxBackOffTimeMs":
		default:
			r.warn("sasl.jaas.config", "option "+printable(k)+" is unknown and ignored")
		}
	}
	if m.RoleARN == "" {
		m.RoleSessionName, m.RoleExternalID = "", ""
	}
	return m
}
