package inference

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// State is what a version in the repository is, in the words of Triton's
// repository extension.
type State string

// The states of a version.
const (
	// StateReady versions are served.
	StateReady State = "READY"
	// StateUnavailable versions are not: they could not be loaded, or are unloaded.
	StateUnavailable State = "UNAVAILABLE"
)

// IndexEntry is one version of a model in the repository. Version is empty where
// the fault is that of the whole model; Reason is empty when nothing is wrong.
type IndexEntry struct {
	Model, Version string
	State          State
	Reason         string
}

// reasonUnloaded is why a model is unavailable that was unloaded on purpose.
const reasonUnloaded = "unloaded"

// Index lists the models that the principal's tenant owns, and that its
// credential reaches, by name and version: those that are served, and those that
// are not with the reason. Whoever asks for it may manage models.
func (c *Catalog) Index(_ context.Context, p *identity.Principal) []IndexEntry {
	s := c.current.Load()
	entries := []IndexEntry{}
	for _, m := range s.sorted {
		if _, ok := manages(p, m.label); !ok {
			continue
		}
		for _, v := range m.versions {
			entries = append(entries, IndexEntry{Model: m.name, Version: v.id, State: StateReady})
		}
	}
	for _, problem := range s.problems {
		if name, ok := manages(p, problem.Model); ok {
			entries = append(entries, IndexEntry{Model: name, Version: problem.Version, State: StateUnavailable, Reason: problem.Err.Error()})
		}
	}
	for label := range s.unloaded {
		if name, ok := manages(p, label); ok {
			entries = append(entries, IndexEntry{Model: name, State: StateUnavailable, Reason: reasonUnloaded})
		}
	}
	slices.SortStableFunc(entries, func(a, b IndexEntry) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(number(a.Version), number(b.Version)))
	})
	return entries
}

// number orders versions; what is no number comes first.
func number(id string) uint64 {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// split is the inverse of labelOf. The name is empty for the folder of all models
// of a tenant.
func split(label string) (tenant, name string) {
	if rest, ok := strings.CutPrefix(label, TenantMark); ok {
		tenant, name, _ = strings.Cut(rest, "/")
		return tenant, name
	}
	return identity.DefaultTenant, label
}

// manages returns the name of the model in a folder, and whether it is of the
// principal's own tenant and one that its credential reaches.
func manages(p *identity.Principal, label string) (name string, ok bool) {
	tenant, name := split(label)
	if p == nil || p.Tenant != tenant || name == "" {
		return "", false
	}
	req := authz.Request{Principal: p, Model: name}
	return name, req.InReach()
}

// managed returns the folder of a model that the principal may load and unload.
func managed(p *identity.Principal, name string) (string, error) {
	if p != nil && modelName.MatchString(name) {
		label := labelOf(p.Tenant, name)
		if _, ok := manages(p, label); ok {
			return label, nil
		}
	}
	return "", unknownModel()
}

// Load looks at the folder of a model that the principal's tenant owns, serves
// what it holds, also after an Unload. Faults: NotFound when there is no such
// model, Content when a version of it cannot be served.
func (c *Catalog) Load(_ context.Context, p *identity.Principal, name string) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	label, err := managed(p, name)
	if err != nil {
		return err
	}
	before := c.current.Load()
	asked := *before
	asked.unloaded = maps.Clone(before.unloaded)
	delete(asked.unloaded, label)
	next, err := c.load(&asked)
	if err != nil {
		return err
	}
	c.current.Store(next)
	var problems []error
	for _, problem := range next.problems {
		if problem.Model == label {
			problems = append(problems, problem)
		}
	}
	switch err := errors.Join(problems...); {
	case err != nil:
		return fault.New(fault.Content, err.Error())
	case next.models[label] == nil:
		return unknownModel()
	}
	return nil
}

// Unload takes a model that the principal's tenant owns out of service: until a
// Load, a change of its folder or a restart it is as one that does not exist.
// Calls that are open go on. The fault is NotFound when there is no such model.
func (c *Catalog) Unload(_ context.Context, p *identity.Principal, name string) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	label, err := managed(p, name)
	if err != nil {
		return err
	}
	before := c.current.Load()
	m := before.models[label]
	if _, already := before.unloaded[label]; already {
		return nil
	}
	if m == nil {
		return unknownModel()
	}
	c.current.Store(before.without(m, c.cfg.DefaultModel))
	return nil
}

// without is the snapshot after the model was unloaded.
func (s *snapshot) without(m *model, defaultModel string) *snapshot {
	next := &snapshot{generation: s.generation + 1, models: maps.Clone(s.models), problems: s.problems, unloaded: maps.Clone(s.unloaded)}
	delete(next.models, m.label)
	if next.unloaded == nil {
		next.unloaded = map[string]digest{}
	}
	next.unloaded[m.label] = m.digest()
	next.sorted = slices.DeleteFunc(slices.Clone(s.sorted), func(other *model) bool { return other == m })
	next.makeViews(defaultModel)
	next.changes = next.since(s)
	return next
}
