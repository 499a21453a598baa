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
	// Limits are those that the request was counted against, for its answer and
	// for how long it must wait. Only who counts adds to them.
	Limits []Limit
	// NoWait says that the request holds what others need: it is refused rather
	// than kept waiting.
	NoWait bool
	// Gone reports whether who asked has hung up, for who keeps the request waiting. It
	// is nil where the context ends then, or where nobody can tell.
	Gone func() bool
	// Throttled is how long the request has waited for windows of its limits.
	Throttled time.Duration
	// Trace is nil where the server sends no traces.
	Trace *Trace
	// Recorded says what the audit log has about the request so far.
	Recorded Recorded
}

// Recorded says what is on record about a request, so that there is one record of
// it and no second.
type Recorded uint8

// What can be on record.
const (
	Nothing Recorded = iota
	// Done is that it was done, or is about to be.
	Done
	// Failed is that it was refused, or failed.
	Failed
)

// Mark notes what is on record about the request of the context, if it is of one.
// It is for the goroutine that serves the request.
func Mark(ctx context.Context, r Recorded) {
	if info, ok := ctx.Value(key{}).(*Info); ok {
		info.Recorded = r
	}
}

type key struct{}

// With returns a context that carries info, of a request that one goroutine at a
// time serves.
func With(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, key{}, info)
}

// From returns the info of the context, an empty one of its own without, never
// nil.
func From(ctx context.Context) *Info {
	if info, ok := ctx.Value(key{}).(*Info); ok {
		return info
	}
	return new(Info)
}

// Now returns when the request arrived, which is soon enough for whatever is
// decided once at its beginning, or what clock says when there is no request.
func Now(ctx context.Context, clock func() time.Time) time.Time {
	if at := From(ctx).Received; !at.IsZero() {
		return at
	}
	return clock()
}
