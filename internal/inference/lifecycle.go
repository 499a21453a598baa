package inference

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
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

const (
	// reasonUnloaded is why a model is unavailable that was unloaded on purpose.
	reasonUnloaded = "unloaded"
	// reasonOmitted is why a version is unavailable that could be served.
	reasonOmitted = "not served: the versions section of model.yaml leaves it out"
)

// Index lists the models that the principal's tenant owns, and that its
// credential reaches, by name and version: those that are served, and those that
// are not with the reason. A version that is ready and has a reason is as it was
// before something went wrong. Whoever asks for it may manage models.
func (c *Catalog) Index(_ context.Context, p *identity.Principal) []IndexEntry {
	entries := []IndexEntry{}
	for label, e := range c.current.Load().entries {
		if name, ok := manages(p, label); ok {
			entries = append(entries, e.index(name)...)
		}
	}
	slices.SortStableFunc(entries, func(a, b IndexEntry) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(number(a.Version), number(b.Version)))
	})
	return entries
}

// index lists what is known of one model.
func (e *entry) index(name string) []IndexEntry {
	if e.unloaded {
		return []IndexEntry{{Model: name, State: StateUnavailable, Reason: reasonUnloaded}}
	}
	var all []IndexEntry
	reasons := map[string]string{}
	for _, p := range e.problems {
		reasons[p.Version] = p.Err.Error()
	}
	add := func(id string, state State, reason string) {
		all = append(all, IndexEntry{Model: name, Version: id, State: state, Reason: reason})
		delete(reasons, id)
	}
	for _, v := range e.model.served() {
		add(v.id, StateReady, cmp.Or(reasons[v.id], reasons[""]))
	}
	if e.model != nil {
		delete(reasons, "")
	}
	for _, id := range e.omitted {
		add(id, StateUnavailable, reasonOmitted)
	}
	for id, reason := range reasons {
		add(id, StateUnavailable, reason)
	}
	return all
}

// manages returns the name of the model in a folder, and whether it is of the
// principal's own tenant and one that its credential reaches.
func manages(p *identity.Principal, label string) (name string, ok bool) {
	m := modelstore.ParseFolder(label)
	if p == nil || p.Tenant != m.Tenant || m.Name == "" {
		return "", false
	}
	req := authz.Request{Principal: p, Model: m.Name}
	return m.Name, req.InReach()
}

// managed returns the folder of a model that the principal may load and unload.
func managed(p *identity.Principal, name string) (string, error) {
	if p != nil && identity.IsModel(name) {
		label := labelOf(p.Tenant, name)
		if _, ok := manages(p, label); ok {
			return label, nil
		}
	}
	return "", unknownModel()
}

// managed returns what is known of a model that the principal may change.
func (s *snapshot) managed(p *identity.Principal, name string) (*entry, error) {
	label, err := managed(p, name)
	if err != nil {
		return nil, err
	}
	if e := s.entry(label); e != nil {
		return e, nil
	}
	return nil, unknownModel()
}

// Load looks at the folder of a model that the principal's tenant owns, and
// serves what it holds, also after an Unload. Faults: NotFound when there is no
// such model, Content when a version of it cannot be served, which says why,
// Unavailable when the change cannot be put on record.
func (c *Catalog) Load(ctx context.Context, p *identity.Principal, name string) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	label, err := managed(p, name)
	if err != nil {
		return err
	}
	l := c.newLoader(c.current.Load())
	l.anew = true
	l.reload(ctx, []string{label})
	e := l.entries[label]
	if e == nil {
		c.adopt(l)
		return unknownModel()
	}
	if err = joined(e.problems); err != nil {
		err = fault.New(fault.Content, err.Error())
	}
	if failed := c.onRecord(ctx, p, audit.ModelLoad, label, e.model, err); failed != nil {
		return failed
	}
	c.adopt(l)
	return err
}

// onRecord keeps who is about to do what to a model, and to the version of it that
// is served then, if there is one.
func (c *Catalog) onRecord(ctx context.Context, p *identity.Principal, event audit.Event, label string, m *model, err error, changes ...audit.Change) error {
	if c.cfg.Audit == nil {
		return nil
	}
	rec := &audit.Record{Event: event, Object: label, Model: label, Changes: changes, Decision: audit.Allow, Outcome: audit.Outcome(err)}
	rec.By(p)
	if m != nil {
		rec.Version, rec.Digest = m.newest().id, m.newest().sum
	}
	return c.cfg.Audit.Record(ctx, rec)
}

// Unload takes a model that the principal's tenant owns out of service: until a
// Load, a change of its folder or a restart it is as one that does not exist.
// Calls that are open go on. Faults: NotFound when there is no such model, and
// Unavailable.
func (c *Catalog) Unload(ctx context.Context, p *identity.Principal, name string) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	before := c.current.Load()
	e, err := before.managed(p, name)
	if err != nil {
		return err
	}
	label, l := e.place.label, c.newLoader(before)
	unloaded := &entry{place: e.place, unloaded: true, reserved: e.reserved}
	for _, v := range e.model.served() {
		unloaded.reserved += v.memory
	}
	if listing, err := l.list(e.place); err == nil {
		unloaded.look, unloaded.contents = listing.look, l.contents(e.place, listing)
	}
	maps.Copy(l.entries, before.entries)
	l.entries[label], l.outside = unloaded, before.outside
	if err := c.onRecord(ctx, p, audit.ModelUnload, label, nil, nil); err != nil {
		return err
	}
	c.adopt(l)
	return nil
}
