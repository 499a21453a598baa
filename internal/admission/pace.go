package admission

import (
	"context"
	"sync"
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
)

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
// ctx ends, at most. Other faults are told at once.
func (c *Control) Refuse(ctx context.Context, f *fault.Error) {
	if f.RetryAfter == 0 {
		return
	}
	if wait := c.pace.turn(c.cfg.Now()); wait > 0 {
		_ = sleep(ctx, wait, nil) // refused in any case
	}
}
