package config

import (
	"fmt"
	"strings"
	"time"
)

// The only apiVersion and kind that [Load] accepts.
const (
	APIVersion = "kferry.io/v1alpha1"
	Kind       = "Migration"
)

// Migration is one migration.yaml: the clusters it joins and what flows between them.
type Migration struct {
	// The version of this file's format.
	APIVersion string `yaml:"apiVersion" required:"true" enum:"kferry.io/v1alpha1"`
	// What this file describes.
	Kind     string   `yaml:"kind" required:"true" enum:"Migration"`
	Metadata Metadata `yaml:"metadata" required:"true"`
	Spec     Spec     `yaml:"spec" required:"true"`

	// Warnings are one line each: what was accepted but deserves a look (a setting of a properties file that
	// kferry does not know, a password over an unencrypted connection).
	Warnings []string `yaml:"-"`
	// File is the path that was given to Load; empty for a migration made of flags.
	File string `yaml:"-"`
}

// Metadata names the migration.
type Metadata struct {
	// Name of the migration; part of the names of kferry's own topics, groups and transactional ids.
	Name string `yaml:"name" required:"true" pattern:"id"`
	// Free labels for the user's own tools; kferry does not read them.
	Labels map[string]string `yaml:"labels"`
}

// Spec holds the clusters and flows.
type Spec struct {
	// The clusters, each under its own alias.
	Clusters []Cluster `yaml:"clusters" required:"true"`
	// What is carried from which cluster to which.
	Flows []Flow `yaml:"flows" required:"true"`
}

// Cluster is one Kafka cluster and how to reach it: by keys here, or by a Java client properties file.
type Cluster struct {
	// Short name by which flows refer to the cluster, for example "old" or "msk".
	Alias string `yaml:"alias" required:"true" pattern:"id"`
	// Brokers to ask first, as a list or one comma separated string of host:port. May also come from properties.
	BootstrapServers StringList `yaml:"bootstrapServers"`
	// Java client properties file with the connection's settings, relative to this file; in place of auth and tls.
	Properties string `yaml:"properties"`
	// Who we are to the cluster. Exactly one kind; absent means none.
	Auth *Auth `yaml:"auth"`
	// Encryption and certificates. Absent means none, except with auth.mskIAM and auth.mtls, which switch TLS on.
	TLS *TLS `yaml:"tls"`
	// Allows passwords and tokens over a connection without TLS, where the network can read them.
	Insecure bool `yaml:"insecure" default:"false"`
	// Name in the brokers' request logs and quotas.
	ClientID string `yaml:"clientId" default:"kferry"`
	// Longest wait for one answer.
	RequestTimeout time.Duration `yaml:"requestTimeout" default:"30s" min:"1s" max:"15m"`
	// Longest time for connecting, TLS handshake and authentication together.
	DialTimeout time.Duration `yaml:"dialTimeout" default:"10s" min:"100ms" max:"5m"`

	dir     string          // where relative paths start
	props   *Properties     // the parsed properties file
	written map[string]bool // keys that the migration file itself has, where properties may have them too
}

// Auth is how the cluster knows us: exactly one field is set.
type Auth struct {
	// No authentication.
	None *NoAuth `yaml:"none" bare:"true"`
	// SASL PLAIN with user name and password; needs TLS.
	Plain *Plain `yaml:"plain"`
	// SASL SCRAM with user name and password.
	Scram *Scram `yaml:"scram"`
	// SASL OAUTHBEARER with a token from a token endpoint or a file.
	OAuth *OAuth `yaml:"oauth"`
	// AWS_MSK_IAM with the AWS credentials of this process.
	MSKIAM *MSKIAM `yaml:"mskIAM" bare:"true"`
	// Mutual TLS with the client certificate of the tls block.
	MTLS *MTLS `yaml:"mtls" bare:"true"`
}

// NoAuth has no settings.
type NoAuth struct{}

// MTLS has no settings: the certificate stands in [TLS].
type MTLS struct{}

// Plain is SASL PLAIN.
type Plain struct {
	Username string    `yaml:"username" required:"true"`
	Password SecretRef `yaml:"password" required:"true"`
}

// Scram is SASL SCRAM.
type Scram struct {
	// Which of the two hashes the user's credentials were stored with. MSK has SCRAM-SHA-512 only.
	Mechanism string    `yaml:"mechanism" default:"SCRAM-SHA-512" enum:"SCRAM-SHA-256,SCRAM-SHA-512"`
	Username  string    `yaml:"username" required:"true"`
	Password  SecretRef `yaml:"password" required:"true"`
	// Says that user name and password are the id and HMAC of a delegation token.
	DelegationToken bool `yaml:"delegationToken" default:"false"`
}

