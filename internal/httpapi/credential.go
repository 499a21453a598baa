package httpapi

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/oauth"
)

// secretParameters are query parameters that would carry a credential. In a URL
// it would end up in logs and histories, so that it is refused there, used or
// not (RFC 6750 section 5.3).
var secretParameters = []string{
	"access_token", "api_key", "apikey", "assertion", "client_assertion", "client_secret",
	"code", "id_token", "password", "refresh_token", "token", "x-api-key",
}

// fieldsOf returns the header fields that may present a credential.
func fieldsOf(h http.Header) authn.Fields {
	return authn.Fields{Authorization: h["Authorization"], APIKey: h["X-Api-Key"], OtherAPIKey: h["Api-Key"]}
}

// authenticate proves who sends the request.
func (a *API) authenticate(ctx context.Context, x *exchange) (*identity.Principal, error) {
	if err := a.guard(x); err != nil {
		return nil, err
	}
	presented, err := authn.Read(fieldsOf(x.request.Header))
	x.credential = presented.Bearer != "" || presented.APIKey != ""
	if err != nil {
		return nil, err
	}
	if err := refuseSecrets(x.request.URL.RawQuery); err != nil {
		return nil, err
	}
	presented.Certificates = peer(x.request)
	layered := x.route.OfModel && a.cfg.Layers != nil
	caller, further, err := authn.First(ctx, a.cfg.Authenticator, presented, layered)
	if err != nil || !layered || further.Empty() {
		return caller, err
	}
	return authn.Beside(ctx, a.cfg.Authenticator, caller, further, a.cfg.Layers.Requires(caller, x.param("model"), x.param("version")))
}

// provenFor is how long a body may take until the rights of who sends it are
// proven again. Most bodies come with the head of their request.
const provenFor = 50 * time.Millisecond

// renew proves again who sends the request, and that they may use the route, when
// its body was long on its way: what counted at its first byte may have expired
// or been revoked before its last. The request counts as received only now.
// Faults: those of the first time.
func (x *exchange) renew(ctx context.Context) error {
	a := x.listener.api
	now := a.cfg.Now()
	if x.route.Auth != Bearer || now.Sub(x.start) < provenFor {
		return nil
	}
	x.info.Received = now
	caller, err := a.authenticate(ctx, x)
	if err != nil {
		return err // the access line goes on naming who it was
	}
	if err := x.route.permit(caller); err != nil {
		return err
	}
	x.principal, x.renewed = caller, true
	return nil
}

// guard refuses what comes over a connection whose client certificate is no
// longer good, whatever other credential the request has, and ends the
// connection: a new one would not be let in. What was found holds for the
// connection until something ends or changes.
func (a *API) guard(x *exchange) error {
	certificates := peer(x.request)
	if len(certificates) == 0 || a.cfg.Trust == nil {
		return nil
	}
	c := connectionOf(x.request)
	if c == nil {
		c = &connection{} // nothing is remembered
	}
	err := c.trust.Check(a.cfg.Trust, certificates, x.info.Received)
	if err != nil {
		x.credential = true
		x.Header()["Connection"] = closing
	}
	return err
}

// peer returns the certificates that the connection's client has proven to hold.
func peer(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// refuseSecrets refuses a query that carries a credential.
func refuseSecrets(query string) error {
	if query == "" {
		return nil
	}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescaped(name), unescaped(value)
		if slices.Contains(secretParameters, strings.ToLower(name)) || authn.HoldsSecret(name+value) {
			return malformed("A credential does not belong in the URL; send it as Authorization: Bearer TOKEN, or X-API-Key: KEY")
		}
	}
	return nil
}

// unescaped returns s as it is when it cannot be decoded.
func unescaped(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

func malformed(msg string) error {
	return &fault.Error{Kind: fault.BadRequest, Code: oauth.CodeInvalidRequest, Msg: msg}
}

// basicCredentials returns the pair of "Authorization: Basic" (RFC 7617), as it
// stands there; nil without the header. A bearer token is no client's credential
// and counts as none, good or bad: who fetches a new token may send the old one
// with every request.
func basicCredentials(values []string) (*oauth.BasicCredentials, error) {
	scheme, rest, err := authn.SplitAuthorization(values)
	switch {
	case err != nil || scheme == "" && rest == "" || strings.EqualFold(scheme, "Bearer"):
		return nil, err
	case !strings.EqualFold(scheme, "Basic"):
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: oauth.CodeInvalidClient, Msg: "A client authenticates by Basic here, or not at all"}
	}
	name, password, err := authn.DecodeBasic(rest)
	if err != nil {
		return nil, err
	}
	return &oauth.BasicCredentials{Username: name, Password: password}, nil
}
