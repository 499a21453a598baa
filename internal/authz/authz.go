// Package authz decides whether a principal may do something. The decision
// about a model is pure: it depends on its arguments alone, denies by default,
// and names the rule that it followed.
//
// It must not know where rules are written, which models there are, or how a
// principal proved who it is.
package authz

import (
	"net/netip"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Action is what a principal wants to do to a model.
type Action string

// The actions.
const (
	// Predict runs the model.
	Predict Action = "predict"
	// Read reads the model's contract: its features, ranges and labels.
	Read Action = "read"
	// Write replaces the model, its versions and its manifest.
	Write Action = "write"
)

// Actions returns all actions.
func Actions() []Action { return []Action{Predict, Read, Write} }

// Policy says who may do what to one model. The zero value allows nobody
// anything.
type Policy struct {
	// Roles is rule 0: whoever holds one of them may predict and read.
	Roles []string
	// Rules are numbered from 1. A deny that matches decides, wherever it
	// stands; otherwise the first allow that matches, rule 0 included.
	Rules []Rule
}

// Rule allows or denies actions to those for whom every condition holds. A
// condition that is nil holds for everybody; one without values for nobody.
type Rule struct {
	// Deny turns the rule from allowing into denying.
	Deny bool
	// Actions are those that the rule is about. Allowing Predict includes Read,
	// denying it does not.
	Actions []Action

	// Tenants, Roles and Scopes hold for a principal that has one of them.
	Tenants, Roles, Scopes []string
	// Subjects hold for a principal of one of the names: one of our own unless
	// Issuers says otherwise.
	Subjects []string
	// Issuers hold for a principal that one of them vouches for.
	Issuers []string
	// Addresses hold for a request from one of the networks.
	Addresses []netip.Prefix
	// When holds if each of its claims does.
	When []Claim
}

// Request is a question.
type Request struct {
	Principal *identity.Principal
	Action    Action
	// Model is the name by which the principal asks for the model.
	Model string
	// Address is the client's; the zero value is in no network.
	Address netip.Addr
}

// NoRule is Decision.Rule when no rule matched.
const NoRule = -1

// Decision is the outcome, with its reason.
type Decision struct {
	Allow bool
	// Rule is the number of the rule that decided, or NoRule.
	Rule int
}

// AllowRoles returns the policy that lets holders of any of the roles predict
// and read: the short form of model.yaml.
func AllowRoles(roles ...string) Policy { return Policy{Roles: roles} }

// Decide reports whether the policy grants the request. A nil principal is
// denied. One with a second is allowed what both are: the rule named is then
// the first one's, and otherwise that of whoever was refused.
func Decide(policy Policy, req Request) Decision {
	d := policy.decide(&req)
	for d.Allow && req.Principal.With != nil {
		req.Principal = req.Principal.With
		if other := policy.decide(&req); !other.Allow {
			return other
		}
	}
	return d
}

// decide is Decide for the principal alone.
func (policy *Policy) decide(req *Request) Decision {
	d := Decision{Rule: NoRule}
	if !req.inReach() {
		return d
	}
	if policy.byRole(req) {
		d = Decision{Allow: true, Rule: 0}
	}
	for i := range policy.Rules {
		rule := &policy.Rules[i]
		switch {
		case d.Allow && !rule.Deny || !rule.covers(req.Action) || rule.failing(req) != none:
		case rule.Deny:
			return Decision{Rule: i + 1}
		default:
			d = Decision{Allow: true, Rule: i + 1}
		}
	}
	return d
}

// InReach reports whether the credentials of the principal may be used for the
// model at all, whatever the policy says.
func (req *Request) InReach() bool {
	for p := req.Principal; p != nil; p = p.With {
		if !reaches(p, req.Model) {
			return false
		}
	}
	return req.Principal != nil
}

// CheckReach is InReach as a fault: Forbidden where it reports false.
func (req *Request) CheckReach() error {
	if !req.InReach() {
		return fault.New(fault.Forbidden, "Operation not permitted: the credential is for other models")
	}
	return nil
}

// inReach is InReach for the first principal alone.
func (req *Request) inReach() bool {
	return req.Principal != nil && reaches(req.Principal, req.Model)
}

func reaches(p *identity.Principal, model string) bool {
	return p.Models == nil || slices.Contains(p.Models, model)
}

// byRole reports whether rule 0 matches.
func (policy *Policy) byRole(req *Request) bool {
	return (req.Action == Predict || req.Action == Read) && intersects(policy.Roles, req.Principal.Roles)
}

// covers reports whether the rule is about the action.
func (r *Rule) covers(action Action) bool {
	return slices.Contains(r.Actions, action) ||
		action == Read && !r.Deny && slices.Contains(r.Actions, Predict)
}

// condition is a part of a rule that can fail.
type condition uint8

const (
	none condition = iota
	onTenant
	onRole
	onScope
	onSubject
	onIssuer
	onAddress
	onClaim
)

// failing returns the first condition of the rule that does not hold.
func (r *Rule) failing(req *Request) condition {
	p := req.Principal
	switch {
	case r.Tenants != nil && !slices.Contains(r.Tenants, p.Tenant):
		return onTenant
	case r.Roles != nil && !intersects(r.Roles, p.Roles):
		return onRole
	case r.Scopes != nil && !intersects(r.Scopes, p.Scopes):
		return onScope
	case r.Subjects != nil && !r.names(p):
		return onSubject
	case r.Issuers != nil && (issuerOf(p) == "" || !slices.Contains(r.Issuers, issuerOf(p))):
		return onIssuer
	case r.Addresses != nil && (len(r.Addresses) == 0 || !identity.InNetworks(req.Address, r.Addresses)):
		return onAddress
	case r.failingClaim(p) != nil:
		return onClaim
	}
	return none
}

// names reports whether the rule's subjects hold: a subject of an outside
// issuer is not ours of the same name.
func (r *Rule) names(p *identity.Principal) bool {
	return (r.Issuers != nil || isOwn(p)) && slices.Contains(r.Subjects, p.Subject)
}

// isOwn reports whether the principal is one of this server's.
func isOwn(p *identity.Principal) bool { return p.Issuer == "" && p.Method != identity.Outside }

// issuerOf returns who vouches for the principal: for our own access tokens
// this server, by the issuer that they name; for keys and certificates nobody.
func issuerOf(p *identity.Principal) string {
	if !isOwn(p) {
		return p.Issuer
	}
	issuer, _ := p.Claims["iss"].(string)
	return issuer
}

func intersects(a, b []string) bool {
	for _, word := range a {
		if slices.Contains(b, word) {
			return true
		}
	}
	return false
}
