package testbed

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"
)

// TokenServer is a small OAuth 2 server on loopback: the client credentials
// grant for one client, and the key set that brokers check tokens against.
type TokenServer struct {
	TokenURL, JWKSURL string // endpoints, plain HTTP
	Issuer            string // claim "iss" of the tokens
	ClientID          string // also the subject, so the principal is User:<ClientID>
	ClientSecret      string

	server   *httptest.Server
	key      *rsa.PrivateKey
	unsigned bool         // for 2.8, whose only validator takes algorithm "none"
	lifetime atomic.Int64 // nanoseconds
	issued   atomic.Int64
}

const (
	tokenAudience = "kferry-testbed" // claim "aud"
	tokenKeyID    = "testbed"
)

func newTokenServer(unsigned bool) (*TokenServer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the key of the token server: %w", err)
	}
	s := &TokenServer{ClientID: "oauth-client", ClientSecret: "oauth secret", key: key, unsigned: unsigned}
	s.SetLifetime(5 * time.Minute)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.serveToken)
	mux.HandleFunc("GET /jwks", s.serveKeys)
	s.server = httptest.NewServer(mux)
	s.Issuer = s.server.URL
	s.TokenURL, s.JWKSURL = s.Issuer+"/token", s.Issuer+"/jwks"
	return s, nil
}

// SetLifetime changes how long tokens live that are issued from now on. A
// broker ends the connection of a client that has not logged in anew by then.
func (s *TokenServer) SetLifetime(d time.Duration) { s.lifetime.Store(int64(d)) }

// Issued returns how many tokens the endpoint has given out.
func (s *TokenServer) Issued() int { return int(s.issued.Load()) }

// Token makes a token for any subject without asking for a secret.
func (s *TokenServer) Token(subject string) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": s.Issuer, "aud": tokenAudience, "sub": subject, "scope": "kafka",
		"iat": now.Unix(), "exp": now.Add(time.Duration(s.lifetime.Load())).Unix(),
	}
	header := map[string]string{"alg": "RS256", "typ": "JWT", "kid": tokenKeyID}
	if s.unsigned {
		header = map[string]string{"alg": "none"}
	}
	signed := jsonPart(header) + "." + jsonPart(claims)
	if s.unsigned {
		return signed + ".", nil
	}
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// serveToken is RFC 6749, section 4.4; the client may name itself in the
// Authorization header or in the form.
func (s *TokenServer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	if r.FormValue("grant_type") != "client_credentials" {
		reply(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	if id != s.ClientID || secret != s.ClientSecret {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "wrong client id or secret"})
		return
	}
	token, err := s.Token(id)
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]any{"error": err.Error()})
		return
	}
	s.issued.Add(1)
	lifetime := time.Duration(s.lifetime.Load())
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime.Seconds())})
}

func (s *TokenServer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	reply(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": tokenKeyID,
		"n": number(s.key.N), "e": number(big.NewInt(int64(s.key.E))),
	}}})
}

func (s *TokenServer) close() { s.server.Close() }

func reply(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // a client that has gone is its own trouble
}

// jsonPart encodes one part of a token.
func jsonPart(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
