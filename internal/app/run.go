package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/limit"
)

// bind takes the addresses. Its error names every one that cannot be had.
func (a *App) bind(ctx context.Context) error {
	var err, adminErr, grpcErr error
	room, proxies := connectionsRoom(), a.cfg.TrustedProxies
	a.public, err = listen(ctx, limit.NewPlaces(limit.MaxConnections, room.public(), proxies), a.cfg.Addr, "ONNXGATE_ADDR")
	if a.cfg.AdminAddr != "" {
		a.admin, adminErr = listen(ctx, limit.NewPlaces(limit.MaxConnections, room.admin(), proxies), a.cfg.AdminAddr, "ONNXGATE_ADMIN_ADDR")
	}
	if a.cfg.GRPCAddr != "" {
		var l *listener
		if l, grpcErr = listen(ctx, limit.NewPlaces(limit.MaxGRPCConnections, room.grpc(), proxies), a.cfg.GRPCAddr, "ONNXGATE_GRPC_ADDR"); l != nil {
			a.grpc = &grpcListener{net: l.net, places: l.places}
		}
	}
	return errors.Join(err, adminErr, grpcErr)
}

func listen(ctx context.Context, places *limit.Places, addr, setting string) (*listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network(addr), addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", addr, errors.Unwrap(err), setting)
	}
	return &listener{net: newDrainable(places.Guard(l)), places: places}, nil
}

