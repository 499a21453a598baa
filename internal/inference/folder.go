package inference

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/schema"
)

// entry is what is known of the folder of one model, whether it is served or not.
// It does not change.
type entry struct {
	place    place
	look     look
	model    *model      // nil when nothing of it is served
	problems []LoadError // of what is not served, or is as it was before
	omitted  []string    // versions that the manifest does not serve
	// wants is how much memory a version lacked, 0 when none did.
	wants int64
	// pin is the rollback that it was looked at with.
	pin Pin
	// unloaded says that it is not served on purpose; contents is then what the
	// folder held, and reserved what it took in memory.
	unloaded bool
	contents digest
	reserved int64
}

// bad notes what is wrong. What could not be read may be readable later, and look
// as it does now.
func (e *entry) bad(id string, err error) {
	if _, unread := errors.AsType[*fs.PathError](err); unread && !errors.Is(err, fs.ErrNotExist) {
		e.look.settled = false
	}
	e.problems = append(e.problems, LoadError{Model: e.place.label, Version: id, Err: err})
}

// keep has the model go on as it was loaded before.
func (e *entry) keep(old *entry) {
	if old != nil {
		e.model, e.omitted, e.unloaded, e.contents, e.reserved = old.model, old.omitted, old.unloaded, old.contents, old.reserved
	}
}

// entry returns what the folder of a model holds now: what it was before, when
// nothing in it has changed.
func (l *loader) entry(p place) *entry {
	e, old := &entry{place: p, pin: l.pins[p.label]}, l.before.entry(p.label)
	if !identity.IsModel(p.name) {
		e.bad("", errors.New("rename the folder: a model's name is up to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit"))
		return e
	}
	listing, err := l.list(p)
	if err != nil {
		e.bad("", err)
		e.keep(old)
		return e
	}
	e.look = listing.look
	switch {
	case old == nil || l.anew:
	case old.pin == e.pin && old.look.same(&listing.look) && (old.wants == 0 || l.memory.room(p.tenant, old.wants, nil) != nil):
		return old
	case old.unloaded && l.contents(p, listing) == old.contents:
		e.keep(old)
		return e
	}
	l.fill(e, old, listing)
	return e
}

// noVersion says what to do about a folder without a version: one that is itself a
// version stands in the folder of its model, which was named in place of the one above.
func (l *loader) noVersion(p place) error {
	if _, number := modelstore.ParseVersion(p.name); number {
		if _, err := fs.Stat(l.cfg.FS, path.Join(p.folder, modelstore.ModelFile)); err == nil {
			return fmt.Errorf("%s/%s is a version, and this is the folder of one model: name the folder above it as that of the models", p.folder, modelstore.ModelFile)
		}
	}
	return fmt.Errorf("there is no version: put the model at %s/1/%s", p.folder, modelstore.ModelFile)
}

// fill loads the versions that are to be served. One that has gone bad since it
// was loaded goes on as it was.
func (l *loader) fill(e, old *entry, listing *listing) {
	for _, stray := range listing.strays {
		e.bad("", fmt.Errorf("rename the folder %q: a version is a whole number from 1, without leading zeros", stray))
	}
	if len(listing.versions) == 0 && len(listing.strays) == 0 {
		e.bad("", l.noVersion(e.place))
	}
	if len(listing.versions) == 0 {
		e.keep(old)
		return
	}
	beside, err := l.besideAll(e.place)
	if err == nil {
		err = beside.contract().CheckVersions(listing.versions)
	}
	if err != nil {
		e.bad("", err)
		e.keep(old)
		return
	}
	latest, served := e.choose(beside.contract().Serving(), listing.versions)
	if latest {
		e.pin.prefer(served)
	}
	if old != nil {
		for _, v := range old.model.served() {
			if latest || !slices.Contains(served, v.id) {
				l.memory.release(v)
			}
		}
	}
	m := &model{tenant: e.place.tenant, name: e.place.name, label: e.place.label, labels: beside.labels()}
	m.versions = l.versions(e, beside, served, latest)
	if len(m.versions) == 0 {
		e.keep(old)
		l.memory.hold(e.model.served()...)
		return
	}
	m.pin(e.pin)
	e.model = m.orSame(old)
}

// choose returns the versions that are to be served, in the order in which they
// are to be tried: the first that can be loaded when latest is set, else all. It
// notes the others.
func (e *entry) choose(chosen *schema.Versions, ids []string) (latest bool, served []string) {
	for _, id := range ids {
		if chosen.Serves(id) {
			served = append(served, id)
		} else {
			e.omitted = append(e.omitted, id)
		}
	}
	latest = chosen != nil && chosen.Latest
	if latest {
		slices.Reverse(served)
	}
	return latest, served
}

// versions loads versions and notes what is wrong with those that it cannot.
func (l *loader) versions(e *entry, beside *manifest, ids []string, latest bool) []*version {
	var versions []*version
	for i, id := range ids {
		old := l.before.version(e.place.label, id)
		v, err := l.version(e, id, beside)
		if err != nil {
			e.bad(id, err)
			v = old
		}
		if full, ok := errors.AsType[*noRoomError](err); ok {
			e.wants = full.needs
		}
		if v == nil {
			continue
		}
		if old != v {
			l.memory.release(old)
		}
		l.memory.hold(v)
		versions = append(versions, v)
		if latest {
			e.omitted = append(e.omitted, ids[i+1:]...)
			break
		}
	}
	return versions
}

// orSame returns the model as it was before when it is no other.
func (m *model) orSame(old *entry) *model {
	if old != nil && old.model != nil && m.pinned == old.model.pinned && slices.Equal(m.versions, old.model.versions) && maps.Equal(m.labels, old.model.labels) {
		return old.model
	}
	return m
}

// manifest is one that has been read, with the file that it stands in. Nil is
// none.
type manifest struct {
	file   file
	parsed *schema.Manifest
}

// besideAll returns the manifest beside all versions.
func (l *loader) besideAll(p place) (*manifest, error) {
	f, err := optional(l.cfg.FS, path.Join(p.folder, modelstore.ManifestFile), modelstore.MaxManifest)
	if err != nil || f.path == "" {
		return nil, err
	}
	parsed, err := schema.Parse(f.path, f.data)
	if err != nil {
		return nil, err
	}
	return &manifest{f, parsed}, nil
}

func (m *manifest) contract() *schema.Manifest {
	if m == nil {
		return nil
	}
	return m.parsed
}

func (m *manifest) labels() map[string]string {
	if serving := m.contract().Serving(); serving != nil {
		return serving.Labels
	}
	return nil
}
