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
	// Clients is how many IPv4 clients are remembered at once; 0 is
	// DefaultClients. As many places again are there for IPv6, half of them for
	// subscribers and half for sites, so that no number of IPv6 addresses,
	// which are cheap, can take the place of an IPv4 client.
	Clients int
	// Now is the clock. It should give monotonic readings, as time.Now does:
	// then a step of the wall clock moves no window.
	Now func() time.Time
}

// Limiter admits requests of clients at a rate. It is safe for concurrent use.
type Limiter struct {
	rate Rate
	// Each counts its own kind of key, in its own memory.
	v4, v6, sites counter
}

// SiteFactor is how many times the rate a site of IPv6, the 65,536 subscribers
// that share their first 48 bits, may use together: one customer is often given
// all of them.
const SiteFactor = 16

// counter counts keys in a store at a rate.
type counter struct {
	*limiter.Limiter

	store *store
}

func newCounter(s *store, rate Rate) counter {
	return counter{Limiter: limiter.New(s, rate.ulule()), store: s}
}

// take counts one request of key.
func (c *counter) take(ctx context.Context, key string) Result {
	state, err := c.Get(ctx, key)
	return Result{
		Allowed:   err == nil && !state.Reached,
		Limit:     c.Rate.Limit,
		Remaining: state.Remaining,
		Window:    c.Rate.Period,
		Reset:     time.Duration(state.Reset) * time.Second,
	}
}

// left says without counting whether key has some of its rate left, and how
// long its window lasts.
func (c *counter) left(ctx context.Context, key string) (bool, time.Duration) {
	state, err := c.Peek(ctx, key)
	return err == nil && state.Remaining > 0, time.Duration(state.Reset) * time.Second
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
	clients := cfg.Clients
	if clients <= 0 {
		clients = DefaultClients
	}
	return newLimiter(cfg.Rate, newStore(clients, cfg.Now), newStore(clients/2, cfg.Now), newStore(clients/2, cfg.Now))
}

func newLimiter(rate Rate, v4, v6, sites *store) *Limiter {
	site := Rate{Requests: rate.Requests * SiteFactor, Window: rate.Window}
	return &Limiter{rate: rate, v4: newCounter(v4, rate), v6: newCounter(v6, rate), sites: newCounter(sites, site)}
}

// WithRate returns a limiter at another rate that goes on with the counts of
// l, so that a changed setting gives nobody a fresh start.
func (l *Limiter) WithRate(rate Rate) *Limiter {
	return newLimiter(rate, l.v4.store, l.v6.store, l.sites.store)
}

// Rate returns the limiter's rate.
func (l *Limiter) Rate() Rate { return l.rate }

// Take counts one request of the client and says whether it may go ahead. A
// client of IPv6 must also be within the rate of its site; the result is the
// client's own unless it is the site that refuses.
func (l *Limiter) Take(ctx context.Context, client netip.Addr) Result {
	switch {
	case l.rate.Off():
		return Result{Allowed: true}
	case client.Is6() && !client.Is4In6():
		return l.takeV6(ctx, Key(client), siteKey(client))
	default:
		return l.v4.take(ctx, Key(client))
	}
}

// takeV6 counts a request of a client within a site. A site that has used its
// rate up is refused before its clients are looked at, so that it cannot fill
// their memory; and what a client's own rate refuses is not counted against the
// neighbors.
func (l *Limiter) takeV6(ctx context.Context, client, site string) Result {
	if left, _ := l.sites.left(ctx, site); !left {
		// Counting it marks the site as an offender, which is never forgotten.
		if r := l.sites.take(ctx, site); !r.Allowed {
			if left, reset := l.v6.left(ctx, client); !left {
				r.Reset = max(r.Reset, reset)
			}
			return r
		}
	}
	own := l.v6.take(ctx, client)
	if !own.Allowed {
		return own
	}
	if r := l.sites.take(ctx, site); !r.Allowed {
		return r
	}
	return own
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

// siteKey returns what the site of an IPv6 client is counted under: the first
// 48 bits, which is what a site is given at most (RFC 6177 section 2).
func siteKey(client netip.Addr) string {
	b := client.As16()
	return string(b[:6])
}
