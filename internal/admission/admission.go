// Package admission is the one answer to whether a request may go ahead now, over
// all protocols: the rates of its address, of its credentials, of its tenant and of
// its model, a place among the predictions in flight, and the quotas.
//
// Whoever serves a protocol tells it the address before anything is proven, and the
// principal afterwards; package inference asks it for the model, the rows and a
// place. It knows neither transports nor how limits are counted or stored.
package admission

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
)

// Kind is which rate a route counts against.
type Kind uint8

// The kinds.
const (
	// None counts against no rate but that of a credential's own.
	None Kind = iota
	// Token is for what checks passwords and clients' secrets.
	Token
	// Predict is for what predicts, seals or opens.
	Predict
	// Read is for what a caller may look at beside, each on record.
	Read
)

// Rates are those that hold for everybody.
type Rates struct {
	// Token and Predict count per client address.
	Token, Predict identity.Rates
	// PerPrincipal has Predict count per principal, and Rows count the rows of its
	// batches, which nobody knows before. What an address may send without proving
	// anybody is then FailureFactor times Predict.
	PerPrincipal bool
	Rows         identity.Rates
}

// FailureFactor is how many times the rate of a principal an address may fail to
// prove who it is, where predictions are counted per principal: many share one.
const FailureFactor = 16

// ReadFactor is how many times the rate of predictions one principal may read, so
// that nobody fills the log, or takes the time of the others, by asking for lists. Only
// who is over it is told.
const ReadFactor = 600

// modelPolicy is the name of a model's limits in RateLimit headers.
const modelPolicy = "model"

// Config is what a Control is made of.
type Config struct {
	Rates Rates
	// MaxInFlight is how many predictions may be between the end of their body and
	// their answer; 0 is as many as there are processors, and for large batches one
	// fewer beside them.
	MaxInFlight int
	// Processors is how many there are; 0 is 1.
	Processors int
	// OneTenant reports whether there is one tenant alone, which may then have all of
	// MaxInFlight; nil: as long as no other has asked.
	OneTenant func() bool
	// QueueTimeout is how long a prediction waits for a place; 0 is not at all.
	QueueTimeout time.Duration
	// Throttle is how long a request waits, rather than be refused, for the next
	// window of a rate; 0 is not at all.
	Throttle time.Duration
	// Shared counts the rates for several servers; nil: this one counts alone.
	Shared limit.Shared
	// Quotas is nil where there are none.
	Quotas Quotas
	// Now is the clock, with monotonic readings.
	Now func() time.Time
}

// Quotas are what principals and tenants may use in a day or a month. Faults of
// its own kind for a hard quota that is used up, with RetryAfter to the end of its
// period; Unavailable.
type Quotas interface {
	// Reserve claims what a prediction will use, as far as that is known.
	Reserve(ctx context.Context, p *identity.Principal, use Use) (Reservation, error)
}

// Reservation is what Reserve claimed. It is settled once: with what was used, or
// with nothing, which gives all back. Only answered predictions count.
type Reservation interface {
	Settle(used Use)
}

// Use is what a prediction uses.
type Use struct {
	Calls, Rows int64
	// Bytes is the length of its body.
	Bytes int64
	// Compute is the time that the engine took.
	Compute time.Duration
}

// Control decides. It is safe for concurrent use.
type Control struct {
	cfg     Config
	dynamic atomic.Pointer[dynamic]

	requests, rows tables
	reads          *limit.Table

	flight   *gate
	throttle throttle
	pace     *pace
	hints    hints
	passages sync.Pool // of *Passage

	mu    sync.Mutex
	gates map[string]weak.Pointer[gate] // of models with a bound of their own, by label
}

// tables count one unit.
type tables struct{ keys, tenants, principals, models *limit.Table }

func (t *tables) each() [4]*limit.Table {
	return [...]*limit.Table{t.keys, t.tenants, t.principals, t.models}
}

// dynamic is what Reload replaces.
type dynamic struct {
	rates           Rates
	reads           identity.Rates // of a principal
	tokens, predict *limit.Limiter // predict: failures alone, where principals are counted
}

