package crew_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"onnxgate/internal/onnx/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// processors makes the runtime believe in n processors for one test.
func processors(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestEveryPartIsDoneOnce(t *testing.T) {
	processors(t, 4)
	for _, c := range []*crew.Crew{nil, crew.New(0), crew.New(1), crew.New(3), crew.New(100)} {
		for _, parts := range []int{0, 1, 2, 1000} {
			done := make([]atomic.Int64, parts)
			if err := c.Share(parts, func(part int) error { done[part].Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			for i := range done {
				if n := done[i].Load(); n != 1 {
					t.Fatalf("%d threads: part %d of %d was done %d times", c.Threads(), i, parts, n)
				}
			}
		}
	}
}

func TestThreadsAreBoundedByTheProcessors(t *testing.T) {
	processors(t, 2)
	for threads, want := range map[int]int{-1: 1, 1: 1, 2: 2, 9: 2} {
		if got := crew.New(threads).Threads(); got != want {
			t.Errorf("New(%d).Threads() = %d, want %d", threads, got, want)
		}
	}
}

// Two computations at once have three threads of a crew of two.
func TestComputationsShareTheHelpers(t *testing.T) {
	processors(t, 4)
	c := crew.New(2)
	var now, most atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := c.Share(50, func(int) error {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := most.Load(); n > 9 {
		t.Errorf("%d parts at once, of eight computations and one helper", n)
	}
	// The helper is idle again: two parts that wait for each other both run.
	var meet sync.WaitGroup
	meet.Add(2)
	if err := c.Share(2, func(int) error { meet.Done(); meet.Wait(); return nil }); err != nil {
		t.Error(err)
	}
}

func TestAnErrorEndsTheRest(t *testing.T) {
	processors(t, 4)
	failed := errors.New("failed")
	var calls atomic.Int64
	err := crew.New(4).Share(1_000_000, func(part int) error {
		calls.Add(1)
		if part == 10 {
			return failed
		}
		return nil
	})
	if !errors.Is(err, failed) || calls.Load() == 1_000_000 {
		t.Errorf("Share = %v after %d parts", err, calls.Load())
	}
}

// Whoever panics, the caller does, when nobody works any more.
func TestAPanicIsTheCallers(t *testing.T) {
	processors(t, 4)
	c := crew.New(2)
	for range 100 {
		var here, meet sync.WaitGroup
		meet.Add(2)
		var inside atomic.Int64
		caller := make(chan bool, 2)
		here.Go(func() {
			defer func() {
				if r := recover(); r == nil || inside.Load() != 0 {
					t.Errorf("recovered %v with %d at work", r, inside.Load())
				} else if err, ok := r.(error); ok && !strings.Contains(err.Error(), "odd") {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = c.Share(2, func(part int) error {
				inside.Add(1)
				defer inside.Add(-1)
				meet.Done()
				meet.Wait()
				if part == 1 {
					caller <- true
					panic("odd")
				}
				return nil
			})
		})
		here.Wait()
		<-caller
	}
}
