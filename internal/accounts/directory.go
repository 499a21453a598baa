package accounts

import (
	"context"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
)

const (
	defaultPoll     = 200 * time.Millisecond
	defaultMaxStale = time.Minute
	// lookTimeout bounds one look at the store, so that one that hangs is found
	// out.
	lookTimeout = time.Second
)

// directory knows the stamp of every enabled user, in memory.
type directory struct {
	store    Store
	now      func() time.Time
	poll     time.Duration
	maxStale time.Duration

	known atomic.Pointer[snapshot]

	// turn is held by whoever looks at the store; it guards the fields below.
	turn    chan struct{}
	started time.Time
	err     error
}

// snapshot is what the store said at one moment. It does not change.
type snapshot struct {
	revision int64
	stamps   map[string]string
	at       time.Time
}

func newDirectory(cfg *Config) *directory {
	d := &directory{
		store: cfg.Store, now: cfg.Now, poll: cfg.PollInterval, maxStale: cfg.MaxStale,
		turn: make(chan struct{}, 1),
	}
	if d.poll <= 0 {
		d.poll = defaultPoll
	}
	if d.maxStale <= 0 {
		d.maxStale = defaultMaxStale
	}
	return d
}

func (d *directory) current(ctx context.Context, name, stamp string) (bool, error) {
	now := reqctx.Now(ctx, d.now)
	known := d.known.Load()
	if known == nil {
		if err := d.look(ctx, now); err != nil {
			return false, err
		}
		known = d.known.Load()
	}
	if now.Sub(known.at) > d.maxStale {
		return false, &fault.Error{
			Kind: fault.Unavailable, Msg: "The user database cannot be reached; try again in a second", RetryAfter: retryAfter,
		}
	}
	if got, ok := known.stamps[name]; ok && got == stamp {
		return true, nil
	}
	// The user may be newer than what is known. If the store cannot say so,
	// what is known decides.
	if d.look(ctx, now) != nil && ctx.Err() != nil {
		return false, contextFault(ctx.Err())
	}
	got, ok := d.known.Load().stamps[name]
	return ok && got == stamp, nil
}

// look brings what is known up to the moment since, or later. Callers that
// wait share the next look.
func (d *directory) look(ctx context.Context, since time.Time) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return contextFault(ctx.Err())
	}
	defer func() { <-d.turn }()
	if d.started.After(since) {
		return d.err
	}
	d.started = d.now()
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	d.err = d.refresh(ctx, d.started)
	return d.err
}

func (d *directory) refresh(ctx context.Context, at time.Time) error {
	// The revision is read first: a change that falls in between is then read
	// twice, never missed.
	revision, err := d.store.Revision(ctx)
	if err != nil {
		return err
	}
	next := &snapshot{revision: revision, at: at}
	if known := d.known.Load(); known != nil && known.revision == revision {
		next.stamps = known.stamps
	} else if next.stamps, err = d.store.Stamps(ctx); err != nil {
		return err
	}
	d.known.Store(next)
	return nil
}

// changed makes a change of this process known at once. A failure is left to
// the next look: the change itself has been made.
func (d *directory) changed(ctx context.Context) {
	if d.known.Load() != nil {
		_ = d.look(ctx, d.now())
	}
}

func (d *directory) watch(ctx context.Context) error {
	ticker := time.NewTicker(d.poll)
	defer ticker.Stop()
	for {
		_ = d.look(ctx, d.now()) // a failure shows in the age of what is known
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
