package limit

import (
	"context"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/reqctx"
)

// DefaultClients is how many clients of IPv4 a limiter remembers unless told
// otherwise: about 7 MB when all of them came, and 7 MB for IPv6.
const DefaultClients = 1 << 16

// shards divide the memory, so that requests of different clients seldom wait
// for one another. A power of two.
const shards = 64

// store is a limiter.Store in bounded memory. When a shard is full, a new
// client takes the place of one whose window is over; else of the one that has
// asked least, so that nobody can push out a client that has used much of its
// rate without asking that often from every other place. A client over its
// limit is never forgotten: when nothing else is left, it is the new one who is
// refused.
//
// It departs from the stores of ulule/limiter in one point: Context.Reset is
// not a point of wall-clock time but the whole seconds that are left, rounded
// up, which no clock step and no rounding can make too short.
type store struct {
	now   func() time.Time
	epoch time.Time
	seed  maphash.Seed
	limit int // entries in one shard
	shard [shards]shard
}

type shard struct {
	mu      sync.Mutex
	last    time.Duration  // the latest time seen: it never runs backward
	index   map[string]int // key to its place in entries
	entries []entry
}

// entry is one client: 48 bytes, its key, and its place in the index. It has its
// own rate, because one store may serve clients of different ones.
type entry struct {
	key   string
	start time.Duration // of the window, since the store's epoch
	count int64

	limit  int64
	period time.Duration
}

// left returns what is left of the window.
func (e *entry) left(now time.Duration) time.Duration { return e.start + e.period - now }

var _ limiter.Store = (*store)(nil)

func newStore(clients int, now func() time.Time) *store {
	s := &store{now: now, epoch: now(), seed: maphash.MakeSeed(), limit: max(1, clients/shards)}
	for i := range s.shard {
		s.shard[i].index = map[string]int{}
	}
	return s
}

// Get counts one request of key.
func (s *store) Get(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return s.Increment(ctx, key, 1, rate)
}

// Increment counts n requests of key.
func (s *store) Increment(ctx context.Context, key string, n int64, rate limiter.Rate) (limiter.Context, error) {
	sh, now := s.lock(ctx, key)
	defer sh.mu.Unlock()
	i, known := sh.index[key]
	if !known {
		var wait time.Duration
		if i, wait = sh.place(key, now, s.limit); i < 0 {
			return state(rate, math.MaxInt64, wait), nil
		}
	}
	e := &sh.entries[i]
	e.limit, e.period = rate.Limit, rate.Period
	if now-e.start >= rate.Period {
		e.start, e.count = now, 0
	}
	// A count stops just above the limit: more would say no more.
	e.count = min(e.count+n, max(e.count, rate.Limit+1))
	return state(rate, e.count, e.start+rate.Period-now), nil
}

// Peek returns the state of key without counting.
func (s *store) Peek(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	sh, now := s.lock(ctx, key)
	defer sh.mu.Unlock()
	i, known := sh.index[key]
	if !known || now-sh.entries[i].start >= rate.Period {
		return state(rate, 0, rate.Period), nil
	}
	e := &sh.entries[i]
	return state(rate, e.count, e.start+rate.Period-now), nil
}

// Reset forgets key.
func (s *store) Reset(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	sh, _ := s.lock(ctx, key)
	defer sh.mu.Unlock()
	if i, known := sh.index[key]; known {
		sh.remove(i)
	}
	return state(rate, 0, rate.Period), nil
}

// lock returns key's shard, locked, and the time, which never runs backward in
// a shard.
func (s *store) lock(ctx context.Context, key string) (*shard, time.Duration) {
	sh := &s.shard[maphash.String(s.seed, key)%shards]
	sh.mu.Lock()
	sh.last = max(sh.last, reqctx.Now(ctx, s.now).Sub(s.epoch))
	return sh, sh.last
}

// place makes an entry for a new key and returns where it is, or -1 and how
// long every known client stays over its limit.
func (sh *shard) place(key string, now time.Duration, limit int) (int, time.Duration) {
	if len(sh.entries) >= limit {
		if wait := sh.evict(now); wait > 0 {
			return -1, wait
		}
	}
	sh.entries = append(sh.entries, entry{key: key, start: now})
	sh.index[key] = len(sh.entries) - 1
	return len(sh.entries) - 1, 0
}

// evict forgets every client whose window is over; if there is none, the one
// within its limit that asked least. When all are over their limit it forgets
// nobody and returns how long that lasts.
func (sh *shard) evict(now time.Duration) time.Duration {
	least, wait := -1, time.Duration(math.MaxInt64)
	for i, e := range slices.Backward(sh.entries) {
		if left := e.left(now); left <= 0 {
			sh.remove(i)
			wait = 0
		} else if wait > 0 {
			wait = min(wait, left)
		}
	}
	if wait == 0 {
		return 0
	}
	for i := range sh.entries {
		if e := &sh.entries[i]; e.count <= e.limit && (least < 0 || e.count < sh.entries[least].count) {
			least = i
		}
	}
	if least < 0 {
		return wait
	}
	sh.remove(least)
	return 0
}

// remove forgets the entry at i; the last one takes its place.
func (sh *shard) remove(i int) {
	delete(sh.index, sh.entries[i].key)
	last := len(sh.entries) - 1
	if i != last {
		sh.entries[i] = sh.entries[last]
		sh.index[sh.entries[i].key] = i
	}
	sh.entries[last] = entry{}
	sh.entries = sh.entries[:last]
}

func state(rate limiter.Rate, count int64, left time.Duration) limiter.Context {
	return limiter.Context{
		Limit:     rate.Limit,
		Remaining: max(0, rate.Limit-count),
		Reset:     int64((left + time.Second - 1) / time.Second),
		Reached:   count > rate.Limit,
	}
}
