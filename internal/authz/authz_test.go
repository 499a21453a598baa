package authz_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"testing"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

const idp = "https://idp.example/realms/ml"

func own(subject string, roles ...string) *identity.Principal {
	return &identity.Principal{Subject: subject, Tenant: "acme", Roles: roles, Method: identity.Bearer}
}

func outside(subject string, claims map[string]any) *identity.Principal {
	return &identity.Principal{Subject: subject, Issuer: idp, Tenant: "acme", Method: identity.Outside, Claims: claims}
}

func allow(actions ...authz.Action) authz.Rule { return authz.Rule{Actions: actions} }

func deny(actions ...authz.Action) authz.Rule { return authz.Rule{Deny: true, Actions: actions} }

func rules(rules ...authz.Rule) authz.Policy { return authz.Policy{Rules: rules} }

// when is the policy that lets predict whom a claim says so of.
func when(claim string, values ...any) authz.Policy {
	rule := allow(authz.Predict)
	rule.When = []authz.Claim{{Name: claim, Values: values}}
	return rules(rule)
}

func with(rule authz.Rule, change func(*authz.Rule)) authz.Rule {
	change(&rule)
	return rule
}

var nobody = authz.Decision{Rule: authz.NoRule}

func by(rule int) authz.Decision { return authz.Decision{Allow: true, Rule: rule} }

func deniedBy(rule int) authz.Decision { return authz.Decision{Rule: rule} }

// question is a case of a table: what the policy decides about the request.
type question struct {
	policy authz.Policy
	req    authz.Request
	want   authz.Decision
}

func ask(t *testing.T, table map[string]question) {
	t.Helper()
	for name, q := range table {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if q.req.Action == "" {
				q.req.Action = authz.Predict
			}
			if got := authz.Decide(q.policy, q.req); got != q.want {
				t.Errorf("Decide = %+v, want %+v; %s", got, q.want, authz.Explain(q.policy, q.req).Reason)
			}
			if e := authz.Explain(q.policy, q.req); e.Decision != q.want || e.Reason == "" {
				t.Errorf("Explain = %+v, want %+v with a reason", e, q.want)
			}
		})
	}
}

func TestTheShortFormIsRuleZero(t *testing.T) {
	policy := authz.AllowRoles("admin", "analyst")
	admin := authz.Request{Principal: own("a", "admin")}
	ask(t, map[string]question{
		"nobody is denied":                {policy, authz.Request{}, nobody},
		"an empty policy denies an admin": {authz.Policy{}, admin, nobody},
		"no roles means nobody":           {authz.AllowRoles(), admin, nobody},
		"a named role predicts":           {policy, admin, by(0)},
		"a named role reads":              {policy, authz.Request{Principal: admin.Principal, Action: authz.Read}, by(0)},
		"and does not write":              {policy, authz.Request{Principal: admin.Principal, Action: authz.Write}, nobody},
		"any of several roles will do":    {policy, authz.Request{Principal: own("a", "user", "analyst")}, by(0)},
		"another role is denied":          {policy, authz.Request{Principal: own("a", "user")}, nobody},
		"roles match exactly":             {policy, authz.Request{Principal: own("a", "Admin", "admin ", "admi")}, nobody},
		"roles in one text are one role":  {policy, authz.Request{Principal: own("a", "admin,user")}, nobody},
		"an unknown action is denied":     {policy, authz.Request{Principal: admin.Principal, Action: "delete"}, nobody},
	})
}

func TestADenyWinsAndTheFirstThatMatchesIsNamed(t *testing.T) {
	named := func(rule authz.Rule, subject string) authz.Rule { rule.Subjects = []string{subject}; return rule }
	mallory := authz.Request{Principal: own("mallory", "admin")}
	alice := authz.Request{Principal: own("alice", "admin")}
	everybody, against := allow(authz.Predict), named(deny(authz.Predict), "mallory")
	ask(t, map[string]question{
		"an allow":                          {rules(everybody), alice, by(1)},
		"the first allow of two":            {rules(named(everybody, "bob"), everybody, everybody), alice, by(2)},
		"rule 0 is before all":              {authz.Policy{Roles: []string{"admin"}, Rules: []authz.Rule{everybody}}, alice, by(0)},
		"a deny behind an allow":            {rules(everybody, against), mallory, deniedBy(2)},
		"a deny before an allow":            {rules(against, everybody), mallory, deniedBy(1)},
		"a deny against rule 0":             {authz.Policy{Roles: []string{"admin"}, Rules: []authz.Rule{against}}, mallory, deniedBy(1)},
		"the first deny of two":             {rules(everybody, against, deny(authz.Predict)), mallory, deniedBy(2)},
		"a deny that does not match":        {rules(everybody, against), alice, by(1)},
		"a deny alone allows nobody else":   {rules(against), alice, nobody},
		"a deny of everybody":               {rules(everybody, deny(authz.Predict)), alice, deniedBy(2)},
		"a deny of another action":          {rules(everybody, deny(authz.Write)), alice, by(1)},
		"a rule without an action is empty": {rules(allow()), alice, nobody},
	})
}

