package inference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// snapshot is one immutable state of the catalog.
type snapshot struct {
	generation uint64
	entries    map[string]*entry // by label; of every folder of a model
	outside    []LoadError       // of folders that are no model's
	models     map[string]*model // by label
	sorted     []*model          // the default tenant's first, then by tenant and name
	views      map[string]*view  // by tenant
	others     *view             // for tenants that have no view of their own
	problems   []LoadError
	found      []LoadError // of problems, those of what has changed
	changes    Changes
}

// version returns the version that a snapshot holds, nil when it does not. A
// nil snapshot holds nothing.
func (s *snapshot) version(label, id string) *version {
	if s == nil || s.models[label] == nil {
		return nil
	}
	return s.models[label].byNumber(id)
}

// entry returns what a snapshot knows of a folder, nil when it knows nothing. A
// nil snapshot knows none.
func (s *snapshot) entry(label string) *entry {
	if s == nil {
		return nil
	}
	return s.entries[label]
}

// snapshot makes a new state of what was loaded. One that serves what the last
// did shares its views, and its generation.
func (l *loader) snapshot() *snapshot {
	next := &snapshot{entries: l.entries, outside: l.outside, problems: slices.Clone(l.outside)}
	labels := slices.Sorted(maps.Keys(l.entries))
	for _, label := range labels {
		next.problems = append(next.problems, l.entries[label].problems...)
	}
	next.found = next.newProblems(l.before)
	if l.before != nil && l.before.serves(l.entries) {
		next.generation = l.before.generation
		next.models, next.sorted, next.views, next.others = l.before.models, l.before.sorted, l.before.views, l.before.others
		next.changes.Kept = next.kept()
		return next
	}
	next.models = make(map[string]*model, len(labels))
	for _, label := range labels {
		if m := l.entries[label].model; m != nil {
			next.models[label], next.sorted = m, append(next.sorted, m)
		}
	}
	slices.SortFunc(next.sorted, byOwner)
	next.makeViews(l.cfg.DefaultModel)
	if l.before != nil {
		next.generation, next.changes = l.before.generation+1, next.since(l.before)
	}
	return next
}

// newProblems returns the problems of folders that changed since the snapshot
// before, and those that it did not have.
func (s *snapshot) newProblems(before *snapshot) []LoadError {
	if before == nil {
		return s.problems
	}
	known := map[string]bool{}
	for _, p := range before.problems {
		known[p.Error()] = true
	}
	var found []LoadError
	for _, p := range s.problems {
		e, old := s.entries[p.Model], before.entries[p.Model]
		changed := e != nil && (old == nil || !slices.Equal(e.look.files, old.look.files))
		if changed || !known[p.Error()] {
			found = append(found, p)
		}
	}
	return found
}

// serves reports whether the snapshot serves what the entries do.
func (s *snapshot) serves(entries map[string]*entry) bool {
	served := 0
	for label, e := range entries {
		if e.model != s.models[label] {
			return false
		}
		if e.model != nil {
			served++
		}
	}
	return served == len(s.models)
}

// ofOperator returns the problems with what only who runs the server can put
// right: the default tenant's models, and the folders of tenants as a whole.
func (s *snapshot) ofOperator() []LoadError {
	return slices.DeleteFunc(slices.Clone(s.problems), func(p LoadError) bool {
		m := modelstore.ParseFolder(p.Model)
		return m.Tenant != identity.DefaultTenant && m.Name != ""
	})
}

// flat reports whether a model stands at the top.
func (s *snapshot) flat() bool {
	for _, e := range s.entries {
		if e.place.flat() {
			return true
		}
	}
	return false
}

// checkDefault refuses a default model that is asked for and not there. That is
// for the start; later it may come and go.
func (s *snapshot) checkDefault(name string) error {
	bad := slices.ContainsFunc(s.problems, func(e LoadError) bool { return e.Model == name })
	seen := s.views[identity.DefaultTenant]
	if name == "" || seen.fallback != nil || bad {
		return nil
	}
	return fmt.Errorf("the default model %q is not among the models: %s", name, seen.names())
}

func (seen *view) names() string {
	if len(seen.sorted) == 0 {
		return "there are none"
	}
	all := make([]string, len(seen.sorted))
	for i, m := range seen.sorted {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}
