package accounts

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"

	"onnxgate/internal/argon"
	"onnxgate/internal/fault"
)

const (
	// maxWaiting is how many callers wait for a hash. At 20 ms each the last of
	// them waits a third of a second; more are told to come back.
	maxWaiting = 16
	retryAfter = time.Second
)

// Argon computes one argon2id hash. The error is that of ctx, or says why it
// cannot.
type Argon interface {
	Hash(ctx context.Context, job *argon.Job) ([]byte, error)
}

// hasher hashes passwords, a few at a time: each takes 19 MiB and a core.
type hasher struct {
	argon  Argon
	params Params
	// all is for every hash, and making, before it, for those of new passwords, one at
	// a time: however many an administrator sets, sign-ins wait for one of them alone.
	all, making *queue
	rand        io.Reader
}

// queue lets a few go on at a time, in the order of arrival.
type queue struct {
	slots   chan struct{}
	waiting atomic.Int32
}

func newQueue(atOnce int) *queue { return &queue{slots: make(chan struct{}, max(1, atOnce))} }

func newHasher(a Argon, params Params, concurrency int, random io.Reader) (*hasher, error) {
	if a == nil {
		a = argon.Here{}
	}
	if params == (Params{}) {
		params = DefaultParams()
	}
	if err := params.check(); err != nil {
		return nil, err
	}
	return &hasher{argon: a, params: params, all: newQueue(concurrency), making: newQueue(1), rand: random}, nil
}

// match is the outcome of comparing a password with a stored hash.
type match struct {
	ok bool
	// reason says why not, for the log.
	reason error
	// outdated says that the hash was made at another cost than the present.
	outdated bool
}

// verify compares the password with the hash that stored returns. That is asked
// for in the caller's turn, so that who is sent away costs no look-up. A hash
// that cannot be used is refused, after the work that decoy asks for. A password
// too long to be anybody's is refused without any work: that depends on no user.
func (h *hasher) verify(ctx context.Context, stored func() (string, error), decoy, password string) (match, error) {
	if len(password) > maxPasswordBytes {
		return match{reason: errors.New("the password is longer than any can be")}, nil
	}
	release, err := h.all.acquire(ctx)
	if err != nil {
		return match{}, err
	}
	defer release()
	text, err := stored()
	if err != nil {
		return match{}, err
	}
	parsed, unusable := parsePHC(text)
	if unusable != nil {
		if parsed, err = parsePHC(decoy); err != nil {
			return match{}, err
		}
	}
	same, err := parsed.matches(ctx, h.argon, norm.NFC.String(password))
	switch {
	case err != nil:
		return match{}, failedHash(err)
	case unusable != nil:
		return match{reason: unusable}, nil
	case !same:
		return match{reason: errors.New("wrong password")}, nil
	}
	return match{ok: true, outdated: parsed.params != h.params || len(parsed.hash) != hashBytes || len(parsed.salt) != saltBytes}, nil
}

// hash returns the password's hash, with a new salt, as a PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	made, err := h.making.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer made()
	release, err := h.all.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", err
	}
	derived, err := derive(ctx, h.argon, norm.NFC.String(password), salt, h.params)
	if err != nil {
		return "", failedHash(err)
	}
	return derived.String(), nil
}

// failedHash classifies an error of the computation.
func failedHash(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault.OfContext(err)
	}
	return fault.Wrap(fault.Unavailable, "Passwords cannot be checked for now; try again", err)
}

// decoy returns a hash that no password matches in practice: comparing with it
// takes as long as with any other, and making it takes no time.
func (h *hasher) decoy() (string, error) {
	random := make([]byte, saltBytes+hashBytes)
	if _, err := io.ReadFull(h.rand, random); err != nil {
		return "", err
	}
	return (&phc{params: h.params, salt: random[:saltBytes], hash: random[saltBytes:]}).String(), nil
}

// acquire waits for a slot, in the order of arrival, until ctx ends. When too
// many wait already it refuses at once.
func (q *queue) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-q.slots }
	select {
	case q.slots <- struct{}{}:
		return release, nil
	default:
	}
	if q.waiting.Add(1) > maxWaiting {
		q.waiting.Add(-1)
		return nil, &fault.Error{
			Kind: fault.Unavailable, Msg: "Too many passwords at once; try again in a second", RetryAfter: retryAfter,
		}
	}
	defer q.waiting.Add(-1)
	select {
	case q.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, fault.OfContext(ctx.Err())
	}
}
