package oauth

import (
	"context"
	"net/url"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// PublicClient is the client_id of tokens that a user got by password, without
// a client of its own (RFC 9068 section 2.2 requires one). Libraries that must
// name a client name this one, which has no secret (RFC 6749 section 2.1).
const PublicClient = "onnxgate"

// authenticate returns the client of a request, nil when it names none.
func (s *Server) authenticate(ctx context.Context, req Request) (*identity.Client, error) {
	id, secret, err := clientCredentials(req)
	if err != nil || id == "" && secret == "" || id == PublicClient && secret == "" {
		return nil, err
	}
	if s.clients == nil {
		return nil, invalidClient("There are no clients here", nil)
	}
	client, err := s.verify(ctx, req, id, secret)
	if f := fault.As(err); f != nil && f.Kind == fault.Unauthenticated {
		return nil, invalidClient(f.Msg, f.Err)
	}
	return client, err
}

// verify takes a certificate for a client that names itself and sends no secret
// (RFC 8705 section 2.1.1).
func (s *Server) verify(ctx context.Context, req Request, id, secret string) (*identity.Client, error) {
	if secret == "" && id == req.Proven {
		return s.clients.ProvenClient(ctx, id)
	}
	return s.clients.VerifyClient(ctx, id, secret)
}

// mustAuthenticate is authenticate for what only a client may do.
func (s *Server) mustAuthenticate(ctx context.Context, req Request) (*identity.Client, error) {
	client, err := s.authenticate(ctx, req)
	if err == nil && client == nil {
		return nil, errClientNeeded()
	}
	return client, err
}

// clientCredentials returns what a request says about its client:
// client_secret_basic or client_secret_post, and never both (RFC 6749 section
// 2.3). Empty ones count as none: some forms always send the fields.
func clientCredentials(req Request) (id, secret string, err error) {
	id, secret = req.Form.Get("client_id"), req.Form.Get("client_secret")
	if req.Basic == nil || *req.Basic == (BasicCredentials{}) {
		return id, secret, nil
	}
	if id != "" || secret != "" {
		return "", "", invalidRequest("Client credentials may stand in the header or in the body, not in both")
	}
	// Both were encoded as in a form before they were joined by a colon (RFC 6749
	// section 2.3.1).
	if id, err = url.QueryUnescape(req.Basic.Username); err == nil {
		secret, err = url.QueryUnescape(req.Basic.Password)
	}
	if err != nil {
		return "", "", invalidRequest("The id and the secret in Authorization: Basic must be percent-encoded")
	}
	return id, secret, nil
}

func invalidClient(msg string, reason error) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: CodeInvalidClient, Msg: msg, Err: reason}
}

func errClientNeeded() error {
	return invalidClient("A client has to authenticate here, by Basic or with client_id and client_secret", nil)
}

// mayUse refuses a grant that the client was not allowed.
func mayUse(client *identity.Client, grantType string) error {
	if client == nil || slices.Contains(client.Grants, grantType) {
		return nil
	}
	return &fault.Error{
		Kind: fault.BadRequest, Code: CodeUnauthorizedClient, Msg: "This client may not use the grant_type " + grantType,
	}
}

// idOf returns the client_id of what is issued to the client.
func idOf(client *identity.Client) string {
	if client == nil {
		return PublicClient
	}
	return client.Subject
}
