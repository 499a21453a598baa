// Package oracle holds the decisions of package authz against a second
// implementation of the same rules, in Rego, by the library of the Open Policy
// Agent. It is a module of its own, so that the agent's dependencies are none of
// onnxgate's.
package oracle

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

//go:embed access.rego
var access string

// fromEnv returns a number that the environment may set.
func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestDecisionsAgreeWithTheOracle draws policies and requests from a few words,
// so that rules often match and often just fail to.
func TestDecisionsAgreeWithTheOracle(t *testing.T) {
	count, seed := fromEnv(t, "DECISIONS", 10_000), fromEnv(t, "SEED", 1)
	query, err := rego.New(rego.Query("[data.access.decision, data.access.permitted]"), rego.Module("access.rego", access)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]uint64{}
	for i := range count {
		d := draw{rand.New(rand.NewPCG(seed, i))}
		policy, req := d.policy(), d.request()
		input := inputOf(policy, req)
		result, err := query.Eval(t.Context(), rego.EvalParsedInput(parsed(t, input)))
		if err != nil || len(result) != 1 {
			t.Fatalf("decision %d of seed %d: %v, %v", i, seed, result, err)
		}
		got := authz.Decide(policy, req)
		mine := answer{got, (authz.Roles{}).Permits(req.Principal, "models:"+string(req.Action))}
		if theirs := answerOf(t, result[0].Expressions[0].Value); mine != theirs {
			t.Fatalf("decision %d of seed %d: %+v, the oracle says %+v of\n%s", i, seed, mine, theirs, indented(t, input))
		}
		outcomes[mine.kind()]++
	}
	kinds := []string{"allowed by roles", "allowed by a rule", "denied by a rule", "not matched"}
	shares := make([]string, len(kinds))
	for i, kind := range kinds {
		shares[i] = strconv.FormatUint(outcomes[kind], 10) + " " + kind
	}
	t.Logf("in all: %d decisions of seed %d, %s", count, seed, strings.Join(shares, ", "))
	for _, kind := range kinds {
		if outcomes[kind] < count/50 {
			t.Errorf("only %d of %d are %s: the draw proves too little", outcomes[kind], count, kind)
		}
	}
}

type answer struct {
	authz.Decision

	permitted bool
}

func (a answer) kind() string {
	switch {
	case a.Allow && a.Rule == 0:
		return "allowed by roles"
	case a.Allow:
		return "allowed by a rule"
	case a.Rule == authz.NoRule:
		return "not matched"
	}
	return "denied by a rule"
}

func answerOf(t *testing.T, value any) answer {
	t.Helper()
	var parts [2]json.RawMessage
	var d struct {
		Allow bool
		Rule  int
	}
	var permitted bool
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &parts)
	}
	if err == nil {
		err = json.Unmarshal(parts[0], &d)
	}
	if err == nil {
		err = json.Unmarshal(parts[1], &permitted)
	}
	if err != nil {
		t.Fatalf("the oracle's answer %s: %v", data, err)
	}
	return answer{authz.Decision{Allow: d.Allow, Rule: d.Rule}, permitted}
}

