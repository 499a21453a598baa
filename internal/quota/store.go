package quota

import (
	"context"
	"time"

	"onnxgate/internal/limit"
)

// Use is how much was used, by limit.Unit: calls, rows, bytes, and nanoseconds of
// compute.
type Use [limit.Units]int64

// Place is what is accounted for in one number of each unit.
type Place struct {
	Tenant string
	// Key is the id of one of its API keys; empty is the tenant as a whole.
	Key string
	Per limit.Per
	// Start is the first moment of the period, in UTC.
	Start time.Time
}

// Store keeps what was used. Its errors are faults: Unavailable when it cannot be
// reached for now, Canceled and Timeout for a context that ended.
type Store interface {
	// Charge runs charge in one transaction that no other writer can interleave
	// with, in this process or another, and commits it unless charge fails.
	Charge(ctx context.Context, charge func(Ledger) error) error
	// Usage returns what was used at each place, nothing where nothing is kept.
	Usage(ctx context.Context, places []Place) ([]Use, error)
	// Prune forgets the days, not the months, that began before the time.
	Prune(ctx context.Context, before time.Time) error
}

// Ledger is the inside of one transaction.
type Ledger interface {
	// Used returns what was used at a place, nothing where nothing is kept.
	Used(at Place) (Use, error)
	// Made returns when a tenant was made. The fault is NotFound where there is none.
	Made(tenant string) (time.Time, error)
	// Add adds to what was used, or takes from it. The fault is NotFound where
	// there is no such tenant.
	Add(at Place, more Use) error
}
