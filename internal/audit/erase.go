package audit

import (
	"context"
	"time"

	"onnxgate/internal/fault"
)

// Erase destroys the keys of a subject of a tenant, or of AnyTenant, so that nobody
// reads any more what the records say of that person; the log still verifies. It
// returns how many keys there were. The record of it is kept first, and names only
// the actor. Faults: NotFound when there is no key, Unavailable.
func (l *Log) Erase(ctx context.Context, actor, tenant, subject string) (int, error) {
	subject = bounded(subject)
	return l.destroy(ctx, &Record{Event: AuditErase, Actor: actor, Method: "command", Outcome: OK}, tenant,
		func(tenant string) (int, error) { return l.vault.Erase(tenant, subject) },
		func(tenant string) (int, error) { return l.vault.Count(tenant, subject) })
}

// Expire destroys the keys of the months of a tenant, or of AnyTenant, that ended
// before a time, and returns how many there were. Faults: NotFound when there are
// none, Unavailable.
func (l *Log) Expire(ctx context.Context, actor, tenant string, before time.Time) (int, error) {
	return l.destroy(ctx, &Record{Event: AuditExpire, Actor: actor, Method: "command", Outcome: OK}, tenant,
		func(tenant string) (int, error) { return l.vault.Expire(tenant, before) },
		func(tenant string) (int, error) { return l.vault.CountExpired(tenant, before) })
}

func (l *Log) destroy(ctx context.Context, rec *Record, tenant string, destroy, count func(tenant string) (int, error)) (n int, err error) {
	keysOf := tenant
	if tenant == AnyTenant {
		keysOf = ""
	} else {
		rec.Tenant = tenant
	}
	// What is behind the last checkpoint can be authenticated only with its keys.
	if _, err := l.Checkpoint(ctx); err != nil {
		return 0, errUnavailable(err)
	}
	under := func(what func(string) (int, error)) error {
		return l.do(ctx, func() error {
			return l.ledger.Locked(func() error {
				if err := l.vault.Refresh(); err != nil {
					return err
				}
				n, err = what(keysOf)
				return err
			})
		})
	}
	if err := under(count); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, fault.New(fault.NotFound, "The audit log has no key of that kind: there is nothing to destroy")
	}
	rec.Count = int64(n)
	if err := l.Record(ctx, rec); err != nil {
		return 0, err
	}
	return n, under(destroy)
}
