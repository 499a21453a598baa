package httpapi

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/apikey"
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

// authenticate proves who sends the request.
func (a *API) authenticate(ctx context.Context, x *exchange) (*identity.Principal, error) {
	if err := a.guard(x); err != nil {
		return nil, err
	}
	presented, err := credentials(x.request.Header)
	x.credential = presented.Bearer != "" || presented.APIKey != ""
	if err != nil {
		return nil, err
	}
	if err := refuseSecrets(x.request.URL.RawQuery); err != nil {
		return nil, err
	}
	presented.Certificates = peer(x.request)
	return a.prove(ctx, x, presented)
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
	c, generation := connectionOf(x.request), a.cfg.Trust.Generation()
	if c == nil {
		c = &connection{} // nothing is remembered
	}
	if known := c.trust.Load(); known != nil && known.generation == generation && !x.info.Received.After(known.until) {
		return nil
	}
	until, err := a.cfg.Trust.Verify(certificates)
	if err != nil {
		x.credential = true
		x.Header()["Connection"] = closing
		return fault.Wrap(fault.Unauthenticated, "The client certificate is no longer trusted", err)
	}
	c.trust.Store(&trusted{generation: generation, until: until})
	return nil
}

// peer returns the certificates that the connection's client has proven to hold.
func peer(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// prove returns the principal of the credentials. The first of token, key and
// certificate is who calls. A key beside a token is for a model that requires
// both alone, and the certificate of the connection counts beside another
// credential where the model requires it: the principal then has the others'
// beside it. None is looked at before the one in front of it was found valid.
func (a *API) prove(ctx context.Context, x *exchange, c authn.Credentials) (*identity.Principal, error) {
	first, further := c, authn.Credentials{}
	switch {
	case c.Bearer != "":
		first, further = authn.Credentials{Bearer: c.Bearer}, authn.Credentials{APIKey: c.APIKey, Certificates: c.Certificates}
	case c.APIKey != "":
		first, further = authn.Credentials{APIKey: c.APIKey}, authn.Credentials{Certificates: c.Certificates}
	}
	layered := x.route.OfModel && a.cfg.Layers != nil
	if further.APIKey != "" && !layered {
		return nil, oneCredential()
	}
	caller, err := a.cfg.Authenticator.Authenticate(ctx, first)
	if err != nil || !layered || further.APIKey == "" && further.Certificates == nil {
		return caller, err
	}
	required := a.cfg.Layers.Requires(caller, x.param("model"), x.param("version"))
	if further.APIKey != "" {
		if !slices.Contains(required, identity.APIKey) {
			return nil, oneCredential()
		}
		if caller, err = a.beside(ctx, caller, authn.Credentials{APIKey: further.APIKey}); err != nil {
			return nil, err
		}
	}
	if further.Certificates != nil && slices.Contains(required, identity.Certificate) {
		return a.beside(ctx, caller, authn.Credentials{Certificates: further.Certificates})
	}
	return caller, nil
}

// beside returns the caller with the principal of a further credential behind it.
func (a *API) beside(ctx context.Context, caller *identity.Principal, further authn.Credentials) (*identity.Principal, error) {
	other, err := a.cfg.Authenticator.Authenticate(ctx, further)
	if err != nil {
		return nil, err
	}
	if other.Tenant != caller.Tenant {
		return nil, fault.New(fault.Unauthenticated, "The credentials must be of one tenant")
	}
	both := *caller // the caller is shared
	if caller.With != nil {
		chained := *other
		chained.With = caller.With
		other = &chained
	}
	both.With = other
	return &both, nil
}

func oneCredential() error {
	return malformed("Send one credential: an access token or an API key")
}

// credentials returns what a request presents: a token or a key, and both only
// where each has a header of its own.
func credentials(h http.Header) (c authn.Credentials, err error) {
	if c.APIKey, err = keyHeader(h["X-Api-Key"], h["Api-Key"]); err != nil {
		return c, err
	}
	scheme, rest, err := authorization(h["Authorization"])
	if err != nil || scheme == "" {
		return c, err
	}
	var key string
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		if err = oneWord(rest, "The access token is empty: send one as Authorization: Bearer TOKEN", "Authorization must be: Bearer TOKEN"); err != nil {
			return c, err
		}
		if !strings.HasPrefix(rest, apikey.Prefix) {
			c.Bearer = rest
			return c, nil
		}
		key = rest
	case strings.EqualFold(scheme, "Basic"):
		if key, err = basicKey(rest); err != nil {
			return c, err
		}
	case c.APIKey == "":
		return c, nil // a scheme that is not ours proves nothing
	}
	if c.APIKey != "" {
		return c, oneCredential()
	}
	c.APIKey = key
	return c, nil
}