func TestPredictIncludesReadingTheContract(t *testing.T) {
	read := authz.Request{Principal: own("alice"), Action: authz.Read}
	predict := authz.Request{Principal: own("alice"), Action: authz.Predict}
	write := authz.Request{Principal: own("alice"), Action: authz.Write}
	ask(t, map[string]question{
		"predict allowed, reading":                      {rules(allow(authz.Predict)), read, by(1)},
		"read allowed, reading":                         {rules(allow(authz.Read)), read, by(1)},
		"read allowed, predicting":                      {rules(allow(authz.Read)), predict, nobody},
		"write allowed, reading":                        {rules(allow(authz.Write)), read, nobody},
		"write allowed, predicting":                     {rules(allow(authz.Write)), predict, nobody},
		"write allowed, writing":                        {rules(allow(authz.Write)), write, by(1)},
		"predict allowed, writing":                      {rules(allow(authz.Predict)), write, nobody},
		"several actions":                               {rules(allow(authz.Read, authz.Write)), write, by(1)},
		"predict allowed and read denied, reading":      {rules(allow(authz.Predict), deny(authz.Read)), read, deniedBy(2)},
		"predict allowed and read denied, predicting":   {rules(allow(authz.Predict), deny(authz.Read)), predict, by(1)},
		"predict denied does not deny reading":          {rules(allow(authz.Read), deny(authz.Predict)), read, by(1)},
		"predict denied and predict allowed, reading":   {rules(allow(authz.Predict), deny(authz.Predict)), read, by(1)},
		"rule 0 and read denied, reading":               {authz.Policy{Roles: []string{"r"}, Rules: []authz.Rule{deny(authz.Read)}}, authz.Request{Principal: own("a", "r"), Action: authz.Read}, deniedBy(1)},
		"predict denied to everybody, still no reading": {rules(deny(authz.Predict)), read, nobody},
	})
}

