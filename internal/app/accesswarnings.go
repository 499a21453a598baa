package app

import (
	"context"
	"fmt"
	"slices"

	"onnxgate/internal/authz"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// modelWarnings is what the operator should know of the models that are served.
func (a *App) modelWarnings(ctx context.Context) []inference.Warning {
	exists := func(ctx context.Context, name string) (bool, error) { return tenantExists(ctx, a.accounts, name) }
	return append(a.catalog.Warnings(), accessWarnings(ctx, a.catalog, a.roles, exists)...)
}

// accessWarnings names the words of the models' rules that are probably mistyped:
// roles that nobody has defined, and tenants that there are not.
func accessWarnings(ctx context.Context, catalog *inference.Catalog, roles authz.Roles, exists existence) []inference.Warning {
	var all []inference.Warning
	for _, m := range catalog.All() {
		policy, err := catalog.Policy(m.Tenant, m.Name)
		if err != nil {
			continue // unloaded meanwhile
		}
		warn := func(format, word string) {
			all = append(all, inference.Warning{Model: m.Label(), Version: policy.Version, Text: fmt.Sprintf(format, word)})
		}
		for _, role := range rolesOf(&policy.Policy) {
			if !roles.Knows(role) {
				warn("its rules name the role %q, which is neither built in nor in ONNXGATE_ROLES_FILE: it permits nothing, so who predicts needs another role as well", role)
			}
		}
		for _, tenant := range policy.Share {
			if tenant == schema.ShareAll {
				continue
			}
			if known, err := exists(ctx, tenant); err == nil && !known {
				warn("it is shared with the tenant %q, which does not exist", tenant)
			}
		}
	}
	return all
}

// rolesOf returns the roles that the rules name, each once.
func rolesOf(p *authz.Policy) []string {
	all := slices.Clone(p.Roles)
	for i := range p.Rules {
		all = append(all, p.Rules[i].Roles...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
