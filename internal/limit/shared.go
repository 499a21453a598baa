package limit

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Shared are the limits of whatever predicts, over all protocols: one rate for
// each address, and the callers' own rates. It is safe for concurrent use.
type Shared struct {
	address atomic.Pointer[Limiter]
	own     *Own
}

// NewShared returns limits with empty memories, and no rate for addresses.
func NewShared(now func() time.Time) *Shared {
	s := &Shared{own: NewOwn(0, now)}
	s.address.Store(New(Config{Now: now}))
	return s
}

// SetRate changes the rate of addresses. Counts go on: it gives nobody a fresh
// start.
func (s *Shared) SetRate(rate Rate) { s.address.Store(s.address.Load().WithRate(rate)) }

// Address returns the limiter of addresses as it is now.
func (s *Shared) Address() *Limiter { return s.address.Load() }

// TakeOwn counts one request for each of the caller's credentials that has a
// rate of its own, whatever address it came from, and calls told with each that
// has. The fault is RateLimited.
func (s *Shared) TakeOwn(ctx context.Context, caller *identity.Principal, told func(Rate, Result)) error {
	for p := caller; p != nil; p = p.With {
		rate := Rate(p.Rate)
		if rate.Off() {
			continue
		}
		r := s.own.Take(ctx, p.Subject, rate)
		told(rate, r)
		if !r.Allowed {
			return TooMany(rate, r)
		}
	}
	return nil
}

// TooMany is the fault of a request that the rate refused.
func TooMany(rate Rate, r Result) error {
	return &fault.Error{Kind: fault.RateLimited, RetryAfter: r.Reset, Msg: "Too many requests: at most " + rate.String() + "; wait as long as Retry-After says"}
}

// Policy writes the rate as a RateLimit-Policy field of that name, and State what
// is left of it as a RateLimit field (draft-ietf-httpapi-ratelimit-headers).
func Policy(name string, rate Rate) string {
	return `"` + name + `";q=` + strconv.FormatInt(rate.Requests, 10) +
		";w=" + strconv.FormatInt(int64(rate.Window/time.Second), 10)
}

// State is described at Policy.
func State(name string, r Result) string {
	var a [64]byte
	b := append(a[:0], '"')
	b = append(b, name...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, r.Remaining, 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, int64(r.Reset/time.Second), 10)
	return string(b)
}
