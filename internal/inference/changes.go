package inference

import (
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/modelstore"
)

// Changes says what a reload did to the versions, each by its folder:
// MODEL/VERSION, or @TENANT/MODEL/VERSION.
type Changes struct {
	// Added are served since then, Removed are not any more, and Replaced have
	// another file or another contract.
	Added, Removed, Replaced []string
	// Kept could not be loaded again and go on as they were.
	Kept []string
}

// Changes returns what the last reload changed; nothing before the first.
func (c *Catalog) Changes() Changes { return c.current.Load().changes }

// since compares a snapshot with the one that it replaces.
func (s *snapshot) since(before *snapshot) Changes {
	c := Changes{Kept: s.kept()}
	for _, m := range s.sorted {
		for _, v := range m.versions {
			switch old := before.version(m.label, v.id); {
			case old == nil:
				c.Added = append(c.Added, v.path())
			case old != v:
				c.Replaced = append(c.Replaced, v.path())
			}
		}
	}
	for _, m := range before.sorted {
		for _, v := range m.versions {
			if s.version(m.label, v.id) == nil {
				c.Removed = append(c.Removed, v.path())
			}
		}
	}
	return c
}

// kept returns the versions that go on as they were though something is wrong
// with what their folders hold now.
func (s *snapshot) kept() []string {
	var kept []string
	for i := range s.sorted {
		for _, v := range s.sorted[i].versions {
			if len(s.problems) > 0 && s.concerns(v) {
				kept = append(kept, v.path())
			}
		}
	}
	return kept
}

// concerns reports whether a problem is about the version: about it alone,
// about all of its model, or about all models of its tenant.
func (s *snapshot) concerns(v *version) bool {
	for _, p := range s.problems {
		if p.Model == v.label && (p.Version == "" || p.Version == v.id) || p.Model == modelstore.TenantMark+v.tenant {
			return true
		}
	}
	return false
}

// About is what a record says of a version that is served, by its folder: nothing
// of any other.
func (c *Catalog) About(path string) audit.About {
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		return audit.About{}
	}
	v := c.current.Load().version(path[:cut], path[cut+1:])
	if v == nil {
		return audit.About{}
	}
	return v.about(authz.NoRule)
}

func (v *version) path() string { return v.label + "/" + v.id }