// Whose requests are counted, to who is refused.
const (
	ofCaller = "of this caller"
	toModel  = "for this model"
)

// New returns a control with empty memories.
func New(cfg Config) (*Control, error) {
	if cfg.Now == nil {
		return nil, errors.New("admission: a clock is needed")
	}
	c := &Control{
		cfg: cfg, requests: newTables(&cfg, "", 0), rows: newTables(&cfg, "rows", 1),
		reads:  limit.NewTable(limit.TableConfig{Policy: "principal", Whose: ofCaller, Name: "read", Shared: cfg.Shared, Now: cfg.Now}),
		flight: newGate(bounds(cfg.MaxInFlight, cfg.Processors), cfg.OneTenant), gates: map[string]weak.Pointer[gate]{},
	}
	c.pace = newPace(cfg.Processors)
	c.hints.seed, c.hints.now = maphash.MakeSeed(), cfg.Now
	c.passages.New = func() any { return new(Passage) }
	c.throttle.most, c.throttle.now = cfg.Throttle, cfg.Now
	c.dynamic.Store(&dynamic{
		tokens:  limit.New(limit.Config{Policy: "token", Shared: cfg.Shared, Now: cfg.Now}),
		predict: limit.New(limit.Config{Policy: "predict", Shared: cfg.Shared, Now: cfg.Now}),
	})
	c.Reload(cfg.Rates)
	return c, nil
}

// newTables returns those of a unit, which is empty for requests, and their place among
// those of the others.
func newTables(cfg *Config, unit string, place int) tables {
	order := 4 * place
	table := func(policy, whose string) *limit.Table {
		order++
		return limit.NewTable(limit.TableConfig{Policy: policy, Unit: unit, Whose: whose, Order: order, Shared: cfg.Shared, Now: cfg.Now})
	}
	return tables{table("key", "with this API key"), table("tenant", "of this tenant"), table("principal", ofCaller), table(modelPolicy, toModel)}
}

// Reload puts other rates in force. Counts go on: a changed rate gives nobody a
// fresh start.
func (c *Control) Reload(rates Rates) {
	before := c.dynamic.Load()
	predict := rates.Predict
	if rates.PerPrincipal {
		predict = times(predict, FailureFactor)
	}
	c.dynamic.Store(&dynamic{
		rates: rates, reads: times(rates.Predict, ReadFactor),
		tokens: before.tokens.WithRates(rates.Token), predict: before.predict.WithRates(predict),
	})
}

func times(rates identity.Rates, n int64) identity.Rates {
	all := make(identity.Rates, len(rates))
	for i, r := range rates {
		all[i] = identity.Rate{Requests: r.Requests * n, Window: r.Window}
	}
	return all
}

// Address counts a request of a client whom nobody has proven yet. It may wait.
// Faults: RateLimited, Timeout, Canceled.
func (c *Control) Address(ctx context.Context, kind Kind, client netip.Addr) error {
	d := c.dynamic.Load()
	var limiter *limit.Limiter
	switch kind {
	case None, Read:
		return nil
	case Token:
		limiter = d.tokens
	case Predict:
		if d.rates.PerPrincipal {
			return d.predict.Check(ctx, client)
		}
		limiter = d.predict
	}
	told := len(reqctx.From(ctx).Limits)
	err := limiter.Take(ctx, client)
	if err == nil || c.throttle.most == 0 {
		return err
	}
	return c.throttle.wait(ctx, told, limit.Key(client), err, func(patience time.Duration) (*limit.Booking, error) {
		return limiter.Book(ctx, patience, client)
	})
}

// Failed counts a request of a client whose credential was refused with err, where those
// that prove somebody are counted per principal. What could not be judged is no refusal.
func (c *Control) Failed(ctx context.Context, kind Kind, client netip.Addr, err error) {
	switch fault.KindOf(err) { //nolint:exhaustive // the others say nothing about the client
	case fault.Unauthenticated, fault.Forbidden, fault.BadRequest:
	default:
		return
	}
	if d := c.dynamic.Load(); kind == Predict && d.rates.PerPrincipal {
		_ = d.predict.Take(ctx, client) // it was within the rate when it came
	}
}

