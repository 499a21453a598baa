// Package crew lets one long computation use several threads, and bounds how
// many all computations of a process use beyond their own. It starts goroutines
// when there is work for them, and none outlives the call that it helps.
package crew

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Crew is what computations share: each has the thread that it runs on, and
// takes helpers as long as some are idle. A nil Crew has none. It is safe for
// concurrent use.
type Crew struct {
	threads int
	idle    atomic.Int64
}

// New returns a crew for computations of so many threads, their own included.
// Its helpers are one less, whatever the number of computations.
func New(threads int) *Crew {
	c := &Crew{threads: max(threads, 1)}
	c.idle.Store(int64(c.threads - 1))
	return c
}

// Threads returns how many threads one computation may use.
func (c *Crew) Threads() int {
	if c == nil {
		return 1
	}
	return min(c.threads, runtime.GOMAXPROCS(0))
}

// Share calls do once for each number below parts, on this goroutine and on
// those of the helpers that are idle. It returns when all calls have. After an
// error it begins no other part, and returns that error. A panic in a helper
// becomes one of the caller.
func (c *Crew) Share(parts int, do func(part int) error) error {
	j := &job{parts: int64(parts), do: do}
	var helpers sync.WaitGroup
	for range c.take(parts - 1) {
		helpers.Go(func() {
			defer c.idle.Add(1)
			j.help()
		})
	}
	func() {
		defer helpers.Wait()
		defer j.next.Add(j.parts) // all are taken, or this is a panic
		j.work()
	}()
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

// take returns how many helpers there are for a computation that has work for
// most of them, and makes them busy.
func (c *Crew) take(most int) int {
	most = min(most, c.Threads()-1)
	for most > 0 {
		idle := c.idle.Load()
		n := min(int64(most), idle)
		if n <= 0 {
			return 0
		}
		if c.idle.CompareAndSwap(idle, idle-n) {
			return int(n)
		}
	}
	return 0
}

// job is one call of Share.
type job struct {
	do    func(part int) error
	parts int64
	next  atomic.Int64

	once     sync.Once // for what ends the job early
	err      error
	panicked error
}

// work does parts until none is left.
func (j *job) work() {
	for {
		part := j.next.Add(1) - 1
		if part >= j.parts {
			return
		}
		if err := j.do(int(part)); err != nil {
			j.end(func() { j.err = err })
			return
		}
	}
}

// help is work on a goroutine of its own, where nobody else would recover.
func (j *job) help() {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("%v, in a helper:\n%s", r, debug.Stack())
			j.end(func() { j.panicked = err })
		}
	}()
	j.work()
}

// end keeps other parts from beginning. The first reason counts.
func (j *job) end(reason func()) {
	j.once.Do(reason)
	j.next.Add(j.parts)
}
