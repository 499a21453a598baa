// Package limit says how often a client may ask. It owns rates, the counting
// of requests in fixed windows, and the bounded memory that the counts live
// in. It knows no transport: a client is an address.
//
// A window belongs to one client and begins with its first request. Counting
// stands on ulule/limiter; the store behind it is ours, because its own keeps
// every client it ever saw.
package limit

import (
	"context"
	"net/netip"
	"time"

	limiter "github.com/ulule/limiter/v3"
)

// Config is what a Limiter needs.
type Config struct {
	// Rate is the limit; the zero value admits everything.
	Rate Rate
	// Clients is how many clients are remembered at once; 0 is DefaultClients.
	Clients int
	// Now is the clock. It should give monotonic readings, as time.Now does:
	// then a step of the wall clock moves no window.
	Now func() time.Time
}

// Limiter admits requests of clients at a rate. It is safe for concurrent use.
type Limiter struct {
	rate    Rate
	store   *store
	limiter *limiter.Limiter
}

// Result is the answer to one request.
type Result struct {
	// Allowed says that the request is within the rate.
	Allowed bool
	// Limit is the number of requests in a window; 0 when there is no limit.
	Limit int64
	// Remaining is how many more the window admits.
	Remaining int64
	// Window is the length of the window.
	Window time.Duration
	// Reset is what is left of the window, rounded up to whole seconds: a
	// client that waits so long is admitted again.
	Reset time.Duration
}

// New returns a limiter with an empty memory.
func New(cfg Config) *Limiter {
	s := newStore(cfg.Clients, cfg.Now)
	return &Limiter{rate: cfg.Rate, store: s, limiter: limiter.New(s, cfg.Rate.ulule())}
}

// WithRate returns a limiter at another rate that goes on with the counts of
// l, so that a changed setting gives nobody a fresh start.
func (l *Limiter) WithRate(rate Rate) *Limiter {
	return &Limiter{rate: rate, store: l.store, limiter: limiter.New(l.store, rate.ulule())}
}

// Rate returns the limiter's rate.
func (l *Limiter) Rate() Rate { return l.rate }

// Take counts one request of the client and says whether it may go ahead.
func (l *Limiter) Take(ctx context.Context, client netip.Addr) Result {
	if l.rate.Off() {
		return Result{Allowed: true}
	}
	state, err := l.limiter.Get(ctx, Key(client))
	return Result{
		Allowed:   err == nil && !state.Reached,
		Limit:     l.rate.Requests,
		Remaining: state.Remaining,
		Window:    l.rate.Window,
		Reset:     time.Duration(state.Reset) * time.Second,
	}
}

// Key returns what a client is counted under: an IPv4 address, or the first 64
// bits of an IPv6 address, which is the least that one subscriber holds. An
// IPv4 address inside an IPv6 one counts as itself.
func Key(client netip.Addr) string {
	client = client.Unmap()
	switch {
	case client.Is4():
		b := client.As4()
		return string(b[:])
	case client.Is6():
		b := client.As16()
		return string(b[:8])
	default:
		return ""
	}
}
