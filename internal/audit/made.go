package audit

import (
	"context"
	"time"
)

const (
	// madeWithin is how long after its time a tenant's making is on record: it may
	// have waited for the database.
	madeWithin = time.Minute
	// madeApart is how much later than the time that a tenant was made at, which is in
	// whole seconds, another server's clock may have been then: clocks may differ by a
	// second.
	madeApart = 2 * time.Second
)

// ofPresent bounds a query to the tenant that there is at present, which may not read
// what one of the same name did before it: from the record of its making on or, where
// this log has none because another server made it, from a time by which it was there.
func (r *Reader) ofPresent(ctx context.Context, q Query) (Query, error) {
	if q.Made.IsZero() {
		return q, nil
	}
	made := q.Made
	q.Made = time.Time{}
	began, first := made.Add(madeApart), q.From
	_, err := r.Read(ctx, Query{Tenant: q.Tenant, Since: made, Until: made.Add(madeWithin)}, func(e *Entry) error {
		if e.Event == TenantCreate && e.Outcome == OK {
			began, first = e.Time, max(q.From, e.Index)
		}
		return nil
	})
	q.From = first
	if q.Since.Before(began) {
		q.Since = began
	}
	return q, err
}
