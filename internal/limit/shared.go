package limit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/reqctx"
)

// Shared counts windows for several servers together, each call as one step. Any
// error has the server count by itself, in each window from zero, however often that
// happens: what it counted is carried over with the next request of the same key that
// is counted here again.
type Shared interface {
	// Up reports whether it can count, as far as is known.
	Up() bool
	// Take counts the windows' N in all of them, each as it is after the shortest wait
	// that leaves all of them enough, or, where that is longer than within, in none:
	// then the wait is in whole seconds.
	Take(within time.Duration, windows []Window) (wait time.Duration, granted bool, err error)
	// Look counts nothing. It returns the shortest wait, from one on and in whole
	// seconds, after which all windows have enough left, and whether they have now.
	Look(from time.Duration, windows []Window) (wait time.Duration, left bool, err error)
	// Cancel gives back what Take counted.
	Cancel(windows []Window) error
}

// Window is what is counted under one key.
type Window struct {
	// Key is what it is counted under: at most 64 bytes.
	Key string
	// Limit is how much it admits in its period, of whole milliseconds.
	Limit  int64
	Period time.Duration
	N      int64

	// Carried is what was counted elsewhere, in a window that began so long ago as At.
	// Told of it was carried over before and counts again only where the window that it
	// was carried into, which Began names, is lost before its end.
	Carried, Told int64
	// Began is when the window began that Carried is counted in, by the clock of who
	// counts, since the epoch of Unix. It is an answer, too.
	Began time.Duration
	// At is the moment that Take has counted for, which is Cancel's to know.
	At time.Duration

	// Remaining is what is left now, and Left when there is more.
	Remaining int64
	Left      time.Duration
}

// maxKey is how long the key of a caller is at most before it is replaced by its
// digest, so that nobody chooses how much memory it takes.
const maxKey = 31

// sharedKey is what a caller is counted under in the table's window. A digest is
// longer than any key that is none.
func (t *Table) sharedKey(window int, key string) string {
	if len(key) > maxKey {
		digest := sha256.Sum256([]byte(key))
		key = string(digest[:])
	}
	return t.prefixes[window] + key
}

// shared returns who counts the windows for several servers, nil for nobody.
func shared(all []ask) Shared { //nolint:ireturn // whoever it is
	if len(all) == 0 {
		return nil
	}
	return all[0].table.shared
}

// errAway is the error of counts that are known to be away.
var errAway = errors.New("limit: the common count is away")

// askShared asks of the windows, with what was counted in them here. They are in the
// order of their tables afterwards.
func askShared(ctx context.Context, s Shared, all []ask, question func([]Window) error) error {
	if !s.Up() {
		return errAway
	}
	slices.SortStableFunc(all, func(a, b ask) int {
		return cmp.Or(a.store().order-b.store().order, strings.Compare(a.key, b.key))
	})
	windows := make([]Window, len(all))
	var loans []loan // seldom any
	for i := range all {
		a, w := &all[i], &windows[i]
		*w = a.shared()
		if i > 0 && all[i-1].store() == a.store() && all[i-1].key == a.key {
			continue // it has that loan itself
		}
		if l := a.store().lend(ctx, a.key, a.rate); l.n > 0 {
			l.in, l.key, l.window = a.store(), a.key, w
			loans = append(loans, l)
			w.Carried, w.At, w.Told, w.Began = l.n, l.age, l.before.n, l.before.began
		}
	}
	err := question(windows)
	for i := range loans {
		loans[i].settle(err == nil)
	}
	for i := range windows {
		if err == nil {
			all[i].find(&windows[i])
		}
	}
	return err
}

func (a *ask) shared() Window {
	return Window{Key: a.table.sharedKey(a.window, a.key), Limit: a.rate.Limit, Period: a.rate.Period, N: a.n}
}

// takeShared is takeAll where several servers count together.
func takeShared(ctx context.Context, s Shared, all []ask, within time.Duration) (wait time.Duration, granted bool, err error) {
	err = askShared(ctx, s, all, func(windows []Window) error {
		wait, granted, err = s.Take(within, windows)
		for i := range windows {
			all[i].booked = windows[i].At
		}
		return err
	})
	for i := range all {
		all[i].short = all[i].short && !granted
	}
	return wait, granted, err
}