// parsed is the input as JSON says it, with every number to the last digit.
func parsed(t *testing.T, input any) ast.Value {
	t.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	value, err := ast.ValueFromReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func indented(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// draw makes random policies and requests.
type draw struct{ *rand.Rand }

func (d draw) chance(percent int) bool { return d.IntN(100) < percent }

func oneOf[T any](d draw, all ...T) T { return all[d.IntN(len(all))] }

// some returns a few of the words: nil when percent does not come up, and now and
// then none.
func (d draw) some(percent int, words ...string) []string {
	if !d.chance(percent) {
		return nil
	}
	list := []string{}
	for range d.IntN(4) {
		list = append(list, oneOf(d, words...))
	}
	return list
}

var (
	tenants   = []string{"default", "acme", "globex"}
	roles     = []string{"admin", "user", "owner", "auditor", "analyst"}
	scopes    = []string{"models:predict", "models:read", "models:write", "other"}
	subjects  = []string{"alice", "bob", "apikey:k1", "ogc_c1"}
	issuers   = []string{"https://idp.example", "https://ours.example", ""}
	models    = []string{"iris", "wine"}
	networks  = []string{"10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/0"}
	addresses = []string{"10.1.2.3", "10.9.9.9", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3", ""}
	claims    = []string{"email", "email_verified", "team", "realm.roles", "realm", "a.b", "iss"}
)

func (d draw) policy() authz.Policy {
	policy := authz.Policy{Roles: d.some(50, roles...)}
	for range d.IntN(5) {
		policy.Rules = append(policy.Rules, d.rule())
	}
	return policy
}

func (d draw) rule() authz.Rule {
	r := authz.Rule{
		Deny: d.chance(25), Tenants: d.some(20, tenants...), Roles: d.some(25, roles...), Scopes: d.some(15, scopes...),
		Subjects: d.some(20, subjects...), Issuers: d.some(15, issuers...),
	}
	for range 1 + d.IntN(2) {
		r.Actions = append(r.Actions, oneOf(d, authz.Actions()...))
	}
	if text := d.some(15, networks...); text != nil {
		r.Addresses = []netip.Prefix{}
		for _, network := range text {
			r.Addresses = append(r.Addresses, netip.MustParsePrefix(network))
		}
	}
	for d.chance(25) {
		claim := authz.Claim{Name: oneOf(d, claims...), Values: []any{}}
		for range 1 + d.IntN(3) {
			claim.Values = append(claim.Values, d.scalar())
		}
		r.When = append(r.When, claim)
	}
	return r
}

// scalar returns a value that a rule can ask for.
func (d draw) scalar() any {
	return oneOf[any](d, "x", "y", "true", "3", "", true, false, int64(0), int64(1), int64(3), -2.5, int64(-3), uint64(1<<63), "https://ours.example")
}

// value returns anything that a token can say.
func (d draw) value(depth int) any {
	switch {
	case d.chance(45):
		return d.scalar()
	case d.chance(20):
		return oneOf[any](d, nil, 3.0, json.Number("3"), json.Number("1e0"), json.Number("-2.5"), json.Number("9223372036854775808"))
	case d.chance(30) || depth == 0:
		return oneOf[any](d, []any{}, []any{"x", 3.0}, []any{[]any{"x"}}, []string{"y", "x"}, []any{true, nil, json.Number("1")}, map[string]any{"x": "x"})
	}
	return map[string]any{oneOf(d, "roles", "b", "x"): d.value(depth - 1), oneOf(d, "roles", "b"): d.value(depth - 1)}
}

func (d draw) request() authz.Request {
	req := authz.Request{Principal: d.principal(), Action: oneOf(d, authz.Actions()...), Model: oneOf(d, models...)}
	if d.chance(2) {
		req.Principal = nil
	}
	if text := oneOf(d, addresses...); text != "" {
		req.Address = netip.MustParseAddr(text)
	}
	for last := req.Principal; last != nil && d.chance(20); last = last.With {
		last.With = d.principal()
	}
	return req
}

func (d draw) principal() *identity.Principal {
	p := &identity.Principal{
		Subject: oneOf(d, subjects...), Tenant: oneOf(d, tenants...), Roles: d.some(90, roles...), Scopes: d.some(90, scopes...),
		Models: d.some(10, models...), Method: oneOf(d, identity.Bearer, identity.APIKey, identity.Certificate),
	}
	if d.chance(35) {
		p.Method, p.Issuer = identity.Outside, oneOf(d, issuers...)
	}
	if d.chance(80) {
		p.Claims = map[string]any{}
		for range d.IntN(6) {
			p.Claims[oneOf(d, "email", "email_verified", "team", "realm", "a", "a.b", "iss")] = d.value(2)
		}
	}
	return p
}

// inputOf says the same to the oracle, in JSON.
func inputOf(policy authz.Policy, req authz.Request) map[string]any {
	principals := []any{}
	for p := req.Principal; p != nil; p = p.With {
		claims := p.Claims
		if claims == nil {
			claims = map[string]any{}
		}
		principals = append(principals, map[string]any{
			"subject": p.Subject, "issuer": p.Issuer, "tenant": p.Tenant, "method": string(p.Method), "claims": claims,
			"roles": p.Roles, "scopes": p.Scopes, "models": orNull(p.Models),
		})
	}
	rules := []any{}
	for _, r := range policy.Rules {
		when := []any{}
		for _, c := range r.When {
			when = append(when, map[string]any{"name": c.Name, "values": c.Values})
		}
		rules = append(rules, map[string]any{
			"deny": r.Deny, "actions": r.Actions, "tenants": orNull(r.Tenants), "roles": orNull(r.Roles), "scopes": orNull(r.Scopes),
			"subjects": orNull(r.Subjects), "issuers": orNull(r.Issuers), "addresses": orNull(r.Addresses), "when": when,
		})
	}
	address := ""
	if req.Address.IsValid() {
		address = req.Address.String()
	}
	return map[string]any{
		"policy": map[string]any{"roles": policy.Roles, "rules": rules}, "principals": principals,
		"action": string(req.Action), "model": req.Model, "address": address,
	}
}

// orNull keeps a list that was not written apart from an empty one.
func orNull[T any](list []T) any {
	if list == nil {
		return nil
	}
	return list
}
