package inference

import (
	"cmp"
	"slices"
	"strings"

	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
)

// view is what one tenant sees: its own models, and those shared with it. What
// it does not see is not in its view, so that looking for another tenant's model
// is looking for one that does not exist.
type view struct {
	models   map[string]*model
	sorted   []*model // by name
	fallback *model   // the default model, nil when there is none
}

// of returns what the principal's tenant sees.
func (s *snapshot) of(p *identity.Principal) *view {
	if p != nil {
		if seen := s.views[p.Tenant]; seen != nil {
			return seen
		}
	}
	return s.others
}

// byOwner orders models: the default tenant's first, so that they win among
// shared ones of the same name.
func byOwner(a, b *model) int {
	rank := func(m *model) int {
		if m.tenant == identity.DefaultTenant {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.tenant, b.tenant), strings.Compare(a.name, b.name))
}

// makeViews prepares what each tenant sees. Tenants that own nothing, and that
// no model names, see the same: what is shared with everybody. What is nobody's but its
// owner's is looked at for that one alone.
func (s *snapshot) makeViews(defaultModel string) {
	own, shared := map[string][]*model{identity.DefaultTenant: nil}, []*model{}
	for _, m := range s.sorted {
		own[m.tenant] = append(own[m.tenant], m)
		with := m.shares()
		for _, tenant := range with {
			if _, known := own[tenant]; !known && tenant != schema.ShareAll {
				own[tenant] = nil
			}
		}
		if len(with) > 0 {
			shared = append(shared, m)
		}
	}
	s.views = make(map[string]*view, len(own))
	for tenant, models := range own {
		s.views[tenant] = seenBy(tenant, models, shared)
	}
	s.others = seenBy("", nil, shared)
	if own := s.views[identity.DefaultTenant]; defaultModel != "" {
		own.fallback = own.models[defaultModel]
	}
}

// seenBy returns the view of a tenant with so many models of its own, among those that
// are shared: the first of two of the same name, and its own before both.
func seenBy(tenant string, own, shared []*model) *view {
	seen := &view{models: map[string]*model{}}
	for _, m := range own {
		seen.models[m.name] = m
	}
	for _, m := range shared {
		if seen.models[m.name] == nil {
			if part := m.seenBy(tenant); part != nil {
				seen.models[m.name] = part
			}
		}
	}
	for _, m := range seen.models {
		seen.sorted = append(seen.sorted, m)
		if only := m.tenant == tenant && len(own) == 1 || len(own) == 0 && len(seen.models) == 1; only {
			seen.fallback = m
		}
	}
	slices.SortFunc(seen.sorted, func(a, b *model) int { return strings.Compare(a.name, b.name) })
	return seen
}

// seenBy returns what a tenant sees of the model: all of its own, the shared
// versions of another's; nil when there are none.
func (m *model) seenBy(tenant string) *model {
	if m.tenant == tenant {
		return m
	}
	part := &model{tenant: m.tenant, name: m.name, label: m.label}
	for _, v := range m.versions {
		if v.access.sharedWith(tenant) {
			part.versions = append(part.versions, v)
		}
	}
	if len(part.versions) == 0 {
		return nil
	}
	part.labels = m.labels
	if slices.Contains(part.versions, m.pinned) {
		part.pinned = m.pinned
	}
	return part
}
