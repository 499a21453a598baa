package app

import (
	"context"
	"log/slog"
	"strings"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
)

// Reload takes over what can change while the server runs: rates, CORS origins,
// the log level, the ways to the database and to Redis, the shared secret, the key of
// the configuration, models, and the files of the certificate, of the authorities of
// client certificates, of the key-encryption key and of the outside issuers. A
// configuration that cannot be right, or names a database or a Redis server that cannot
// be used, changes nothing. Otherwise each model, version and file is for itself: one
// that cannot be taken over stays as it was and is logged. A server that is stopping
// takes over nothing.
func (a *App) Reload(ctx context.Context, load func() (*config.Config, error)) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if a.draining.Load() {
		return
	}
	var tried *takeover
	cfg, err := load()
	if err == nil {
		tried, err = a.tryOut(ctx, cfg)
		defer tried.close()
	}
	if a.reloads.note(configurationPart, err) != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			a.log.ErrorContext(ctx, "not reloaded: nothing changes until the configuration is right", slog.String("error", line))
		}
		return
	}
	if err := a.onRecord(ctx, &audit.Record{Event: audit.ServerReload}); err != nil {
		a.log.ErrorContext(ctx, "not reloaded: a reload must be on record", slog.Any("error", err))
		return
	}
	a.clock.Accept() // whoever asks for a reload has looked
	changed := slog.Any("changed", a.reloadSettings(ctx, tried))
	attrs := append([]slog.Attr{changed}, a.reloadModels(ctx)...)
	if a.certs != nil {
		if err := a.certs.Reload(); err != nil {
			a.log.ErrorContext(ctx, "kept the old certificate", slog.Any("error", err))
		}
	}
	if a.clients != nil {
		if err := a.reloads.note(clientAuthoritiesPart, a.clients.Reload()); err != nil {
			a.log.ErrorContext(ctx, "kept the old CAs for client certificates", slog.Any("error", err))
		}
	}
	if err := a.reloads.note(kekPart, a.sealing.Reload(ctx)); err != nil {
		a.log.ErrorContext(ctx, "kept the old key-encryption key", slog.Any("error", err))
	}
	a.reloadIssuers(ctx)
	a.log.LogAttrs(ctx, slog.LevelInfo, "reloaded", attrs...)
}

// reloadSettings returns the names of those that were taken over.
func (a *App) reloadSettings(ctx context.Context, t *takeover) []string {
	for _, name := range t.restart {
		a.log.WarnContext(ctx, "setting needs a restart", slog.String("setting", name))
	}
	if err := a.reloads.note(configurationPart, a.takeSecrets(ctx, t)); err != nil {
		a.log.ErrorContext(ctx, "kept a setting as it was", slog.Any("error", err))
	}
	a.admission.Reload(ratesOf(t.inForce))
	a.api.Reload(settings(t.inForce))
	a.level.Set(t.inForce.LogLevel)
	_, taken, _ := a.inForce.TakeLive(t.inForce)
	a.inForce = t.inForce
	return append([]string{}, taken...) // [] in the log, not null
}
