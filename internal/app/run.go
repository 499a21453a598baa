package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"onnxgate/internal/config"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/inference"
)

// Start listens and serves until Stop. It returns as soon as both listeners
// take connections.
func (a *App) Start(ctx context.Context) error {
	var err error
	if a.public, err = a.listen(ctx, a.cfg.Addr, "ONNXGATE_ADDR", a.api.Public()); err != nil {
		return err
	}
	if a.cfg.AdminAddr != "" {
		if a.admin, err = a.listen(ctx, a.cfg.AdminAddr, "ONNXGATE_ADMIN_ADDR", a.api.Admin()); err != nil {
			return errors.Join(err, a.public.net.Close())
		}
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stopWatching = cancel
	a.background.Go(func() { _ = a.accounts.Watch(watch) }) // returns nil when it ends
	if a.certs != nil {
		a.background.Go(func() { a.certs.Run(watch) })
	}
	for _, l := range a.listeners() {
		a.background.Go(func() { a.serve(l) })
	}
	a.logStart(ctx)
	return nil
}

func (a *App) listen(ctx context.Context, addr, setting string, handler *httpapi.Listener) (*listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", addr, errors.Unwrap(err), setting)
	}
	server := httpapi.NewServer(handler, nil, a.log.Handler())
	if a.certs != nil {
		server = httpapi.NewServer(handler, a.certs.TLSConfig("h2", "http/1.1"), a.log.Handler())
	}
	return &listener{server: server, net: l}, nil
}

func (a *App) listeners() []*listener {
	if a.admin == nil {
		return []*listener{a.public}
	}
	return []*listener{a.public, a.admin}
}

func (a *App) serve(l *listener) {
	var err error
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l.net, "", "")
	} else {
		err = l.server.Serve(l.net)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		a.failed <- fmt.Errorf("the listener on %s failed: %w", l.net.Addr(), err)
	}
}

// Failed receives when a listener ends that nobody stopped.
func (a *App) Failed() <-chan error { return a.failed }

// Addr is where the public listener is.
func (a *App) Addr() string { return a.public.net.Addr().String() }

// AdminAddr is where the administration listener is, empty when it is closed.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.net.Addr().String()
}

// Fingerprint is the SHA-256 of the certificate, and its file when it is one of
// our own making, which clients may trust. Both are empty without TLS.
func (a *App) Fingerprint() (fingerprint, ownFile string) {
	if a.certs == nil {
		return "", ""
	}
	if a.certs.SelfSigned() {
		ownFile = a.certs.CertFile()
	}
	return a.certs.Current().Fingerprint, ownFile
}

// DefaultModel describes the model of requests that name none; false when there
// is no such model.
func (a *App) DefaultModel() (inference.ModelInfo, bool) {
	for _, m := range a.catalog.All() {
		if m.Default {
			return m, true
		}
	}
	return inference.ModelInfo{}, false
}

func (a *App) logStart(ctx context.Context) {
	for _, w := range a.catalog.Warnings() {
		a.log.WarnContext(ctx, "model warning", slog.String("model", w.Model), slog.String("version", w.Version), slog.String("detail", w.Text))
	}
	for _, p := range a.catalog.Problems() {
		a.log.ErrorContext(ctx, "model left out", slog.Any("error", p))
	}
	for _, m := range a.catalog.All() {
		a.log.InfoContext(ctx, "serving model", slog.String("model", m.Name), slog.Any("versions", m.Versions), slog.Bool("default", m.Default))
	}
	for _, e := range Exposure(a.cfg) {
		a.log.InfoContext(ctx, "exposed", slog.String("route", e.Route), slog.String("who", e.Who), slog.String("from", e.From), slog.String("limit", e.Limit))
	}
	attrs := []slog.Attr{slog.String("version", a.opts.Version), slog.String("addr", a.Addr()), slog.String("admin_addr", a.AdminAddr())}
	if fingerprint, file := a.Fingerprint(); fingerprint != "" {
		attrs = append(attrs, slog.String("sha256_fingerprint", fingerprint))
		if file != "" {
			attrs = append(attrs, slog.String("certificate", file))
		}
	} else {
		a.log.WarnContext(ctx, "TLS is off: passwords and tokens travel in the clear")
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "listening", attrs...)
}

// Stop ends the server: it says that it is not ready, takes no connection any
// more, lets the requests that it took be answered until ctx is done, and
// closes everything. A request that is not answered by then is an error.
func (a *App) Stop(ctx context.Context) error {
	a.draining.Store(true)
	a.log.InfoContext(ctx, "stopping")
	var ends []func() error
	for _, l := range a.listeners() {
		ends = append(ends, func() error { return l.stop(ctx) })
	}
	err := inParallel(ends...)
	a.stopWatching()
	a.background.Wait()
	a.log.InfoContext(ctx, "stopped")
	return errors.Join(err, a.close())
}

func (l *listener) stop(ctx context.Context) error {
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests on %s were cut off: %w", l.net.Addr(), err), l.server.Close())
	}
	return nil
}

// Close gives back what New opened, for a server that was never started.
func (a *App) Close() error { return a.close() }

func (a *App) close() error {
	var errs []error
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(append(errs, a.access.Close())...)
}

// Reload takes over what can change while the server runs: files of the
// certificate, models, rates, CORS origins and the log level. Everything is
// tried; what cannot be taken over stays as it was and is logged.
func (a *App) Reload(ctx context.Context, load func() (*config.Config, error)) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	live, err := a.reloadSettings(ctx, load)
	err = errors.Join(err, a.catalog.Reload(ctx))
	if a.certs != nil {
		err = errors.Join(err, a.certs.Reload())
	}
	if err != nil {
		a.log.ErrorContext(ctx, "reloaded in part; the rest stays as it was", slog.Any("changed", live), slog.Any("error", err))
		return
	}
	a.log.InfoContext(ctx, "reloaded", slog.Any("changed", live))
}

// reloadSettings returns the names of those that were taken over.
func (a *App) reloadSettings(ctx context.Context, load func() (*config.Config, error)) ([]string, error) {
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	settings, err := liveSettings(cfg)
	if err != nil {
		return nil, err
	}
	live, restart := config.Changed(a.cfg, cfg)
	for _, name := range restart {
		a.log.WarnContext(ctx, "setting needs a restart", slog.String("setting", name))
	}
	a.api.Reload(settings)
	a.level.Set(cfg.LogLevel)
	next := *a.cfg
	next.RateToken, next.RatePredict, next.CORSOrigins, next.LogLevel = cfg.RateToken, cfg.RatePredict, cfg.CORSOrigins, cfg.LogLevel
	a.cfg = &next
	return live, nil
}
