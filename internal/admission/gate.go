package admission

import (
	"context"
	"slices"
	"sync"
	"time"

	"onnxgate/internal/fault"
)

// size tells large batches from other predictions: they have places of their own,
// so that the others never wait for one.
type size uint8

const (
	small size = iota
	large

	sizes // the number of sizes
)

// bound is how many predictions have a place at once: of each size, and of both.
type bound struct {
	each [sizes]int
	all  int
}

// bounds divides the places. Predictions compute, so that more at once than there
// are processors make each slower and none faster; large batches leave one
// processor to the others.
func bounds(most, processors int) bound {
	processors = max(processors, 1)
	batches := max(processors-1, 1)
	if most == 0 {
		return bound{each: [sizes]int{processors, batches}, all: processors + batches}
	}
	batches = min(batches, max(most/2, 1))
	return bound{each: [sizes]int{max(most-batches, 1), batches}, all: most}
}

// maxQueued is how many predictions wait for a place at once.
const maxQueued = 1024

// gate gives places to predictions, and keeps those waiting for which there is
// none. Places go to the waiting tenant that holds the fewest, and within a tenant
// to who came first. When too many wait, the last of the tenant of which most wait
// is refused. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	bound   bound
	held    [sizes]int
	waiting int
	arrived uint64 // the number of the last that had to wait
	tenants map[string]*tenant
	// queues are the tenants of which somebody waits, by what for.
	queues [sizes][]*tenant
}

// tenant is what a gate knows of one.
type tenant struct {
	name  string
	held  int
	queue [sizes][]*waiter
}

func (t *tenant) waiting() int { return len(t.queue[small]) + len(t.queue[large]) }

// waiter is a prediction that waits for a place.
type waiter struct {
	tenant *tenant
	size   size
	number uint64
	// done is told once: nil with a place, or why there is none.
	done chan error
}

func newGate(b bound) *gate { return &gate{bound: b, tenants: map[string]*tenant{}} }

// enter takes a place for a prediction of the tenant, and waits for one that long
// at most. The tenant that it returns is for leave. Faults: Overloaded, Timeout,
// Canceled.
func (g *gate) enter(ctx context.Context, name string, s size, patience time.Duration) (*tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.OfContext(err)
	}
	g.mu.Lock()
	t := g.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		g.tenants[name] = t
	}
	if len(g.queues[s]) == 0 && g.room(s) {
		g.take(t, s)
		g.mu.Unlock()
		return t, nil
	}
	w := g.enqueue(t, s, patience)
	g.mu.Unlock()
	if w == nil {
		return nil, errOverloaded()
	}
	return t, g.wait(ctx, w, patience)
}

func (g *gate) room(s size) bool {
	return g.held[s] < g.bound.each[s] && g.held[small]+g.held[large] < g.bound.all
}

func (g *gate) take(t *tenant, s size) {
	g.held[s]++
	t.held++
}

// leave gives a place back.
func (g *gate) leave(t *tenant, s size) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[s]--
	t.held--
	g.dispatch()
	g.forget(t)
}

// forget drops a tenant of whom there is nothing here.
func (g *gate) forget(t *tenant) {
	if t.held == 0 && t.waiting() == 0 && len(g.tenants) > keptTenants {
		delete(g.tenants, t.name)
	}
}

// keptTenants is how many tenants are remembered that do not predict just now.
const keptTenants = 1024

// enqueue has a prediction wait, nil when it cannot.
func (g *gate) enqueue(t *tenant, s size, patience time.Duration) *waiter {
	if patience <= 0 || g.waiting >= maxQueued && !g.pushOut(t) {
		return nil
	}
	g.arrived++
	w := &waiter{tenant: t, size: s, number: g.arrived, done: make(chan error, 1)}
	if len(t.queue[s]) == 0 {
		g.queues[s] = append(g.queues[s], t)
	}
	t.queue[s] = append(t.queue[s], w)
	g.waiting++
	return w
}

// pushOut refuses the last of the tenant of which most wait, unless that is the
// one that comes.
func (g *gate) pushOut(comes *tenant) bool {
	most := comes
	for s := range g.queues {
		for _, t := range g.queues[s] {
			if t.waiting() > most.waiting() {
				most = t
			}
		}
	}
	if most == comes {
		return false
	}
	last := most.last()
	g.remove(last)
	last.done <- errOverloaded()
	return true
}

// last returns the waiter of a tenant that came last.
func (t *tenant) last() *waiter {
	var last *waiter
	for _, queue := range t.queue {
		if n := len(queue); n > 0 && (last == nil || queue[n-1].number > last.number) {
			last = queue[n-1]
		}
	}
	return last
}

// remove takes a waiter out of its queue, and reports whether it was there.
func (g *gate) remove(w *waiter) bool {
	t := w.tenant
	queue := t.queue[w.size]
	i := slices.Index(queue, w)
	if i < 0 {
		return false
	}
	t.queue[w.size] = slices.Delete(queue, i, i+1)
	if len(t.queue[w.size]) == 0 {
		all := g.queues[w.size]
		at := slices.Index(all, t)
		g.queues[w.size] = slices.Delete(all, at, at+1)
	}
	g.waiting--
	return true
}

// dispatch gives the places that are free to who waits for them.
func (g *gate) dispatch() {
	for {
		var next *waiter
		for s := range sizes {
			if len(g.queues[s]) == 0 || !g.room(s) {
				continue
			}
			if w := g.next(s); next == nil || w.number < next.number {
				next = w
			}
		}
		if next == nil {
			return
		}
		g.remove(next)
		g.take(next.tenant, next.size)
		next.done <- nil
	}
}

// next returns who is first in the queue of the tenant that holds the fewest
// places; of several such tenants, of that which has waited longest.
func (g *gate) next(s size) *waiter {
	var next *waiter
	for _, t := range g.queues[s] {
		w := t.queue[s][0]
		if next == nil || t.held < next.tenant.held || t.held == next.tenant.held && w.number < next.number {
			next = w
		}
	}
	return next
}

// wait returns when the waiter has a place, nil, or has waited in vain.
func (g *gate) wait(ctx context.Context, w *waiter, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var failure error
	select {
	case err := <-w.done:
		return err
	case <-timer.C:
		failure = errOverloaded()
	case <-ctx.Done():
		failure = fault.OfContext(ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.remove(w) {
		g.forget(w.tenant)
		return failure
	}
	err := <-w.done // at the same moment
	if err == nil && ctx.Err() != nil {
		g.held[w.size]--
		w.tenant.held--
		g.dispatch()
		return failure
	}
	return err
}

// setBound changes how many places there are.
func (g *gate) setBound(b bound) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bound = b
	g.dispatch()
}

// state returns how many predictions have a place, and how many wait for one.
func (g *gate) state() (held, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[small] + g.held[large], g.waiting
}
