package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
)

const (
	// pacedRate is how many callers are sent away in a second for each processor,
	// evenly spread, and pacedAtOnce how many without any wait before that. Each costs
	// some 0.1 ms, so a flood of them takes a twentieth of the processors.
	pacedRate   = 500
	pacedAtOnce = 100
	// pacedLongest is how long one waits for the refusal: as long as most are told to
	// stay away.
	pacedLongest = time.Second
	// pacedEach is how many refusals one connection waits for at once: a quarter of the
	// requests that HTTP/2 and gRPC carry on one, of which others may be served.
	pacedEach = 32
)

// Refusals are those that one connection waits for. The zero value is ready for use.
type Refusals struct{ held atomic.Int32 }

// enter takes a place for one more, unless there are enough.
func (r *Refusals) enter() bool {
	if r.held.Add(1) > pacedEach {
		r.leave()
		return false
	}
	return true
}

func (r *Refusals) leave() { r.held.Add(-1) }

// pace spreads refusals. Callers who send again as soon as they are refused would
// else keep the server busy with refusing them: the sooner it answers, the sooner
// they are back. It is the generic cell rate algorithm (ITU-T I.371, annex A).
type pace struct {
	interval time.Duration // between two refusals

	mu   sync.Mutex
	next time.Time // of the next refusal
}

func newPace(processors int) *pace {
	return &pace{interval: time.Second / pacedRate / time.Duration(max(1, processors))}
}

// turn returns how long the caller who is refused now waits for it.
func (p *pace) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-pacedAtOnce * p.interval); p.next.Before(earliest) {
		p.next = earliest
	}
	wait := p.next.Sub(now)
	if wait > pacedLongest {
		return pacedLongest
	}
	p.next = p.next.Add(p.interval)
	return max(0, wait)
}

// Refuse waits before a caller is told to come back later, where many are; until
// ctx ends, at most. Other faults are told at once, and so are those for whose
// connection enough wait already.
func (c *Control) Refuse(ctx context.Context, f *fault.Error, on *Refusals) {
	if f.RetryAfter == 0 || !on.enter() {
		return
	}
	defer on.leave()
	if wait := c.pace.turn(c.cfg.Now()); wait > 0 {
		_ = sleep(ctx, wait, nil) // refused in any case
	}
}
