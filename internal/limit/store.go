package limit

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/reqctx"
)

// DefaultClients is how many clients of IPv4 a limiter remembers unless told
// otherwise: about 7 MB for each window when all of them came, and as much for
// IPv6.
const DefaultClients = 1 << 16

// shards divide the memory, so that requests of different clients seldom wait
// for one another. A power of two.
const shards = 64

// store is a limiter.Store in bounded memory. When a shard is full, a new
// client takes the place of one whose window is over; else of one that has asked
// less than others, so that nobody can push out a client that has used much of its
// rate without asking that often from most other places. A client over its
// limit is never forgotten: when nothing else is left, errFull says so, and there
// is no place for the new one.
//
// It departs from the stores of ulule/limiter in one point: Context.Reset is
// not a point of wall-clock time but the whole seconds that are left, rounded
// up, which no clock step and no rounding can make too short.
type store struct {
	now   func() time.Time
	epoch time.Time
	seed  maphash.Seed
	limit int // entries in one shard
	order int // of locking, among the stores that one request is counted in
	// strays is until when something is counted here, since the epoch, that belongs to
	// a count that several servers share; 0 for nothing.
	strays atomic.Int64
	// absences is how often something was counted here for want of that count.
	absences atomic.Int64
	shard    [shards]shard
}

// errFull is the error of a new key where every place is held by an offender.
var errFull = errors.New("limit: all places are held by clients over their limit")

type shard struct {
	mu      sync.Mutex
	last    time.Duration  // the latest time seen: it never runs backward
	index   map[string]int // key to its place in entries
	entries []entry
	hand    int // the last entry that was looked at for one to forget
	// fullUntil is until when every place is held by an offender.
	fullUntil time.Duration
	// lent are the keys of which something is being carried over to a common count.
	lent map[string]chan struct{}
}

// entry is one client: 64 bytes, its key, and its place in the index. It has its
// own rate, because one store may serve clients of different ones.
type entry struct {
	key   string
	start time.Duration // of the window, since the store's epoch
	count int64

	limit  int64
	period time.Duration
	// ahead is what is booked in windows to come, nil for nothing.
	ahead *line
	// told is what is known of the window to a count that several servers share, nil for
	// nothing.
	told *told
}

// left returns how long anything is known of the client: what is left of the
// window, and of those that are booked behind it.
func (e *entry) left(now time.Duration) time.Duration {
	return e.start + e.period*time.Duration(1+e.ahead.windows()) - now
}

var _ limiter.Store = (*store)(nil)

// newStore returns an empty store. Those that are asked together have different
// orders.
func newStore(clients, order int, now func() time.Time) *store {
	return &store{now: now, epoch: now(), seed: maphash.MakeSeed(), limit: max(1, clients/shards), order: order}
}

// Get counts one request of key.
func (s *store) Get(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return s.Increment(ctx, key, 1, rate)
}

// Increment counts n requests of key. The error is errFull, with how long at
// least that lasts.
func (s *store) Increment(ctx context.Context, key string, n int64, rate limiter.Rate) (limiter.Context, error) {
	sh, now := s.lock(ctx, key)
	defer sh.mu.Unlock()
	e, wait := sh.find(key, now, s.limit)
	if e == nil {
		return state(rate, math.MaxInt64, wait), errFull
	}
	e.roll(now, rate)
	e.count += n
	if n == 1 { // a count stops just above the limit: more would say no more
		e.count = min(e.count, max(e.count-1, rate.Limit+1))
	}
	return e.state(now, rate), nil
}

// Peek returns the state of key without counting.
func (s *store) Peek(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	sh, now := s.lock(ctx, key)
	defer sh.mu.Unlock()
	i, known := sh.index[key]
	if !known {
		return state(rate, 0, rate.Period), nil
	}
	e := &sh.entries[i]
	e.roll(now, rate)
	return e.state(now, rate), nil
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
	sh := &s.shard[s.place(key)]
	sh.mu.Lock()
	return sh, sh.at(reqctx.Now(ctx, s.now).Sub(s.epoch))
}

// place returns which shard holds a key.
func (s *store) place(key string) int { return int(maphash.String(s.seed, key) % shards) }

// size returns how many clients are remembered.
func (s *store) size() (n int) {
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		n += len(sh.entries)
		sh.mu.Unlock()
	}
	return n
}

// at returns the time, which never runs backward.
func (sh *shard) at(now time.Duration) time.Duration {
	sh.last = max(sh.last, now)
	return sh.last
}

// roll begins another window when the entry's is over: the one that the time is in,
// where one is booked, else a new one. A window in which nothing is counted has not
// begun.
func (e *entry) roll(now time.Duration, rate limiter.Rate) {
	e.limit, e.period = rate.Limit, rate.Period
	if over := int((now - e.start) / rate.Period); over > 0 {
		e.start += time.Duration(over) * rate.Period
		e.count, e.ahead, e.told = e.ahead.at(over), e.ahead.from(over), nil
	}
	if e.count == 0 && e.ahead == nil {
		e.start, e.told = now, nil
	}
}

// find returns the entry of a key, a new one when it has none; nil, and how long
// at least that lasts, where there is no place for a new one.
func (sh *shard) find(key string, now time.Duration, limit int) (*entry, time.Duration) {
	i, known := sh.index[key]
	if !known {
		var wait time.Duration
		if i, wait = sh.place(key, now, limit); i < 0 {
			return nil, wait
		}
	}
	return &sh.entries[i], 0
}

// place makes an entry for a new key and returns where it is, or -1 and how
// long every known client stays over its limit.
func (sh *shard) place(key string, now time.Duration, limit int) (int, time.Duration) {
	if len(sh.entries) >= limit {
		if wait := sh.evict(now); wait > 0 {
			return -1, wait
		}
	}
	if sh.index == nil {
		sh.index = map[string]int{}
	}
	sh.entries = append(sh.entries, entry{key: key, start: now})
	sh.index[key] = len(sh.entries) - 1
	return len(sh.entries) - 1, 0
}

// evictSample is how many clients are looked at for one to forget.
const evictSample = 32

// evict forgets one client: of the next few, one whose window is over, or else,
// of those within their limit, the one that asked least. When all are over their
// limit it forgets nobody and returns how long that lasts.
func (sh *shard) evict(now time.Duration) time.Duration {
	if now < sh.fullUntil {
		return sh.fullUntil - now
	}
	least, wait := -1, time.Duration(math.MaxInt64)
	for seen := 0; seen < len(sh.entries) && (seen < evictSample || least < 0); seen++ {
		if sh.hand++; sh.hand >= len(sh.entries) {
			sh.hand = 0
		}
		e := &sh.entries[sh.hand]
		left := e.left(now)
		if left <= 0 {
			sh.remove(sh.hand)
			return 0
		}
		wait = min(wait, left)
		if e.count <= e.limit && e.ahead == nil && (least < 0 || e.count < sh.entries[least].count) {
			least = sh.hand
		}
	}
	if least < 0 {
		sh.fullUntil = now + wait
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
