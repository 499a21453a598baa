package admission

import (
	"cmp"
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
	// kept are those of each that are for tenants without a place of the size alone,
	// so that no tenant, however long its predictions take, holds all of them.
	kept [sizes]int
	// lent has a tenant hold the kept ones too as long as it is alone.
	lent bool
}

// keptShare is the part of all places that is kept: the inverse.
const keptShare = 4

// bounds divides the places. Predictions compute, so that more at once than there
// are processors make each slower and none faster; large batches leave one
// processor to the others. Where nobody said how many, what is kept comes on top: then
// it costs nobody anything until it is needed.
func bounds(most, processors int) bound {
	processors = max(processors, 1)
	batches := max(processors-1, 1)
	if most > 0 {
		batches = min(batches, max(most/2, 1))
		return within([sizes]int{max(most-batches, 1), batches}, most)
	}
	b := bound{each: [sizes]int{processors, batches}}
	for s, n := range b.each {
		b.kept[s] = max(n/keptShare, 1)
		b.each[s] += b.kept[s]
		b.all += b.each[s]
	}
	return b
}

// within keeps some of a number of places that somebody set, where there are two.
func within(each [sizes]int, all int) bound {
	b := bound{each: each, all: all, lent: true}
	for s, n := range each {
		b.kept[s] = min(max(n/keptShare, 1), max(n-1, 0))
	}
	return b
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
	alone   func() bool // whether there is one tenant; nil: by who has ever asked
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
	held  [sizes]int
	queue [sizes][]*waiter
}

func (t *tenant) holds() int { return t.held[small] + t.held[large] }

func (t *tenant) waiting() int { return len(t.queue[small]) + len(t.queue[large]) }

// waiter is a prediction that waits for a place.
type waiter struct {
	tenant *tenant
	size   size
	number uint64
	// done is told once: nil with a place, or why there is none.
	done chan error
}

func newGate(b bound, alone func() bool) *gate {
	return &gate{bound: b, alone: alone, tenants: map[string]*tenant{}}
}

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
	if g.room(t, s) { // for none of those that wait is there any
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

// room reports whether there is a place for one more prediction of the tenant.
func (g *gate) room(t *tenant, s size) bool {
	if g.held[s] >= g.bound.each[s] || g.held[small]+g.held[large] >= g.bound.all {
		return false
	}
	return t.held[s] == 0 || g.held[s] < g.bound.each[s]-g.bound.kept[s] || g.bound.lent && g.one()
}

// one reports whether nobody could ask but the one tenant that there is.
func (g *gate) one() bool { return len(g.tenants) == 1 && (g.alone == nil || g.alone()) }

func (g *gate) take(t *tenant, s size) {
	g.held[s]++
	t.held[s]++
}

// leave gives a place back.
func (g *gate) leave(t *tenant, s size) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBack(t, s)
	g.forget(t)
}

func (g *gate) giveBack(t *tenant, s size) {
	g.held[s]--
	t.held[s]--
	g.dispatch()
}

// forget drops a tenant of whom there is nothing here.
func (g *gate) forget(t *tenant) {
	if t.holds() == 0 && t.waiting() == 0 && len(g.tenants) > keptTenants {
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
			if w := g.next(s); next == nil || w != nil && w.number < next.number {
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
// places; of several such tenants, of that which has waited longest. It is nil where
// there is a place for none of them.
func (g *gate) next(s size) *waiter {
	var next *waiter
	for _, t := range g.queues[s] {
		if !g.room(t, s) {
			continue
		}
		w, fewer := t.queue[s][0], 0
		if next != nil {
			fewer = cmp.Compare(t.holds(), next.tenant.holds())
		}
		if next == nil || fewer < 0 || fewer == 0 && w.number < next.number {
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
		g.giveBack(w.tenant, w.size)
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
