// Package revision follows a number that moves with every change of a store which
// other processes change too, and shares what is learnt among all who ask.
//
// It must not know what the store keeps, nor for how long an old number may be
// relied on.
package revision

import (
	"context"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
)

// lookTime bounds one look at the store, so that one that hangs is found out.
const lookTime = time.Second

// Source is what is followed.
type Source interface {
	// Revision returns the present number.
	Revision(ctx context.Context) (int64, error)
}

// Look is what came of asking. It does not change.
type Look struct {
	// Started is when the source was asked.
	Started time.Time
	// Revision is the last number that it gave, and Good when it was asked for
	// that; zero when it never gave one.
	Revision int64
	Good     time.Time
	// Err says why this look found out nothing.
	Err error
}

// Watch knows the number, in memory. It is safe for concurrent use.
type Watch struct {
	source Source
	now    func() time.Time
	known  atomic.Pointer[Look]
	// turn is held by whoever looks.
	turn chan struct{}
}

// New returns a Watch of the source that has not looked yet; now is its clock.
func New(source Source, now func() time.Time) *Watch {
	w := &Watch{source: source, now: now, turn: make(chan struct{}, 1)}
	w.known.Store(&Look{})
	return w
}

// Known returns the latest look, one without times before the first.
func (w *Watch) Known() *Look { return w.known.Load() }

// After returns a look that started after the time: the caller's own, or that of
// whoever had the turn before. The error is a fault of kind Timeout or Canceled
// when ctx ended first; what came of the look is in it.
func (w *Watch) After(ctx context.Context, since time.Time) (*Look, error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fault.OfContext(ctx.Err())
	}
	defer func() { <-w.turn }()
	last := w.known.Load()
	if last.Started.After(since) {
		return last, nil
	}
	next := &Look{Started: w.now()}
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	next.Good = next.Started
	if next.Revision, next.Err = w.source.Revision(ctx); next.Err != nil {
		next.Revision, next.Good = last.Revision, last.Good
	}
	w.known.Store(next)
	return next, nil
}
