package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

// The statements about what was used.
const (
	readUsage = `SELECT calls, input_rows, bytes, compute_ns FROM usage
		WHERE tenant = ? AND api_key = ? AND per = ? AND start = ?`
	// readRange is readUsage for all periods of a kind that begin in a time.
	readRange = `SELECT start, calls, input_rows, bytes, compute_ns FROM usage
		WHERE tenant = ? AND api_key = ? AND per = ? AND start >= ? AND start <= ?`
	// addUsage adds nothing for a tenant that there is not.
	addUsage = `INSERT INTO usage (tenant, api_key, per, start, calls, input_rows, bytes, compute_ns)
		SELECT name, ?, ?, ?, ?, ?, ?, ? FROM tenants WHERE name = ?
		ON CONFLICT (tenant, api_key, per, start) DO UPDATE SET calls = usage.calls + excluded.calls,
			input_rows = usage.input_rows + excluded.input_rows, bytes = usage.bytes + excluded.bytes,
			compute_ns = usage.compute_ns + excluded.compute_ns`
	pruneUsage = `DELETE FROM usage WHERE start < ? AND per = 'day'`
)

// Usage is the store as quotas see it.
type Usage struct{ store *Store }

var _ quota.Store = Usage{}

// Usage returns what tenants and their keys used.
func (s *Store) Usage() Usage { return Usage{s} }

// Charge runs charge in one transaction that no other writer can interleave with.
// It leaves the revision: nobody remembers what was used.
func (u Usage) Charge(ctx context.Context, charge func(quota.Ledger) error) error {
	return u.store.bounded(ctx, func(ctx context.Context) error {
		return u.store.write(ctx, func(t *transaction) error { return charge(ledger{t}) })
	})
}

// Usage returns what was used at each place. Places that follow each other and are
// of one kind, as days are, are read together.
func (u Usage) Usage(ctx context.Context, places []quota.Place) ([]quota.Use, error) {
	all := make([]quota.Use, len(places))
	err := u.store.viewing(ctx, func(t *transaction) error {
		for first := 0; first < len(places); {
			end := first + 1
			for end < len(places) && follows(places[end-1], places[end]) {
				end++
			}
			if err := (ledger{t}).usedIn(places[first:end], all[first:end]); err != nil {
				return err
			}
			first = end
		}
		return nil
	})
	return all, err
}

// follows reports whether b is a later period of the same kind.
func follows(a, b quota.Place) bool {
	return a.Tenant == b.Tenant && a.Key == b.Key && a.Per == b.Per && a.Start.Before(b.Start)
}

// Prune forgets the days that began before the time.
func (u Usage) Prune(ctx context.Context, before time.Time) error {
	return u.store.bounded(ctx, func(ctx context.Context) error {
		return u.store.write(ctx, func(t *transaction) error {
			_, err := t.change(anyTenant, pruneUsage, before.Unix())
			return err
		})
	})
}

// ledger is what was used, inside a transaction.
type ledger struct{ *transaction }

// usedIn fills in what was used at places that follow each other.
func (l ledger) usedIn(places []quota.Place, all []quota.Use) error {
	first, last := places[0], places[len(places)-1]
	if !storable(first.Tenant, first.Key) {
		return nil
	}
	at := make(map[int64]int, len(places))
	for i := range places {
		at[places[i].Start.Unix()] = i
	}
	args := []any{first.Tenant, first.Key, first.Per.String(), first.Start.Unix(), last.Start.Unix()}
	return l.each(first.Tenant, readRange, args, func(scan func(...any) error) error {
		var start int64
		var used quota.Use
		err := scan(&start, &used[limit.UnitCalls], &used[limit.UnitRows], &used[limit.UnitBytes], &used[limit.UnitCompute])
		if i, asked := at[start]; asked {
			all[i] = used
		}
		return err
	})
}

// Made returns when a tenant was made. Faults: NotFound.
func (l ledger) Made(tenant string) (time.Time, error) {
	found, err := (rows[accounts.Tenant]{tenants, l.transaction}).Get(tenant, tenant)
	if err != nil {
		return time.Time{}, err
	}
	return found.CreatedAt, nil
}

// Used returns what was used at a place.
func (l ledger) Used(at quota.Place) (used quota.Use, err error) {
	if !storable(at.Tenant, at.Key) {
		return used, nil
	}
	err = l.row(at.Tenant, readUsage, []any{at.Tenant, at.Key, at.Per.String(), at.Start.Unix()},
		&used[limit.UnitCalls], &used[limit.UnitRows], &used[limit.UnitBytes], &used[limit.UnitCompute])
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return used, err
}

// Add adds to what was used at a place. Faults: NotFound.
func (l ledger) Add(at quota.Place, more quota.Use) error {
	if !storable(at.Tenant, at.Key) {
		return errNoText
	}
	n, err := l.change(at.Tenant, addUsage, at.Key, at.Per.String(), at.Start.Unix(),
		more[limit.UnitCalls], more[limit.UnitRows], more[limit.UnitBytes], more[limit.UnitCompute], at.Tenant)
	if err == nil && n == 0 {
		err = fault.Newf(fault.NotFound, "there is no tenant %s", at.Tenant)
	}
	return err
}