// network keeps 0.0.0.0 to IPv4, as it is written: Go's "tcp" would listen on
// every address of IPv6 too.
func network(addr string) string {
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// Start serves until Stop. Who connected since New bound the addresses has
// waited, so that what is printed in between comes before the first answer.
func (a *App) Start(ctx context.Context) {
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stopWatching = cancel
	_ = a.accounts.Join(ctx)                                // else Watch does, and the store's being away is told of
	a.background.Go(func() { _ = a.accounts.Watch(watch) }) // returns nil when it ends
	a.background.Go(func() { a.quotas.Run(watch) })
	a.background.Go(func() { a.keys.Watch(watch) })
	a.background.Go(func() { a.watchClock(watch) })
	a.background.Go(func() { a.trail.Run(watch) })
	if a.changes != nil {
		a.background.Go(func() { a.changes.run(watch, a.accounts, a.sealing) })
	}
	a.background.Go(func() { a.followTenants(watch, modelFiles(a.cfg)) })
	if a.cfg.ModelsDir != "" {
		a.background.Go(func() { a.watchModels(watch, a.cfg.ModelsDir) })
	}
	if a.certs != nil {
		a.background.Go(func() { a.certs.Run(watch) })
	}
	if a.issuers != nil {
		a.background.Go(func() { a.issuers.Run(watch) })
	}
	a.startTraces(ctx)
	a.startShipping(watch)
	a.public.server = a.newServer(a.api.Public())
	if a.admin != nil {
		a.admin.server = a.newServer(a.api.Admin())
	}
	for _, l := range a.listeners() {
		a.background.Go(func() { a.serve(l) })
	}
	if a.grpc != nil {
		a.grpc.server = a.newGRPCServer() //nolint:contextcheck // calls have contexts of their own
		a.background.Go(a.serveGRPC)
	}
	forgetStart()
}

func (a *App) newServer(handler *httpapi.Listener) *http.Server {
	if a.certs == nil {
		return httpapi.NewServer(handler, nil, a.log.Handler())
	}
	settings := a.certs.TLSConfig("h2", "http/1.1")
	if a.clients != nil {
		// Those who look after the server reach its health and its metrics
		// without a certificate; everything else there asks for a token.
		a.clients.Configure(settings, handler == a.api.Public() && a.cfg.ClientCert == "require")
	}
	return httpapi.NewServer(handler, settings, a.log.Handler())
}

func (a *App) listeners() []*listener {
	return slices.DeleteFunc([]*listener{a.public, a.admin}, func(l *listener) bool { return l == nil })
}

func (a *App) serve(l *listener) {
	var err error
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l.net, "", "")
	} else {
		err = l.server.Serve(l.net)
	}
	closed := errors.Is(err, http.ErrServerClosed) || a.draining.Load() && errors.Is(err, net.ErrClosed)
	if !closed {
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

// Models describes the models that the default tenant sees, by name.
func (a *App) Models() []inference.ModelInfo { return a.catalog.SeenBy(identity.DefaultTenant) }

// defaultModel returns the name of the model of the default tenant's requests
// that name none; empty when there is no such model.
func (a *App) defaultModel() string {
	for _, m := range a.Models() {
		if m.Default {
			return m.Name
		}
	}
	return ""
}

func (a *App) logStart(ctx context.Context) {
	for _, text := range texts(advice(a.cfg, a.catalog)) {
		a.log.WarnContext(ctx, "configuration warning", slog.String("detail", text))
	}
	for _, w := range a.modelWarnings(ctx) {
		a.log.WarnContext(ctx, "model warning", slog.String("model", w.Model), slog.String("version", w.Version), slog.String("detail", w.Text))
	}
	for _, p := range a.catalog.Problems() {
		a.log.ErrorContext(ctx, "model left out", slog.Any("error", p))
	}
	for _, m := range a.catalog.All() {
		a.log.InfoContext(ctx, "serving model", slog.String("model", m.Label()), slog.Any("versions", m.Versions), slog.Bool("default", m.Default))
	}
	if len(a.Models()) > 1 && a.defaultModel() == "" {
		a.log.InfoContext(ctx, "POST /predict has no model; ONNXGATE_DEFAULT_MODEL chooses one of several")
	}
	a.log.InfoContext(ctx, "exposed", slog.Int("routes", len(Exposure(a.cfg))), slog.String("listed_by", "onnxgate config check"))
	attrs := []slog.Attr{slog.String("version", a.opts.Version), slog.String("addr", a.Addr()), slog.String("admin_addr", a.AdminAddr()), slog.String("grpc_addr", a.GRPCAddr())}
	if fingerprint, file := a.Fingerprint(); fingerprint != "" {
		attrs = append(attrs, slog.String("sha256_fingerprint", fingerprint))
		if file != "" {
			attrs = append(attrs, slog.String("certificate", file))
		}
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "listening", attrs...)
}

// Stop ends the server: it says that it is not ready, takes no connection any
// more, lets the requests that it took be answered until ctx is done, and
// closes everything. A request that is not answered by then is an error; a
// reload that is under way is not waited for beyond settleTime.
func (a *App) Stop(ctx context.Context) error {
	a.withdraw()
	a.log.InfoContext(ctx, "stopping")
	var ends []func() error
	for _, l := range a.listeners() {
		ends = append(ends, func() error { return l.stop(ctx) })
	}
	if a.grpc != nil {
		ends = append(ends, func() error { return a.stopGRPC(ctx) })
	}
	err := inParallel(ends...)
	a.stopWatching()
	a.endTraces(ctx)
	a.settle(ctx)
	err = errors.Join(err, a.recordStop(ctx), a.close()) // writes the last access lines
	a.log.InfoContext(ctx, "stopped")
	return err
}

// settleTime is how long a stop waits for what works beside the requests. That
// ends at once, unless it waits for a file system that does not answer.
const settleTime = 2 * time.Second

// settle waits for what works beside the requests, a reload among it, but not
// without limit.
func (a *App) settle(ctx context.Context) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		a.background.Wait()
		a.reloading.Lock() // held by a reload that is under way
		defer a.reloading.Unlock()
	}()
	select {
	case <-settled:
	case <-limit.Done():
		a.log.WarnContext(ctx, "stopping before a reload or a check of the certificate files has ended")
	}
}

func (l *listener) stop(ctx context.Context) error {
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests on %s were cut off: %w", l.net.Addr(), err), l.server.Close())
	}
	return nil
}

// Close gives back what New opened, for a server that was never started.
func (a *App) Close() error {
	for _, l := range a.listeners() {
		_ = l.net.Close() // nobody was served
	}
	if a.grpc != nil {
		_ = a.grpc.net.Close()
	}
	return a.close()
}

func (a *App) close() error {
	var errs []error
	if a.folder != nil {
		errs = append(errs, a.folder.Close())
	}
	if a.hashes != nil {
		errs = append(errs, a.hashes.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	errs = append(errs, a.closeAudit(), a.closeShipping(), a.closeTraces(), a.closeRedis())
	return errors.Join(append(errs, a.access.Close())...)
}
