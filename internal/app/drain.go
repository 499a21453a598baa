package app

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lastWords is how long connections have that were taken just before the server
	// stopped accepting. It is time for a handshake and the beginning of a request.
	lastWords = time.Second
	// lastLook is how often it is looked whether they are gone.
	lastLook = 5 * time.Millisecond
)

// Withdraw says that the server is not ready, goes on to serve for ONNXGATE_DRAIN_DELAY,
// until ctx is done or until a listener fails, whose error it returns. Each answer
// ends its connection, so that clients look for another server meanwhile. Then the
// public listener accepts nothing more, and who came last is waited for.
func (a *App) Withdraw(ctx context.Context) error {
	a.withdraw()
	if a.drainDelay == 0 {
		return nil
	}
	a.log.InfoContext(ctx, "no longer ready, but still serving", slog.String("for", a.drainDelay.String()))
	delay := time.NewTimer(a.drainDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	a.public.net.empty(ctx)
	return nil
}

func (a *App) withdraw() {
	a.draining.Store(true)
	a.api.Withdraw()
	if a.grpcAPI != nil {
		a.grpcAPI.Withdraw()
	}
}

// drainable is a listener that counts its open connections. http.Server.Shutdown
// closes a connection without an answer when it reads the request after it was
// called; so a server that must lose none stops accepting first, and shuts down when
// the connections are gone.
type drainable struct {
	net.Listener

	open  atomic.Int64
	close func() error // works once, and returns the same again
}

func newDrainable(l net.Listener) *drainable {
	return &drainable{Listener: l, close: sync.OnceValue(l.Close)}
}

// Accept returns the next connection.
func (d *drainable) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return &drained{Conn: conn, gone: sync.OnceFunc(func() { d.open.Add(-1) })}, nil
}

// Close ends the accepting.
func (d *drainable) Close() error { return d.close() }

// empty ends the accepting and waits until no connection is open, or ctx is done.
func (d *drainable) empty(ctx context.Context) {
	_ = d.Close() // the server reports it
	look := time.NewTicker(lastLook)
	defer look.Stop()
	for d.open.Load() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// drained is a connection of a drainable.
type drained struct {
	net.Conn

	gone func()
}

// Close ends the connection.
func (d *drained) Close() error {
	defer d.gone()
	return d.Conn.Close()
}

// NetConn returns the connection beneath, as that of tls.Conn does.
func (d *drained) NetConn() net.Conn { return d.Conn }
