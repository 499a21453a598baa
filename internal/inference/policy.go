package inference

import (
	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

// PolicyInfo is who may do what with the newest version of a model, as its owner
// wrote it.
type PolicyInfo struct {
	Model, Version string
	// Tenant owns the model.
	Tenant string
	Policy authz.Policy
	// Require are the credentials that a request must carry all of; none asks for
	// any one.
	Require []identity.Method
	// Share are the tenants beside the owner that see the model; "*" is all.
	Share []string
}

// Policy returns the rules of a model that the tenant owns. The fault is NotFound
// when it owns no such model.
func (c *Catalog) Policy(tenant, name string) (PolicyInfo, error) {
	v, err := c.owned(tenant, name)
	if err != nil {
		return PolicyInfo{}, err
	}
	return PolicyInfo{
		Model: v.model, Version: v.id, Tenant: v.tenant,
		Policy: v.access.policy, Require: v.access.require, Share: v.access.share,
	}, nil
}

// Judge says what the rules of a model that the tenant owns decide about a
// request, and why, as a test beside the model would. The fault is NotFound when
// it owns no such model.
func (c *Catalog) Judge(tenant, name string, req authz.Request) (authz.Explanation, error) {
	v, err := c.owned(tenant, name)
	if err != nil {
		return authz.Explanation{}, err
	}
	req.Model = v.model
	return v.access.explain(v, req), nil
}

// owned returns the newest version of a model of the tenant's own.
func (c *Catalog) owned(tenant, name string) (*version, error) {
	m := c.current.Load().models[labelOf(tenant, name)]
	if m == nil {
		return nil, unknownModel()
	}
	return m.newest(), nil
}
