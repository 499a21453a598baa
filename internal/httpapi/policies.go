package httpapi

import (
	"cmp"
	"context"
	"net/netip"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

// policyView is who may do what with a model.
type policyView struct {
	Model   string            `json:"model"`
	Version string            `json:"version"`
	Tenant  string            `json:"tenant"`
	Roles   []string          `json:"roles"`
	Rules   []ruleView        `json:"rules"`
	Require []identity.Method `json:"require"`
	Share   []string          `json:"share"`
}

// ruleView is one rule, as model.yaml has it, with its number. A condition that
// is not there holds for everybody, one without values for nobody.
type ruleView struct {
	Rule      int              `json:"rule"`
	Allow     []authz.Action   `json:"allow,omitzero"`
	Deny      []authz.Action   `json:"deny,omitzero"`
	Tenants   []string         `json:"tenants,omitzero"`
	Roles     []string         `json:"roles,omitzero"`
	Scopes    []string         `json:"scopes,omitzero"`
	Subjects  []string         `json:"subjects,omitzero"`
	Issuers   []string         `json:"issuers,omitzero"`
	Addresses []string         `json:"addresses,omitzero"`
	When      map[string][]any `json:"when,omitzero"`
}

func viewPolicy(p *inference.PolicyInfo) policyView {
	v := policyView{
		Model: p.Model, Version: p.Version, Tenant: p.Tenant, Roles: list(p.Policy.Roles), Rules: []ruleView{},
		Require: append([]identity.Method{}, p.Require...), Share: list(p.Share),
	}
	for i := range p.Policy.Rules {
		v.Rules = append(v.Rules, viewRule(i+1, &p.Policy.Rules[i]))
	}
	return v
}

// texts returns the networks in CIDR notation.
func texts(networks []netip.Prefix) []string {
	all := make([]string, len(networks))
	for i, n := range networks {
		all[i] = n.String()
	}
	return all
}

func viewRule(number int, r *authz.Rule) ruleView {
	v := ruleView{
		Rule: number, Allow: r.Actions, Tenants: r.Tenants, Roles: r.Roles, Scopes: r.Scopes,
		Subjects: r.Subjects, Issuers: r.Issuers,
	}
	if r.Addresses != nil {
		v.Addresses = texts(r.Addresses)
	}
	if r.Deny {
		v.Allow, v.Deny = nil, r.Actions
	}
	for _, claim := range r.When {
		if v.When == nil {
			v.When = map[string][]any{}
		}
		v.When[claim.Name] = claim.Values
	}
	return v
}

// policyOwner returns the tenant whose model is meant. Rules name people, so that
// they are for those who write them and those who audit them: the fault is
// Forbidden for others.
func (a *API) policyOwner(x *exchange) (string, error) {
	if p := x.principal; !a.cfg.Roles.Permits(p, identity.ModelsWrite) && !a.cfg.Roles.Permits(p, identity.AuditRead) {
		return "", fault.Newf(fault.Forbidden, "Operation not permitted: reading rules needs %s or %s", identity.ModelsWrite, identity.AuditRead)
	}
	tenant, err := x.tenantParameter()
	if err == nil {
		err = (&authz.Request{Principal: x.principal, Model: x.param("model")}).CheckReach()
	}
	if err != nil || tenant == "" || tenant == x.principal.Tenant {
		return x.principal.Tenant, err
	}
	if x.principal.Tenant != identity.DefaultTenant {
		return "", fault.New(fault.NotFound, "There is no such model")
	}
	return tenant, nil
}

// showPolicy tells the rules of a model of the caller's tenant.
func (a *API) showPolicy(_ context.Context, x *exchange) error {
	owner, err := a.policyOwner(x)
	if err != nil {
		return err
	}
	policy, err := a.cfg.Catalog.Policy(owner, x.param("model"))
	if err != nil {
		return noModel(err)
	}
	return x.encode(viewPolicy(&policy))
}

// noModel says the same of a model that is not there and of another tenant's.
func noModel(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "There is no such model")
	}
	return err
}

// policyTest is a question.
type policyTest struct {
	Principal *asked `json:"principal" validate:"required"                          want:"an object"`
	Action    string `json:"action"    validate:"omitempty,oneof=predict read write" want:"predict, read or write"`
}

// asked is whom a question is about.
type asked struct {
	Subject string         `json:"subject"                                want:"a string"`
	Issuer  string         `json:"issuer"                                 want:"a string"`
	Tenant  string         `json:"tenant"  validate:"omitempty,tenant"    want:"the name of a tenant"`
	Roles   []string       `json:"roles"   validate:"omitempty,dive,role" want:"an array of roles"`
	Scopes  []string       `json:"scopes"                                 want:"an array of scopes"`
	Address string         `json:"address" validate:"omitempty,ip"        want:"an IP address"`
	Claims  map[string]any `json:"claims"                                 want:"an object"`
}

// decisionView is the answer.
type decisionView struct {
	Allow bool `json:"allow"`
	// Rule is the number of the rule that decides; null when none does.
	Rule   *int   `json:"rule"`
	Reason string `json:"reason"`
}

// testPolicy says what the rules of a model would decide about somebody.
func (a *API) testPolicy(ctx context.Context, x *exchange) error {
	owner, err := a.policyOwner(x)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Catalog.Policy(owner, x.param("model")); err != nil {
		return noModel(err) // before anything is said about the body
	}
	var question policyTest
	if err := x.readMembers(ctx, &question); err != nil {
		return err
	}
	if owner, err = a.policyOwner(x); err != nil {
		return err // the caller may have been proven again
	}
	e, err := a.cfg.Catalog.Judge(owner, x.param("model"), question.request(owner))
	if err != nil {
		return noModel(err)
	}
	answer := decisionView{Allow: e.Allow, Reason: e.Reason}
	if e.Rule != authz.NoRule {
		answer.Rule = &e.Rule
	}
	return x.encode(answer)
}

func (q *policyTest) request(owner string) authz.Request {
	who := q.Principal
	p := &identity.Principal{
		Subject: who.Subject, Issuer: who.Issuer, Tenant: cmp.Or(who.Tenant, owner), Roles: who.Roles,
		Scopes: who.Scopes, Claims: who.Claims, Method: identity.Bearer,
	}
	if p.Issuer != "" {
		p.Method = identity.Outside
	}
	address, _ := netip.ParseAddr(who.Address) // held against its rule; none is in no network
	return authz.Request{Principal: p, Action: authz.Action(cmp.Or(q.Action, string(authz.Predict))), Address: address}
}
