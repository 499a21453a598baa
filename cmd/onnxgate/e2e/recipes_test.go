package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recipes are what each recipe of docs/rules.md says in words, as access tests.
var recipes = []string{
	`- {as: {roles: [admin]}, expect: allow, rule: 0}
- {as: {roles: [user, owner, auditor]}, expect: deny}`,
	`- {as: {roles: [analyst]}, expect: allow}
- {as: {roles: [user]}, expect: deny}`,
	`- {as: {subject: anybody}, expect: allow, rule: 1}
- {as: {subject: anybody}, action: write, expect: deny}`,
	`- {as: {subject: ann, roles: [user]}, expect: allow, rule: 0}
- {as: {subject: mallory, roles: [user]}, expect: deny, rule: 1}
- {as: {subject: mallory, roles: [user]}, action: read, expect: deny, rule: 1}`,
	`- {as: {subject: ogc_7hT2mXbQ9sKd}, expect: allow, rule: 1}
- {as: {subject: ann, roles: [user]}, expect: deny}
- {as: {subject: ann, roles: [user]}, action: read, expect: allow, rule: 2}`,
	`- {as: {subject: a, issuer: "https://idp.example/realms/ml", claims: {email: service_a@company.com, email_verified: true}}, expect: allow, rule: 1}
- {as: {subject: a, issuer: "https://idp.example/realms/ml", claims: {email: service_a@company.com}}, expect: deny}
- {as: {subject: a, issuer: "https://idp.example/realms/ml", claims: {email: other@company.com, email_verified: true}}, expect: deny}
- {as: {subject: a, issuer: "https://elsewhere.example", claims: {email: service_a@company.com, email_verified: true}}, expect: deny}`,
	`- {as: {subject: a, issuer: "https://idp.example/realms/ml", address: 10.1.2.3, claims: {groups: [staff, fraud-team]}}, expect: allow, rule: 1}
- {as: {subject: a, issuer: "https://idp.example/realms/ml", address: 192.0.2.1, claims: {groups: [fraud-team]}}, expect: deny}
- {as: {subject: a, issuer: "https://idp.example/realms/ml", address: 10.1.2.3, claims: {groups: [staff]}}, expect: deny}`,
	`- {as: {roles: [user], scopes: [models:read, models:predict]}, expect: allow, rule: 0}
- {as: {roles: [user], scopes: [models:predict, keys:write]}, expect: deny, rule: 1}`,
	`- {as: {roles: [user]}, expect: allow, rule: 1}
- {as: {tenant: acme, roles: [analyst]}, expect: allow, rule: 2}
- {as: {tenant: acme, roles: [user]}, expect: deny}`,
	`- {as: {roles: [scoring]}, expect: allow}
- {as: {roles: [admin]}, expect: deny}`,
}

// writesRecipes makes a model of each recipe, with its tests beside it, and the model
// iris that the page asks for alone.
func writesRecipes(t *testing.T, r *reader) {
	t.Helper()
	text, err := os.ReadFile(source(t, "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## Ten recipes")
	written := strings.Split(rest, "\n**")[1:]
	if len(written) != len(recipes) {
		t.Fatalf("%d recipes, want %d", len(written), len(recipes))
	}
	for i, recipe := range written {
		access := ""
		if block := fence.FindStringSubmatch(recipe); block != nil {
			access = block[2]
		}
		name := fmt.Sprintf("recipe-%d", i+1)
		if i == 0 {
			name = "iris"
		}
		copiesTo("models/iris/1/model.onnx", filepath.Join("models", name, "1", "model.onnx"))(t, r)
		put(t, filepath.Join(r.dir, "models", name, "model.yaml"), "description: as "+strings.ReplaceAll(name, "-", " ")+"\n"+access)
		put(t, filepath.Join(r.dir, "models", name, "access_test.yaml"), recipes[i]+"\n")
	}
}
