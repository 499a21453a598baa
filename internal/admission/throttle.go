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
)

// throttle keeps requests waiting that came before the next window.
type throttle struct {
	most time.Duration // that one waits, all in all
	now  func() time.Time

	mu     sync.Mutex
	total  int
	caller map[string]int
}

// again tries a request again that was refused with err, as soon as its window
// comes, unless that is too late. told is how many limits the request was told of
// before. Faults: those of attempt, Timeout, Canceled.
func (t *throttle) again(ctx context.Context, told int, caller string, err error, attempt func() error) error {
	info := reqctx.From(ctx)
	left := t.most
	for {
		// What it was counted in before concerns the next request alone.
		next := limit.Exhausted(info.Limits[told:])
		if fault.KindOf(err) != fault.RateLimited || next > left || info.NoWait || !t.enter(caller) {
			return err
		}
		began := t.now()
		failure := wait(ctx, next)
		t.leave(caller)
		if failure != nil {
			return fault.OfContext(failure)
		}
		left -= max(t.now().Sub(began), next)
		info.Received = t.now()
		info.Limits = info.Limits[:told]
		if err = attempt(); err == nil {
			return nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
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
