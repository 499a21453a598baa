package authn

import (
	"strings"
	"sync"
)

const shards = 16 // a power of two

// cache remembers what was proven, keyed by the whole credential or by a name
// that only one can have, compared exactly: two credentials never share an
// entry. Only what is genuine comes in, so that a stranger cannot push anything
// out. It holds a bounded number; what was not used for longest goes first.
type cache[T any] struct{ shard [shards]shard[T] }

// shard keeps two generations. When the young one is full it becomes the old
// one, and what was old is forgotten; what is used moves to the young one.
type shard[T any] struct {
	mu         sync.RWMutex
	young, old map[string]*T
	limit      int
}

func newCache[T any](size int) *cache[T] {
	c := new(cache[T])
	for i := range c.shard {
		// Both generations together hold at most size.
		c.shard[i].limit = max(1, size/(2*shards))
		c.shard[i].young = map[string]*T{}
	}
	return c
}

// of chooses by the last character but one: in a token it is of the signature,
// the last that carries six bits, and as good as random.
func (c *cache[T]) of(key string) *shard[T] {
	if len(key) < 2 {
		return &c.shard[0]
	}
	return &c.shard[key[len(key)-2]%shards]
}

func (c *cache[T]) get(key string) *T {
	s := c.of(key)
	s.mu.RLock()
	v, ok := s.young[key]
	if !ok {
		v = s.old[key]
	}
	s.mu.RUnlock()
	if !ok && v != nil {
		s.put(key, v)
	}
	return v
}

func (c *cache[T]) put(key string, v *T) {
	// It may be a part of a request's memory, which must not be kept.
	c.of(key).put(strings.Clone(key), v)
}

func (s *shard[T]) put(key string, v *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= s.limit {
		s.old, s.young = s.young, make(map[string]*T, s.limit)
	}
	s.young[key] = v
}

func (c *cache[T]) remove(key string) {
	s := c.of(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young, key)
	delete(s.old, key)
}
