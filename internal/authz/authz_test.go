package authz_test

import (
	"testing"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

func TestDecide(t *testing.T) {
	admin := &identity.Principal{Subject: "a", Roles: []string{"admin"}}
	policy := authz.AllowRoles("admin", "analyst")
	for name, tc := range map[string]struct {
		policy    authz.Policy
		principal *identity.Principal
		action    authz.Action
		want      authz.Decision
	}{
		"nobody is denied":                {policy, nil, authz.Predict, authz.Decision{Rule: authz.NoRule}},
		"an empty policy denies an admin": {authz.Policy{}, admin, authz.Predict, authz.Decision{Rule: authz.NoRule}},
		"no roles means nobody":           {authz.AllowRoles(), admin, authz.Predict, authz.Decision{Rule: authz.NoRule}},
		"a named role predicts":           {policy, admin, authz.Predict, authz.Decision{Allow: true}},
		"a named role reads":              {policy, admin, authz.Read, authz.Decision{Allow: true}},
		"any of several roles will do": {
			policy, &identity.Principal{Roles: []string{"user", "analyst"}}, authz.Predict, authz.Decision{Allow: true},
		},
		"another role is denied": {
			policy, &identity.Principal{Roles: []string{"user"}}, authz.Predict, authz.Decision{Rule: authz.NoRule},
		},
		"roles match exactly": {
			policy, &identity.Principal{Roles: []string{"Admin", "admin ", "admi"}}, authz.Predict, authz.Decision{Rule: authz.NoRule},
		},
		"an unknown action is denied": {policy, admin, "delete", authz.Decision{Rule: authz.NoRule}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := authz.Decide(tc.policy, tc.principal, tc.action); got != tc.want {
				t.Errorf("Decide = %+v, want %+v", got, tc.want)
			}
		})
	}
}
