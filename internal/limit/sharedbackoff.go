package limit

import (
	"crypto/sha256"
	"time"
)

// Step is what is done with a row of failures.
type Step uint8

// The steps of an attempt: it begins, and ends in one of the other ways.
const (
	StepBegin Step = iota
	StepFail
	StepSucceed
	StepAbandon
)

// SharedBackoff counts failures in a row for several servers together.
type SharedBackoff interface {
	// Step takes one step, at once for all servers, and returns how the row stands then.
	// Any error has the server count by itself; what it counted is told with its next
	// step under the same key, and so is what it knows of a row that was lost.
	Step(call *BackoffCall) (Standing, error)
}

// BackoffCall is a step, and what the server that takes it knows of the row.
type BackoffCall struct {
	Step   Step
	Policy *BackoffPolicy
	// Key is what is counted under, at most 64 bytes: a name and a digest.
	Key string
	// Turn is when the turn of the attempt ends; 0 where it has none.
	Turn time.Duration

	// Began names the row that the server knows of, 0 for none. Known is how many
	// failures it has: they count again where the row is lost, and was not ended by a
	// success.
	Began time.Duration
	Known int64
	// Ended says that a success, which nobody was told of, ended that row.
	Ended bool
	// Alone is how many failures the server has counted by itself since, and Age how long
	// ago the last failure was that it knows of.
	Alone int64
	Age   time.Duration
}

// Standing is how a row stands. Its moments are by the clock of who counts, since the
// epoch of Unix.
type Standing struct {
	// Failures is how many there are in the row, and Age how long ago the last one was.
	Failures int64
	Age      time.Duration
	// Began names the row; 0 for none.
	Began time.Duration
	// Wait is how long the next attempt has to wait; 0 where this one may begin.
	Wait time.Duration
	// Turn is when the turn of the attempt ends that begins; 0 where it needs none.
	Turn time.Duration
}

// ask takes a step in the count that servers share, with what is known here, and notes
// what it answers.
func (b *Backoff) ask(step Step, a *Attempt) (Standing, error) {
	if b.shared == nil {
		return Standing{}, errAway
	}
	call := BackoffCall{Step: step, Policy: &b.policy, Key: b.sharedKey(a.key), Turn: a.turn}
	told := b.tell(a.key, &call)
	found, err := b.shared.Step(&call)
	b.mu.Lock()
	defer b.mu.Unlock()
	if told != nil {
		told.lent -= call.Alone
	}
	if err != nil {
		if told != nil {
			told.alone += call.Alone
		}
		b.alone.Add(1)
		return Standing{}, err
	}
	b.learn(a.key, &call, &found)
	return found, nil
}

// sharedKey is what a key is counted under by several servers. It is of one length, and
// names nobody to who reads it.
func (b *Backoff) sharedKey(key string) string {
	digest := sha256.Sum256([]byte(key))
	return b.name + ":" + string(digest[:])
}

// tell puts what is known of the row into the call, and returns the row, nil for none.
func (b *Backoff) tell(key string, call *BackoffCall) *row {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.known(key)
	if r == nil {
		return nil
	}
	call.Began, call.Ended, call.Alone = r.began, r.ended, r.alone
	call.Known = r.failures - r.alone - r.lent
	call.Age = max(0, b.at()-r.last)
	r.alone, r.lent = 0, r.lent+call.Alone
	return r
}

// learn notes how the row stands, and what was counted here meanwhile.
func (b *Backoff) learn(key string, call *BackoffCall, found *Standing) {
	r := b.known(key)
	if r != nil && call.Ended {
		r.ended, r.keep = false, 0
	}
	if r == nil && found.Failures == 0 {
		return
	}
	if r != nil && found.Failures == 0 && r.alone+r.lent == 0 && !r.ended {
		delete(b.rows, key)
		return
	}
	if r == nil {
		r = b.find(key)
	}
	r.began = found.Began
	r.failures = found.Failures + r.alone + r.lent
	if age := b.at() - found.Age; r.alone == 0 || age > r.last {
		r.last = age
	}
}