// Principal counts a request of a caller who was proven: for each of its
// credentials that has a rate, and of its kind for the principal and the tenant. It
// may wait. Faults: RateLimited, Timeout, Canceled.
func (c *Control) Principal(ctx context.Context, kind Kind, p *identity.Principal) error {
	if reads := c.dynamic.Load().reads; kind == Read && len(reads) > 0 {
		if err := limit.Take(ctx, limit.Demand{Table: c.reads, Key: p.Name(), Rates: reads, N: 1, Silent: true}); err != nil {
			return err
		}
	}
	var memory [4]limit.Demand
	all := c.credentials(memory[:0], p)
	if kind == Predict {
		if rates := c.dynamic.Load().rates; rates.PerPrincipal && len(rates.Predict) > 0 {
			all = append(all, limit.Demand{Table: c.requests.principals, Key: p.Name(), Rates: rates.Predict, N: 1})
		}
		if rates := p.TenantLimit.Requests; len(rates) > 0 {
			all = append(all, limit.Demand{Table: c.requests.tenants, Key: p.Tenant, Rates: rates, N: 1})
		}
	}
	return c.take(ctx, p, all)
}

// Credential counts a request for a credential that was proven beside the
// principal, later. Faults: those of Principal.
func (c *Control) Credential(ctx context.Context, p *identity.Principal) error {
	var memory [4]limit.Demand
	return c.take(ctx, p, c.credentials(memory[:0], p))
}

func (c *Control) credentials(all []limit.Demand, p *identity.Principal) []limit.Demand {
	for ; p != nil; p = p.With {
		if rates := p.Limit.Requests; len(rates) > 0 {
			all = append(all, limit.Demand{Table: c.requests.keys, Key: p.Subject, Rates: rates, N: 1})
		}
	}
	return all
}

// take counts a request of the principal in all windows or in none.
func (c *Control) take(ctx context.Context, p *identity.Principal, all []limit.Demand) error {
	if len(all) == 0 {
		return nil
	}
	told := len(reqctx.From(ctx).Limits)
	err := limit.Take(ctx, all...)
	if err == nil || c.throttle.most == 0 {
		return err
	}
	return c.throttle.wait(ctx, told, p.Name(), err, func(patience time.Duration) (*limit.Booking, error) {
		return limit.Book(ctx, patience, all...)
	})
}

// lasting are the tables of what hints remember.
func (c *Control) lasting() []*limit.Table {
	requests, rows := c.requests.each(), c.rows.each()
	return append(requests[:], rows[:]...)
}

func (c *Control) tables() []*limit.Table { return append(c.lasting(), c.reads) }

// Entries returns how many clients are remembered, each once for every window of a
// rate.
func (c *Control) Entries() int {
	d := c.dynamic.Load()
	n := d.tokens.Size() + d.predict.Size()
	for _, t := range c.tables() {
		n += t.Size()
	}
	return n
}

// Alone returns how many requests were counted by this server alone because the count
// that several share was away.
func (c *Control) Alone() int64 {
	d := c.dynamic.Load()
	n := d.tokens.Alone() + d.predict.Alone()
	for _, t := range c.tables() {
		n += t.Alone()
	}
	return n
}

// InFlight returns how many predictions have a place.
func (c *Control) InFlight() int {
	held, _ := c.flight.state()
	return held
}

// Queued returns how many predictions wait for a place, in flight or in their
// model.
func (c *Control) Queued() int {
	_, queued := c.flight.state()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.gates {
		if g := p.Value(); g != nil {
			_, waiting := g.state()
			queued += waiting
		}
	}
	return queued
}

// Throttled returns how many requests wait for the next window of a rate.
func (c *Control) Throttled() int { return c.throttle.count() }

// errOverloaded is the fault of a prediction for which there is no place in time.
func errOverloaded() error {
	return &fault.Error{
		Kind: fault.Overloaded, RetryAfter: time.Second,
		Msg: "More predictions are under way than this server can take; wait as long as Retry-After says, or send fewer at once",
	}
}
