package accounts

import (
	"cmp"
	"context"
	"errors"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/revision"
)

const (
	defaultPoll     = 200 * time.Millisecond
	defaultMaxStale = time.Minute
	// noteTimeout bounds one note to the store, so that one that hangs is found
	// out.
	noteTimeout = time.Second
	// beats is how often a server tells of itself within MaxStale.
	beats = 4
)

// watcher knows the store's revision, and for how long what it knows counts.
type watcher struct {
	*revision.Watch

	now      func() time.Time
	poll     time.Duration
	maxStale time.Duration
}

func newWatcher(cfg *Config) *watcher {
	return &watcher{
		Watch: revision.New(cfg.Store, cfg.Now), now: cfg.Now,
		poll: cmp.Or(max(cfg.PollInterval, 0), defaultPoll), maxStale: cmp.Or(max(cfg.MaxStale, 0), defaultMaxStale),
	}
}

// current returns the revision as it was at most maxStale ago.
func (w *watcher) current(ctx context.Context) (int64, error) {
	now := reqctx.Now(ctx, w.now)
	known := w.Known()
	if known.Good.IsZero() {
		var err error
		if known, err = w.After(ctx, now); err != nil {
			return 0, err
		}
		if known.Err != nil {
			return 0, known.Err
		}
	}
	if now.Sub(known.Good) > w.maxStale {
		return 0, &fault.Error{
			Kind: fault.Unavailable, Msg: "The user database cannot be reached; try again in a second", RetryAfter: retryAfter,
		}
	}
	return known.Revision, nil
}

// lostAfter is for how long a look may have failed until the store counts as lost.
const lostAfter = 2 * time.Second

// reachable returns nil unless the last look failed, and there was none that did not
// for a while: who would wait for a store that hangs is told so at once. Looks go on
// meanwhile.
func (w *watcher) reachable() error {
	known := w.Known()
	if known.Err == nil || known.Good.IsZero() || known.Started.Sub(known.Good) < lostAfter {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: "The user database cannot be reached; try again in a second", Err: known.Err, RetryAfter: retryAfter}
}

// changed makes a change of this process known at once. A failure is left to
// the next look: the change itself has been made.
func (w *watcher) changed(ctx context.Context) {
	if !w.Known().Good.IsZero() {
		_, _ = w.After(ctx, w.now())
	}
}

// Watch follows the changes that other processes make, so that Revision knows
// them within a second, until ctx ends; it tells the others that this process
// does, so that they can wait for it, and writes down when keys were used. It
// returns nil then.
func (s *Service) Watch(ctx context.Context) error {
	if s.joined.ID == "" {
		_ = s.Join(ctx) // which the first turn tries again
	}
	told := s.joined
	s.joined.ID = "" // of one Watch
	ticker := time.NewTicker(s.watcher.poll)
	defer ticker.Stop()
	seen, away := int64(0), false
	for {
		_, _ = s.watcher.After(ctx, s.now()) // a failure shows in the age of what is known
		if now := s.watcher.Known().Revision; now != seen && s.forgetInitialPassword(ctx) == nil {
			seen = now // whoever changed the password, which may be another server
		}
		s.tell(ctx, &told)
		if _, err := s.Reached(); (err != nil) != away && ctx.Err() == nil {
			away = err != nil
			s.reached(err)
		}
		s.noteUses(ctx)
		select {
		case <-ctx.Done():
			s.noteAllUses(context.WithoutCancel(ctx))
			return s.leave(context.WithoutCancel(ctx), &told)
		case <-ticker.C:
		}
	}
}

// Join tells the other processes that this one is about to serve, and then finds out
// what they have changed: who deletes a tenant from then on waits for it. It is to be
// called before Watch, and before anybody is served.
func (s *Service) Join(ctx context.Context) error {
	id, err := s.newStamp()
	if err != nil {
		return err
	}
	s.joined.ID = id
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	first := Server{ID: id, At: s.now()} // which has seen nothing
	if err := s.store.Note(ctx, func(tx *Tx) error { return tx.Servers.Insert(&first) }); err != nil {
		return err
	}
	s.joined.Server = first
	s.told.Store(&first)
	_, err = s.watcher.After(ctx, s.now())
	return err
}

// Look finds out at once what other processes changed, after somebody said that they
// did. A failure is left to Watch.
func (s *Service) Look(ctx context.Context) { _, _ = s.watcher.After(ctx, s.now()) }

// Reached returns when the store was last read, zero when it never was, and why it
// could not be read, or written to, when Watch last tried.
func (s *Service) Reached() (last time.Time, err error) {
	known := s.watcher.Known()
	if known.Err == nil {
		if unwritten := s.unwritten.Load(); unwritten != nil {
			err = *unwritten
		}
		return known.Good, err
	}
	return known.Good, known.Err
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
	known := s.watcher.Known()
	if known.Good.IsZero() || known.Revision == told.Seen && known.Good.Sub(told.At) < s.watcher.maxStale/beats {
		return
	}
	prune := known.Good.Sub(told.pruned) >= pruneEvery
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	next := Server{ID: told.ID, Seen: known.Revision, At: known.Good}
	err := s.store.Note(ctx, func(tx *Tx) error {
		if prune {
			if err := tx.Prune(known.Good); err != nil {
				return err
			}
		}
		_, err := tx.Servers.Get(AnyTenant, next.ID)
		if fault.KindOf(err) == fault.NotFound {
			return tx.Servers.Insert(&next)
		}
		return errors.Join(err, tx.Servers.Replace(&next))
	})
	s.unwritten.Store(&err)
	if err != nil {
		return // the next turn tries again
	}
	told.Server = next
	s.told.Store(&next)
	if prune {
		told.pruned = known.Good
	}
}

// errElsewhere says that a store is not the one that this process has told of itself.
var errElsewhere = errors.New("it is not the database that this server works with: a restart goes over to another one")

// Shares returns nil if another store holds what Watch last told the present one of this
// process, so that both are the same, and can be written to.
func (s *Service) Shares(ctx context.Context, other Store) error {
	told := s.told.Load()
	if told == nil {
		return errors.New("this server has just started: try again in a second")
	}
	return other.Note(ctx, func(tx *Tx) error {
		found, err := tx.Servers.Get(AnyTenant, told.ID)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			return errElsewhere
		case err != nil:
			return err
		case found.Seen < told.Seen || found.At.Unix() < told.At.Unix(): // a copy of before
			return errElsewhere
		}
		return tx.Servers.Replace(found)
	})
}

// leave takes this process from those that others wait for.
func (s *Service) leave(ctx context.Context, told *told) error {
	if told.At.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	_ = s.store.Note(ctx, func(tx *Tx) error { return tx.Servers.Delete(AnyTenant, told.ID) }) // else its time runs out
	return nil
}

// Servers returns how many processes serve from the store: those that told so since
// others would have refused every request.
func (s *Service) Servers(ctx context.Context) (count int, err error) {
	all, err := view(ctx, s, func(tx *Tx) ([]Server, error) { return tx.Servers.List(AnyTenant, Page{}) })
	for _, other := range all {
		if s.serves(&other) {
			count++
		}
	}
	return count, err
}

// serves reports whether a process may still serve.
func (s *Service) serves(other *Server) bool {
	return s.now().Sub(other.At) <= s.watcher.maxStale+time.Second
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
				behind = behind || other.Seen < revision && s.serves(&other)
			}
			return err
		})
		if err != nil || !behind {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.OfContext(ctx.Err())
		case <-ticker.C:
		}
	}
}
