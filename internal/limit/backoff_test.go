package limit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/limit"
)

// patient is a policy as that of passwords.
var patient = limit.BackoffPolicy{
	Free: 9, First: 5 * time.Second, Last: 15 * time.Minute, Each: time.Hour, Longest: 7 * 24 * time.Hour, Turn: 30 * time.Second,
}

// backoff is one with a clock of its own.
type backoff struct {
	*limit.Backoff

	now time.Time
}

func newBackoff(keys int) *backoff {
	b := &backoff{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.Backoff = limit.NewBackoff(limit.BackoffConfig{Policy: patient, Keys: keys, Now: func() time.Time { return b.now }})
	return b
}

// fail lets so many attempts fail that nobody keeps waiting.
func (b *backoff) fail(t *testing.T, key string, times int) {
	t.Helper()
	for n := range times {
		a, wait := b.Begin(key)
		if wait > 0 {
			t.Fatalf("attempt %d for %s has to wait %v", n, key, wait)
		}
		b.now = b.now.Add(a.Failed())
	}
}

func (b *backoff) wait(key string) time.Duration {
	a, wait := b.Begin(key)
	a.Abandoned()
	return wait
}

func TestMemoryOfFailuresIsBoundedAndKeepsWhoHasToWait(t *testing.T) {
	b := newBackoff(100)
	b.fail(t, "victim", 9)
	a, _ := b.Begin("victim")
	a.Failed()
	for n := range 1000 {
		b.fail(t, fmt.Sprint("flood", n), 1)
		if size := b.Size(); size > 100 {
			t.Fatalf("%d keys are remembered, want at most 100", size)
		}
	}
	if b.wait("victim") == 0 {
		t.Error("a flood of other keys freed the one that has to wait")
	}
}

func TestOfThoseWhoWaitedOneTriesAtATime(t *testing.T) {
	b := newBackoff(0)
	b.fail(t, "ada", 10)
	var entered atomic.Int32
	var last atomic.Pointer[limit.Attempt]
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if a, wait := b.Begin("ada"); wait == 0 {
				entered.Add(1)
				last.Store(&a)
			}
		})
	}
	all.Wait()
	if n := entered.Load(); n != 1 {
		t.Errorf("%d of 50 attempts were let in at once", n)
	}
	last.Load().Abandoned() // not judged: another may try
	if wait := b.wait("ada"); wait != 0 {
		t.Errorf("after one that was not judged the next has to wait %v", wait)
	}
	b.now = b.now.Add(time.Millisecond)
	if _, wait := b.Begin("ada"); wait != 0 { // which never ends
		t.Fatal("has to wait", wait)
	}
	last.Load().Abandoned() // whose turn is over, and ends no other
	if wait := b.wait("ada"); wait != time.Second {
		t.Errorf("beside one who tries the next has to wait %v, want a second", wait)
	}
	b.now = b.now.Add(patient.Turn)
	if wait := b.wait("ada"); wait != 0 {
		t.Errorf("after one that never ended the next has to wait %v", wait)
	}
}

func TestAClockThatIsSetBackKeepsNobodyWaitingForLonger(t *testing.T) {
	b := newBackoff(0)
	b.fail(t, "ada", 12)
	if _, wait := b.Begin("ada"); wait != 0 {
		t.Fatal("has to wait", wait)
	}
	b.now = b.now.Add(-24 * time.Hour)
	if wait := b.wait("ada"); wait != 20*time.Second {
		t.Errorf("has to wait %v, want 20s", wait)
	}
	b.now = b.now.Add(20 * time.Second)
	if wait := b.wait("ada"); wait != 0 {
		t.Errorf("after waiting as told it is %v", wait)
	}
}

// Whoever guesses, in whatever rhythm and however many at once, has no more guesses in
// the long run than one each Last.
func TestNoRhythmOfGuessesIsBetterThanWaiting(t *testing.T) {
	const days = 60
	for name, rest := range map[string]func(failures int, wait time.Duration) time.Duration{
		"waits as told": func(_ int, wait time.Duration) time.Duration { return wait },
		"until the row is forgotten": func(failures int, wait time.Duration) time.Duration {
			if failures%18 == 0 {
				return time.Duration(failures) * time.Hour
			}
			return wait
		},
		"only while it is free": func(failures int, wait time.Duration) time.Duration {
			if wait > 0 {
				return time.Duration(failures) * time.Hour
			}
			return 0
		},
	} {
		for _, atOnce := range []int{1, 17, 80} {
			t.Run(fmt.Sprint(name, ", ", atOnce, " at once"), func(t *testing.T) {
				b := newBackoff(0)
				end := b.now.Add(days * 24 * time.Hour)
				total, row := 0, 0
				for b.now.Before(end) {
					var begun []limit.Attempt
					var wait time.Duration
					for len(begun) < atOnce && wait == 0 {
						var a limit.Attempt
						if a, wait = b.Begin("ada"); wait == 0 {
							begun = append(begun, a)
						}
					}
					for i := range begun {
						wait = begun[i].Failed()
						total, row = total+1, row+1
					}
					pause := rest(row, wait)
					if pause > patient.Last {
						row = 0 // it is forgotten then
					}
					b.now = b.now.Add(pause)
				}
				if most := days*24*4 + 18 + atOnce; total > most || total < days {
					t.Errorf("%d guesses in %d days, want at most %d", total, days, most)
				}
			})
		}
	}
}
