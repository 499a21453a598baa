package inference

import (
	"context"
	"maps"
	"slices"
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/schema"
)

// Pin is the version that a model was rolled back to. It holds until a newer
// version than those there were is served.
type Pin struct {
	// Folder is the model's, and Tenant owns it.
	Folder, Tenant string
	// Version is served where a request names none.
	Version string
	// Newest is the newest version that there was.
	Newest string
}

// Pins are kept where every process finds them that serves the same models.
// Faults: Unavailable, Timeout and Canceled.
type Pins interface {
	// All returns the pins of every tenant.
	All(ctx context.Context) ([]Pin, error)
	// Put keeps a pin instead of the one that its folder has.
	Put(ctx context.Context, pin Pin) error
	// Delete removes the pin of the folder, if it has one.
	Delete(ctx context.Context, tenant, folder string) error
}

// readPins asks for the pins. Without an answer those hold that were known.
func (c *Catalog) readPins(ctx context.Context) error {
	if c.cfg.Pins == nil {
		return nil
	}
	all, err := c.cfg.Pins.All(ctx)
	if err != nil {
		return err
	}
	c.pins = make(map[string]Pin, len(all))
	for _, pin := range all {
		c.pins[pin.Folder] = pin
	}
	return nil
}

// ends reports whether a version is newer than those that there were.
func (p *Pin) ends(id string) bool { return number(id) > number(p.Newest) }

// prefer puts the versions that are to be tried, the newest first, in the order
// in which a rollback wants them: what came since, then the one that it chose.
func (p *Pin) prefer(ids []string) {
	rank := func(id string) int {
		switch {
		case p.ends(id):
			return 0
		case id == p.Version:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ids, func(a, b string) int { return rank(a) - rank(b) })
}

// pin has the version served that the model was rolled back to, unless a newer
// one came or it is not among those that are served.
func (m *model) pin(p Pin) {
	if p.Version == "" || slices.ContainsFunc(m.versions, func(v *version) bool { return p.ends(v.id) }) {
		return
	}
	m.pinned = m.byNumber(p.Version)
}

// Rollback has an older version of a model of the principal's tenant served where
// a request names none: the one before the present one where to is empty. It
// returns its number. It holds until a newer version than those there are comes,
// or until a rollback to the newest. Faults: NotFound when there is no such model;
// Content when there is no such version, or it cannot be served; Conflict when
// there is no older one; those of Pins.
func (c *Catalog) Rollback(ctx context.Context, p *identity.Principal, name, to string) (serving string, err error) {
	c.reload.Lock()
	defer c.reload.Unlock()
	before := c.current.Load()
	e, err := before.managed(p, name)
	if err != nil {
		return "", err
	}
	if e.unloaded || e.model == nil {
		return "", fault.New(fault.Conflict, "nothing of the model is served; load it first")
	}
	if err := c.readPins(ctx); err != nil {
		return "", err
	}
	label, l := e.place.label, c.newLoader(before)
	ids, chosen, err := l.versionsOf(e.place)
	if err != nil {
		return "", err
	}
	former := e.model.newest().id
	if to, err = target(former, to, ids, chosen); err != nil {
		return "", err
	}
	pin := Pin{Folder: label, Tenant: p.Tenant, Version: to, Newest: ids[len(ids)-1]}
	l.pins = maps.Clone(c.pins)
	if l.pins == nil {
		l.pins = map[string]Pin{}
	}
	if l.pins[label] = pin; to == pin.Newest {
		delete(l.pins, label)
	}
	l.reload(ctx, []string{label})
	if e = l.entries[label]; e == nil || e.model == nil || e.model.newest().id != to {
		return "", wrongVersion(to, e)
	}
	if err := c.onRecord(ctx, p, audit.ModelRollback, label, e.model, nil, audit.Change{What: audit.PropertyServing, Old: former, New: to}); err != nil {
		return "", err
	}
	if err := c.keep(ctx, pin, to != pin.Newest); err != nil {
		return "", err
	}
	c.pins = l.pins
	c.adopt(l)
	return to, nil
}

// keep makes a pin known to all, or that there is none.
func (c *Catalog) keep(ctx context.Context, pin Pin, pinned bool) error {
	switch {
	case c.cfg.Pins == nil:
		return nil
	case pinned:
		return c.cfg.Pins.Put(ctx, pin)
	default:
		return c.cfg.Pins.Delete(ctx, pin.Tenant, pin.Folder)
	}
}

// versionsOf returns the versions that are in a model's folder, oldest first, and
// which of them its manifest serves.
func (l *loader) versionsOf(p place) ([]string, *schema.Versions, error) {
	listing, err := l.list(p)
	if err != nil {
		return nil, nil, err
	}
	beside, err := l.besideAll(p)
	if err != nil || len(listing.versions) == 0 {
		return nil, nil, fault.New(fault.Conflict, "the folder of the model cannot be read as it is now; GET /admin/v1/models says why")
	}
	return listing.versions, beside.contract().Serving(), nil
}

// target returns the version to go back to.
func target(present, to string, ids []string, chosen *schema.Versions) (string, error) {
	wrong := func(format string, args ...any) error {
		err := fault.Newf(fault.Content, format, args...)
		err.Fields = []fault.Field{{Name: "to", Detail: err.Msg}}
		return err
	}
	switch {
	case to != "" && !slices.Contains(ids, to):
		return "", wrong("there is no such version; there is %s", strings.Join(ids, ", "))
	case to != "" && !chosen.Serves(to):
		return "", wrong("model.yaml leaves version %s out: name it in versions", to)
	case to != "":
		return to, nil
	}
	for _, id := range slices.Backward(ids) {
		if number(id) < number(present) && chosen.Serves(id) {
			return id, nil
		}
	}
	return "", fault.Newf(fault.Conflict, "there is no version before %s to go back to", present)
}

// wrongVersion says why a version cannot be served.
func wrongVersion(id string, e *entry) error {
	if e != nil {
		for _, p := range e.problems {
			if p.Version == id || p.Version == "" {
				return fault.Newf(fault.Content, "version %s cannot be served: %v", id, p.Err)
			}
		}
	}
	return fault.Newf(fault.Content, "version %s cannot be served", id)
}

// number orders versions; what is none comes first.
func number(id string) uint64 {
	n, ok := modelstore.ParseVersion(id)
	if !ok {
		return 0
	}
	return n
}
