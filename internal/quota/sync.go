package quota

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
)

const (
	// tellEvery is how often the store is told what was used.
	tellEvery = time.Second
	// tellAtMost is how soon after it was told it is told again because of much
	// that was used.
	tellAtMost = 250 * time.Millisecond
	// chargeTimeout bounds one look at the store, so that one that hangs is found
	// out.
	chargeTimeout = 2 * time.Second
	// batch is how many accounts one transaction is about at most: other writers
	// need not wait.
	batch = 200
	// forgetAfter is how long an account that nobody uses stays in memory.
	forgetAfter = 10 * time.Minute
	// keepDays is how long what was used on a day stays in the store.
	keepDays   = 400 * 24 * time.Hour
	pruneEvery = 24 * time.Hour
	tidyEvery  = time.Minute
)

// syncer knows what the store is to be told.
type syncer struct {
	// turn is held by whoever asks the store.
	turn chan struct{}
	// hungry and hurried wake Run.
	hungry, hurried chan struct{}
	// failed is when the store did not answer, in nanoseconds since the service
	// began, of which the first is never one.
	failed atomic.Int64

	mu  sync.Mutex
	due []*account
}

func (y *syncer) init() {
	y.turn, y.hungry, y.hurried = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

// add has the store told of an account with one of the next turns.
func (y *syncer) add(a *account) {
	y.mu.Lock()
	y.due = append(y.due, a)
	y.mu.Unlock()
}

// next returns some of the accounts that the store is to be told of.
func (y *syncer) next() []*account {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := min(batch, len(y.due))
	some := append(make([]*account, 0, n+1), y.due[:n]...)
	y.due = append(y.due[:0], y.due[n:]...)
	clear(y.due[len(y.due):cap(y.due)])
	return some
}

// urge has the store told when it has to be.
func (s *Service) urge(a *account, u urgency) {
	if u == nothing {
		return
	}
	s.ledger.add(a)
	switch u {
	case nothing, later:
	case soon:
		wake(s.ledger.hurried)
	case now:
		wake(s.ledger.hungry)
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// refill returns when the store was asked for what the account wants, by this call
// or another.
func (s *Service) refill(ctx context.Context, a *account, ticket uint64) error {
	y := &s.ledger
	if s.down() {
		return unavailable(nil)
	}
	select {
	case y.turn <- struct{}{}:
	case <-ctx.Done():
		return fault.OfContext(ctx.Err())
	}
	defer func() { <-y.turn }()
	switch {
	case a.served(ticket):
		return nil
	case s.down():
		return unavailable(nil)
	}
	return s.sync(ctx, append(y.next(), a), false)
}

// down reports whether the store did not answer just now.
func (s *Service) down() bool {
	at := s.ledger.failed.Load()
	return at != 0 && s.elapsed()-at < int64(askAgain)
}

// elapsed is the time since the service began, in nanoseconds, from 1.
func (s *Service) elapsed() int64 { return int64(s.cfg.Now().Sub(s.began)) + 1 }

func unavailable(err error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Msg: "What you have used cannot be counted just now; try again in a second", Err: err, RetryAfter: askAgain,
	}
}

// Run tells the store what was used, and sets aside what will be, until ctx ends.
// Then it gives back what was set aside.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	var tidied, pruned time.Time
	for {
		select {
		case <-ctx.Done():
			s.drain(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			if at := s.steady(s.cfg.Now()); at.Sub(tidied) >= tidyEvery {
				tidied = at
				s.tidy(at)
				pruned = s.prune(ctx, at, pruned)
			}
		case <-s.ledger.hungry:
		case <-s.ledger.hurried:
			s.pause(ctx)
		}
		s.tell(ctx, false)
	}
}

// pause lets more come together, unless something else is urgent.
func (s *Service) pause(ctx context.Context) {
	timer := time.NewTimer(tellAtMost)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ledger.hungry:
	}
}

// tell has the store know what it is to be told. A failure is left to the next
// turn.
func (s *Service) tell(ctx context.Context, last bool) {
	for !s.down() || last {
		select {
		case s.ledger.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		some := s.ledger.next()
		var err error
		if len(some) > 0 {
			err = s.sync(ctx, some, last)
		}
		<-s.ledger.turn
		if err != nil || len(some) < batch {
			return
		}
	}
}

// drain gives back what was set aside.
func (s *Service) drain(ctx context.Context) {
	s.mu.RLock()
	for _, a := range s.accounts {
		s.ledger.add(a)
	}
	s.mu.RUnlock()
	s.tell(ctx, true)
}

// tidy forgets accounts that nobody uses.
func (s *Service) tidy(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, a := range s.accounts {
		if a.idle(at) {
			delete(s.accounts, of)
		}
	}
}

// prune removes, once a day, what is long past, and returns when it last did.
func (s *Service) prune(ctx context.Context, at, pruned time.Time) time.Time {
	if at.Sub(pruned) < pruneEvery || s.down() {
		return pruned
	}
	ctx, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	if s.cfg.Store.Prune(ctx, at.Add(-keepDays)) != nil {
		return pruned // the next turn tries again
	}
	return at
}

// idle puts an account away that nobody uses.
func (a *account) idle(at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active || a.queued || len(a.waiting) > 0 || len(a.closed) > 0 || a.asked != a.done || at.Sub(a.activeAt) < forgetAfter {
		return false
	}
	for _, p := range a.current {
		if p != nil && !p.settled() {
			return false
		}
	}
	a.putAway = true
	return true
}