// keyHeader returns the key of the one header that carries it, empty without
// one.
func keyHeader(values, others []string) (string, error) {
	if len(values)+len(others) > 1 {
		return "", malformed("Send one API key, in one header")
	}
	if len(values) == 0 {
		values = others
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], oneWord(values[0], "The API key is empty: send one as X-API-Key", "X-API-Key must be one API key and nothing else")
}

// oneWord refuses what cannot be one credential.
func oneWord(s, empty, several string) error {
	if s == "" {
		// What a shell sends for a variable that was never set.
		return fault.New(fault.Unauthenticated, empty)
	}
	// One search for each byte is many times faster on a long token than one
	// for all of them.
	if strings.IndexByte(s, ' ') >= 0 || strings.IndexByte(s, '\t') >= 0 || strings.IndexByte(s, ',') >= 0 {
		return malformed(several)
	}
	return nil
}

// basicKey returns the API key of "Authorization: Basic", for clients that know
// no other way: the name is the key's id, the password the whole key. A pair that
// is none is as wrong as a key that is none.
func basicKey(encoded string) (string, error) {
	pair, err := decodeBasic(encoded)
	if err != nil {
		return "", err
	}
	if key, err := apikey.Parse(pair.Password); err == nil && key.ID == pair.Username {
		return pair.Password, nil
	}
	return apikey.Prefix, nil // which is no key
}

// authorization splits the one Authorization header into scheme and the rest.
func authorization(values []string) (scheme, rest string, err error) {
	switch len(values) {
	case 0:
		return "", "", nil
	case 1:
		scheme, rest, _ = strings.Cut(values[0], " ")
		return scheme, strings.Trim(rest, " "), nil
	}
	return "", "", malformed("Send one Authorization header, not several")
}

// refuseSecrets refuses a query that carries a credential.
func refuseSecrets(query string) error {
	if query == "" {
		return nil
	}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescaped(name), unescaped(value)
		if slices.Contains(secretParameters, strings.ToLower(name)) || strings.Contains(name+value, apikey.Prefix) {
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
	return &fault.Error{Kind: fault.BadRequest, Code: codeInvalidRequest, Msg: msg}
}

// basicCredentials returns the pair of "Authorization: Basic" (RFC 7617), as it
// stands there; nil without the header. A bearer token is no client's credential
// and counts as none, good or bad: who fetches a new token may send the old one
// with every request.
func basicCredentials(values []string) (*oauth.BasicCredentials, error) {
	scheme, rest, err := authorization(values)
	switch {
	case err != nil || scheme == "" && rest == "" || strings.EqualFold(scheme, "Bearer"):
		return nil, err
	case !strings.EqualFold(scheme, "Basic"):
		return nil, &fault.Error{Kind: fault.Unauthenticated, Code: codeInvalidClient, Msg: "A client authenticates by Basic here, or not at all"}
	}
	return decodeBasic(rest)
}

// decodeBasic splits the pair of RFC 7617.
func decodeBasic(encoded string) (*oauth.BasicCredentials, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, malformed("Authorization: Basic is not valid base64")
	}
	name, secret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, malformed("Authorization: Basic must hold a name, a colon and a secret")
	}
	return &oauth.BasicCredentials{Username: name, Password: secret}, nil
}
