package accounts

import (
	"context"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
)

// guessing says how long who tries passwords has to wait: from the tenth wrong one in a
// row on, longer with each. A guesser gets some 100 guesses a day, whatever the address.
func guessing() limit.BackoffPolicy {
	return limit.BackoffPolicy{
		Free: 9, First: 5 * time.Second, Last: 15 * time.Minute,
		Each: time.Hour, Longest: 7 * 24 * time.Hour, Turn: 30 * time.Second,
	}
}

// newGuesses returns what counts wrong passwords in a row by canonical name, whether
// there is such a user or not, so that it tells nobody which names there are. It stands
// before passwords alone: tokens and keys of the same user go on. Filling its memory,
// 12 MiB, takes as many wrong passwords, each of which costs a hash: longer than the
// waiting that it would save.
func newGuesses(cfg *Config) *limit.Backoff {
	return limit.NewBackoff(limit.BackoffConfig{Policy: guessing(), Name: "password", Shared: cfg.Guesses, Now: cfg.Now})
}

// GuessesAlone returns how many passwords were judged by what this server alone knew of
// the wrong ones before, because the count that several share was away.
func (s *Service) GuessesAlone() int64 { return s.guesses.Alone() }

// verifyCounted counts wrong passwords by the given word.
func (s *Service) verifyCounted(ctx context.Context, counter, canonical, password string) (*identity.Principal, string, error) {
	attempt, wait := s.guesses.Begin(counter)
	if wait > 0 {
		return nil, "", errThrottled(wait)
	}
	principal, stamp, err := s.verifyPassword(ctx, canonical, password)
	switch {
	case err == nil:
		attempt.Succeeded()
	case fault.KindOf(err) != fault.Unauthenticated:
		attempt.Abandoned()
	default:
		if wait := attempt.Failed(); wait > 0 {
			throttled := errThrottled(wait)
			throttled.Err = err // for the record
			return nil, "", throttled
		}
	}
	return principal, stamp, err
}

func errThrottled(wait time.Duration) *fault.Error {
	return &fault.Error{
		Kind: fault.RateLimited, RetryAfter: wait,
		Msg: "Too many wrong passwords for this user name; wait as long as Retry-After says. Tokens and keys go on",
	}
}
