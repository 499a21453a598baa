package ops

import "testing"

func TestTheNewestMeaningOfAVersionIsFound(t *testing.T) {
	x := NewIndex()
	for _, c := range []struct {
		domain, name string
		version      int64
		since        int64 // 0: none
	}{
		{"", "Reshape", 4, 1},
		{"", "Reshape", 5, 5},
		{"", "Reshape", 28, 5},
		{"", "Mod", 9, 0},
		{"", "Mod", 10, 10},
		{ML, "TreeEnsemble", 4, 0},
		{ML, "TreeEnsemble", 5, 5},
		{ML, "Add", 3, 0},
	} {
		op := x.Find(c.domain, c.name, c.version)
		switch {
		case op == nil && c.since != 0:
			t.Errorf("%s %d is not found", c.name, c.version)
		case op != nil && op.Since != c.since:
			t.Errorf("%s %d is that of %d, want %d", c.name, c.version, op.Since, c.since)
		}
	}
}

func TestTheTableIsConsistent(t *testing.T) {
	type key struct {
		domain, name string
		since        int64
	}
	seen := map[key]bool{}
	for _, op := range Operators() {
		k := key{op.Domain, op.Name, op.Since}
		if seen[k] {
			t.Errorf("%v is there twice", k)
		}
		seen[k] = true
		if op.Since < 1 || op.Since > newest[op.Domain] || op.parse == nil || op.out.least < 1 {
			t.Errorf("%v is not complete", k)
		}
	}
}
