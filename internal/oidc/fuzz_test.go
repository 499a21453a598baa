package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"strings"
	"testing"
)

// FuzzKeySet holds for any document: it is refused, or every key that is used is
// of an algorithm that was allowed, public, and strong enough.
func FuzzKeySet(f *testing.F) {
	const point = `"x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"`
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a",` + point + `}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256",` + point + `,"d":"AQ"},{"kty":"oct","k":"AQ"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"RSA","n":"` + strings.Repeat("z", 342) + `","e":"AQAB"}]}`,
		"", "[]", `{"keys":null}`, `{"keys":[1,"",[],null]}`, `{"keys":[],"keys":[]}`, "\xEF\xBB\xBF{}", `{"keys":[{"kid":"\ud800"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := parseSet(doc, asymmetric)
		if err != nil {
			return
		}
		for v := range set.live {
			switch key := v.Public().(type) {
			case *rsa.PublicKey:
				if key.N.BitLen() < 2048 || key.N.BitLen() > 8192 || key.E < 65537 {
					t.Errorf("a weak key: %d bits, exponent %d", key.N.BitLen(), key.E)
				}
			case *ecdsa.PublicKey, ed25519.PublicKey:
			default:
				t.Errorf("a key of type %T", key)
			}
		}
		if len(set.lone) > 0 && len(set.byKID) > 1 {
			t.Error("a lone key among others")
		}
	})
}

// FuzzIssuersFile holds for any file: it is refused with reasons that name their
// lines, or every entry can be judged by.
func FuzzIssuersFile(f *testing.F) {
	for _, seed := range []string{
		"issuers:\n  - issuer: https://idp.example\n    audience: [ml]\n    claims: {roles: [groups]}\n    roles: {a: user}\n",
		"issuers: [{issuer: 'https://a.example', audience: [x], networks: [10.0.0.0/8], max_stale: 1h, typ: ['']}]",
		"issuers: []", "", "{}", "a: &a [*a]", "issuers: {}", "- 1", "issuers:\n- <<: 1", "!!x 1", "issuers: [1, {issuer: 2}]", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "_file") {
			return // of files on this machine
		}
		r := &reader{file: "f"}
		root := r.document(data)
		if root == nil {
			if len(r.problems) == 0 {
				t.Error("refused without a reason")
			}
			return
		}
		entries := r.entries(root, "https://own.example")
		for _, problem := range r.problems {
			if !strings.HasPrefix(problem.Error(), "f:") {
				t.Errorf("%q names no place", problem)
			}
		}
		for _, e := range entries {
			if p := &e.policy; len(r.problems) == 0 && (p.Name == "" || len(p.Audience) == 0 || len(p.Algorithms) == 0 || len(p.Types) == 0 || e.maxStale < minMaxStale) {
				t.Errorf("an entry that cannot be judged by: %+v", p)
			}
		}
	})
}
