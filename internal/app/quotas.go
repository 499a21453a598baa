package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/quota"
	"onnxgate/internal/sqlstore"
)

// newQuotas returns what counts the use of tenants and keys.
func (a *App) newQuotas() (*quota.Service, error) {
	return quota.New(quota.Config{Store: a.store.Usage(), Limits: a.accounts, Warn: a.warnOfQuota, Now: a.clock.Now})
}

// warnOfQuota logs that a soft quota was reached.
func (a *App) warnOfQuota(w quota.Warning) {
	a.metrics.SoftQuotaReached()
	a.log.LogAttrs(context.Background(), slog.LevelWarn, "soft quota reached",
		slog.String("tenant", w.Tenant), slog.String("key", w.Key), slog.String("quota", w.Quota.String()), slog.Int64("used", w.Used))
}

// quotas are those of the store, which is opened after them, in the words of
// package admission.
type quotas struct{ app *App }

// Reserve claims what a prediction will use.
func (q quotas) Reserve(ctx context.Context, p *identity.Principal, use admission.Use) (admission.Reservation, error) { //nolint:ireturn // as admission.Quotas
	r, err := q.app.quotas.Reserve(ctx, p, counted(use))
	if err != nil {
		return nil, err // and not a nil *quota.Reservation in an interface
	}
	return (*reservation)(r), nil
}

// reservation is one of package quota.
type reservation quota.Reservation

// Settle says what was used.
func (r *reservation) Settle(used admission.Use) { (*quota.Reservation)(r).Settle(counted(used)) }

func counted(use admission.Use) quota.Use {
	return quota.Use{
		limit.UnitCalls: use.Calls, limit.UnitRows: use.Rows, limit.UnitBytes: use.Bytes, limit.UnitCompute: int64(use.Compute),
	}
}

// OpenUsage opens what tenants used, as OpenAccounts does the accounts. What a
// server has counted since it last told the database, a second ago at most, is not
// there yet.
func OpenUsage(ctx context.Context, cfg *config.Config) (tenants *accounts.Service, used *quota.Service, done func() error, err error) {
	if err := HasAccounts(cfg); err != nil {
		return nil, nil, nil, err
	}
	store, err := sqlstore.Open(ctx, database(cfg))
	if err != nil {
		return nil, nil, nil, err
	}
	if tenants, err = accounts.New(accountsOf(cfg, store, audit.Discard{})); err == nil {
		used, err = quota.New(quota.Config{Store: store.Usage(), Limits: tenants, Now: time.Now})
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, store.Close())
	}
	return tenants, used, store.Close, nil
}
