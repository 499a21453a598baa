package audit

import (
	"context"
	"time"

	"onnxgate/internal/fault"
)

// Erase destroys the keys of a subject, whom an outside issuer vouches for unless that
// is empty, of a tenant or of AnyTenant, so that nobody
// reads any more what the records say of that person; the log still verifies. It
// returns how many keys there were. The record of it is kept first, and names only
// the actor, who must be somebody else. Faults: NotFound when the log names no such
// tenant, or nobody of that name, Content, Unavailable.
func (l *Log) Erase(ctx context.Context, actor, tenant, issuer, subject string) (int, error) {
	subject = bounded(subject)
	switch {
	case issuer != "":
	case subject == actor:
		return 0, fault.Newf(fault.Content, "%s is who asks for it: the record of it would name nobody; have another user of this machine do it", actor)
	case subject == Server:
		return 0, fault.New(fault.Content, "the server itself is nobody's person: its records stay until they expire")
	}
	// Keys of before are of the subject alone, whatever its issuer.
	names := []string{string(appendOwner(nil, issuer, subject)), subject}
	n, err := l.destroy(ctx, &Record{Event: AuditErase, Actor: actor, Method: "command", Outcome: OK}, tenant,
		func(tenant string) (int, error) { return l.vault.Erase(tenant, names...) },
		func(tenant string) (int, error) { return l.vault.Count(tenant, names...) })
	if n == 0 && err == nil {
		return 0, fault.Newf(fault.NotFound, "no record can be read that names %s%s: it is written otherwise there, or was erased before", subject, within(tenant))
	}
	return n, err
}

func within(tenant string) string {
	if tenant == AnyTenant {
		return ""
	}
	return " in the tenant " + tenant
}

// Expire destroys the keys of the months of a tenant, or of AnyTenant, that ended
// before a time, and returns how many there were: none is no failure. Faults:
// NotFound when the log names no such tenant, Unavailable.
func (l *Log) Expire(ctx context.Context, actor, tenant string, before time.Time) (int, error) {
	return l.destroy(ctx, &Record{Event: AuditExpire, Actor: actor, Method: "command", Outcome: OK}, tenant,
		func(tenant string) (int, error) { return l.vault.Expire(tenant, before) },
		func(tenant string) (int, error) { return l.vault.CountExpired(tenant, before) })
}

// destroy keeps the record of what is destroyed, unless it is nothing.
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
	under := func(what func(string) (int, error)) (n int, err error) {
		return do(ctx, l, func() (n int, err error) {
			err = l.ledger.Locked(func() error {
				if err := l.vault.Refresh(); err != nil {
					return err
				}
				if known, err := l.vault.Knows(keysOf); err != nil {
					return err
				} else if !known {
					return fault.Newf(fault.NotFound, "no record is one of a tenant %s", tenant)
				}
				n, err = what(keysOf)
				return err
			})
			return n, err
		})
	}
	if n, err = under(count); err != nil || n == 0 {
		return 0, err
	}
	rec.Count = int64(n)
	if err := l.Record(ctx, rec); err != nil {
		return 0, err
	}
	return under(destroy)
}
