package kafka_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kferry/kferry/internal/kafka"
)

// tokenEndpoint is a token endpoint that notes what it is asked.
type tokenEndpoint struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)

	mu    sync.Mutex
	asked []url.Values
}

func newTokenEndpoint(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *tokenEndpoint {
	t.Helper()
	e := &tokenEndpoint{answer: answer}
	e.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form := r.PostForm
		if id, secret, ok := r.BasicAuth(); ok {
			form.Set("basic", id+":"+secret)
		}
		e.mu.Lock()
		e.asked = append(e.asked, form)
		e.mu.Unlock()
		e.answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *tokenEndpoint) caPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}))
}

func (e *tokenEndpoint) oauth() *kafka.OAuth {
	return &kafka.OAuth{
		TokenURL: e.URL + "/token", ClientID: "kferry", ClientSecret: kafka.NewSecret(canary),
		Scopes: []string{"kafka", "read"}, Params: map[string]string{"audience": "brokers"},
		EndpointTLS: &kafka.TLS{CA: kafka.Store{PEM: kafka.NewSecret(e.caPEM())}},
		Extensions:  map[string]string{"logicalCluster": "lkc-1", "pool": "p 1"},
	}
}

func answerJSON(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func oauthConnection(o *kafka.OAuth) *kafka.Connection {
	return &kafka.Connection{Alias: "c", Bootstrap: []string{"b:9092"}, Security: kafka.Security{
		TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: kafka.MechanismOAuthBearer, OAuth: o},
	}}
}

// firstMessage builds the Auth and returns what it sends first.
func firstMessage(t *testing.T, c *kafka.Connection) (string, error) {
	t.Helper()
	a, err := c.Auth(t.Context())
	if err != nil {
		return "", err
	}
	_, msg, err := a.Mechanism.Authenticate(t.Context(), "b:9092")
	return string(msg), err
}

func TestOAuthAsksTheTokenEndpoint(t *testing.T) {
	e := newTokenEndpoint(t, answerJSON(200, `{"access_token":"t0k.en-1_~+/=","token_type":"Bearer","expires_in":3600}`))
	c := oauthConnection(e.oauth())
	a, err := c.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(e.asked) != 0 {
		t.Error("a token was asked for before the first authentication")
	}
	const want = "n,,\x01auth=Bearer t0k.en-1_~+/=\x01logicalCluster=lkc-1\x01pool=p 1\x01\x01"
	for range 3 {
		session, msg, err := a.Mechanism.Authenticate(t.Context(), "b:9092")
		if err != nil || string(msg) != want {
			t.Fatalf("%q, %v\nwant %q", msg, err, want)
		}
		if done, _, err := session.Challenge(nil); !done || err != nil {
			t.Fatalf("an empty answer is the end: %v %v", done, err)
		}
		if _, _, err := session.Challenge([]byte(`{"status":"invalid_token"}`)); err == nil || !strings.Contains(a.Explain("b:9092", err).Error(), `broker b:9092 refused our OAUTHBEARER token: {"status":"invalid_token"}: check that it is not expired`) {
			t.Errorf("a refusal: %v", a.Explain("b:9092", err))
		}
	}
	if len(e.asked) != 1 {
		t.Errorf("asked %d times for a token that is valid for an hour", len(e.asked))
	}
	form := e.asked[0]
	for k, v := range map[string]string{"grant_type": "client_credentials", "scope": "kafka read", "audience": "brokers", "basic": "kferry:" + canary} {
		if form.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, form.Get(k), v)
		}
	}
}

