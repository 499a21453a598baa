package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/oauth"
)

const mediaForm = "application/x-www-form-urlencoded"

// token gives an access token for a grant (RFC 6749 section 3.2).
func (a *API) token(ctx context.Context, x *exchange) error {
	return answerForm(ctx, a, x, a.cfg.Tokens.Token)
}

// revoke ends a token (RFC 7009 section 2).
func (a *API) revoke(ctx context.Context, x *exchange) error {
	req, err := a.oauthRequest(ctx, x)
	if err != nil {
		return err
	}
	if err := a.cfg.Tokens.Revoke(ctx, req); err != nil {
		return err
	}
	x.send(http.StatusOK, nil)
	return nil
}

// introspect tells a client what a token is good for (RFC 7662 section 2).
func (a *API) introspect(ctx context.Context, x *exchange) error {
	return answerForm(ctx, a, x, a.cfg.Tokens.Introspect)
}

// answerForm reads a form, calls the authorization server and sends its answer.
func answerForm[T any](ctx context.Context, a *API, x *exchange, call func(context.Context, oauth.Request) (*T, error)) error {
	req, err := a.oauthRequest(ctx, x)
	if err != nil {
		return err
	}
	res, err := call(ctx, req)
	if err != nil {
		return err
	}
	return x.sendValue(res)
}

// serverMetadata says where the endpoints are (RFC 8414 section 3).
func (a *API) serverMetadata(_ context.Context, x *exchange) error {
	x.Header()["Cache-Control"] = cacheMinutes
	return x.sendValue(a.cfg.Tokens.Metadata())
}

// jwks publishes the keys that verify access tokens (RFC 7517 section 5). A
// copy is not kept for longer than a key is known before it signs.
func (a *API) jwks(_ context.Context, x *exchange) error {
	x.Header()["Cache-Control"] = cacheSeconds
	x.sendJSON(a.cfg.Keys.JWKS())
	return nil
}

func (x *exchange) sendValue(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.sendJSON(append(body, '\n'))
	return nil
}

func (a *API) oauthRequest(ctx context.Context, x *exchange) (oauth.Request, error) {
	x.Header()["Pragma"] = noCache // RFC 6749 section 5.1
	if err := a.guard(x); err != nil {
		return oauth.Request{}, err
	}
	if x.request.URL.RawQuery != "" {
		return oauth.Request{}, malformed("The parameters of this request belong in its body, not in the URL")
	}
	basic, err := basicCredentials(x.request.Header["Authorization"])
	if err != nil {
		return oauth.Request{}, err
	}
	body, err := x.readBody(ctx, mediaForm)
	if fault.KindOf(err) == fault.UnsupportedMedia {
		// RFC 6749 knows no 415: a form in another type is a malformed request.
		return oauth.Request{}, malformed(fault.As(err).Msg)
	}
	if err != nil {
		return oauth.Request{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return oauth.Request{}, malformed("The body is not a valid " + mediaForm + " form")
	}
	req := oauth.Request{Form: form, Basic: basic}
	req.Proven, err = a.provenClient(ctx, x)
	return req, err
}

// provenClient returns the id of the client that the connection's certificate
// proves, nothing when there is none.
func (a *API) provenClient(ctx context.Context, x *exchange) (string, error) {
	certificates := peer(x.request)
	if certificates == nil {
		return "", nil
	}
	client, err := a.cfg.Authenticator.Authenticate(ctx, authn.Credentials{Certificates: certificates})
	if kind := fault.KindOf(err); err != nil && (kind == fault.Unauthenticated || kind == fault.Forbidden) {
		return "", nil // it proves nobody, and the request may have another credential
	}
	if err != nil {
		return "", err
	}
	return client.Subject, nil
}
