package accounts

import (
	"context"
	"errors"
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
	// beats is how often a server tells of itself within MaxStale.
	beats = 4
)

// watcher knows the store's revision, in memory.
type watcher struct {
	store    Store
	now      func() time.Time
	poll     time.Duration
	maxStale time.Duration

	known atomic.Pointer[seen]
	// turn is held by whoever looks at the store; it guards the fields below.
	turn    chan struct{}
	started time.Time
	err     error
}

// seen is the revision at one moment. It does not change.
type seen struct {
	revision int64
	at       time.Time
}

func newWatcher(cfg *Config) *watcher {
	w := &watcher{
		store: cfg.Store, now: cfg.Now, poll: cfg.PollInterval, maxStale: cfg.MaxStale,
		turn: make(chan struct{}, 1),
	}
	if w.poll <= 0 {
		w.poll = defaultPoll
	}
	if w.maxStale <= 0 {
		w.maxStale = defaultMaxStale
	}
	return w
}

// current returns the revision as it was at most maxStale ago.
func (w *watcher) current(ctx context.Context) (int64, error) {
	now := reqctx.Now(ctx, w.now)
	known := w.known.Load()
	if known == nil {
		if err := w.look(ctx, now); err != nil {
			return 0, err
		}
		known = w.known.Load()
	}
	if now.Sub(known.at) > w.maxStale {
		return 0, &fault.Error{
			Kind: fault.Unavailable, Msg: "The user database cannot be reached; try again in a second", RetryAfter: retryAfter,
		}
	}
	return known.revision, nil
}

// look brings what is known up to the moment since, or later. Callers that
// wait share the next look.
func (w *watcher) look(ctx context.Context, since time.Time) error {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return contextFault(ctx.Err())
	}
	defer func() { <-w.turn }()
	if w.started.After(since) {
		return w.err
	}
	w.started = w.now()
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	var revision int64
	if revision, w.err = w.store.Revision(ctx); w.err == nil {
		w.known.Store(&seen{revision: revision, at: w.started})
	}
	return w.err
}

// changed makes a change of this process known at once. A failure is left to
// the next look: the change itself has been made.
func (w *watcher) changed(ctx context.Context) {
	if w.known.Load() != nil {
		_ = w.look(ctx, w.now())
	}
}

// Watch follows the changes that other processes make, so that Revision knows
// them within a second, until ctx ends; it tells the others that this process
// does, so that they can wait for it, and writes down when keys were used. It
// returns nil then.
func (s *Service) Watch(ctx context.Context) error {
	id, err := s.newStamp()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(s.watcher.poll)
	defer ticker.Stop()
	told := told{Server: Server{ID: id}}
	for {
		_ = s.watcher.look(ctx, s.now()) // a failure shows in the age of what is known
		s.tell(ctx, &told)
		s.noteUses(ctx)
		select {
		case <-ctx.Done():
			s.noteAllUses(context.WithoutCancel(ctx))
			return s.leave(context.WithoutCancel(ctx), &told)
		case <-ticker.C:
		}
	}
}

// pruneEvery is how often a server removes what has ended.
const pruneEvery = time.Minute

// told is what a server has said of itself, and when it last tidied up.
type told struct {
	Server

	pruned time.Time
}

// tell lets the other processes know which revision this one has seen, when it
// is another than before, and from time to time.
func (s *Service) tell(ctx context.Context, told *told) {
	known := s.watcher.known.Load()
	if known == nil || known.revision == told.Seen && known.at.Sub(told.At) < s.watcher.maxStale/beats {
		return
	}
	prune := known.at.Sub(told.pruned) >= pruneEvery
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	next := Server{ID: told.ID, Seen: known.revision, At: known.at}
	err := s.store.Note(ctx, func(tx *Tx) error {
		if prune {
			if err := tx.Prune(known.at); err != nil {
				return err
			}
		}
		_, err := tx.Servers.Get(AnyTenant, next.ID)
		if fault.KindOf(err) == fault.NotFound {
			return tx.Servers.Insert(&next)
		}
		return errors.Join(err, tx.Servers.Replace(&next))
	})
	if err != nil {
		return // the next turn tries again
	}
	told.Server = next
	if prune {
		told.pruned = known.at
	}
}

// leave takes this process from those that others wait for.
func (s *Service) leave(ctx context.Context, told *told) error {
	if told.At.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_ = s.store.Note(ctx, func(tx *Tx) error { return tx.Servers.Delete(AnyTenant, told.ID) }) // else its time runs out
	return nil
}

// settled returns when every server that shares the store knows this moment's
// revision. One that told nothing for so long that it refuses every request is
// not waited for.
func (s *Service) settled(ctx context.Context) error {
	revision, err := s.store.Revision(ctx)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(s.watcher.poll / beats)
	defer ticker.Stop()
	for {
		var behind bool
		err := s.store.View(ctx, func(tx *Tx) error {
			all, err := tx.Servers.List(AnyTenant, Page{})
			for _, other := range all {
				behind = behind || other.Seen < revision && s.now().Sub(other.At) <= s.watcher.maxStale+time.Second
			}
			return err
		})
		if err != nil || !behind {
			return err
		}
		select {
		case <-ctx.Done():
			return contextFault(ctx.Err())
		case <-ticker.C:
		}
	}
}