// lookShared is lookAll where several servers count together, from a wait on.
func lookShared(ctx context.Context, s Shared, all []ask, from time.Duration) (wait time.Duration, left bool, err error) {
	err = askShared(ctx, s, all, func(windows []Window) error {
		wait, left, err = s.Look(from, windows)
		return err
	})
	return wait, left, err
}

// find takes over what was found in a window.
func (a *ask) find(w *Window) {
	a.short, a.common = w.Remaining < w.N, true
	a.state = state(a.rate, a.rate.Limit-w.Remaining, w.Left)
}

// cancelShared gives back what takeShared counted.
func cancelShared(s Shared, all []ask) {
	windows := make([]Window, len(all))
	for i := range all {
		windows[i] = all[i].shared()
		windows[i].At = all[i].booked
	}
	_ = s.Cancel(windows) // while it is away the places stay taken
}

// stray notes that the windows were counted here for want of their common count.
func stray(ctx context.Context, all []ask) {
	all[0].table.alone.Add(1)
	for i := range all {
		if a := &all[i]; a.table.shared != nil {
			a.store().absences.Add(1)
			a.store().stray(ctx, a.rate.Period)
		}
	}
}

// stray notes that something is counted here that belongs to a common count.
func (s *store) stray(ctx context.Context, period time.Duration) {
	until := int64(reqctx.Now(ctx, s.now).Sub(s.epoch) + period)
	for {
		known := s.strays.Load()
		if known >= until || s.strays.CompareAndSwap(known, until) {
			return
		}
	}
}

// told is what was carried over of a window.
type told struct {
	n     int64
	began time.Duration // of the window that has it, as of Window
	// absences is how often, until then, something was counted here for want of the
	// common count. After another one that may have lost what it was told.
	absences int64
}

// loan is what was counted here and is being carried over.
type loan struct {
	in       *store
	key      string
	window   *Window
	n        int64
	before   told
	absences int64         // when it began
	start    time.Duration // of its window
	age      time.Duration
	done     chan struct{} // closed when it is settled
}

// lend returns what is counted of the key in its window, to be carried over by one
// request at a time: the others wait until that is settled, so that nobody is judged
// without it. It goes on counting here until its window ends, so that nobody who finds
// the common count away again begins from zero; only what is new, or in doubt, is lent.
// Where something is booked behind the window it stays here altogether.
func (s *store) lend(ctx context.Context, key string, rate limiter.Rate) loan {
	for s.strays.Load() != 0 {
		sh, now := s.lock(ctx, key)
		if until := s.strays.Load(); int64(now) >= until {
			s.strays.CompareAndSwap(until, 0) // every window is over
		}
		if before, lent := sh.lent[key]; lent {
			sh.mu.Unlock()
			<-before
			continue
		}
		defer sh.mu.Unlock()
		return sh.lend(key, now, rate, s.absences.Load())
	}
	return loan{}
}

func (sh *shard) lend(key string, now time.Duration, rate limiter.Rate, absences int64) loan {
	i, known := sh.index[key]
	if !known {
		return loan{}
	}
	e := &sh.entries[i]
	e.roll(now, rate)
	if e.ahead != nil || e.count == 0 {
		return loan{}
	}
	l := loan{n: min(e.count, e.limit), absences: absences, start: e.start, age: now - e.start}
	if e.told != nil {
		if l.before = *e.told; l.n <= l.before.n && l.before.absences == absences {
			return loan{}
		}
	}
	l.done = make(chan struct{})
	if sh.lent == nil {
		sh.lent = map[string]chan struct{}{}
	}
	sh.lent[key] = l.done
	return l
}

// settle ends a loan and notes what was carried over.
func (l *loan) settle(carried bool) {
	sh, key := &l.in.shard[l.in.place(l.key)], l.key
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.lent, key)
	close(l.done)
	i, known := sh.index[key]
	if carried && known && sh.entries[i].start == l.start {
		sh.entries[i].told = &told{n: l.n, began: l.window.Began, absences: l.absences}
	}
}
