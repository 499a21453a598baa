package limit_test

import (
	"testing"

	"onnxgate/internal/limit"
)

func TestMemoryIsSharedByPrincipalsAndTenants(t *testing.T) {
	type claim struct {
		principal, tenant string
		n                 int64
		want              bool
	}
	for name, tc := range map[string]struct {
		one    bool
		claims []claim
	}{
		"a principal has half":             {true, []claim{{"a", "t", 50, true}, {"a", "t", 1, false}, {"b", "t", 50, true}, {"c", "t", 1, false}}},
		"a tenant has half":                {false, []claim{{"a", "t", 30, true}, {"b", "t", 21, false}, {"b", "t", 20, true}, {"c", "t", 1, false}, {"c", "u", 50, true}}},
		"strangers are of no tenant":       {false, []claim{{"a", "", 50, true}, {"b", "", 50, true}}},
		"one name in two tenants is two":   {false, []claim{{"a", "t", 50, true}, {"a", "u", 50, true}}},
		"there is no more than all":        {false, []claim{{"a", "t", 50, true}, {"b", "u", 40, true}, {"c", "v", 11, false}, {"c", "v", 10, true}}},
		"one tenant still has a bound":     {true, []claim{{"a", "t", 101, false}}},
		"what is given back is free again": {false, []claim{{"a", "t", 50, true}, {"a", "t", -50, true}, {"b", "t", 50, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := limit.NewBytes(100, func() bool { return tc.one })
			for i, c := range tc.claims {
				h := limit.Holder{Principal: c.principal, Tenant: c.tenant}
				if c.n < 0 {
					b.Give(h, -c.n)
				} else if got := b.Take(h, c.n); got != c.want {
					t.Errorf("claim %d, %+v: %v", i, c, got)
				}
			}
		})
	}
}
