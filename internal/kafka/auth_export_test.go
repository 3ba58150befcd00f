package kafka

import "net/http"

// SetTokenTransport makes an OAUTHBEARER Auth ask rt in place of the network.
func SetTokenTransport(a *Auth, rt http.RoundTripper) {
	a.Mechanism.(checked).Mechanism.(oauthBearer).source.client.Transport = rt
}
