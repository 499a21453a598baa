package httpapi

import (
	"context"
	"sync"
	"time"
)

// deadline is a context with a deadline that costs next to nothing until
// somebody waits for it. Most requests are over in microseconds and look at Err
// at most: no timer is started for them.
type deadline struct {
	context.Context //nolint:containedctx // a context wraps its parent

	at  time.Time
	now func() time.Time

	mu   sync.Mutex // guards what follows, which Done makes
	done <-chan struct{}
	err  func() error
	stop context.CancelFunc
}

// withDeadline returns parent with a deadline, and what to call when the work
// is done.
func withDeadline(parent context.Context, at time.Time, now func() time.Time) (context.Context, context.CancelFunc) {
	d := &deadline{Context: parent, at: at, now: now}
	return d, d.release
}

// Deadline returns the time, or the parent's when that is earlier.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done starts a timer the first time.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		ctx, stop := context.WithTimeout(d.Context, d.at.Sub(d.now()))
		d.done, d.err, d.stop = ctx.Done(), ctx.Err, stop
	}
	return d.done
}

// Err looks at the clock unless a timer runs that will tell.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err()
	}
	if err := d.Context.Err(); err != nil {
		return err
	}
	if !d.now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// release stops the timer, if there is one. Nothing waits for d any more.
func (d *deadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
	}
}
