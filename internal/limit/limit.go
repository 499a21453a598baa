// Package limit says how often a client may ask. It owns rates in several
// windows, the counting of requests in fixed windows, the bounded memory that the
// counts live in, what RateLimit headers say, and how long somebody waits who fails
// again and again. It knows no transport: a client is an address, or a key.
//
// A window belongs to one client and begins with its first request. What a request
// needs of several windows is counted in all of them, or in none. Counting
// stands on ulule/limiter; the store behind it is ours, because its own keeps
// every client it ever saw.
package limit

import (
	"context"
	"net/netip"
	"slices"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// Config is what a Limiter needs.
type Config struct {
	// Policy is the name of the limit in RateLimit headers.
	Policy string
	// Rates are the limit; none admits everything.
	Rates identity.Rates
	// Clients is how many IPv4 clients are remembered at once; 0 is
	// DefaultClients. As many places again are there for IPv6, half of them for
	// subscribers and half for sites, so that no number of IPv6 addresses,
	// which are cheap, can take the place of an IPv4 client.
	Clients int
	// Shared counts for several servers; nil: this one counts alone. While it cannot,
	// each server counts in its own memory.
	Shared Shared
	// Now is the clock. It should give monotonic readings, as time.Now does:
	// then a step of the wall clock moves no window.
	Now func() time.Time
}

// Limiter admits requests of addresses at rates. It is safe for concurrent use.
type Limiter struct {
	rates identity.Rates
	// Each counts its own kind of key, in its own memory. Crowds are all
	// addresses of one prefix for which there is no place of their own.
	v4, v6, sites, crowds *Table
}

// SiteFactor is how many times the rate a site of IPv6, the 65,536 subscribers
// that share their first 48 bits, may use together: one customer is often given
// all of them.
const SiteFactor = 16

// crowdShare is how many times fewer crowds are remembered than clients.
const crowdShare = 16

// Whose requests are counted.
const (
	ofAddress = "from this address"
	ofNetwork = "from this network"
)

// New returns a limiter with an empty memory.
func New(cfg Config) *Limiter {
	clients := cfg.Clients
	if clients <= 0 {
		clients = DefaultClients
	}
	table := func(order, clients int, whose string, shared Shared) *Table {
		return NewTable(TableConfig{Policy: cfg.Policy, Whose: whose, Order: order, Clients: clients, Shared: shared, Now: cfg.Now})
	}
	return &Limiter{
		rates: cfg.Rates,
		sites: table(0, clients/2, ofNetwork, cfg.Shared), v4: table(1, clients, ofAddress, cfg.Shared), v6: table(2, clients/2, ofAddress, cfg.Shared),
		crowds: table(3, clients/crowdShare, ofNetwork, nil), // there is a place for everybody where counts are shared
	}
}

// WithRates returns a limiter at other rates that goes on with the counts of l,
// so that a changed setting gives nobody a fresh start.
func (l *Limiter) WithRates(rates identity.Rates) *Limiter {
	next := *l
	next.rates = rates
	return &next
}

// Rates returns the limiter's rates.
func (l *Limiter) Rates() identity.Rates { return l.rates }

// Size returns how many clients are remembered, each once for every window.
func (l *Limiter) Size() int { return l.v4.Size() + l.v6.Size() + l.sites.Size() + l.crowds.Size() }

// Alone returns how many requests were counted here because the count that servers
// share was away.
func (l *Limiter) Alone() int64 { return l.v4.Alone() + l.v6.Alone() + l.sites.Alone() }

// Take counts one request of the client, and notes in the request's Info what is
// left. A client of IPv6 must also be within the rate of its site, and is told of
// that one when it is the site that refuses. Faults: RateLimited.
func (l *Limiter) Take(ctx context.Context, client netip.Addr) error {
	if len(l.rates) == 0 {
		return nil
	}
	client = client.Unmap()
	if len(l.rates) == 1 && !client.Is6() { // most of them, with little memory
		one := [1]ask{{table: l.v4, key: Key(client), rate: limiter.Rate{Period: l.rates[0].Window, Limit: l.rates[0].Requests}, n: 1}}
		return l.decide(ctx, client, one[:])
	}
	var memory [2 * identity.MaxWindows]ask
	return l.decide(ctx, client, l.asks(memory[:0], client))
}

// Check says what Take would, and counts nothing. Faults: RateLimited.
func (l *Limiter) Check(ctx context.Context, client netip.Addr) error {
	var memory [2 * identity.MaxWindows]ask
	all := l.asks(memory[:0], client.Unmap())
	if len(all) == 0 {
		return nil
	}
	wait, left := lookAll(ctx, all)
	if left {
		return nil
	}
	return refuse(reqctx.From(ctx), all, wait)
}

// decide counts a request of the client in all windows or in none, and among its
// crowd where there is no place for it.
func (l *Limiter) decide(ctx context.Context, client netip.Addr, all []ask) error {
	err := decide(ctx, all)
	if err == nil || !slices.ContainsFunc(all, func(a ask) bool { return a.full }) {
		return err
	}
	var memory [identity.MaxWindows]ask
	info := reqctx.From(ctx)
	info.Limits = info.Limits[:0] // nothing was counted before an address is
	return decide(ctx, l.ask(memory[:0], l.crowds, crowdKey(client), 1))
}

// Book counts one request of the client as Take does, or, within the patience, in
// windows to come. Faults: RateLimited.
func (l *Limiter) Book(ctx context.Context, patience time.Duration, client netip.Addr) (*Booking, error) {
	client = client.Unmap()
	info := reqctx.From(ctx)
	told := len(info.Limits)
	all := l.asks(nil, client)
	b, err := book(ctx, patience, all)
	if err == nil || !slices.ContainsFunc(all, func(a ask) bool { return a.full }) {
		return b, err
	}
	info.Limits = info.Limits[:told]
	return book(ctx, patience, l.ask(nil, l.crowds, crowdKey(client), 1))
}

// asks is what a request of the client needs of its own windows.
func (l *Limiter) asks(all []ask, client netip.Addr) []ask {
	if !client.Is6() {
		return l.ask(all, l.v4, Key(client), 1)
	}
	all = l.ask(all, l.sites, siteKey(client), SiteFactor)
	for i := range all {
		all[i].silent = true
	}
	return l.ask(all, l.v6, Key(client), 1)
}

func (l *Limiter) ask(all []ask, table *Table, key string, factor int64) []ask {
	for i, rate := range l.rates {
		all = append(all, ask{table: table, window: i, key: key, rate: limiter.Rate{Period: rate.Window, Limit: rate.Requests * factor}, n: 1})
	}
	return all
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

// crowdKey returns what a client is counted under that has no place of its own:
// the first 16 bits of an IPv4 address, or the first 32 of an IPv6 one, about what
// one provider is given.
func crowdKey(client netip.Addr) string {
	if client.Is6() {
		b := client.As16()
		return string(b[:4])
	}
	return Key(client)[:min(2, len(Key(client)))]
}
