package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"

	"onnxgate/internal/authn"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/limit"
)

// grpcListener is an address and the gRPC server on it, which is nil until Start.
type grpcListener struct {
	net    net.Listener
	places *limit.Places
	server *grpc.Server
}

// openGRPC makes the API of the gRPC listener, unless that is closed.
func (a *App) openGRPC(authenticator authn.Authenticator, memory *limit.Bytes) (err error) {
	if a.grpc == nil {
		return nil
	}
	cfg := grpcapi.Config{
		Models: a.catalog, Repository: a.catalog, Delivery: a.delivery, Authenticator: authenticator, Trust: a.trust(), Roles: a.roles,
		Admission: a.admission, Memory: memory, Audit: a.trail, Ready: a.ready, Metrics: a.metrics, AccessLog: a.access, Traces: a.traces, Log: a.log, Now: a.clock.Now,
		TrustedProxies: a.cfg.TrustedProxies, Reflection: a.cfg.Docs,
		MaxMessage: a.cfg.MaxBody, MaxRows: a.cfg.MaxRows, Version: a.opts.Version,
	}
	if a.issuers != nil {
		cfg.Issuers = a.issuers
	}
	a.grpcAPI, err = grpcapi.New(cfg)
	return err
}

// newGRPCServer has the certificate of the public listener, and its rule about
// those of clients.
func (a *App) newGRPCServer() *grpc.Server {
	if a.certs == nil {
		return a.grpcAPI.NewServer(nil)
	}
	settings := a.certs.TLSConfig("h2")
	if a.clients != nil {
		a.clients.Configure(settings, a.cfg.ClientCert == "require")
	}
	return a.grpcAPI.NewServer(settings)
}

func (a *App) serveGRPC() {
	if err := a.grpc.server.Serve(a.grpc.net); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		a.failed <- fmt.Errorf("the listener on %s failed: %w", a.grpc.net.Addr(), err)
	}
}

// stopGRPC lets the calls in flight be answered until ctx is done.
func (a *App) stopGRPC(ctx context.Context) error {
	a.grpcAPI.Drain()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.grpc.server.GracefulStop()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		a.grpc.server.Stop()
		return fmt.Errorf("calls on %s were cut off: %w", a.grpc.net.Addr(), context.Cause(ctx))
	}
}

// GRPCAddr is where the gRPC listener is, empty when it is closed.
func (a *App) GRPCAddr() string {
	if a.grpc == nil {
		return ""
	}
	return a.grpc.net.Addr().String()
}