func TestWithinARuleEveryLineMustHoldAndWithinALineAnyValue(t *testing.T) {
	full := authz.Rule{
		Actions: []authz.Action{authz.Predict}, Tenants: []string{"acme", "globex"}, Roles: []string{"analyst", "admin"},
		Scopes: []string{"models:predict"}, Subjects: []string{"svc", "svc-scoring"}, Issuers: []string{idp},
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")},
		When:      []authz.Claim{{Name: "team", Values: []any{"a", "b"}}, {Name: "level", Values: []any{int64(3)}}},
	}
	good := func(change func(*identity.Principal, *authz.Request)) authz.Request {
		p := &identity.Principal{
			Subject: "svc-scoring", Issuer: idp, Tenant: "acme", Roles: []string{"analyst"}, Scopes: []string{"models:read", "models:predict"},
			Claims: map[string]any{"team": "b", "level": 3.0}, Method: identity.Outside,
		}
		req := authz.Request{Principal: p, Address: netip.MustParseAddr("10.1.2.3")}
		if change != nil {
			change(p, &req)
		}
		return req
	}
	ask(t, map[string]question{
		"all hold":          {rules(full), good(nil), by(1)},
		"another value":     {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Tenant, p.Roles = "globex", []string{"x", "admin"} }), by(1)},
		"the tenant":        {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Tenant = "initech" }), nobody},
		"no tenant":         {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Tenant = "" }), nobody},
		"the role":          {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Roles = []string{"user"} }), nobody},
		"no role":           {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Roles = nil }), nobody},
		"the scope":         {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Scopes = []string{"models:read"} }), nobody},
		"the subject":       {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Subject = "svc-scoring2" }), nobody},
		"the issuer":        {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Issuer = idp + "/" }), nobody},
		"no issuer":         {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Issuer, p.Method = "", identity.APIKey }), nobody},
		"the address":       {rules(full), good(func(_ *identity.Principal, r *authz.Request) { r.Address = netip.MustParseAddr("10.2.0.1") }), nobody},
		"no address":        {rules(full), good(func(_ *identity.Principal, r *authz.Request) { r.Address = netip.Addr{} }), nobody},
		"IPv4 inside IPv6":  {rules(full), good(func(_ *identity.Principal, r *authz.Request) { r.Address = netip.MustParseAddr("::ffff:10.1.2.3") }), by(1)},
		"IPv6":              {rules(full), good(func(_ *identity.Principal, r *authz.Request) { r.Address = netip.MustParseAddr("2001:db8::1") }), by(1)},
		"IPv6 with a zone":  {rules(full), good(func(_ *identity.Principal, r *authz.Request) { r.Address = netip.MustParseAddr("2001:db8::1%eth0") }), by(1)},
		"one claim":         {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Claims["team"] = "c" }), nobody},
		"the other claim":   {rules(full), good(func(p *identity.Principal, _ *authz.Request) { delete(p.Claims, "level") }), nobody},
		"no claims at all":  {rules(full), good(func(p *identity.Principal, _ *authz.Request) { p.Claims = nil }), nobody},
		"an empty list":     {rules(with(allow(authz.Predict), func(r *authz.Rule) { r.Tenants = []string{} })), good(nil), nobody},
		"a claim of nobody": {when("team"), good(nil), nobody},
	})
}

func TestSubjectsWithoutIssuersAreOurOwn(t *testing.T) {
	subjects := with(allow(authz.Predict), func(r *authz.Rule) { r.Subjects = []string{"bob"} })
	theirs := with(subjects, func(r *authz.Rule) { r.Issuers = []string{idp} })
	ours := with(subjects, func(r *authz.Rule) { r.Issuers = []string{"https://onnxgate.example"} })
	bob := own("bob")
	bob.Claims = map[string]any{"iss": "https://onnxgate.example"}
	unmarked := outside("bob", nil)
	unmarked.Issuer = ""
	key := own("apikey:0123456789ab")
	key.Method = identity.APIKey
	liar := outside("bob", map[string]any{"iss": "https://onnxgate.example"})
	ask(t, map[string]question{
		"our bob":                             {rules(subjects), authz.Request{Principal: bob}, by(1)},
		"a bob of another issuer":             {rules(subjects), authz.Request{Principal: outside("bob", nil)}, nobody},
		"an outside one without its issuer":   {rules(subjects), authz.Request{Principal: unmarked}, nobody},
		"with issuers, theirs":                {rules(theirs), authz.Request{Principal: outside("bob", nil)}, by(1)},
		"with issuers, ours is not theirs":    {rules(theirs), authz.Request{Principal: bob}, nobody},
		"our own issuer by name":              {rules(ours), authz.Request{Principal: bob}, by(1)},
		"a claim does not make another of us": {rules(ours), authz.Request{Principal: liar}, nobody},
		"a key by its id":                     {rules(with(subjects, func(r *authz.Rule) { r.Subjects = []string{"apikey:0123456789ab"} })), authz.Request{Principal: key}, by(1)},
		"a deny without issuers spares their bob": {
			rules(allow(authz.Predict), with(deny(authz.Predict), func(r *authz.Rule) { r.Subjects = []string{"bob"} })),
			authz.Request{Principal: outside("bob", nil)},
			by(1),
		},
	})
}

