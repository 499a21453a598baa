// Package authz decides whether a principal may do something to a model. The
// decision is pure: it depends on its arguments alone, denies by default, and
// names the rule that it followed.
package authz

import (
	"slices"

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
)

// Policy says who may use one model. The zero value allows nobody.
type Policy struct {
	// Rules are tried in order; the first that matches decides.
	Rules []Rule
}

// Rule allows actions to principals that hold one of the roles.
type Rule struct {
	Actions []Action
	Roles   []string
}

// NoRule is Decision.Rule when nothing matched.
const NoRule = -1

// Decision is the outcome, with its reason.
type Decision struct {
	Allow bool
	// Rule is the index of the rule that decided, or NoRule.
	Rule int
}

// AllowRoles returns the policy that lets holders of any of the roles predict
// and read: the short form of model.yaml.
func AllowRoles(roles ...string) Policy {
	return Policy{Rules: []Rule{{Actions: []Action{Predict, Read}, Roles: roles}}}
}

// Decide reports whether the policy lets the principal do action. A nil
// principal is denied.
func Decide(policy Policy, principal *identity.Principal, action Action) Decision {
	if principal == nil {
		return Decision{Rule: NoRule}
	}
	for i := range policy.Rules {
		rule := &policy.Rules[i]
		if slices.Contains(rule.Actions, action) && slices.ContainsFunc(rule.Roles, principal.HasRole) {
			return Decision{Allow: true, Rule: i}
		}
	}
	return Decision{Rule: NoRule}
}
