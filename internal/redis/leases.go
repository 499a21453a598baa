package redis

import (
	"maps"
	"sync"
	"time"

	"onnxgate/internal/limit"
)

const (
	// leaseParts is how many leases a limit has at least, and leaseSmall the most of a
	// small one: of a limit of 200 or more, a server counts so small a part ahead, and
	// asks Redis again once that is spent. leasePartsOfMany is how many a large one has.
	leaseParts       = 100
	leaseSmall       = 20
	leasePartsOfMany = 1000
	// leaseRoom is how many leases there must be left of a window for one to be taken:
	// near its end each request is counted by itself.
	leaseRoom = 16
	// maxLeases bounds how many windows are known.
	maxLeases = 4096
	// sweepEvery is the least time between two looks for windows that have ended.
	sweepEvery = time.Second
)

// leases are what this server has counted in Redis ahead of the requests that it is
// for. What is left of one when its window ends is lost.
type leases struct {
	now func() time.Time

	mu      sync.Mutex
	windows map[string]*lease // by the key of the window
	swept   time.Time
}

// lease is what is known of one window, and held of it.
type lease struct {
	limit     int64
	period    time.Duration
	remaining int64     // in Redis, when it last answered
	until     time.Time // when the window ends, or before
	asking    bool      // one request asks for more

	held      int64
	at, began time.Duration // of what is held; see limit.Window
}

// ahead is how much of a window one lease is; 0 where there is none.
func ahead(w *limit.Window) int64 {
	n := max(min(w.Limit/leaseParts, leaseSmall), w.Limit/leasePartsOfMany)
	if n > 1 && w.Carried == 0 {
		return n
	}
	return 0
}

// known returns what is known of a window that has not ended, or nil.
func (l *leases) known(w *limit.Window, now time.Time) *lease {
	k := l.windows[w.Key]
	if k == nil || ahead(w) == 0 || k.limit != w.Limit || k.period != w.Period || !now.Before(k.until) {
		return nil
	}
	return k
}

// spend takes what the windows need out of what is held, or nothing where one of them
// lacks it.
func (l *leases) spend(windows []limit.Window) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for i := range windows {
		w := &windows[i]
		k := l.known(w, now)
		if k == nil || k.held < w.N {
			for _, taken := range windows[:i] {
				l.windows[taken.Key].held += taken.N
			}
			return false
		}
		k.held -= w.N
	}
	for i := range windows {
		w := &windows[i]
		k := l.windows[w.Key]
		w.Remaining, w.At, w.Began = k.remaining+k.held, k.at, k.began
		w.Left = max(k.until.Sub(now).Truncate(time.Millisecond), time.Millisecond)
	}
	return true
}

// extend adds to what the windows ask for as much as each lacks of a lease, where all
// have plenty left and no other request does so. It returns what it has added to each;
// nil for nothing.
func (l *leases) extend(windows []limit.Window) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	more, short := make([]int64, len(windows)), false
	for i := range windows {
		w := &windows[i]
		k := l.known(w, now)
		if k == nil || k.asking || k.remaining < w.N+leaseRoom*ahead(w) {
			return nil
		}
		more[i] = max(0, ahead(w)-k.held)
		short = short || more[i] > 0
	}
	if !short {
		return nil
	}
	for i := range windows {
		w := &windows[i]
		l.windows[w.Key].asking = true
		w.N += more[i]
	}
	return more
}

// settle ends what extend began, with the answer to the question that was sent at a
// time. Until then nobody extends what is known of these windows, so that no server
// holds more than one lease of each.
func (l *leases) settle(windows []limit.Window, sent time.Time, more []int64, granted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range windows {
		w := &windows[i]
		w.N -= more[i]
		if k := l.windows[w.Key]; k != nil {
			k.asking = false
		}
	}
	switch {
	case err != nil:
	case granted:
		l.note(windows, sent, more)
		l.include(windows)
	default:
		l.note(windows, sent, nil)
	}
}

// learn notes what Redis answered to a question that was sent at a time.
func (l *leases) learn(windows []limit.Window, sent time.Time, granted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(windows, sent, nil)
	if granted {
		l.include(windows)
	}
}

// include adds what is held to what remains in Redis: it is there for the same client.
func (l *leases) include(windows []limit.Window) {
	now := l.now()
	for i := range windows {
		if k := l.known(&windows[i], now); k != nil {
			windows[i].Remaining += k.held
		}
	}
}

// note takes over an answer, and what was counted ahead for each of the windows; nil
// for nothing.
func (l *leases) note(windows []limit.Window, sent time.Time, more []int64) {
	now := l.now()
	for i := range windows {
		w := &windows[i]
		until, k := sent.Add(w.Left), l.known(w, now)
		if ahead(w) == 0 || !now.Before(until) {
			continue
		}
		if w.Remaining == 0 { // then Left may be longer than the window
			if k != nil {
				k.remaining = 0
			}
			continue
		}
		if k == nil {
			if k = l.add(w, now); k == nil {
				continue
			}
		}
		k.remaining, k.until = w.Remaining, until
		if more != nil {
			k.held += more[i]
			k.at, k.began = w.At, w.Began
		}
	}
}

// add remembers a window in place of the one before it, or returns nil when there are
// too many.
func (l *leases) add(w *limit.Window, now time.Time) *lease {
	if _, there := l.windows[w.Key]; !there && len(l.windows) >= maxLeases {
		if now.Sub(l.swept) < sweepEvery {
			return nil
		}
		l.swept = now
		maps.DeleteFunc(l.windows, func(_ string, k *lease) bool { return !now.Before(k.until) })
		if len(l.windows) >= maxLeases {
			return nil
		}
	}
	k := &lease{limit: w.Limit, period: w.Period}
	l.windows[w.Key] = k
	return k
}
