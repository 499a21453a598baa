package accounts

import (
	"sync"
	"time"

	"onnxgate/internal/fault"
)

const (
	// freeGuesses is how many wrong passwords in a row are answered as such:
	// the one after them is told to wait.
	freeGuesses = 9
	// firstWait is told then; it doubles with every further wrong password, up
	// to lastWait. A guesser gets some 100 guesses a day, whatever the address.
	firstWait = 5 * time.Second
	lastWait  = 15 * time.Minute
	// maxThrottled bounds the names that are remembered, about 8 MiB.
	maxThrottled = 1 << 16
)

// throttle counts wrong passwords in a row by canonical name, whether there is
// such a user or not, so that it tells nobody which names there are. It stands
// before passwords alone: tokens and keys of the same user go on.
type throttle struct {
	now   func() time.Time
	limit int

	mu    sync.Mutex
	names map[string]*guesses
}

// guesses are the wrong passwords for one name.
type guesses struct {
	wrong int
	// until is when the next password is looked at.
	until time.Time
	// trying says that one is being looked at: of those who wait, one at a time.
	trying bool
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, limit: maxThrottled, names: map[string]*guesses{}}
}

// enter refuses a sign-in that has to wait, with a fault of kind RateLimited.
func (t *throttle) enter(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.names[name]
	if g == nil || g.wrong <= freeGuesses {
		return nil
	}
	if wait := g.until.Sub(t.now()); wait > 0 {
		return errThrottled(wait)
	}
	if g.trying {
		return errThrottled(time.Second)
	}
	g.trying = true
	return nil
}

// leave takes back what enter took, for a password that was not judged.
func (t *throttle) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.names[name]; g != nil {
		g.trying = false
	}
}

// right forgets the wrong ones.
func (t *throttle) right(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.names, name)
}

// wrong counts one and returns the fault that says to wait, or nil for one of
// the first.
func (t *throttle) wrong(name string) *fault.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.names[name]
	if g == nil {
		t.makeRoom()
		g = &guesses{}
		t.names[name] = g
	}
	g.wrong++
	g.trying = false
	if g.wrong <= freeGuesses {
		return nil
	}
	wait := lastWait
	if doublings := g.wrong - freeGuesses - 1; doublings < 16 {
		wait = min(lastWait, firstWait<<doublings)
	}
	g.until = t.now().Add(wait)
	return errThrottled(wait)
}

// makeRoom forgets names when there are too many: first all that nobody has to
// wait for. Filling the memory takes as many wrong passwords, each of which
// costs a hash: longer than the waiting that it would save.
func (t *throttle) makeRoom() {
	if len(t.names) < t.limit {
		return
	}
	for _, old := range []func(*guesses) bool{
		func(g *guesses) bool { return g.wrong <= freeGuesses },
		func(g *guesses) bool { return !t.now().Before(g.until.Add(lastWait)) },
		func(*guesses) bool { return true },
	} {
		for name, g := range t.names {
			if old(g) && len(t.names) >= t.limit/2 {
				delete(t.names, name)
			}
		}
		if len(t.names) < t.limit {
			return
		}
	}
}

func errThrottled(wait time.Duration) *fault.Error {
	return &fault.Error{
		Kind: fault.RateLimited, RetryAfter: wait,
		Msg: "Too many wrong passwords for this user name; wait as long as Retry-After says. Tokens and keys go on",
	}
}
