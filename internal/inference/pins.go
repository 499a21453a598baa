package inference

import "context"

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

// ends reports whether a version is newer than those that there were.
func (p *Pin) ends(id string) bool { return number(id) > number(p.Newest) }
