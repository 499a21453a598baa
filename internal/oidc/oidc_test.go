package oidc_test

import (
	"crypto/elliptic"
	"encoding/json"
	"io"
	"log"
	"strconv"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/oidc"
)

// quiet drops what a test's own server complains of.
func quiet(*testing.T) *log.Logger { return log.New(io.Discard, "", 0) }

// refused fails unless the error refuses the credential.
func refused(t *testing.T, p *identity.Principal, err error) {
	t.Helper()
	if f := fault.As(err); p != nil || f == nil || f.Kind != fault.Unauthenticated || f.Code != "invalid_token" {
		t.Errorf("Authenticate = %+v, %v, want invalid_token", p, err)
	}
}

func TestAnOutsideTokenGivesItsPrincipal(t *testing.T) {
	for _, s := range []*signer{
		newEC(t, "k1"), newEd(t, "k1"), newRSA(t, "k1", 2048),
		newOn(t, "k1", elliptic.P384(), jwt.SigningMethodES384), newOn(t, "k1", elliptic.P521(), jwt.SigningMethodES512),
	} {
		t.Run(s.method.Alg(), func(t *testing.T) {
			p := newProvider(t, s.jwk())
			g := newGate(t, p.entry(t))
			claims := g.claims(p.server.URL)
			token := s.sign(t, claims, nil)
			want := &identity.Principal{
				Subject: "ada", Issuer: p.server.URL, Tenant: "default", Roles: []string{"user"},
				Scopes: []string{"models:read", "models:predict"}, Method: identity.Outside,
				Claims: map[string]any{
					"iss": p.server.URL, "aud": "ml", "sub": "ada",
					"exp": numberOf(claims["exp"]), "iat": numberOf(claims["iat"]),
					"realm_access": map[string]any{"roles": []any{"ml-users", "offline_access"}},
				},
			}
			for range 2 { // the second is remembered
				got, err := g.try(t, token)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
			if n := p.count(keysPath); n != 1 {
				t.Errorf("the keys were fetched %d times, want once", n)
			}
		})
	}
}

// numberOf is a number of a token as a principal has it.
func numberOf(v any) json.Number {
	n, _ := v.(float64)
	return json.Number(strconv.FormatFloat(n, 'f', -1, 64))
}

func TestARefreshAsksEveryIssuerOnce(t *testing.T) {
	good, gone := newProvider(t, newEC(t, "k1").jwk(), object{"kty": "oct", "kid": "s", "k": "AAAA"}), newProvider(t)
	gone.server.Close()
	file := place(t, "issuers.yaml", "issuers:\n"+good.entry(t)+gone.entry(t))
	issuers, err := oidc.New(oidc.Config{File: file, Own: "https://own.example"})
	if err != nil {
		t.Fatal(err)
	}
	issuers.Refresh(t.Context())
	for _, s := range issuers.Status() {
		well := s.Issuer == good.server.URL
		if (s.Err == nil) != well || (s.Keys > 0) != well || (len(s.LeftOut) == 1) != well || s.From != s.Issuer+discoveryPath {
			t.Errorf("%+v", s)
		}
	}
	if n := good.count(keysPath); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}
