package accounts

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/fault"
)

func TestTheThrottlesMemoryIsBoundedAndKeepsWhoHasToWait(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	th := newThrottle(func() time.Time { return now })
	th.limit = 100
	for range freeGuesses + 1 {
		_ = th.wrong("victim")
	}
	for n := range 10 * th.limit {
		_ = th.wrong(fmt.Sprint("flood", n))
		if len(th.names) > th.limit {
			t.Fatalf("%d names are remembered, want at most %d", len(th.names), th.limit)
		}
	}
	if err := th.enter("victim"); fault.KindOf(err) != fault.RateLimited {
		t.Error("a flood of other names freed the one that has to wait")
	}
}

func TestOfThoseWhoWaitedOneTriesAtATime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	th := newThrottle(func() time.Time { return now })
	for range freeGuesses + 1 {
		_ = th.wrong("ada")
	}
	now = now.Add(lastWait)
	var entered atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if th.enter("ada") == nil {
				entered.Add(1)
			}
		})
	}
	all.Wait()
	if n := entered.Load(); n != 1 {
		t.Errorf("%d of 50 guesses were let in at once", n)
	}
	th.leave("ada") // not judged: another may try
	if err := th.enter("ada"); err != nil {
		t.Errorf("after one that was not judged: %v", err)
	}
}
