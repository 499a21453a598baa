package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"onnxgate/internal/identity"
)

// Explanation is a decision with its reason in words.
type Explanation struct {
	Decision

	Reason string
}

// Explain decides as Decide does and says why: by which rule, or which
// condition of every rule failed. It is for who writes the rules; a caller may
// not learn them.
func Explain(policy Policy, req Request) Explanation {
	e := Explanation{Decision: Decide(policy, req)}
	if req.Principal == nil {
		e.Reason = "nobody asks"
		return e
	}
	if e.Allow {
		e.Reason = fmt.Sprintf("%s allows %s to %s", ruleName(e.Rule), req.Action, policy.holder(&req, e.Rule))
		return e
	}
	for policy.decide(&req).Allow { // the refused one is behind
		req.Principal = req.Principal.With
	}
	e.Reason = policy.refusal(&req, e.Rule)
	return e
}

func ruleName(rule int) string {
	if rule == 0 {
		return "rule 0 (roles)"
	}
	return fmt.Sprintf("rule %d", rule)
}

// holder says who the principal is to an allowing rule.
func (policy *Policy) holder(req *Request, rule int) string {
	if rule != 0 {
		return fmt.Sprintf("%q", req.Principal.Subject)
	}
	for _, role := range policy.Roles {
		if req.Principal.HasRole(role) {
			return fmt.Sprintf("%q, who holds the role %s", req.Principal.Subject, role)
		}
	}
	return ""
}

// refusal says why the principal alone is refused.
func (policy *Policy) refusal(req *Request, rule int) string {
	who := fmt.Sprintf("%q", req.Principal.Subject)
	switch {
	case !req.inReach():
		return fmt.Sprintf("the credential of %s is for other models alone: %s", who, strings.Join(req.Principal.Models, ", "))
	case rule != NoRule:
		return fmt.Sprintf("%s denies %s to %s", ruleName(rule), req.Action, who)
	}
	var failed []string
	if policy.Roles != nil && req.Action != Write {
		failed = append(failed, "rule 0 (roles) asks for "+oneOf("the role", policy.Roles))
	}
	for i := range policy.Rules {
		if r := &policy.Rules[i]; !r.Deny && r.covers(req.Action) {
			failed = append(failed, ruleName(i+1)+" "+r.lacking(req))
		}
	}
	reason := fmt.Sprintf("no rule allows %s to %s", req.Action, who)
	if len(failed) == 0 {
		return reason
	}
	return reason + ": " + strings.Join(failed, "; ")
}

// lacking says which condition failed, and what was there instead.
func (r *Rule) lacking(req *Request) string {
	p := req.Principal
	switch r.failing(req) {
	case onTenant:
		return fmt.Sprintf("asks for %s, not %q", oneOf("the tenant", r.Tenants), p.Tenant)
	case onRole:
		return "asks for " + oneOf("the role", r.Roles)
	case onScope:
		return "asks for " + oneOf("the scope", r.Scopes)
	case onSubject:
		return r.lackingSubject(p)
	case onIssuer:
		return fmt.Sprintf("asks for %s, not %q", oneOf("the issuer", quoted(r.Issuers)), issuerOf(p))
	case onAddress:
		if !req.Address.IsValid() {
			return fmt.Sprintf("asks for an address in %v, and there is none", r.Addresses)
		}
		return fmt.Sprintf("asks for an address in %v, not %s", r.Addresses, req.Address)
	case onClaim:
		return r.failingClaim(p).lacking(p)
	case none:
	}
	return "matches"
}

func (r *Rule) lackingSubject(p *identity.Principal) string {
	asks := "asks for " + oneOf("the subject", quoted(r.Subjects))
	if r.Issuers == nil && !isOwn(p) {
		return asks + fmt.Sprintf(" of this server, not of %q; `issuers` beside `subjects` names others", p.Issuer)
	}
	return asks
}

func (c *Claim) lacking(p *identity.Principal) string {
	value, ok := claimAt(p.Claims, c.Name)
	switch {
	case !ok:
		return fmt.Sprintf("asks for the claim %q, which is missing", c.Name)
	case c.Name == claimEmail && !emailCounts(p):
		return fmt.Sprintf("asks for the claim %q, which counts only with %s true", c.Name, claimEmailVerified)
	}
	return fmt.Sprintf("asks for the claim %q to be one of %s, not %s", c.Name, typed(c.Values), typed(value))
}

// typed shows a value as JSON does, so that a text differs from a number.
func typed(v any) string {
	const most = 200
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("a value that is not JSON (%T)", v)
	}
	if len(data) > most {
		return strings.ToValidUTF8(string(data[:most]), "") + "…"
	}
	return string(data)
}

// oneOf lists words of which one is asked for.
func oneOf(what string, words []string) string {
	if len(words) == 0 {
		return what + " of nobody"
	}
	return what + " " + strings.Join(words, " or ")
}

func quoted(words []string) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = fmt.Sprintf("%q", w)
	}
	return all
}

// Remedy says which role or scope would let a refused principal do what it
// asked for, in words for that principal; empty when none would.
func Remedy(policy Policy, req Request) string {
	for req.Principal != nil && policy.decide(&req).Allow {
		req.Principal = req.Principal.With
	}
	if !req.inReach() || policy.decide(&req).Rule != NoRule {
		return ""
	}
	var ways []string
	if len(policy.Roles) > 0 && req.Action != Write {
		ways = append(ways, oneOf("the role", policy.Roles))
	}
	for i := range policy.Rules {
		if way := policy.Rules[i].remedy(&req); way != "" && !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return strings.Join(ways, ", or ")
}

// remedy returns what of roles and scopes is missing when nothing else is.
func (r *Rule) remedy(req *Request) string {
	var missing []string
	if r.Roles != nil && !intersects(r.Roles, req.Principal.Roles) {
		missing = append(missing, oneOf("the role", r.Roles))
	}
	if r.Scopes != nil && !intersects(r.Scopes, req.Principal.Scopes) {
		missing = append(missing, oneOf("the scope", r.Scopes))
	}
	rest := *r
	rest.Roles, rest.Scopes = nil, nil
	if r.Deny || !r.covers(req.Action) || rest.failing(req) != none {
		return ""
	}
	return strings.Join(missing, " and ")
}