func TestClaimsMatchByTypeAndValue(t *testing.T) {
	one := func(v any) authz.Request { return authz.Request{Principal: outside("x", map[string]any{"c": v})} }
	many := make([]any, 10_000)
	for i := range many {
		many[i] = "g" + string(rune('a'+i%26))
	}
	nested := authz.Request{Principal: outside("x", map[string]any{
		"realm_access": map[string]any{"roles": []any{"r"}}, "a.b": "whole", "a": map[string]any{"b": "part"}, "flat": "r",
	})}
	ask(t, map[string]question{
		"a string":                              {when("c", "a", "b"), one("b"), by(1)},
		"strings exactly":                       {when("c", "a"), one("A"), nobody},
		"a list, by one element":                {when("c", "a"), one([]any{"x", 3.0, "a"}), by(1)},
		"a list of strings":                     {when("c", "a"), one([]string{"x", "a"}), by(1)},
		"a list without it":                     {when("c", "a"), one([]string{"x"}), nobody},
		"an empty list":                         {when("c", "a"), one([]any{}), nobody},
		"ten thousand groups":                   {when("c", "gz"), one(many), by(1)},
		"ten thousand others":                   {when("c", "admin"), one(many), nobody},
		"a list in a list":                      {when("c", "a"), one([]any{[]any{"a"}}), nobody},
		"several in one text":                   {when("c", "admin"), one("admin,user"), nobody},
		"an object":                             {when("c", "a"), one(map[string]any{"a": "a"}), nobody},
		"null":                                  {when("c", "null", ""), one(nil), nobody},
		"missing":                               {when("d", "a"), one("a"), nobody},
		"true":                                  {when("c", true), one(true), by(1)},
		"true is not false":                     {when("c", true), one(false), nobody},
		"true is not text":                      {when("c", true), one("true"), nobody},
		"text is not true":                      {when("c", "true"), one(true), nobody},
		"true is not 1":                         {when("c", int64(1)), one(true), nobody},
		"a number":                              {when("c", int64(3)), one(3.0), by(1)},
		"a number among others":                 {when("c", int64(2), "3", 3.0), one(json.Number("3")), by(1)},
		"a number as JSON writes it":            {when("c", int64(3)), one(json.Number("3.0e0")), by(1)},
		"a number is not text":                  {when("c", "3"), one(3.0), nobody},
		"text is not a number":                  {when("c", int64(3)), one("3"), nobody},
		"a fraction":                            {when("c", 0.5), one(0.5), by(1)},
		"a negative number":                     {when("c", int64(-3)), one(json.Number("-3")), by(1)},
		"the sign counts":                       {when("c", int64(3)), one(-3.0), nobody},
		"large numbers are not rounded":         {when("c", int64(9007199254740993)), one(json.Number("9007199254740992")), nobody},
		"the largest":                           {when("c", uint64(math.MaxUint64)), one(json.Number("18446744073709551615")), by(1)},
		"the smallest":                          {when("c", int64(math.MinInt64)), one(float64(math.MinInt64)), by(1)},
		"not a number":                          {when("c", math.NaN()), one(math.NaN()), nobody},
		"a number that is none":                 {when("c", int64(0)), one(json.Number("x")), nobody},
		"a path":                                {when("realm_access.roles", "r"), nested, by(1)},
		"a path that ends early":                {when("realm_access", "r"), nested, nobody},
		"a path into a text":                    {when("flat.roles", "r"), nested, nobody},
		"the whole name before the path":        {when("a.b", "whole"), nested, by(1)},
		"the path not beside the whole name":    {when("a.b", "part"), nested, nobody},
		"a path with an empty part is no claim": {when("realm_access.", "r"), nested, nobody},
	})
}

func TestAnEmailOfAnotherIssuerCountsOnlyWhenVerified(t *testing.T) {
	const email = "person_a@company.com"
	policy := when("email", email)
	both := policy
	both.Rules = slices.Clone(policy.Rules)
	both.Rules[0].When = append(slices.Clone(both.Rules[0].When), authz.Claim{Name: "email_verified", Values: []any{true}})
	claims := func(verified any) map[string]any {
		return map[string]any{"email": email, "email_verified": verified}
	}
	ours := own("a")
	ours.Claims = map[string]any{"email": email}
	ask(t, map[string]question{
		"verified":                        {policy, authz.Request{Principal: outside("a", claims(true))}, by(1)},
		"verified, and the rule asks":     {both, authz.Request{Principal: outside("a", claims(true))}, by(1)},
		"not verified":                    {policy, authz.Request{Principal: outside("a", claims(false))}, nobody},
		"nothing said":                    {policy, authz.Request{Principal: outside("a", map[string]any{"email": email})}, nobody},
		"verified in a text":              {policy, authz.Request{Principal: outside("a", claims("true"))}, nobody},
		"verified by a number":            {policy, authz.Request{Principal: outside("a", claims(1.0))}, nobody},
		"our own":                         {policy, authz.Request{Principal: ours}, by(1)},
		"two addresses in one":            {policy, authz.Request{Principal: outside("a", map[string]any{"email": email + "@evil.example", "email_verified": true})}, nobody},
		"capitals are another address":    {policy, authz.Request{Principal: outside("a", map[string]any{"email": "Person_A@company.com", "email_verified": true})}, nobody},
		"a look-alike is another address": {policy, authz.Request{Principal: outside("a", map[string]any{"email": "person_а@company.com", "email_verified": true})}, nobody},
	})
}

