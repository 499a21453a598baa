package inference

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
)

// access is who may do what with one version of a model, and which tenants see
// it at all.
type access struct {
	policy authz.Policy
	// byAddress says that some rule asks for an address.
	byAddress bool
	require   []identity.Method
	share     []string
	// cases is how many tests there were, and failures those that did not hold.
	cases    int
	failures []string
}

// newAccess returns what the manifest says of access, with the outcome of its
// tests. A version without a manifest is the administrators'.
func newAccess(v *version, manifest *schema.Manifest, tests file) (access, error) {
	a := access{policy: authz.AllowRoles(schema.AdminRole)}
	if manifest != nil && manifest.Access != nil {
		a.policy = policyOf(manifest.Access)
		a.byAddress = slices.ContainsFunc(a.policy.Rules, func(r authz.Rule) bool { return r.Addresses != nil })
		a.share = manifest.Access.Share
		for _, layer := range manifest.Access.Require {
			a.require = append(a.require, methods[layer])
		}
	}
	if tests.path == "" {
		return a, nil
	}
	cases, err := schema.ParseAccessTest(tests.path, tests.data)
	if err != nil {
		return a, err
	}
	a.cases = len(cases)
	for i := range cases {
		if reason := a.try(v, &cases[i]); reason != "" {
			a.failures = append(a.failures, fmt.Sprintf("%s:%d: %s", tests.path, cases[i].Line, reason))
		}
	}
	return a, nil
}

// methods are the credentials that a manifest can require. Read only.
var methods = map[string]identity.Method{
	schema.LayerBearer: identity.Bearer, schema.LayerAPIKey: identity.APIKey, schema.LayerCertificate: identity.Certificate,
}

// policyOf turns the rules of a manifest into those that are decided by.
func policyOf(a *schema.Access) authz.Policy {
	policy := authz.Policy{Roles: a.Roles}
	for _, r := range a.Rules {
		rule := authz.Rule{
			Deny: r.Deny, Tenants: r.Tenants, Roles: r.Roles, Scopes: r.Scopes,
			Subjects: r.Subjects, Issuers: r.Issuers, Addresses: r.Addresses,
		}
		for _, action := range r.Actions {
			rule.Actions = append(rule.Actions, authz.Action(action))
		}
		for _, claim := range r.When {
			rule.When = append(rule.When, authz.Claim{Name: claim.Claim, Values: claim.Values})
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

// try returns why a case does not hold, nothing when it does.
func (a *access) try(v *version, c *schema.AccessCase) string {
	p := &identity.Principal{
		Subject: c.As.Subject, Issuer: c.As.Issuer, Tenant: cmp.Or(c.As.Tenant, v.tenant),
		Roles: c.As.Roles, Scopes: c.As.Scopes, Claims: c.As.Claims, Method: identity.Bearer,
	}
	if p.Issuer != "" {
		p.Method = identity.Outside
	}
	got := a.explain(v, authz.Request{Principal: p, Action: authz.Action(c.Action), Model: v.model, Address: c.As.Address})
	if got.Allow == c.Allow && (c.Rule == nil || *c.Rule == got.Rule) {
		return ""
	}
	return "expected " + expectation(c) + ", but " + got.Reason
}

// explain says what is decided about a request, whose tenant may not see the
// version at all.
func (a *access) explain(v *version, req authz.Request) authz.Explanation {
	if tenant := req.Principal.Tenant; tenant != v.tenant && !a.sharedWith(tenant) {
		return authz.Explanation{Decision: authz.Decision{Rule: authz.NoRule}, Reason: "the tenant " + tenant + " does not see the model"}
	}
	return authz.Explain(a.policy, req)
}

func expectation(c *schema.AccessCase) string {
	outcome := "deny"
	if c.Allow {
		outcome = "allow"
	}
	switch {
	case c.Rule == nil:
		return outcome
	case *c.Rule == schema.NoRule:
		return outcome + " by no rule"
	default:
		return fmt.Sprintf("%s by rule %d", outcome, *c.Rule)
	}
}

// maxFailures bounds how many failed tests one model is told.
const maxFailures = 20

// failed returns the tests that do not hold as one error, nil when all do.
func (a *access) failed() error {
	if len(a.failures) == 0 {
		return nil
	}
	lines := a.failures
	if len(lines) > maxFailures {
		lines = append(slices.Clone(lines[:maxFailures]), fmt.Sprintf("and %d more", len(a.failures)-maxFailures))
	}
	return fault.New(fault.Content, strings.Join(lines, "\n"))
}

// sharedWith reports whether a tenant beside the owner sees the version.
func (a *access) sharedWith(tenant string) bool {
	return slices.Contains(a.share, schema.ShareAll) || slices.Contains(a.share, tenant)
}

// permit decides whether the principal may do what it asks for with the
// version. Faults: Unauthenticated when a credential is missing, Forbidden.
func (v *version) permit(req authz.Request) (authz.Decision, error) {
	decision := authz.Decision{Rule: authz.NoRule}
	if !carries(req.Principal, v.access.require) {
		return decision, v.denied(decision, missingCredential(v.access.require))
	}
	if decision = authz.Decide(v.access.policy, req); !decision.Allow {
		return decision, v.denied(decision, v.forbidden(req))
	}
	return decision, nil
}

// denied says for the record what refused.
func (v *version) denied(decision authz.Decision, refusal *fault.Error) error {
	refusal.Err = &audit.DenialError{About: v.about(decision.Rule)}
	return refusal
}

// about is what a record says of the version, and of the rule that decided.
func (v *version) about(rule int) audit.About {
	return audit.About{Model: v.label, Version: v.id, Digest: v.sum, Rule: audit.RuleOf(rule)}
}

// carries reports whether the principal proved itself by all of the methods,
// one credential for each.
func carries(p *identity.Principal, required []identity.Method) bool {
	for _, method := range required {
		if !proved(p, method) {
			return false
		}
	}
	return true
}

func proved(p *identity.Principal, method identity.Method) bool {
	for q := p; q != nil; q = q.With {
		own := q.Method == method || method == identity.Bearer && q.Method == identity.Outside
		if own && q.Tenant == p.Tenant {
			return true
		}
	}
	return false
}

// credentials are the methods in words for a client. Read only.
var credentials = map[identity.Method]string{
	identity.Bearer: "an access token", identity.Outside: "an access token",
	identity.APIKey: "an API key", identity.Certificate: "a client certificate",
}

func missingCredential(required []identity.Method) *fault.Error {
	words := make([]string, len(required))
	for i, method := range required {
		words[i] = credentials[method]
	}
	return fault.New(fault.Unauthenticated, "This model requires "+strings.Join(words, " and ")+" in one request")
}

// forbidden says what is missing to those who may see the model, and nothing to
// others.
func (v *version) forbidden(req authz.Request) *fault.Error {
	if err := req.CheckReach(); err != nil {
		return fault.As(err)
	}
	const msg = "Operation not permitted"
	remedy := authz.Remedy(v.access.policy, req)
	req.Action = authz.Read
	if remedy == "" || !authz.Decide(v.access.policy, req).Allow {
		return fault.New(fault.Forbidden, msg)
	}
	return fault.New(fault.Forbidden, msg+": it needs "+remedy)
}
