package admission

import (
	"context"
	"runtime"
	"slices"
	"time"
	"weak"

	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
)

// inModel is the size of all predictions where a model has a bound of its own.
const inModel = small

// Limits are those of one model, whoever calls it.
type Limits struct {
	// Rates count requests, Rows the rows of their batches.
	Rates, Rows identity.Rates
	// Concurrency is how many predictions of the model there may be at once; 0 is
	// any number.
	Concurrency int
}

const (
	// largeBody and largeRows are from when on a batch is a large one.
	largeBody = 64 << 10
	largeRows = 1024
)

// Model admits calls of one version of a model. It is safe for concurrent use.
type Model struct {
	control *Control
	label   string
	limits  Limits
	gate    *gate // nil without a bound of its own
}

// Model returns what admits calls of the model with the label, at its limits.
// Counts and places are the label's: versions, and the model as it is after a
// reload, share them.
func (c *Control) Model(label string, limits Limits) *Model {
	m := &Model{control: c, label: label, limits: limits}
	if limits.Concurrency == 0 {
		return m
	}
	m.gate = c.gate(label, within([sizes]int{small: limits.Concurrency}, limits.Concurrency))
	return m
}

// gate returns that of a label, which is forgotten with the last that holds it: labels
// come and go with the models of tenants.
func (c *Control) gate(label string, b bound) *gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.gates[label].Value(); g != nil {
		g.setBound(b)
		return g
	}
	g := newGate(b, nil) // most models have one tenant, however many there are
	c.gates[label] = weak.Make(g)
	runtime.AddCleanup(g, c.forget, label)
	return g
}

// forget removes the gate of a label, unless there is another by now.
func (c *Control) forget(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, known := c.gates[label]; known && p.Value() == nil {
		delete(c.gates, label)
	}
}

// Open counts a request of the model, once, however often it opens the model: it
// does so again when its caller was proven again. It may wait. A caller whose quota
// is used up is refused before, so that it uses up nothing of what others share.
// Faults: RateLimited, Timeout, Canceled, those of Quotas.
func (m *Model) Open(ctx context.Context, p *identity.Principal) error {
	if len(m.limits.Rates) == 0 || m.opened(reqctx.From(ctx)) {
		return nil
	}
	if quotas := m.control.cfg.Quotas; quotas != nil {
		r, err := quotas.Reserve(ctx, p, Use{Calls: 1})
		if err != nil {
			return err
		}
		r.Settle(Use{}) // the body may take long
	}
	var memory [1]limit.Demand
	return m.control.take(ctx, p, append(memory[:0], limit.Demand{Table: m.control.requests.models, Key: m.label, Rates: m.limits.Rates, N: 1}))
}

// opened reports whether the request was counted as one of a model.
func (m *Model) opened(info *reqctx.Info) bool {
	return slices.ContainsFunc(info.Limits, func(l reqctx.Limit) bool { return l.Policy == modelPolicy && l.Unit == "" })
}

// Passage is one prediction under way, and what it holds. It belongs to one
// goroutine, and to nobody after Leave.
type Passage struct {
	model       *Model
	principal   *identity.Principal
	size        size
	bytes, rows int64
	// demands are the rows, of every limit.
	demands []limit.Demand
	// inModel and inFlight are of the tenant, where the passage has a place.
	inModel, inFlight *tenant
	reservation       Reservation
}

// Enter waits for a place for a prediction whose body has come, so many bytes of
// it. The passage must Leave. Faults: Overloaded, Timeout, Canceled.
func (m *Model) Enter(ctx context.Context, p *identity.Principal, bytes int64) (*Passage, error) {
	c := m.control
	h, _ := c.passages.Get().(*Passage)
	*h = Passage{model: m, principal: p, bytes: bytes, demands: h.demands}
	if bytes > largeBody {
		h.size = large
	}
	err := h.enter(ctx)
	if err != nil {
		h.Leave(false, 0)
		return nil, err
	}
	return h, nil
}

