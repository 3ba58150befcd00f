package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// tokenTimeout bounds one request to the token endpoint.
	tokenTimeout = 30 * time.Second
	// minTokenLife is how long a token must still be valid to be used again.
	minTokenLife = 10 * time.Second
)

// OAuth says where the bearer token comes from: a token endpoint (client credentials grant), a file, or
// (for tests and short trials) a fixed token. Exactly one of TokenURL, TokenFile and Token is set.
type OAuth struct {
	// TokenURL is the token endpoint; https, except on this host or with Insecure.
	TokenURL string
	// ClientID and ClientSecret identify us there. They are tried as HTTP Basic first, then as form fields.
	ClientID     string
	ClientSecret Secret
	// Scopes are asked for, joined by spaces.
	Scopes []string
	// Params are further form fields of the token request, for example "audience".
	Params map[string]string
	// EndpointTLS is for the token endpoint; nil means the system's roots.
	EndpointTLS *TLS
	// TokenFile is read again for every authentication, as projected Kubernetes tokens are replaced in place.
	TokenFile string
	// Token is a fixed token, valid until its issuer ends it.
	Token Secret
	// Extensions are sent to the broker beside the token (KIP-342), for example logicalCluster.
	Extensions map[string]string
	// Insecure allows an http token endpoint on another host.
	Insecure bool
}

// extensionKey is the form that KIP-342 and RFC 7628 allow.
var extensionKey = regexp.MustCompile(`^[A-Za-z]+$`)

func (o *OAuth) validate() error {
	sources := 0
	for _, set := range []bool{o.TokenURL != "", o.TokenFile != "", !o.Token.IsZero()} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		return errors.New("OAUTHBEARER needs exactly one of token endpoint, token file and token")
	}
	for k, v := range o.Extensions {
		if !extensionKey.MatchString(k) || k == "auth" {
			return fmt.Errorf("OAUTHBEARER extension %q: a name has letters only and is not \"auth\" (KIP-342)", k)
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r != '\t' && r != '\r' && r != '\n' && (r < ' ' || r > '~') }) {
			return fmt.Errorf("OAUTHBEARER extension %q: a value has printable ASCII only (KIP-342)", k)
		}
	}
	if o.TokenURL == "" {
		return nil
	}
	if err := CheckTokenURL(o.TokenURL, o.Insecure); err != nil {
		return err
	}
	if o.ClientID == "" || o.ClientSecret.IsZero() {
		return errors.New("OAUTHBEARER with a token endpoint needs a client id and a client secret")
	}
	return nil
}

// CheckTokenURL reports what is wrong with a token endpoint's address, without repeating credentials in it.
func CheckTokenURL(s string, insecure bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the token endpoint is not a URL: write for example https://login.example.com/oauth2/token")
	case u.User != nil:
		return fmt.Errorf("the token endpoint at %s carries a user or password: use client id and client secret", u.Host)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (insecure || loopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("the token endpoint at %s is http, which would send the client secret readable over the network: use https, or allow it with insecure: true", u.Host)
	}
	return fmt.Errorf("the token endpoint at %s is neither https nor http", u.Host)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *credentials) oauthMechanism() (sasl.Mechanism, error) {
	m := oauthBearer{extensions: c.OAuth.Extensions, token: c.fixedToken}
	switch {
	case c.OAuth.TokenURL != "":
		src, err := newTokenSource(c)
		if err != nil {
			return nil, err
		}
		m.source, m.token = src, src.token
	case c.OAuth.TokenFile != "":
		m.token = c.OAuth.tokenFromFile
	}
	return m, nil
}

func (c *credentials) fixedToken(ctx context.Context) (string, error) {
	cur, err := c.current(ctx)
	if err != nil {
		return "", err
	}
	return cur.OAuth.Token.Reveal(), nil
}

func (o *OAuth) tokenFromFile(context.Context) (string, error) {
	data, err := readBounded(o.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token file %s: %w", o.TokenFile, err)
	}
	t := strings.TrimSpace(string(data))
	if t == "" {
		return "", fmt.Errorf("read the token file %s: it holds no token", o.TokenFile)
	}
	return t, nil
}

