package oauth

import (
	"maps"
	"slices"
	"strings"

	"onnxgate/internal/authz"
)

// The paths of the endpoints, below the issuer.
const (
	PathToken      = "/token"
	PathRevoke     = "/oauth/revoke"
	PathIntrospect = "/oauth/introspect"
	PathMetadata   = "/.well-known/oauth-authorization-server"
	PathJWKS       = "/.well-known/jwks.json"
)

// Metadata describes the server to clients (RFC 8414 section 2).
type Metadata struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	JWKSURI               string   `json:"jwks_uri,omitempty"`
	Scopes                []string `json:"scopes_supported"`
	// ResponseTypes is required, and empty: there is no authorization endpoint.
	ResponseTypes            []string `json:"response_types_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
}

// Metadata says where everything is. The issuer is the configured one, whatever
// a request says about its host.
func (s *Server) Metadata() Metadata {
	base := strings.TrimSuffix(s.issuer.name, "/")
	secret := []string{"client_secret_basic", "client_secret_post"}
	if s.byCert {
		secret = append(secret, "tls_client_auth")
	}
	anyone := append(slices.Clone(secret), "none") // PublicClient
	m := Metadata{
		Issuer: s.issuer.name, TokenEndpoint: base + PathToken,
		RevocationEndpoint: base + PathRevoke, IntrospectionEndpoint: base + PathIntrospect,
		Scopes:        append(authz.Permissions(), scopeOffline),
		ResponseTypes: []string{}, GrantTypes: slices.Sorted(maps.Keys(s.grants)),
		TokenAuthMethods: anyone, RevocationAuthMethods: anyone, IntrospectionAuthMethods: secret,
	}
	if s.published {
		m.JWKSURI = base + PathJWKS
	}
	return m
}
