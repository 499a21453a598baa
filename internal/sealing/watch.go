package sealing

import (
	"context"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
)

// watch asks the store for its revision, not more often than it has to.
type watch struct {
	store    Store
	now      func() time.Time
	poll     time.Duration
	maxStale time.Duration

	known atomic.Pointer[look]
	// turn is held by whoever looks.
	turn chan struct{}
}

// look is what came of asking the store. It does not change.
type look struct {
	revision int64
	started  time.Time
	good     time.Time // when the revision was current
	err      error     // of this look; the revision is then that of an earlier one
}

func newWatch(cfg *Config) *watch {
	w := &watch{store: cfg.Store, now: cfg.Now, poll: cfg.PollInterval, maxStale: cfg.MaxStale, turn: make(chan struct{}, 1)}
	w.known.Store(&look{})
	return w
}

// revision returns that of the store as it was at most a poll ago or, with now,
// after this call began. Faults: Unavailable, Canceled, Timeout.
func (w *watch) revision(ctx context.Context, now bool) (int64, error) {
	at := w.now()
	since := at.Add(-w.poll)
	if now {
		since = at
	}
	known := w.known.Load()
	if known.started.Before(since) || now {
		var err error
		if known, err = w.look(ctx, since); err != nil {
			return 0, err
		}
	}
	switch {
	case known.err == nil:
		return known.revision, nil
	case now || at.Sub(known.good) > w.maxStale:
		return 0, known.err
	}
	return known.revision, nil
}

// look returns a look that began after since: its own, or that of whoever had
// the turn before.
func (w *watch) look(ctx context.Context, since time.Time) (*look, error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, contextFault(ctx.Err())
	}
	defer func() { <-w.turn }()
	last := w.known.Load()
	if last.started.After(since) {
		return last, nil
	}
	next := &look{started: w.now()}
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	next.revision, next.err = w.store.Revision(ctx)
	next.good = next.started
	if next.err != nil {
		next.revision, next.good = last.revision, last.good
	}
	w.known.Store(next)
	return next, nil
}

func contextFault(err error) error {
	if err == context.DeadlineExceeded { //nolint:errorlint // the value that contexts have
		return fault.Wrap(fault.Timeout, "The request took too long", err)
	}
	return fault.Wrap(fault.Canceled, "The request was canceled", err)
}
