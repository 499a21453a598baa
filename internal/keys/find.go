package keys

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

// askEvery is how often names that are not known can have the keys looked at. It is
// less than defaultLead: a key that signs was there at the last look, or there can be
// another.
const askEvery = time.Second

// asks are the looks that were had by names that are not known.
type asks struct {
	mu   sync.Mutex
	at   time.Time     // when the last one began
	done chan struct{} // closed when it has ended; nil: there was none
}

// Find returns the key with that name. One that is not known may be another process's
// that this one, which had stood still, has not seen: the keys are looked at for it,
// though not more often than once in askEvery, however many such names come, and those
// that come meanwhile wait for that look. Nothing is looked at for what is no name of a
// key, nor while the keys cannot be read.
func (s *Set) Find(ctx context.Context, kid string) (*Verifier, bool) {
	v, ok := s.Verifier(kid)
	if ok || s.algorithm == HS256 || !isThumbprint(kid) || s.Behind() != nil {
		return v, ok
	}
	select {
	case <-s.ask(ctx):
	case <-ctx.Done():
	}
	return s.Verifier(kid)
}

// ask returns what is closed when the keys were looked at. The look does not end with
// the request that began it, since others wait for it.
func (s *Set) ask(ctx context.Context) <-chan struct{} {
	s.asks.mu.Lock()
	defer s.asks.mu.Unlock()
	if done := s.asks.done; done != nil {
		select {
		case <-done:
		default:
			return done
		}
		if since := s.now().Sub(s.asks.at); since >= 0 && since < askEvery {
			return done
		}
	}
	done := make(chan struct{})
	s.asks.done, s.asks.at = done, s.now()
	go func() {
		defer close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.read(context.WithoutCancel(ctx), s.now()) // Behind tells
	}()
	return done
}

// isThumbprint reports whether a name can be one of a key: a SHA-256 hash in base64url.
func isThumbprint(kid string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(kid)
	return err == nil && len(sum) == sha256.Size
}
