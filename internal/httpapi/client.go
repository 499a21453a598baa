package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"onnxgate/internal/admission"
	"onnxgate/internal/authn"
	"onnxgate/internal/reqctx"
)

// proxies are the networks whose word about a client's address is believed.
type proxies = reqctx.Proxies

// clientAddr returns the address that the request came from.
func clientAddr(p proxies, r *http.Request) netip.Addr {
	return p.ClientAddr(peerOf(r), r.Header["X-Forwarded-For"], r.Header["Forwarded"])
}

type connectionKey struct{}

// connection is what is found out once for all requests of a connection.
type connection struct {
	peer  netip.Addr
	trust authn.PeerTrust
	// refusals are those that it waits for.
	refusals admission.Refusals
	// gone reports whether the client has hung up; nil where nobody can tell.
	gone func() bool
}

// rememberConnection keeps what is known about a connection with it.
func rememberConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{peer: reqctx.PeerAddr(conn.RemoteAddr().String()), gone: hangup(conn)})
}

// connectionOf returns the connection that the request came over, nil when it
// did not come through a server of NewServer.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// refusalsOf returns those that the connection of the request waits for.
func refusalsOf(r *http.Request) *admission.Refusals {
	if c := connectionOf(r); c != nil {
		return &c.refusals
	}
	return new(admission.Refusals)
}

// peerOf returns the address of the connection that the request came over.
func peerOf(r *http.Request) netip.Addr {
	if c := connectionOf(r); c != nil {
		return c.peer
	}
	return reqctx.PeerAddr(r.RemoteAddr)
}

// goneOf returns what reports that the client of a request has hung up, nil for
// HTTP/2. Over HTTP/1.1 net/http notices that, and ends the context, only once the
// body is read, and what waits for a rate waits before.
func goneOf(r *http.Request) func() bool {
	if c := connectionOf(r); c != nil && r.ProtoMajor == 1 {
		return c.gone
	}
	return nil
}
