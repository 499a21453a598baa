package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/tensor"
)

// openAuditLog opens the audit log, once there is a key-encryption key; nil when
// it is off.
func openAuditLog(cfg *config.Config, now func() time.Time) (*audit.Log, error) {
	if audit.Mode(cfg.Audit) == audit.Off {
		return nil, nil //nolint:nilnil // it is off
	}
	path, _ := kekPath(cfg)
	kek, err := readAuditKEK(path)
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Config{Dir: inDataDir(cfg, auditDir), Mode: audit.Mode(cfg.Audit), KEK: kek, Now: now})
}

// openAudit opens the audit log of the server, unless it is open.
func (a *App) openAudit() (err error) {
	if a.auditLog != nil {
		return nil
	}
	if a.auditLog, err = openAuditLog(a.cfg, a.clock.Now); err != nil || a.auditLog == nil {
		return err
	}
	a.trail = audit.NewTrail(audit.TrailConfig{Log: a.measured(a.auditLog), Mode: audit.Mode(a.cfg.Audit), Now: a.clock.Now})
	a.metrics.Gauge("onnxgate_audit_lag_records", "Audit records that are not on the disk yet.", func() float64 { return float64(a.trail.Lag()) })
	a.metrics.Counter("onnxgate_audit_lost_records_total", "Audit records that could not be kept, and without which the request went ahead: in best-effort mode alone.",
		func() float64 { return float64(a.trail.Lost()) })
	return a.openShipping(a.auditLog)
}

// closeAudit signs a checkpoint over everything.
func (a *App) closeAudit() error {
	if a.auditLog == nil {
		return nil
	}
	return a.auditLog.Close()
}

// onRecord keeps what the server does by itself, to the tenant of the record or to
// the installation.
func (a *App) onRecord(ctx context.Context, rec *audit.Record) error {
	owner := rec.Tenant
	rec.Actor, rec.Tenant = audit.Server, identity.DefaultTenant
	if owner != "" {
		rec.In(owner)
	}
	if rec.Outcome == "" {
		rec.Outcome = audit.OK
	}
	return a.trail.Record(ctx, rec)
}

// noted is onRecord for what has happened already, by others: a failure is told to
// the log, and holds nothing up.
func (a *App) noted(ctx context.Context, rec *audit.Record) {
	if err := a.onRecord(ctx, rec); err != nil {
		a.log.ErrorContext(ctx, "an event is not on record", slog.String("event", string(rec.Event)), slog.String("object", rec.Object), slog.Any("error", err))
	}
}

// recordModels notes which versions of models are served now, and which are not any
// more, each by its folder.
func (a *App) recordModels(ctx context.Context, loaded, removed []string) {
	if a.trail == nil {
		return
	}
	for _, path := range loaded {
		about := a.catalog.About(path)
		a.noted(ctx, &audit.Record{Event: audit.ModelLoad, Tenant: modelstore.ParseFolder(path).Tenant, Object: path, Model: about.Model, Version: about.Version, Digest: about.Digest})
	}
	for _, path := range removed {
		a.noted(ctx, &audit.Record{Event: audit.ModelUnload, Tenant: modelstore.ParseFolder(path).Tenant, Object: path})
	}
}

// recordStart puts the start on record, and every model that is served from then
// on: a server that cannot does not start.
func (a *App) recordStart(ctx context.Context) error {
	if err := a.onRecord(ctx, &audit.Record{Event: audit.ServerStart, Object: a.opts.Version}); err != nil {
		return err
	}
	var served []string
	for _, m := range a.catalog.All() {
		for _, version := range m.Versions {
			served = append(served, m.Label()+"/"+version)
		}
	}
	a.recordModels(ctx, served, nil)
	return nil
}

// recordStop writes what was summed, and the stop.
func (a *App) recordStop(ctx context.Context) error {
	if err := a.trail.Close(ctx); err != nil {
		return err
	}
	return a.onRecord(ctx, &audit.Record{Event: audit.ServerStop, Object: a.opts.Version})
}

