package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// BackoffPolicy says how long attempts wait that fail again and again.
type BackoffPolicy struct {
	// Free is how many failures in a row cost nothing.
	Free int64
	// First is how long the next attempt waits after one more; it doubles with every
	// further failure, up to Last.
	First, Last time.Duration
	// Each is for how long every failure has its row remembered after the last one,
	// Longest at most. Where it is not less than Last, nobody gains by having a row
	// forgotten: as many attempts are let in by waiting.
	Each, Longest time.Duration
	// Turn is how long an attempt may take. Of those that waited one is let in at a time.
	Turn time.Duration
}

// wait is how long an attempt waits after so many failures in a row.
func (p *BackoffPolicy) wait(failures int64) time.Duration {
	if failures <= p.Free {
		return 0
	}
	wait := p.First
	for n := failures - p.Free; n > 1 && wait < p.Last; n-- {
		wait *= 2
	}
	return min(wait, p.Last)
}

// life is how long a row of so many failures is remembered.
func (p *BackoffPolicy) life(failures int64) time.Duration {
	return p.Each * time.Duration(min(failures, int64(p.Longest/p.Each)))
}

// BackoffConfig is what a Backoff needs.
type BackoffConfig struct {
	Policy BackoffPolicy
	// Keys is how many keys are remembered at once; 0 is DefaultClients.
	Keys int
	// Name is that of what is counted, where several servers count together. No two
	// that share a count have the same.
	Name string
	// Shared counts for several servers; nil: this one counts alone. While it cannot,
	// each server counts in its own memory, on from what it knows.
	Shared SharedBackoff
	// Now is the clock. It is required.
	Now func() time.Time
}

// Backoff counts failures in a row by key, and makes the next attempt under a key wait
// the longer the more of them there were. A row ends with a success, or when it is
// forgotten. It is safe for concurrent use, and its memory is bounded.
type Backoff struct {
	policy BackoffPolicy
	keys   int
	name   string
	shared SharedBackoff
	now    func() time.Time
	epoch  time.Time
	// alone counts what was decided here because shared was away.
	alone atomic.Int64

	mu   sync.Mutex
	rows map[string]*row
}

// row is what is known of the failures in a row under one key. Its moments are since
// the epoch.
type row struct {
	failures int64
	// last is when the last one was, and turn until when somebody is trying; 0 for nobody.
	last, turn time.Duration

	// began names the row in the count that servers share; 0 where it is not known there.
	began time.Duration
	// alone is how many of the failures that count was not told of, and lent how many it
	// is being told of.
	alone, lent int64
	// ended says that a success ended the row of that name, which that count has to be
	// told until keep.
	ended bool
	keep  time.Duration
}

// NewBackoff returns one that knows of no failures.
func NewBackoff(cfg BackoffConfig) *Backoff {
	if cfg.Keys <= 0 {
		cfg.Keys = DefaultClients
	}
	return &Backoff{
		policy: cfg.Policy, keys: cfg.Keys, name: cfg.Name, shared: cfg.Shared, now: cfg.Now, epoch: cfg.Now(),
		rows: map[string]*row{},
	}
}

// Alone returns how many attempts began or ended here because the count that servers
// share was away.
func (b *Backoff) Alone() int64 { return b.alone.Load() }

// Attempt is one that was let in. It ends once, as one of its methods says.
type Attempt struct {
	backoff *Backoff
	key     string
	// turn and here are when its turn ends, if it has one: in the count that servers
	// share, and in this memory.
	turn, here time.Duration
}

// Begin lets an attempt in, or says how long it has to wait.
func (b *Backoff) Begin(key string) (a Attempt, wait time.Duration) {
	a = Attempt{backoff: b, key: key}
	if found, err := b.ask(StepBegin, &a); err == nil {
		a.turn = found.Turn
		return a, found.Wait
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.here, wait = b.begin(key)
	return a, wait
}

// Succeeded ends the row.
func (a *Attempt) Succeeded() {
	_, err := a.backoff.ask(StepSucceed, a)
	if err == nil {
		return
	}
	b := a.backoff
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.known(a.key); r != nil && r.began != 0 {
		r.keep, r.ended = max(r.keep, r.last+b.policy.life(r.failures)), true
		r.failures, r.alone, r.turn = r.lent, 0, 0
		return
	}
	delete(b.rows, a.key)
}

// Failed counts one more and returns how long the next attempt has to wait; 0 for one of
// the free ones.
func (a *Attempt) Failed() time.Duration {
	found, err := a.backoff.ask(StepFail, a)
	if err == nil {
		return found.Wait
	}
	b := a.backoff
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(a.key)
	r.failures, r.last = r.failures+1, b.at()
	if b.shared != nil {
		r.alone++
	}
	r.leave(a.here)
	return b.policy.wait(r.failures)
}

// Abandoned gives the attempt's turn to another: it was not judged.
func (a *Attempt) Abandoned() {
	if a.turn != 0 {
		_, _ = a.backoff.ask(StepAbandon, a) // else the turn ends by itself
	}
	b := a.backoff
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.known(a.key); r != nil {
		r.leave(a.here)
	}
}

// begin lets an attempt in by what is known here, and returns when its turn ends, or how
// long it has to wait.
func (b *Backoff) begin(key string) (turn, wait time.Duration) {
	r := b.known(key)
	if r == nil || r.failures <= b.policy.Free {
		return 0, 0
	}
	now := b.at()
	r.last = min(r.last, now) // a clock that was set back keeps nobody waiting
	if wait = r.last + b.policy.wait(r.failures) - now; wait > 0 {
		return 0, wait
	}
	if now < r.turn && r.turn <= now+b.policy.Turn {
		return 0, min(time.Second, r.turn-now)
	}
	r.turn = now + b.policy.Turn
	return r.turn, 0
}

// leave ends a turn, unless it is another's by now.
func (r *row) leave(turn time.Duration) {
	if r.turn == turn {
		r.turn = 0
	}
}

// at is the moment since the epoch.
func (b *Backoff) at() time.Duration { return b.now().Sub(b.epoch) }

// known returns what is known under the key, nil for nothing.
func (b *Backoff) known(key string) *row {
	r := b.rows[key]
	if r != nil && b.over(r, b.at()) {
		delete(b.rows, key)
		return nil
	}
	return r
}

// over reports whether the row is forgotten.
func (b *Backoff) over(r *row, now time.Duration) bool {
	return now >= max(r.keep, r.last+b.policy.life(r.failures))
}

// find returns the row under the key, a new one where there is none.
func (b *Backoff) find(key string) *row {
	r := b.known(key)
	if r == nil {
		b.makeRoom()
		r = &row{}
		b.rows[key] = r
	}
	return r
}

// makeRoom forgets rows when there are too many: first all that nobody has to wait for.
func (b *Backoff) makeRoom() {
	if len(b.rows) < b.keys {
		return
	}
	now := b.at()
	for _, old := range []func(*row) bool{
		func(r *row) bool { return b.over(r, now) || r.failures <= b.policy.Free },
		func(r *row) bool { return now >= r.last+b.policy.wait(r.failures)+b.policy.Last },
		func(*row) bool { return true },
	} {
		for key, r := range b.rows {
			if len(b.rows) >= b.keys/2 && old(r) {
				delete(b.rows, key)
			}
		}
		if len(b.rows) < b.keys {
			return
		}
	}
}