// enter takes the place in the model before the one in flight: who waits for a
// model keeps nobody from another.
func (h *Passage) enter(ctx context.Context) (err error) {
	c, g := h.model.control, h.model.gate
	patience := c.cfg.QueueTimeout
	if g != nil {
		began := c.cfg.Now()
		if h.inModel, err = g.enter(ctx, h.principal.Tenant, inModel, patience); err != nil {
			h.inModel = nil
			return err
		}
		patience -= c.cfg.Now().Sub(began)
	}
	if h.inFlight, err = c.flight.enter(ctx, h.principal.Tenant, h.size, patience); err != nil {
		h.inFlight = nil
	}
	return err
}

// Spend moves the prediction among the large ones when it has many rows, reserves
// what it will use of the quotas, and then counts the rows: a quota that is used up
// uses up no rows, and rows that are refused give back what was reserved. Faults:
// Content for more rows than a limit ever admits, RateLimited, those of Enter and of
// Quotas.
func (h *Passage) Spend(ctx context.Context, rows int) error {
	h.rows = int64(rows)
	h.demand()
	for i := range h.demands {
		if err := h.demands[i].Fits(); err != nil {
			return err
		}
	}
	if rows >= largeRows && h.size == small {
		h.leave()
		h.size = large
		if err := h.enter(ctx); err != nil {
			return err
		}
	}
	if err := h.reserve(ctx); err != nil {
		return err
	}
	if len(h.demands) == 0 {
		return nil
	}
	return limit.Take(ctx, h.demands...) // never waits: the request has its body in memory
}

func (h *Passage) reserve(ctx context.Context) error {
	quotas := h.model.control.cfg.Quotas
	if quotas == nil {
		return nil
	}
	r, err := quotas.Reserve(ctx, h.principal, Use{Calls: 1, Rows: h.rows, Bytes: h.bytes})
	if err == nil {
		h.reservation = r
	}
	return err
}

// demand notes what the rows need of the limits of the principal, of its credentials,
// of its tenant and of the model.
func (h *Passage) demand() {
	h.demands = h.demands[:0]
	rows := &h.model.control.rows
	for p := h.principal; p != nil; p = p.With {
		if len(p.Limit.Rows) > 0 {
			h.add(rows.keys, p.Subject, p.Limit.Rows, p.Limit.Requests)
		}
	}
	if rates := &h.model.control.dynamic.Load().rates; rates.PerPrincipal && len(rates.Rows) > 0 {
		h.add(rows.principals, h.principal.Name(), rates.Rows, rates.Predict)
	}
	if own := &h.principal.TenantLimit; len(own.Rows) > 0 {
		h.add(rows.tenants, h.principal.Tenant, own.Rows, own.Requests)
	}
	if own := &h.model.limits; len(own.Rows) > 0 {
		h.add(rows.models, h.model.label, own.Rows, own.Rates)
	}
}

// add notes one limit in rows; the answer names it behind those in requests.
func (h *Passage) add(table *limit.Table, key string, rates, requests identity.Rates) {
	h.demands = append(h.demands, limit.Demand{Table: table, Key: key, Rates: rates, N: h.rows, After: len(requests)})
}

// Leave gives back what the passage holds, once. An answered prediction is settled
// with the time that the engine took.
func (h *Passage) Leave(answered bool, compute time.Duration) {
	h.leave()
	if h.reservation != nil {
		used := Use{}
		if answered {
			used = Use{Calls: 1, Rows: h.rows, Bytes: h.bytes, Compute: compute}
		}
		h.reservation.Settle(used)
	}
	c := h.model.control
	clear(h.demands)
	*h = Passage{demands: h.demands[:0]}
	c.passages.Put(h)
}

// leave gives the places back.
func (h *Passage) leave() {
	if h.inFlight != nil {
		h.model.control.flight.leave(h.inFlight, h.size)
	}
	if h.inModel != nil {
		h.model.gate.leave(h.inModel, inModel)
	}
	h.inFlight, h.inModel = nil, nil
}
