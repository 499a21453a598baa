package oauth

import (
	"context"
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// AccessTokens judges access tokens of this server.
type AccessTokens interface {
	// Inspect returns what a token says that counts now. The fault is
	// Unauthenticated for every other.
	Inspect(ctx context.Context, token string) (*identity.AccessToken, error)
}

// Revocations remembers access tokens that ended before their time.
type Revocations interface {
	// Revoke ends a token.
	Revoke(ctx context.Context, token *identity.AccessToken) error
}

// Revoke ends a token (RFC 7009): an access token alone, a refresh token with
// everything that goes back to the same sign-in. Presenting it is enough for a
// token that a user got without a client; a client ends only its own. A token
// that is not known, or has ended, is no failure. Faults are those of Token.
func (s *Server) Revoke(ctx context.Context, req Request) error {
	if err := checkOnce(req.Form); err != nil {
		return err
	}
	client, err := s.authenticate(ctx, req)
	if err != nil {
		return err
	}
	if err := s.revoke(ctx, req.Form.Get("token"), client); err != nil {
		return named(recordOf(audit.ClientRevoke, client), err)
	}
	if client == nil || reqctx.From(ctx).Recorded != reqctx.Nothing {
		return nil
	}
	return s.audit.Record(ctx, recordOf(audit.ClientRevoke, client)) // nothing ended, and the client was proven
}

// recordOf is what a client that was proven is on record with.
func recordOf(event audit.Event, client *identity.Client) *audit.Record {
	rec := &audit.Record{Event: event, Decision: audit.Allow, Outcome: audit.OK}
	if client != nil {
		rec.By(client.Principal)
	}
	return rec
}

func (s *Server) revoke(ctx context.Context, token string, client *identity.Client) error {
	switch {
	case token == "":
		return invalidRequest("The parameter token is missing")
	case strings.HasPrefix(token, identity.RefreshPrefix):
		err := s.refresh.RevokeRefreshToken(ctx, token, idOf(client))
		if fault.KindOf(err) == fault.Forbidden {
			return errForeign(client)
		}
		return err
	}
	known, err := s.access.Inspect(ctx, token)
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil // what does not count has ended already
	case err != nil:
		return err
	case known.ClientID != idOf(client):
		return errForeign(client)
	}
	return s.revocations.Revoke(ctx, known)
}

// errForeign refuses a token of another client, or of a client that did not
// say who it is.
func errForeign(client *identity.Client) error {
	if client == nil {
		return errClientNeeded()
	}
	return &fault.Error{Kind: fault.BadRequest, Code: CodeUnauthorizedClient, Msg: "The token was issued to another client"}
}
