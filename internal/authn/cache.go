package authn

import (
	"strings"
	"sync"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
)

// verified is what a token proved. It does not change.
type verified struct {
	principal *identity.Principal
	stamp     string
	// until is when the token ends, leeway included.
	until time.Time
	// issuer and key are those of a token from outside; nil for our own.
	issuer *Issuer
	key    *keys.Verifier
}

const shards = 16 // a power of two

// cache remembers verified tokens, keyed by the whole token, compared exactly:
// two credentials never share an entry, nor do two issuers, because the token
// names its own. Only genuine tokens come in, so that a
// stranger cannot push anything out. It holds a bounded number; the tokens
// that were not used for longest go first.
type cache struct{ shard [shards]shard }

// shard keeps two generations. When the young one is full it becomes the old
// one, and what was old is forgotten; what is used moves to the young one.
type shard struct {
	mu         sync.RWMutex
	young, old map[string]*verified
	limit      int
}

func newCache(size int) *cache {
	c := new(cache)
	for i := range c.shard {
		// Both generations together hold at most size.
		c.shard[i].limit = max(1, size/(2*shards))
		c.shard[i].young = map[string]*verified{}
	}
	return c
}

// of chooses by a character of the signature, the last that carries six bits;
// in a genuine token it is as good as random.
func (c *cache) of(token string) *shard {
	if len(token) < 2 {
		return &c.shard[0]
	}
	return &c.shard[token[len(token)-2]%shards]
}

func (c *cache) get(token string) *verified {
	s := c.of(token)
	s.mu.RLock()
	v, ok := s.young[token]
	if !ok {
		v = s.old[token]
	}
	s.mu.RUnlock()
	if !ok && v != nil {
		s.put(token, v)
	}
	return v
}

func (c *cache) put(token string, v *verified) {
	// The token may be a part of a request's memory, which must not be kept.
	c.of(token).put(strings.Clone(token), v)
}

func (s *shard) put(token string, v *verified) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= s.limit {
		s.old, s.young = s.young, make(map[string]*verified, s.limit)
	}
	s.young[token] = v
}

func (c *cache) remove(token string) {
	s := c.of(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young, token)
	delete(s.old, token)
}