// tokenSource asks the token endpoint, one request at a time, and keeps a token for 80 % of its life: a
// session that is renewed at 85 % or later (KIP-368) then always gets a new one. A token near its end is not
// used either: the session would have to be renewed at once, and brokers answer a second login within one
// second with ILLEGAL_SASL_STATE.
type tokenSource struct {
	creds  *credentials
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	cached string
	until  time.Time
}

func newTokenSource(c *credentials) (*tokenSource, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if t := c.OAuth.EndpointTLS; t != nil {
		cfg, err := t.config()
		if err != nil {
			return nil, fmt.Errorf("token endpoint: %w", err)
		}
		tr.TLSClientConfig = cfg
	}
	return &tokenSource{
		creds: c,
		client: &http.Client{
			Transport: tr,
			Timeout:   tokenTimeout,
			// A redirect would carry the client secret to another address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now: time.Now,
	}, nil
}

func (ts *tokenSource) token(ctx context.Context) (string, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.cached != "" && ts.now().Before(ts.until) {
		return ts.cached, nil
	}
	cur, err := ts.creds.current(ctx)
	if err != nil {
		return "", err
	}
	o := ts.creds.OAuth
	secret := cur.OAuth.ClientSecret
	cfg := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: secret.Reveal(), TokenURL: o.TokenURL,
		Scopes: slices.Clone(o.Scopes), EndpointParams: url.Values{},
	}
	for k, v := range o.Params {
		cfg.EndpointParams.Set(k, v)
	}
	asked := ts.now()
	tok, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, ts.client))
	if err != nil {
		return "", tokenError(o, secret, err)
	}
	ts.cached, ts.until = tok.AccessToken, time.Time{}
	if !tok.Expiry.IsZero() {
		life := tok.Expiry.Sub(asked)
		ts.until = asked.Add(min(life*80/100, life-minTokenLife))
	}
	return tok.AccessToken, nil
}

// tokenError says what the endpoint answered, without the answer's body: it may repeat what was sent.
func tokenError(o *OAuth, secret Secret, err error) error {
	u, _ := url.Parse(o.TokenURL)
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) {
		return fmt.Errorf("ask %s for a token: %w: check the address, the network and the endpoint's certificate", u.Host, unwrapURL(err))
	}
	what := re.ErrorCode
	if re.ErrorDescription != "" {
		what += " (" + re.ErrorDescription + ")"
	}
	if what == "" && re.Response != nil {
		what = re.Response.Status
	}
	what = strings.ReplaceAll(what, secret.Reveal(), redacted)
	return fmt.Errorf("token endpoint %s refused client %q: %s: check client id, client secret and scope", u.Host, o.ClientID, oneLine(what))
}

// unwrapURL drops the address that net/http puts before its errors.
func unwrapURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// oneLine keeps foreign text from breaking a message into lines or flooding it.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return s
}

// oauthBearer is franz-go's mechanism with two things added: a token that could break the message's framing is
// not sent, and the broker's refusal, which RFC 7628 sends as JSON in a challenge, is readable.
type oauthBearer struct {
	token      func(context.Context) (string, error)
	extensions map[string]string
	source     *tokenSource // behind token, where there is one
}

// Name implements sasl.Mechanism.
func (oauthBearer) Name() string { return MechanismOAuthBearer }

// Authenticate implements sasl.Mechanism.
func (m oauthBearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	token, err := m.token(ctx)
	if err != nil {
		return nil, nil, err
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, nil, errors.New("the bearer token has spaces or characters that no token may have (RFC 6750): check its source")
	}
	auth := oauth.Auth{Token: token, Extensions: m.extensions}
	s, msg, err := auth.AsMechanism().Authenticate(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	return oauthSession{s, msg}, msg, nil
}

type oauthSession struct {
	sasl.Session
	sent []byte
}

// Challenge implements sasl.Session.
func (s oauthSession) Challenge(resp []byte) (bool, []byte, error) {
	if len(resp) > 0 {
		return false, nil, fmt.Errorf("the broker refused the token: %s", oneLine(withoutEcho(string(resp), s.sent)))
	}
	return s.Session.Challenge(resp)
}
