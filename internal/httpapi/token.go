package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"onnxgate/internal/fault"
	"onnxgate/internal/oauth"
)

const mediaForm = "application/x-www-form-urlencoded"

// token gives an access token for a grant (RFC 6749 section 3.2).
func (a *API) token(ctx context.Context, x *exchange) error {
	x.Header()["Pragma"] = noCache // RFC 6749 section 5.1
	if x.request.URL.RawQuery != "" {
		return malformed("The parameters of a token request belong in its body, not in the URL")
	}
	req, err := tokenRequest(x)
	if err != nil {
		return err
	}
	res, err := a.cfg.Tokens.Token(ctx, req)
	if err != nil {
		return err
	}
	body, err := json.Marshal(res) //nolint:gosec // the token is what was asked for
	if err != nil {
		return fmt.Errorf("encode a token response: %w", err)
	}
	x.sendJSON(append(body, '\n'))
	return nil
}

func tokenRequest(x *exchange) (oauth.TokenRequest, error) {
	basic, err := basicCredentials(x.request.Header["Authorization"])
	if err != nil {
		return oauth.TokenRequest{}, err
	}
	body, err := x.readBody(mediaForm)
	if fault.KindOf(err) == fault.UnsupportedMedia {
		// RFC 6749 knows no 415: a form in another type is a malformed request.
		return oauth.TokenRequest{}, malformed(fault.As(err).Msg)
	}
	if err != nil {
		return oauth.TokenRequest{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return oauth.TokenRequest{}, malformed("The body is not a valid " + mediaForm + " form")
	}
	return oauth.TokenRequest{Form: form, Basic: basic}, nil
}
