package inference

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Remove has a version of a model of the principal's tenant taken out of its folder by
// remove, which is told whether it is the last one, after that is on record. A pin whose
// newest version it was goes on from the newest that remains. Faults: NotFound when
// there is no such model or version; Conflict where the version is what requests
// without one get, is named in model.yaml, or was chosen by a rollback, and says what
// to do first; Unavailable; those of remove.
func (c *Catalog) Remove(ctx context.Context, p *identity.Principal, name, id string, remove func(last bool) error) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	before := c.current.Load()
	e, err := before.managed(p, name)
	if err != nil {
		return err
	}
	if err := c.readPins(ctx); err != nil {
		return err
	}
	label, l := e.place.label, c.newLoader(before)
	listing, err := l.list(e.place)
	if err != nil || !slices.Contains(listing.versions, id) {
		return unknownVersion()
	}
	if err := l.removable(e, id, listing.versions); err != nil {
		return err
	}
	if err := c.recordRemoval(ctx, p, label, id, l.sum(e.place, id)); err != nil {
		return err
	}
	remaining := slices.DeleteFunc(slices.Clone(listing.versions), func(other string) bool { return other == id })
	if err := remove(len(remaining) == 0); err != nil {
		return err
	}
	c.takeOver(before, e)
	return c.repin(ctx, c.pins[label], id, remaining)
}

// removable says why one of the versions of a model may not be removed.
func (l *loader) removable(e *entry, id string, versions []string) error {
	if e.place.flat() {
		return fault.New(fault.Conflict, "the model stands at the top of the models folder, which is the folder of one model alone: take it away there")
	}
	beside, err := l.besideAll(e.place)
	if err != nil {
		return fault.New(fault.Conflict, "the model.yaml cannot be read as it is now; GET /admin/v1/models says why")
	}
	pin := l.pins[e.place.label]
	serving := beside.contract().Serving()
	named := serving != nil && (slices.Contains(serving.Only, id) || slices.Contains(slices.Collect(maps.Values(serving.Labels)), id))
	switch {
	case named:
		return fault.Newf(fault.Conflict, "model.yaml names version %s in versions: change it there first", id)
	case pin.Version == id && !slices.ContainsFunc(versions, pin.ends):
		return fault.Newf(fault.Conflict, "a rollback chose version %s: roll back to another one first", id)
	case e.model != nil && e.model.newest().id == id:
		return fault.Newf(fault.Conflict, "version %s answers requests that name none: push a newer one, roll back to an older one, or unload the model first", id)
	}
	return nil
}

// sum returns the SHA-256 of the file of a version in hexadecimal, empty where it
// cannot be read.
func (l *loader) sum(p place, id string) string {
	src, err := l.read(p, id)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(src.sum[:])
}

func (c *Catalog) recordRemoval(ctx context.Context, p *identity.Principal, label, id, digest string) error {
	if c.cfg.Audit == nil {
		return nil
	}
	rec := &audit.Record{
		Event: audit.ModelRemove, Object: label + "/" + id, Model: label, Version: id, Digest: digest,
		Decision: audit.Allow, Outcome: audit.OK,
	}
	rec.By(p)
	return c.cfg.Audit.Record(ctx, rec)
}

// takeOver keeps a model unloaded of which a version was removed. Others are looked at
// by who had it removed.
func (c *Catalog) takeOver(before *snapshot, e *entry) {
	if !e.unloaded {
		return
	}
	l := c.newLoader(before)
	maps.Copy(l.entries, before.entries)
	l.outside = before.outside
	listing, err := l.list(e.place)
	if err != nil {
		delete(l.entries, e.place.label)
	} else {
		l.entries[e.place.label] = &entry{
			place: e.place, unloaded: true, reserved: e.reserved, pin: e.pin, look: listing.look, contents: l.contents(e.place, listing),
		}
	}
	c.adopt(l)
}

// repin has a pin end as soon as a version comes that is newer than those that remain
// when its newest is removed.
func (c *Catalog) repin(ctx context.Context, pin Pin, removed string, remaining []string) error {
	if pin.Version == "" || pin.Newest != removed || len(remaining) == 0 {
		return nil
	}
	pin.Newest = remaining[len(remaining)-1]
	pinned := pin.Newest != pin.Version
	if err := c.keep(ctx, pin, pinned); err != nil {
		return err
	}
	if c.pins = maps.Clone(c.pins); pinned {
		c.pins[pin.Folder] = pin
	} else {
		delete(c.pins, pin.Folder)
	}
	return nil
}
