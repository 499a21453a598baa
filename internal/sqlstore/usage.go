package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
)

// The statements about what was used.
const (
	readUsage = `SELECT calls, input_rows, bytes, compute_ns FROM usage
		WHERE tenant = ? AND api_key = ? AND per = ? AND start = ?`
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

// Usage returns what was used at each place.
func (u Usage) Usage(ctx context.Context, places []quota.Place) (all []quota.Use, err error) {
	err = u.store.viewing(ctx, func(t *transaction) error {
		for _, at := range places {
			used, err := ledger{t}.Used(at)
			if err != nil {
				return err
			}
			all = append(all, used)
		}
		return nil
	})
	return all, err
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
