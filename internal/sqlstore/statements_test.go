package sqlstore

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// acrossTenants are the statements that name no tenant, with the reason. Every
// other one is bound to one tenant.
var acrossTenants = map[string]string{
	"get any":    "proves who somebody is, when the tenant is what is asked",
	"list any":   "is for the installation's administrators",
	"remove any": "is for the installation's administrators",
}

// every returns the statements of every table by the table's name, and the
// column that holds the tenant; empty for what belongs to no tenant.
func every() (all map[string]map[string]string, tenantOf map[string]string) {
	all, tenantOf = map[string]map[string]string{}, map[string]string{}
	add := func(name, tenant string, s *statements) { all[name], tenantOf[name] = s.all(), tenant }
	add(tenants.name, tenants.tenant, &tenants.sql)
	add(users.name, users.tenant, &users.sql)
	add(clients.name, clients.tenant, &clients.sql)
	add(apiKeys.name, apiKeys.tenant, &apiKeys.sql)
	add(families.name, families.tenant, &families.sql)
	add(revocations.name, revocations.tenant, &revocations.sql)
	add(fernetKeys.name, fernetKeys.tenant, &fernetKeys.sql)
	add(modelPins.name, modelPins.tenant, &modelPins.sql)
	add(servers.name, servers.tenant, &servers.sql)
	add(signingKeys.name, signingKeys.tenant, &signingKeys.sql)
	return all, tenantOf
}

// all returns the statements that there are, by what they do.
func (s *statements) all() map[string]string {
	m := map[string]string{
		"get": s.get, "get any": s.getAny, "list": s.list, "list any": s.listAny,
		"insert": s.insert, "replace": s.replace, "remove": s.remove, "remove any": s.drop,
	}
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	return m
}

func TestEveryStatementIsBoundToATenant(t *testing.T) {
	all, tenantOf := every()
	seen := 0
	for name, statements := range all {
		tenant := tenantOf[name]
		for what, sql := range statements {
			seen++
			bound := regexp.MustCompile(`\bWHERE ` + tenant + ` = \? AND `).MatchString(sql)
			switch _, across := acrossTenants[what]; {
			case tenant == "":
				if !slices.Contains([]string{"servers", "signing_keys"}, name) {
					t.Errorf("%s belongs to no tenant", name)
				}
			case what == "insert":
				if !strings.Contains(sql, tenant) {
					t.Errorf("%s: %s writes no tenant: %s", name, what, sql)
				}
			case bound == across:
				t.Errorf("%s: %s is bound %t: %s", name, what, bound, sql)
			}
		}
	}
	for statement, bound := range map[string]string{readUsage: "WHERE tenant = ? AND ", addUsage: "FROM tenants WHERE name = ?"} {
		if !strings.Contains(statement, bound) {
			t.Errorf("it is bound to no tenant: %s", statement)
		}
	}
	if seen < 50 {
		t.Errorf("only %d statements were read", seen)
	}
}