func TestTwoCredentialsAreAllowedWhatBothAre(t *testing.T) {
	pair := func(first, second *identity.Principal) authz.Request {
		p := *first
		p.With = second
		return authz.Request{Principal: &p}
	}
	policy := authz.Policy{Roles: []string{"user"}, Rules: []authz.Rule{
		with(deny(authz.Predict), func(r *authz.Rule) { r.Subjects = []string{"mallory"} }),
		with(allow(authz.Predict), func(r *authz.Rule) { r.Subjects = []string{"apikey:a"} }),
	}}
	key := own("apikey:a")
	ask(t, map[string]question{
		"both, and the first one's rule is named": {policy, pair(own("alice", "user"), key), by(0)},
		"the second is refused":                   {policy, pair(own("alice", "user"), own("apikey:b")), nobody},
		"the first is refused":                    {policy, pair(own("alice"), key), nobody},
		"the second is denied":                    {policy, pair(own("alice", "user"), own("mallory", "user")), deniedBy(1)},
		"a third":                                 {policy, pair(own("alice", "user"), pair(key, own("x")).Principal), nobody},
	})
}

func TestAKeyForSomeModelsIsForNoOthers(t *testing.T) {
	key := func(models ...string) *identity.Principal {
		p := own("apikey:a", "user")
		p.Models = models
		return p
	}
	behind := own("alice", "user")
	behind.With = key("iris")
	policy := authz.AllowRoles("user")
	ask(t, map[string]question{
		"one of its list":                    {policy, authz.Request{Principal: key("wine", "iris"), Model: "iris"}, by(0)},
		"another":                            {policy, authz.Request{Principal: key("wine"), Model: "iris"}, nobody},
		"a prefix":                           {policy, authz.Request{Principal: key("iris"), Model: "iris2"}, nobody},
		"an empty list":                      {policy, authz.Request{Principal: &identity.Principal{Roles: []string{"user"}, Models: []string{}}, Model: "iris"}, nobody},
		"no list":                            {policy, authz.Request{Principal: own("alice", "user"), Model: "iris"}, by(0)},
		"the second credential's, in reach":  {policy, authz.Request{Principal: behind, Model: "iris"}, by(0)},
		"the second credential's, elsewhere": {policy, authz.Request{Principal: behind, Model: "wine"}, nobody},
	})
}

func TestADecisionAllocatesNothing(t *testing.T) {
	policy, req := largePolicy()
	if n := testing.AllocsPerRun(100, func() { authz.Decide(policy, req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func largePolicy() (authz.Policy, authz.Request) {
	policy := authz.Policy{Roles: []string{"admin"}}
	for range 10 {
		rule := allow(authz.Predict)
		rule.Subjects, rule.Issuers = []string{"svc"}, []string{idp}
		rule.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		rule.When = []authz.Claim{{Name: "realm_access.roles", Values: []any{"r", int64(3)}}}
		policy.Rules = append(policy.Rules, rule)
	}
	p := outside("svc", map[string]any{"realm_access": map[string]any{"roles": []any{"x", json.Number("4"), "y"}}})
	return policy, authz.Request{Principal: p, Action: authz.Predict, Model: "iris", Address: netip.MustParseAddr("10.0.0.1")}
}

func BenchmarkDecide(b *testing.B) {
	large, req := largePolicy()
	for name, bc := range map[string]struct {
		policy authz.Policy
		req    authz.Request
	}{
		"roles":     {authz.AllowRoles("admin", "user"), authz.Request{Principal: own("a", "user"), Action: authz.Predict, Model: "iris"}},
		"ten rules": {large, req},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				authz.Decide(bc.policy, bc.req)
			}
		})
	}
}
