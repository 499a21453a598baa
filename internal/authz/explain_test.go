package authz_test

import (
	"net/netip"
	"strings"
	"testing"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

func TestExplanationsNameTheConditionThatFailed(t *testing.T) {
	rule := func(change func(*authz.Rule)) authz.Policy { return rules(with(allow(authz.Predict), change)) }
	alice := own("alice", "user")
	behind := own("alice", "admin")
	behind.With = own("apikey:b", "user")
	elsewhere := own("apikey:c", "admin")
	elsewhere.Models = []string{"wine"}
	for name, tc := range map[string]struct {
		policy authz.Policy
		p      *identity.Principal
		want   string
	}{
		"allowed by role":      {authz.AllowRoles("x", "user"), alice, `rule 0 (roles) allows predict to "alice", who holds the role user`},
		"allowed by a rule":    {rules(allow(authz.Predict)), alice, `rule 1 allows predict to "alice"`},
		"denied":               {rules(allow(authz.Predict), deny(authz.Predict)), alice, `rule 2 denies predict to "alice"`},
		"no rule at all":       {authz.Policy{}, alice, `no rule allows predict to "alice"`},
		"rules of other kinds": {rules(allow(authz.Write), with(deny(authz.Predict), func(r *authz.Rule) { r.Subjects = []string{"bob"} })), alice, `no rule allows predict to "alice"`},
		"a role":               {authz.AllowRoles("admin", "analyst"), alice, `no rule allows predict to "alice": rule 0 (roles) asks for the role admin or analyst`},
		"two rules": {
			authz.Policy{Roles: []string{"admin"}, Rules: []authz.Rule{with(allow(authz.Predict), func(r *authz.Rule) { r.Tenants = []string{"globex"} })}},
			alice,
			`no rule allows predict to "alice": rule 0 (roles) asks for the role admin; rule 1 asks for the tenant globex, not "acme"`,
		},
		"a scope":             {rule(func(r *authz.Rule) { r.Scopes = []string{"models:predict"} }), alice, `rule 1 asks for the scope models:predict`},
		"a subject":           {rule(func(r *authz.Rule) { r.Subjects = []string{"bob"} }), alice, `rule 1 asks for the subject "bob"`},
		"their subject":       {rule(func(r *authz.Rule) { r.Subjects = []string{"bob"} }), outside("bob", nil), `of this server, not of "` + idp + `"`},
		"an issuer":           {rule(func(r *authz.Rule) { r.Issuers = []string{idp} }), alice, `rule 1 asks for the issuer "` + idp + `", not ""`},
		"an address":          {rule(func(r *authz.Rule) { r.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }), alice, `rule 1 asks for an address in [10.0.0.0/8], not 192.0.2.1`},
		"a claim not there":   {when("team", "a"), alice, `rule 1 asks for the claim "team", which is missing`},
		"a claim's type":      {when("level", int64(3)), outside("x", map[string]any{"level": "3"}), `rule 1 asks for the claim "level" to be one of [3], not "3"`},
		"an email":            {when("email", "a@b"), outside("x", map[string]any{"email": "a@b"}), `which counts only with email_verified true`},
		"a key's models":      {authz.AllowRoles("admin"), elsewhere, `the credential of "apikey:c" is for other models alone: wine`},
		"the second of two":   {authz.AllowRoles("admin"), behind, `no rule allows predict to "apikey:b"`},
		"a subject with code": {authz.Policy{}, own("\x1b[31mroot"), `"\x1b[31mroot"`},
		"nobody":              {authz.Policy{}, nil, "nobody asks"},
	} {
		t.Run(name, func(t *testing.T) {
			got := authz.Explain(tc.policy, authz.Request{
				Principal: tc.p, Action: authz.Predict, Model: "iris", Address: netip.MustParseAddr("192.0.2.1"),
			}).Reason
			if !strings.Contains(got, tc.want) {
				t.Errorf("reason %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheRemedyNamesRolesAndScopesAlone(t *testing.T) {
	both := with(allow(authz.Predict), func(r *authz.Rule) { r.Roles, r.Scopes = []string{"analyst"}, []string{"models:predict"} })
	elsewhere := own("apikey:c", "user")
	elsewhere.Models = []string{"wine"}
	for name, tc := range map[string]struct {
		policy authz.Policy
		p      *identity.Principal
		want   string
	}{
		"a role":                         {authz.AllowRoles("admin", "analyst"), own("a", "user"), "the role admin or analyst"},
		"a role and a scope":             {rules(both), own("a", "user"), "the role analyst and the scope models:predict"},
		"the scope that is missing":      {rules(both), own("a", "analyst"), "the scope models:predict"},
		"either":                         {authz.Policy{Roles: []string{"admin"}, Rules: []authz.Rule{both}}, own("a", "analyst"), "the role admin, or the scope models:predict"},
		"nothing, where a claim fails":   {when("team", "a"), own("a"), ""},
		"nothing, where a deny decides":  {authz.Policy{Roles: []string{"admin"}, Rules: []authz.Rule{deny(authz.Predict)}}, own("a"), ""},
		"nothing, out of the key's list": {authz.AllowRoles("admin"), elsewhere, ""},
		"nothing, where it is allowed":   {authz.AllowRoles("admin"), own("a", "admin"), ""},
		"nothing for nobody":             {authz.AllowRoles("admin"), nil, ""},
		"nothing of a rule for others": {
			rules(with(both, func(r *authz.Rule) { r.Subjects = []string{"bob"} })), own("a"), "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := authz.Remedy(tc.policy, authz.Request{Principal: tc.p, Action: authz.Predict, Model: "iris"}); got != tc.want {
				t.Errorf("Remedy = %q, want %q", got, tc.want)
			}
		})
	}
}
