package httpapi

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
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
func (a *API) authenticate(ctx context.Context, x *exchange) error {
	token, err := bearerToken(x.request.Header["Authorization"])
	x.credential = token != ""
	if err != nil {
		return err
	}
	if err := refuseSecrets(x.request.URL.RawQuery); err != nil {
		return err
	}
	x.principal, err = a.cfg.Authenticator.Authenticate(ctx, authn.Credentials{Bearer: token, Certificates: peer(x.request)})
	return err
}

// peer returns the certificates that the connection's client has proven to hold.
func peer(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// bearerToken returns the token of "Authorization: Bearer" (RFC 6750 section
// 2.1), empty without the header and with another scheme.
func bearerToken(values []string) (string, error) {
	scheme, rest, err := authorization(values)
	if err != nil || !strings.EqualFold(scheme, "Bearer") {
		return "", err
	}
	if rest == "" {
		// What a shell sends for a variable that was never set.
		return "", fault.New(fault.Unauthenticated, "The access token is empty: send one as Authorization: Bearer TOKEN")
	}
	// One search for each byte is many times faster on a long token than one
	// for all of them.
	if strings.IndexByte(rest, ' ') >= 0 || strings.IndexByte(rest, '\t') >= 0 || strings.IndexByte(rest, ',') >= 0 {
		return "", malformed("Authorization must be: Bearer TOKEN")
	}
	return rest, nil
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
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if slices.Contains(secretParameters, strings.ToLower(name)) {
			return malformed("A credential does not belong in the URL; send it as Authorization: Bearer TOKEN")
		}
	}
	return nil
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
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil {
		return nil, malformed("Authorization: Basic is not valid base64")
	}
	name, secret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, malformed("Authorization: Basic must hold a name, a colon and a secret")
	}
	return &oauth.BasicCredentials{Username: name, Password: secret}, nil
}