// OAuth is SASL OAUTHBEARER: either tokenUrl with clientId and clientSecret, or token.
type OAuth struct {
	// Token endpoint for the client credentials grant; https.
	TokenURL     string     `yaml:"tokenUrl"`
	ClientID     string     `yaml:"clientId"`
	ClientSecret *SecretRef `yaml:"clientSecret"`
	// Scopes to ask for.
	Scopes []string `yaml:"scopes"`
	// Further form fields of the token request, for example audience.
	Params map[string]string `yaml:"params"`
	// Certificates for the token endpoint when it is not signed by one of the system's authorities.
	TLS *TLS `yaml:"tls"`
	// A token kept current by something else, for example {file: /var/run/secrets/token}; read again for every authentication.
	Token *SecretRef `yaml:"token"`
	// SASL extensions sent to the broker beside the token.
	Extensions map[string]string `yaml:"extensions"`
}

// MSKIAM is AWS_MSK_IAM; with no setting the AWS default chain is used.
type MSKIAM struct {
	// Profile of the shared AWS files.
	Profile string `yaml:"profile"`
	// Role to assume.
	RoleARN string `yaml:"roleArn"`
	// Session name shown in CloudTrail.
	RoleSessionName string `yaml:"roleSessionName" default:"kferry"`
	// External id that the role's trust policy asks for.
	ExternalID string `yaml:"externalId"`
	// Region whose STS endpoint assumes the role; the profile's region when absent.
	STSRegion string `yaml:"stsRegion"`
	// Region of the cluster, for brokers whose names do not tell it; AWS_REGION or the profile's when absent.
	Region string `yaml:"region"`
}

// TLS is encryption, the brokers' certificates and our own.
type TLS struct {
	// False for an unencrypted connection.
	Enabled *bool `yaml:"enabled" default:"true"`
	// PEM file with the certificates that sign the brokers' certificates; the system's authorities when absent.
	CA string `yaml:"ca"`
	// PEM file with our certificate chain.
	Cert string `yaml:"cert"`
	// PEM file with our key; absent when it is in the cert file.
	Key string `yaml:"key"`
	// Password of an encrypted PEM key.
	KeyPassword *SecretRef `yaml:"keyPassword"`
	// Java style store with the certificates to trust, in place of ca.
	Truststore *Truststore `yaml:"truststore"`
	// Java style store with our certificate and key, in place of cert and key.
	Keystore *Keystore `yaml:"keystore"`
	// Accepts any certificate. Only for experiments: anyone in between can read and change everything.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify" default:"false"`
	// False checks the chain but not that the certificate is for the broker's host name.
	VerifyHostname *bool `yaml:"verifyHostname" default:"true"`
	// Name to expect in the brokers' certificates in place of the host that is dialled.
	ServerName string `yaml:"serverName"`
	// Oldest protocol version to speak.
	MinVersion string `yaml:"minVersion" default:"TLSv1.2" enum:"TLSv1.2,TLSv1.3"`
}

// Truststore is a Java style store of trusted certificates.
type Truststore struct {
	Path string `yaml:"path" required:"true"`
	// What the file is; found out from its content when absent.
	Type string `yaml:"type" enum:"JKS,PKCS12,PEM"`
	// Opens a PKCS12 store, checks a JKS store.
	Password *SecretRef `yaml:"password"`
}

// Keystore is a Java style store with a certificate and its key.
type Keystore struct {
	Path string `yaml:"path" required:"true"`
	// What the file is; found out from its content when absent.
	Type     string     `yaml:"type" enum:"JKS,PKCS12,PEM"`
	Password *SecretRef `yaml:"password"`
	// Password of the key when it differs from the store's.
	KeyPassword *SecretRef `yaml:"keyPassword"`
}

// Cluster finds a cluster by its alias.
func (m *Migration) Cluster(alias string) (*Cluster, error) {
	var known []string
	for i := range m.Spec.Clusters {
		c := &m.Spec.Clusters[i]
		if c.Alias == alias {
			return c, nil
		}
		known = append(known, c.Alias)
	}
	return nil, fmt.Errorf("there is no cluster %q: the clusters are %s", alias, strings.Join(known, ", "))
}

// Flow finds a flow by its name; an empty name finds the only flow there is.
func (m *Migration) Flow(name string) (*Flow, error) {
	if name == "" && len(m.Spec.Flows) == 1 {
		return &m.Spec.Flows[0], nil
	}
	var known []string
	for i := range m.Spec.Flows {
		f := &m.Spec.Flows[i]
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	if name == "" {
		return nil, fmt.Errorf("there are %d flows: choose one of %s", len(known), strings.Join(known, ", "))
	}
	return nil, fmt.Errorf("there is no flow %q: the flows are %s", name, strings.Join(known, ", "))
}
