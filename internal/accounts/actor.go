package accounts

import (
	"context"
	"errors"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
)

// Actor is who changes something, and whose things it may change: those of one
// tenant, or of AnyTenant. What is another tenant's is not found.
type Actor struct {
	// Name is the subject of a principal, or a word for a command or the server
	// itself.
	Name string
	// Tenant is that of what may be changed.
	Tenant string
	// holder bounds what may be given; nil for whoever can write to the store
	// anyway.
	holder *holder
	// proven is the stamp that the user to be changed had when its password was
	// proven; empty where none was.
	proven string
}

// home is the tenant that the actor belongs to.
func (a Actor) home() string {
	if a.holder == nil {
		return a.Tenant
	}
	return a.holder.principal.Tenant
}

// mayAdd refuses to add something to a tenant that is not the actor's.
func (a Actor) mayAdd(tenant string) error {
	if a.Tenant != AnyTenant && a.Tenant != tenant {
		return wrong("tenant", "there is no tenant %s", tenant)
	}
	return nil
}

// wrong is the fault of one part of what was asked for, by its name.
func wrong(part, format string, args ...any) error {
	err := fault.Newf(fault.Content, format, args...)
	err.Fields = []fault.Field{{Name: part, Detail: err.Msg}}
	return err
}

// deed is what somebody is about to do.
type deed struct {
	by     Actor
	event  audit.Event
	object string
	// tenant is the object's, whose record it is, and changes what becomes of it.
	tenant  string
	changes audit.Changes
}

// on says what becomes of an object of a tenant.
func (d *deed) on(tenant string, changes audit.Changes) { d.tenant, d.changes = tenant, changes }

// errNothing is of a change that somebody else has made already: there is nothing to
// change, and nothing to put on record.
var errNothing = errors.New("it was done already")

// update changes the store and makes the change known at once. It is on record
// who did what, or it is not done.
func (s *Service) update(ctx context.Context, by Actor, event audit.Event, object string, change func(*Tx, *deed) error) error {
	if err := s.watcher.reachable(); err != nil {
		return err
	}
	err := s.store.Update(ctx, func(tx *Tx) error {
		if err := by.stands(tx); err != nil {
			return err
		}
		d := &deed{by: by, event: event, object: object}
		if err := change(tx, d); err != nil {
			return err
		}
		if err := s.pace(ctx, d); err != nil {
			return err
		}
		return s.onRecord(ctx, d)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	s.watcher.changed(ctx)
	return nil
}

// changesPerSecond is how many changes a tenant's own administrators make at one server:
// after each, all servers look up every credential anew.
const changesPerSecond = 10

func newChanges(now func() time.Time) *limit.Table {
	return limit.NewTable(limit.TableConfig{Policy: "tenant", Whose: "that change something in this tenant", Now: now})
}

// pace refuses a change when the actor's tenant has made too many. Those of the default
// tenant run the installation. What takes rights away is never refused for that. Faults:
// RateLimited.
func (s *Service) pace(ctx context.Context, d *deed) error {
	if d.by.holder == nil || d.by.Tenant == AnyTenant {
		return nil
	}
	switch d.event { //nolint:exhaustive // the others may give rights
	case audit.UserRevoke, audit.UserDelete, audit.UserDisable,
		audit.ClientRevoke, audit.ClientDelete, audit.ClientDisable, audit.APIKeyRevoke:
		return nil
	}
	rates := identity.Rates{{Requests: changesPerSecond, Window: time.Second}}
	return limit.Take(ctx, limit.Demand{Table: s.changes, Key: d.by.Tenant, Rates: rates, N: 1, Silent: true})
}

// onRecord keeps who did what, to whom.
func (s *Service) onRecord(ctx context.Context, d *deed) error {
	rec := &audit.Record{Event: d.event, Object: d.object, Changes: d.changes, Decision: audit.Allow, Outcome: audit.OK}
	switch by := &d.by; {
	case by.holder != nil:
		rec.By(by.holder.principal)
	case by.Tenant == AnyTenant:
		rec.Actor, rec.Tenant = by.Name, identity.DefaultTenant
	default:
		rec.Actor, rec.Tenant = by.Name, by.Tenant
	}
	rec.In(d.tenant)
	return s.audit.Record(ctx, rec)
}