// TestOAuthRenewsBeforeTheEnd: a session renewed at 85 % of a token's life must get another token.
func TestOAuthRenewsBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := roundTrip(func(*http.Request) (*http.Response, error) {
			n++
			rec := httptest.NewRecorder()
			answerJSON(200, fmt.Sprintf(`{"access_token":"t%d","token_type":"Bearer","expires_in":1000}`, n))(rec, nil)
			return rec.Result(), nil
		})
		c := oauthConnection(&kafka.OAuth{TokenURL: "https://idp/token", ClientID: "x", ClientSecret: kafka.NewSecret("y")})
		a, err := c.Auth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kafka.SetTokenTransport(a, tr)
		get := func() string {
			_, msg, err := a.Mechanism.Authenticate(context.Background(), "b:1")
			if err != nil {
				t.Fatal(err)
			}
			return string(msg)
		}
		first := get()
		time.Sleep(790 * time.Second)
		if got := get(); got != first {
			t.Errorf("after 79 %% of its life the token was replaced: %q", got)
		}
		time.Sleep(60 * time.Second)
		if got := get(); got == first {
			t.Error("after 85 % of its life the token is still used")
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOAuthErrorsAreOneLineWithoutSecrets(t *testing.T) {
	away := newTokenEndpoint(t, nil)
	away.Close()
	stolen := false
	elsewhere := newTokenEndpoint(t, func(http.ResponseWriter, *http.Request) { stolen = true })
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		{"refused", answerJSON(401, `{"error":"invalid_client","error_description":"bad secret `+canary+`\nline two"}`), `refused client "kferry": invalid_client (bad secret [secret] line two): check client id, client secret and scope`},
		{"refused in HTML", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403); fmt.Fprint(w, canary) }, "403 Forbidden"},
		{"redirected", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
		{"no token", answerJSON(200, `{"token_type":"Bearer"}`), "ask "},
		{"no JSON", answerJSON(200, `{`), "ask "},
		{"token with a line break", answerJSON(200, `{"access_token":"a\u0001b","token_type":"Bearer"}`), "characters that no token may have"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newTokenEndpoint(t, tt.answer)
			_, err := firstMessage(t, oauthConnection(e.oauth()))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if stolen {
		t.Error("the secret followed a redirect")
	}
	if _, err := firstMessage(t, oauthConnection(away.oauth())); err == nil || !strings.Contains(err.Error(), "connection refused: check the address, the network") {
		t.Errorf("an endpoint that is away: %v", err)
	}
	e := newTokenEndpoint(t, answerJSON(200, `{}`))
	untrusted := e.oauth()
	untrusted.EndpointTLS = nil
	if _, err := firstMessage(t, oauthConnection(untrusted)); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("an endpoint that is not trusted: %v", err)
	}
}

func TestOAuthTokenFileIsReadEachTime(t *testing.T) {
	path := writeFile(t, t.TempDir(), "token", []byte("first\n"))
	c := oauthConnection(&kafka.OAuth{TokenFile: path})
	a, err := c.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"first", "second"} {
		writeFile(t, "", path, []byte(token+"\n"))
		_, msg, err := a.Mechanism.Authenticate(t.Context(), "b:1")
		if want := "n,,\x01auth=Bearer " + token + "\x01\x01"; err != nil || string(msg) != want {
			t.Errorf("%q, %v, want %q", msg, err, want)
		}
	}
	os.Remove(path)
	if _, _, err := a.Mechanism.Authenticate(t.Context(), "b:1"); err == nil || err.Error() != "read the token file "+path+": no such file or directory" {
		t.Errorf("a missing file: %v", err)
	}
}

func TestOAuthSettingsAreChecked(t *testing.T) {
	secret := kafka.NewSecret(canary)
	tests := []struct {
		conf kafka.OAuth
		want string
	}{
		{kafka.OAuth{}, "exactly one of token endpoint, token file and token"},
		{kafka.OAuth{TokenFile: "x", Token: secret}, "exactly one of token endpoint, token file and token"},
		{kafka.OAuth{TokenURL: "https://idp/t", ClientID: "x"}, "needs a client id and a client secret"},
		{kafka.OAuth{TokenURL: "http://idp/t", ClientID: "x", ClientSecret: secret}, "is http, which would send the client secret readable"},
		{kafka.OAuth{TokenURL: "https://u:" + canary + "@idp/t", ClientID: "x", ClientSecret: secret}, "at idp carries a user or password"},
		{kafka.OAuth{TokenURL: "idp/" + canary, ClientID: "x", ClientSecret: secret}, "is not a URL"},
		{kafka.OAuth{TokenURL: "ftp://idp/t", ClientID: "x", ClientSecret: secret}, "neither https nor http"},
		{kafka.OAuth{Token: secret, Extensions: map[string]string{"auth": "x"}}, `extension "auth"`},
		{kafka.OAuth{Token: secret, Extensions: map[string]string{"a1": "x"}}, `extension "a1"`},
		{kafka.OAuth{Token: secret, Extensions: map[string]string{"a": "\x01"}}, `extension "a": a value`},
		{kafka.OAuth{TokenURL: "http://127.0.0.1/t", ClientID: "x", ClientSecret: secret}, ""},
		{kafka.OAuth{TokenURL: "http://idp/t", ClientID: "x", ClientSecret: secret, Insecure: true}, ""},
	}
	for _, tt := range tests {
		_, err := oauthConnection(&tt.conf).Auth(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary)) {
			t.Errorf("%+v: got %v, want %q", tt.conf, err, tt.want)
		}
	}
}
