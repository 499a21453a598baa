// Package reqctx carries what every layer may want to log about a request:
// its id, the address it came from, and the trace that it belongs to. Rights never
// travel here.
package reqctx

import (
	"context"
	"net/netip"
	"time"
)

// Info describes the request that a context belongs to.
type Info struct {
	// RequestID is ours, unique, and on the answer as X-Request-Id.
	RequestID string
	// ClientRequestID is what the client sent in X-Request-Id, if it was valid.
	ClientRequestID string
	// Received is when the request arrived, with a monotonic reading.
	Received time.Time
	// ClientAddr is the address of the client, behind trusted proxies.
	ClientAddr netip.Addr
	// Trace is nil where the server sends no traces.
	Trace *Trace
}

type key struct{}

// With returns a context that carries info. The caller must not change info
// afterwards.
func With(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, key{}, info)
}

// From returns the info of the context, never nil.
func From(ctx context.Context) *Info {
	if info, ok := ctx.Value(key{}).(*Info); ok {
		return info
	}
	return &none
}

// Now returns when the request arrived, which is soon enough for whatever is
// decided once at its beginning, or what clock says when there is no request.
func Now(ctx context.Context, clock func() time.Time) time.Time {
	if at := From(ctx).Received; !at.IsZero() {
		return at
	}
	return clock()
}

var none Info
