package admission

import (
	"context"
	"sync"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
)

const (
	// maxThrottled is how many requests wait for a window at once, and
	// maxThrottledEach how many of one caller.
	maxThrottled     = 1024
	maxThrottledEach = 64
	// lookEvery is how often who waits is looked for, where the context does not tell.
	lookEvery = 100 * time.Millisecond
)

// throttle keeps requests waiting that came before the next window.
type throttle struct {
	most time.Duration // that one waits, all in all
	now  func() time.Time

	mu     sync.Mutex
	total  int
	caller map[string]int
}

// booker counts a request in windows that are open within the patience, as limit.Book
// does.
type booker func(patience time.Duration) (*limit.Booking, error)

// wait has a request that was refused with err book its place in the next window,
// and wait for that, unless it is too late. told is how many limits the request was
// told of before. Faults: those of book, Timeout, Canceled.
func (t *throttle) wait(ctx context.Context, told int, caller string, err error, book booker) error {
	info := reqctx.From(ctx)
	patience := t.most - info.Throttled
	if fault.KindOf(err) != fault.RateLimited || info.NoWait || patience <= 0 || !t.enter(caller) {
		return err
	}
	defer t.leave(caller)
	info.Limits = info.Limits[:told]
	place, err := book(patience)
	if err != nil {
		return err
	}
	if err := sleep(ctx, place.Wait, info.Gone); err != nil {
		place.Cancel()
		return fault.OfContext(err)
	}
	info.Throttled += place.Wait
	info.Received = t.now()
	place.Tell(ctx)
	return nil
}

// sleep waits, unless the context ends or whom it waits for is gone.
func sleep(ctx context.Context, d time.Duration, gone func() bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var look <-chan time.Time
	if gone != nil {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-look:
			if gone() {
				return context.Canceled
			}
		}
	}
}

func (t *throttle) enter(caller string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total >= maxThrottled || t.caller[caller] >= maxThrottledEach {
		return false
	}
	if t.caller == nil {
		t.caller = map[string]int{}
	}
	t.total++
	t.caller[caller]++
	return true
}

func (t *throttle) leave(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	if t.caller[caller]--; t.caller[caller] == 0 {
		delete(t.caller, caller)
	}
}

func (t *throttle) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}
