package inference

// Changes says what a reload did to the versions, each as MODEL/VERSION.
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
	var c Changes
	for _, m := range s.sorted {
		for _, v := range m.versions {
			switch old := before.version(m.name, v.id); {
			case old == nil:
				c.Added = append(c.Added, v.path())
			case old != v:
				c.Replaced = append(c.Replaced, v.path())
			case s.concerns(v):
				c.Kept = append(c.Kept, v.path())
			}
		}
	}
	for _, m := range before.sorted {
		for _, v := range m.versions {
			if s.version(m.name, v.id) == nil {
				c.Removed = append(c.Removed, v.path())
			}
		}
	}
	return c
}

// concerns reports whether a problem is about the version: about it alone, or
// about all of its model.
func (s *snapshot) concerns(v *version) bool {
	for _, p := range s.problems {
		if p.Model == v.model && (p.Version == "" || p.Version == v.id) {
			return true
		}
	}
	return false
}

func (v *version) path() string { return v.model + "/" + v.id }
