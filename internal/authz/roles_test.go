package authz_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

func TestWhatRolesGrant(t *testing.T) {
	roles, err := authz.NewRoles(map[string][]string{"analyst": {identity.MetricsRead, identity.ModelsPredict}, "nobody": nil})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		tenant string
		roles  []string
		want   []string
	}{
		"a user":                         {"default", []string{"user"}, []string{"models:read", "models:predict"}},
		"an owner":                       {"default", []string{"owner"}, []string{"models:read", "models:predict", "models:write"}},
		"an auditor":                     {"default", []string{"auditor"}, []string{"models:read", "audit:read", "metrics:read"}},
		"an auditor of a tenant":         {"acme", []string{"auditor"}, []string{"models:read", "audit:read"}},
		"an administrator":               {"default", []string{"admin"}, authz.Permissions()},
		"an administrator of a tenant":   {"acme", []string{"admin"}, []string{"models:read", "models:predict", "models:write", "users:write", "keys:write", "audit:read", "crypto:use"}},
		"a role of the operator's":       {"default", []string{"analyst"}, []string{"models:predict", "metrics:read"}},
		"the same in a tenant":           {"acme", []string{"analyst"}, []string{"models:predict"}},
		"two roles":                      {"default", []string{"analyst", "user"}, []string{"models:read", "models:predict", "metrics:read"}},
		"a role without permissions":     {"default", []string{"nobody"}, nil},
		"a word that nobody defined":     {"default", []string{"stranger", "Admin", ""}, nil},
		"no role":                        {"default", nil, nil},
		"no tenant is not the default's": {"", []string{"auditor"}, []string{"models:read", "audit:read"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, roles.Of(tc.tenant, tc.roles)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPermissionNeedsTheRoleAndTheScope(t *testing.T) {
	user := func(role string, scopes ...string) *identity.Principal {
		return &identity.Principal{Tenant: "default", Roles: []string{role}, Scopes: scopes}
	}
	both := user("admin", "models:predict", "models:read")
	both.With = user("user", "models:predict")
	for name, tc := range map[string]struct {
		principal  *identity.Principal
		permission string
		want       bool
	}{
		"nobody":                          {nil, identity.ModelsRead, false},
		"role and scope":                  {user("user", "models:read"), identity.ModelsRead, true},
		"a scope without the role":        {user("user", "models:write"), identity.ModelsWrite, false},
		"a role without the scope":        {user("admin", "models:read"), identity.ModelsWrite, false},
		"a permission that is none":       {user("admin", "models:fly"), "models:fly", false},
		"two credentials, both may":       {both, identity.ModelsPredict, true},
		"two credentials, one of the two": {both, identity.ModelsRead, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (authz.Roles{}).Permits(tc.principal, tc.permission); got != tc.want {
				t.Errorf("Permits = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestRolesThatCannotBe(t *testing.T) {
	for name, own := range map[string]map[string][]string{
		"a built in one":           {"admin": {identity.ModelsRead}},
		"an unknown permission":    {"analyst": {"models:fly"}},
		"a permission in capitals": {"analyst": {"Models:read"}},
		"an empty permission":      {"analyst": {""}},
	} {
		if _, err := authz.NewRoles(own); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRolesFile(t *testing.T) {
	roles, err := authz.ParseRoles([]byte("# ours\nanalyst: [models:read, models:predict]\nidle: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"models:read", "models:predict"}, roles.Of("default", []string{"analyst", "idle"})); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"- analyst\n":                     "line 1: write roles",
		"analyst\n":                       "line 1: write roles",
		"a: [models:read]\na: []\n":       "line 2: the role a appears twice",
		"\nadmin: [models:read]\n":        "line 2: the role admin is built in",
		"Analyst: [models:read]\n":        `line 1: "Analyst" is no role`,
		"1: [models:read]\n":              `line 1: "1" is no role`,
		"a: models:read\n":                "line 1: the role a needs a list",
		"a:\n":                            "line 1: the role a needs a list",
		"a: {models:read: 1}\n":           "line 1: the role a needs a list",
		"a:\n  - models:read\n  - fly\n":  `line 3: "fly" is no permission; there is models:read`,
		"a: [[models:read]]\n":            `is no permission`,
		"a: [true]\n":                     `"true" is no permission`,
		"a: [&x models:read]\n":           "line 1: anchors and aliases",
		"a: &x [models:read]\nb: *x\n":    "line 2: anchors and aliases",
		"a: [\n":                          "line 1: not YAML:",
		"a: []\n---\nb: []\n":             "line 2: a second document",
		strings.Repeat("# much\n", 1<<18): "larger than",
	} {
		if _, err := authz.ParseRoles([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if _, err := authz.ParseRoles(nil); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}
