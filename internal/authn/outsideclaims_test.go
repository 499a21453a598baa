package authn_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func TestClaimsBecomeAPrincipal(t *testing.T) {
	nested := func(i *authn.Issuer) { i.Claims.Roles = []string{"realm_access.roles", "groups"} }
	named := func(i *authn.Issuer) { i.Claims.Roles = []string{"https://ml.example/roles"} }
	scoped := func(i *authn.Issuer) { i.Claims.Scopes = "scope" }
	tenants := func(i *authn.Issuer) { i.Claims.Tenant, i.Tenant = "org.name", "spare" }
	rolesByMail := func(i *authn.Issuer) {
		i.Claims.Roles, i.Roles = []string{"email"}, map[string]string{"ada@example.com": "user"}
	}
	byMail := func(i *authn.Issuer) { i.Claims.Subject = "email" }
	both := []string{"models:read", "models:predict"}
	asIs := func(*authn.Issuer) {}
	type want struct {
		Subject, Tenant string
		Roles, Scopes   []string
	}
	for name, tc := range map[string]struct {
		change func(*authn.Issuer)
		claims object
		want   want
	}{
		"a role of the list":               {asIs, nil, want{"ada", "default", []string{"user"}, both}},
		"roles as one string":              {asIs, object{"roles": "ml-users"}, want{"ada", "default", []string{"user"}, both}},
		"roles joined by commas":           {asIs, object{"roles": "ml-users,ml-admins"}, want{"ada", "default", nil, nil}},
		"unlisted roles":                   {asIs, object{"roles": []string{"admin", "user", "ML-ADMINS"}}, want{"ada", "default", nil, nil}},
		"a list of more than strings":      {asIs, object{"roles": []any{"ml-admins", 1}}, want{"ada", "default", nil, nil}},
		"roles in an object":               {asIs, object{"roles": object{"ml-admins": true}}, want{"ada", "default", nil, nil}},
		"roles that are a number":          {asIs, object{"roles": 1}, want{"ada", "default", nil, nil}},
		"a role twice":                     {asIs, object{"roles": []string{"ml-users", "ml-users"}}, want{"ada", "default", []string{"user"}, both}},
		"a nested path":                    {nested, object{"realm_access": object{"roles": []string{"ml-users"}}}, want{"ada", "default", []string{"user"}, both}},
		"the exact name before the path":   {nested, object{"realm_access.roles": "ml-users", "realm_access": object{"roles": "ml-admins"}}, want{"ada", "default", []string{"user"}, both}},
		"a path through a string":          {nested, object{"realm_access": "roles"}, want{"ada", "default", nil, nil}},
		"a name with dots":                 {named, object{"https://ml.example/roles": []string{"ml-users"}}, want{"ada", "default", []string{"user"}, both}},
		"a scope narrows":                  {scoped, object{"scope": "openid models:read"}, want{"ada", "default", []string{"user"}, []string{"openid", "models:read"}}},
		"scopes in a list":                 {scoped, object{"scope": []string{"models:read"}}, want{"ada", "default", []string{"user"}, []string{"models:read"}}},
		"a missing scope grants none":      {scoped, nil, want{"ada", "default", []string{"user"}, nil}},
		"a scope that is a number":         {scoped, object{"scope": 1}, want{"ada", "default", []string{"user"}, nil}},
		"the token's tenant":               {tenants, object{"org": object{"name": "acme"}}, want{"ada", "acme", []string{"user"}, both}},
		"no tenant in the token":           {tenants, nil, want{"ada", "spare", []string{"user"}, both}},
		"a tenant that nobody asked about": {asIs, object{"tenant": "acme"}, want{"ada", "default", []string{"user"}, both}},
		"a role for a verified address":    {rolesByMail, object{"email": "ada@example.com", "email_verified": true}, want{"ada", "default", []string{"user"}, both}},
		"none for one that was not":        {rolesByMail, object{"email": "ada@example.com", "email_verified": "true"}, want{"ada", "default", nil, nil}},
		"an address that was verified":     {byMail, object{"email": "ada@example.com", "email_verified": true}, want{"ada@example.com", "default", []string{"user"}, both}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, tc.change)
			p := f.principal(t, f.withClaims(tc.claims))
			got := want{p.Subject, p.Tenant, p.Roles, p.Scopes}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if p.Issuer != idp || p.Method != identity.Outside {
				t.Errorf("issuer %q, method %q", p.Issuer, p.Method)
			}
		})
	}
}

func TestAWholeNumberIsNotItsNeighbour(t *testing.T) {
	const id = 1<<53 + 1 // between two numbers of float64
	f := newFederation(t)
	p := f.principal(t, f.withClaims(object{"id": int64(id), "org": object{"ids": []int64{id}}}))
	for value, want := range map[int64]bool{id - 1: false, id: true, id + 1: false} {
		for _, claim := range []string{"id", "org.ids"} {
			policy := authz.Policy{Rules: []authz.Rule{{
				Actions: []authz.Action{authz.Predict}, When: []authz.Claim{{Name: claim, Values: []any{value}}},
			}}}
			if d := authz.Decide(policy, authz.Request{Principal: p, Action: authz.Predict}); d.Allow != want {
				t.Errorf("%s %d is let in by a rule for %d: %t, want %t", claim, int64(id), value, d.Allow, want)
			}
		}
	}
}

func TestPrincipalsThatCannotBeMadeAreRefused(t *testing.T) {
	f := newFederation(t, func(i *authn.Issuer) { i.Claims.Tenant = "tenant" })
	f.refuseAll(t, map[string]forgery{
		"a tenant that is a list": {f.withClaims(object{"tenant": []string{"acme"}}), "tenant is not the name"},
		"a tenant that is null":   {f.sign(f.header(), f.claims().nulled("tenant")), "tenant is not the name"},
		"an empty tenant":         {f.withClaims(object{"tenant": ""}), "tenant is not the name"},
	})
	_, err := f.authenticator(t).Authenticate(t.Context(), authn.Credentials{Bearer: f.withClaims(object{"tenant": "nowhere"})})
	if fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a tenant that does not exist: %v, want unauthenticated", err)
	}
	mail := newFederation(t, func(i *authn.Issuer) { i.Claims.Subject = "email" })
	a := mail.authenticator(t)
	for _, verified := range []any{nil, false, "true", 1} {
		refuse(t, a, forgery{mail.withClaims(object{"email": "ada@example.com", "email_verified": verified}), "not verified"})
	}
	refuse(t, a, forgery{mail.withClaims(object{"email": "a@b.c", "email_verified": true, "sub": 7}), "sub is empty"})
}

// nulled returns the object with a null member.
func (o object) nulled(name string) object {
	o[name] = nil
	return o
}