// records keeps the records of services that are made before the audit log is
// open, and tells operators of every change in the log, too.
type records struct{ app *App }

// Record keeps a record. The fault is Unavailable when there is none.
func (r records) Record(ctx context.Context, rec *audit.Record) error {
	if err := r.app.trail.Record(ctx, rec); err != nil {
		return err
	}
	if rec.Event.Changes() {
		r.app.log.LogAttrs(ctx, slog.LevelInfo, "changed",
			slog.String("event", string(rec.Event)), slog.String("actor", rec.Actor), slog.String("tenant", rec.Tenant),
			slog.String("object", rec.Object), slog.String("request_id", reqctx.From(ctx).RequestID))
	}
	return nil
}

// predictions returns what keeps the records of predictions: nil when there are
// none.
func (a *App) predictions() audit.Recorder { //nolint:ireturn // nil is off
	if audit.Mode(a.cfg.Audit) == audit.Off {
		return nil
	}
	return records{a}
}

// inputHash returns what hashes the inputs of predictions for their records: nil
// where they have none. The log is open once there are predictions.
func (a *App) inputHash() func(ctx context.Context, tenant string, inputs []*tensor.Tensor) (string, error) {
	if !a.cfg.AuditInputHash || audit.Mode(a.cfg.Audit) == audit.Off {
		return nil
	}
	hashes := sync.OnceValue(func() *audit.InputHash { return a.auditLog.InputHash() })
	return func(ctx context.Context, tenant string, inputs []*tensor.Tensor) (string, error) {
		return hashes().Sum(ctx, tenant, inputs)
	}
}

// commandRecords are the records of a command, which opens the audit log for the
// first thing that it changes.
type commandRecords struct {
	cfg *config.Config
	// ready makes sure that there is a key-encryption key.
	ready func() error

	once sync.Once
	log  *audit.Log
	err  error
}

// Record keeps a record, or says that the change must not be made.
func (c *commandRecords) Record(ctx context.Context, rec *audit.Record) error {
	c.once.Do(func() {
		if c.ready != nil {
			c.err = c.ready()
		}
		if c.err == nil {
			c.log, c.err = openAuditLog(c.cfg, time.Now)
		}
	})
	switch {
	case c.err != nil:
		return fault.Wrap(fault.Unavailable, "nothing was changed: the audit log cannot be opened: "+c.err.Error(), c.err)
	case c.log == nil:
		return nil
	}
	if rec.Method == "" {
		rec.Method = "command"
	}
	return c.log.Record(ctx, rec)
}

// commandRecordsOf returns the records of a command that needs no database: none
// where there is no audit log.
func commandRecordsOf(cfg *config.Config) *commandRecords {
	if !hasAuditLog(cfg) {
		off := *cfg
		off.Audit = string(audit.Off)
		cfg = &off
	}
	return &commandRecords{cfg: cfg}
}

// hasAuditLog reports whether there is an audit log, or the key that opens one: in a
// data directory in which nothing was ever served there is neither.
func hasAuditLog(cfg *config.Config) bool {
	path, _ := kekPath(cfg)
	_, err := os.Stat(path)
	return err == nil
}

// recordDatabase puts on record what a command is about to do to the database.
func recordDatabase(ctx context.Context, cfg *config.Config, actor, what string) error {
	kept := commandRecordsOf(cfg)
	err := kept.Record(ctx, &audit.Record{
		Event: audit.ServerDatabase, Actor: actor, Tenant: identity.DefaultTenant, Object: what, Decision: audit.Allow, Outcome: audit.OK,
	})
	return errors.Join(err, kept.Close())
}

// with returns a function that closes the records, and something else.
func (c *commandRecords) with(closeOther func() error) func() error {
	return func() error { return errors.Join(c.Close(), closeOther()) }
}

// Close signs a checkpoint over what was recorded.
func (c *commandRecords) Close() error {
	if c.log == nil {
		return nil
	}
	return c.log.Close()
}
