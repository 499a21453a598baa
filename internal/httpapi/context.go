package httpapi

import (
	"context"
	"sync"
	"time"
)

// requestContext is the context of one request: the one of net/http, with the
// deadline of the route, which costs next to nothing until somebody waits for
// it. Most requests are over in microseconds and look at Err at most: no timer
// is started for them.
type requestContext struct {
	context.Context //nolint:containedctx // a context wraps its parent

	now func() time.Time
	at  time.Time // zero before the route is known: no deadline

	mu   sync.Mutex // guards what follows, which Done makes
	done <-chan struct{}
	err  func() error
	stop context.CancelFunc
}

// Deadline returns the earlier of the route's deadline and the parent's.
func (c *requestContext) Deadline() (time.Time, bool) {
	at, ok := c.Context.Deadline()
	if c.at.IsZero() || ok && at.Before(c.at) {
		return at, ok
	}
	return c.at, true
}

// Done starts a timer the first time.
func (c *requestContext) Done() <-chan struct{} {
	if c.at.IsZero() {
		return c.Context.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		ctx, stop := context.WithTimeout(c.Context, c.at.Sub(c.now()))
		c.done, c.err, c.stop = ctx.Done(), ctx.Err, stop
	}
	return c.done
}

// Err looks at the clock unless a timer runs that will tell.
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if !c.at.IsZero() && !c.now().Before(c.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// shorten brings the deadline forward, as long as nobody waits for it.
func (c *requestContext) shorten(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.at = at
	}
}

// release stops the timer, if there is one. Nothing waits any more.
func (c *requestContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
}
