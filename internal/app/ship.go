package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/ship"
	"onnxgate/internal/telemetry/syslog"
)

// shipDir holds how far the audit log was shipped, in a file for each place.
const shipDir = "shipped"

// syslogTime bounds the delivery of one batch.
const syslogTime = 30 * time.Second

// shipment is the audit log on its way to one place.
type shipment struct {
	*ship.Shipper

	to    string
	close func() error
}

// openShipping makes what sends the audit log elsewhere: nothing where the
// configuration names no place.
func (a *App) openShipping(log *audit.Log) error {
	settings, err := readOTLP(a.cfg, a.opts.Version)
	if err != nil {
		return err
	}
	if settings.Logs != nil {
		client, err := otlp.NewClient(settings.Logs, otlp.Logs, userAgent(a.opts.Version))
		if err != nil {
			return err
		}
		sink := &ship.Collector{
			Exporter: client, Envelope: otlp.NewEnvelope(settings.Resource, "onnxgate/audit", a.opts.Version), Log: log.Name(), Now: time.Now,
			Rejected: func(err error) { a.toldOfShipping("otlp", err) },
		}
		if err := a.shipTo("otlp", log, sink, client.Close); err != nil {
			return err
		}
	}
	if len(a.shipments) > 0 || a.cfg.SyslogURL != "" {
		a.metrics.Gauges("onnxgate_audit_unshipped_records", "Audit records that are in the log and not yet at the place that they are shipped to, by place.", "to", a.unshipped)
	}
	if a.cfg.SyslogURL == "" {
		return nil
	}
	target, err := parseSyslog(a.cfg)
	if err != nil {
		return err
	}
	sink := syslog.NewSink(syslog.Config{Target: target, Host: hostName(), Version: a.opts.Version, Timeout: syslogTime})
	return a.shipTo("syslog", log, sink, func() error { return nil })
}

func parseSyslog(cfg *config.Config) (*syslog.Target, error) {
	target, err := syslog.Parse(cfg.SyslogURL)
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_SYSLOG_URL: %w", err)
	}
	return target, nil
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func (a *App) shipTo(name string, log *audit.Log, sink ship.Sink, closeSink func() error) error {
	dir := inDataDir(a.cfg, shipDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := ship.New(ship.Config{
		Source: shippedLog{log}, Sink: sink, Log: log.Name(), Path: filepath.Join(dir, name),
		Told: func(err error) { a.toldOfShipping(name, err) },
	})
	if err != nil {
		return err
	}
	a.shipments = append(a.shipments, shipment{s, name, closeSink})
	return nil
}

// startShipping sends until ctx is done. What is left then goes at the next start.
func (a *App) startShipping(ctx context.Context) {
	for _, s := range a.shipments {
		a.background.Go(func() { s.Run(ctx) })
	}
}

func (a *App) closeShipping() error {
	var errs []error
	for _, s := range a.shipments {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// toldOfShipping logs when the other side is away, and when it is back.
func (a *App) toldOfShipping(to string, err error) {
	ctx := context.Background()
	if err == nil {
		a.log.InfoContext(ctx, "audit records are shipped again", slog.String("to", to))
		return
	}
	a.log.ErrorContext(ctx, "audit records are not shipped; they are kept, and tried again", slog.String("to", to), slog.Any("error", err))
}

// unshipped calls show with the number of records that each place does not have.
func (a *App) unshipped(show func(to string, records float64)) {
	for _, s := range a.shipments {
		show(s.to, float64(s.Lag()))
	}
}

// shippedLog is the audit log as what is shipped.
type shippedLog struct{ *audit.Log }

// Read calls do with the records of every tenant.
func (l shippedLog) Read(ctx context.Context, from int64, do func(*ship.Record) error) error {
	var line []byte
	_, err := l.Log.Read(ctx, audit.Query{Tenant: audit.AnyTenant, From: from}, func(e *audit.Entry) error {
		line = e.AppendJSON(line[:0])
		return do(&ship.Record{
			Index: e.Index, Time: e.Time, Event: string(e.Event), JSON: line,
			Failed: e.Decision == audit.Deny || e.Outcome != "" && e.Outcome != audit.OK && e.Outcome != audit.Begun,
		})
	})
	return err
}
