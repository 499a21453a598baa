package inference

import (
	"context"
	"io/fs"
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/schema"
)

// NewOf returns a catalog that has loaded one model of a tenant alone, if there is
// such a model, whatever is wrong with it: for commands that change it beside a
// server. Of the others it knows what they take in memory.
func NewOf(ctx context.Context, cfg Config, tenant, name string) (*Catalog, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = modelstore.DefaultMaxBytes
	}
	c := &Catalog{cfg: cfg}
	if err := c.readPins(ctx); err != nil {
		return nil, err
	}
	empty := &snapshot{}
	empty.makeViews("")
	l := c.newLoader(empty)
	label := labelOf(tenant, name)
	l.reload(ctx, []string{label})
	if err := l.reserveOthers(ctx, label); err != nil {
		return nil, err
	}
	c.adopt(l)
	return c, nil
}

// reserveOthers notes every model but one as unloaded, with what it takes, from the
// sizes of files.
func (l *loader) reserveOthers(ctx context.Context, label string) error {
	others := newLoader(l.cfg, &snapshot{})
	others.rules, others.pins = true, l.pins
	if err := others.load(ctx); err != nil {
		return err
	}
	for other, e := range others.entries {
		if other == label {
			continue
		}
		unloaded := &entry{place: e.place, unloaded: true}
		for _, v := range e.model.served() {
			unloaded.reserved += v.memory
		}
		l.entries[other] = unloaded
	}
	return nil
}

// Try returns what would be wrong with a version of a model, or with those that
// are served of it when it is empty, if the folder of the models were fsys; and
// whether the version would be served. It loads them aside and changes nothing. Faults: Content, with a line for each
// reason; Forbidden where a tenant other than the default one would share the model
// with more tenants than it does now; Conflict where the folder holds one model
// alone.
func (c *Catalog) Try(ctx context.Context, fsys fs.FS, tenant, name, version string) (served bool, err error) {
	c.reload.Lock()
	before := c.current.Load()
	l := c.newLoader(before)
	c.reload.Unlock()
	defer func(h *heap) { h.end(false) }(&l.heap)
	cfg := c.cfg
	cfg.FS = fsys
	l.cfg = &cfg
	if l.isFlat() {
		return false, fault.Newf(fault.Conflict, "a %s stands at the top of the models folder, which makes it the folder of one model alone", modelstore.ModelFile)
	}
	p := placeOf(tenant, name)
	l.reserve(p.label)
	l.reload(ctx, []string{p.label})
	e := l.entries[p.label]
	if e == nil {
		return false, unknownModel()
	}
	if reasons := newReasons(e, before.entry(p.label), version); len(reasons) > 0 {
		return false, fault.New(fault.Content, strings.Join(reasons, "\n"))
	}
	if slices.Contains(e.omitted, version) {
		return false, l.tryAlone(e, version)
	}
	return true, mayShare(tenant, e, before.entry(p.label))
}

// reserve counts what is unloaded, but for one model: it comes back at the next
// start, and must find its room then.
func (l *loader) reserve(but string) {
	for label, e := range l.before.entries {
		if e.unloaded && label != but {
			l.memory.take(e.place.tenant, e.reserved)
		}
	}
}

// mayShare refuses a model that a tenant would share more widely by itself: what is
// shared stands among the models of others, under a name that may be theirs, and
// may take their only model's place as the default.
func mayShare(tenant string, e, old *entry) error {
	var present []string
	if old != nil {
		present = old.model.shares()
	}
	if tenant == identity.DefaultTenant || slices.Contains(present, schema.ShareAll) {
		return nil
	}
	for _, with := range e.model.shares() {
		if !slices.Contains(present, with) {
			return fault.Newf(fault.Forbidden, "Operation not permitted: access.share would share the model with %q; only the operator can write that into its model.yaml on the server", with)
		}
	}
	return nil
}

// shares returns the tenants that see a version beside the owner.
func (m *model) shares() []string {
	var all []string
	for _, v := range m.served() {
		all = append(all, v.access.share...)
	}
	return all
}

// newReasons returns what is wrong with the model now and was not before, with
// all of it or with the version; with any of its versions when it is empty.
func newReasons(e, old *entry, version string) []string {
	known, bad := map[string]bool{}, map[string]bool{}
	if old != nil {
		for _, p := range old.problems {
			known[p.Error()], bad[p.Version] = true, true
		}
	}
	var reasons []string
	for _, p := range e.problems {
		served := old != nil && old.model != nil && old.model.byNumber(p.Version) != nil
		// What was in order, served or not, must stay so: a start refuses the rest.
		concerned := p.Version == "" || p.Version == version || version == "" && (served || !bad[p.Version])
		if concerned && (p.Version == version && version != "" || !known[p.Error()]) {
			reasons = append(reasons, p.Error())
		}
	}
	return reasons
}

// tryAlone loads a version that would not be served, and needs no room.
func (l *loader) tryAlone(e *entry, id string) error {
	l.memory = newMemory(&Config{}, nil)
	beside, err := l.besideAll(e.place)
	if err == nil {
		_, err = l.version(e, id, beside)
	}
	if err != nil {
		return fault.New(fault.Content, LoadError{Model: e.place.label, Version: id, Err: err}.Error())
	}
	return nil
}
