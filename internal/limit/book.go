package limit

import (
	"context"
	"errors"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/reqctx"
)

// A request that may wait is counted in the first window that has room for it,
// which may be one to come: it has booked its place there. Nobody who comes later
// takes it, and what is booked is a number like any other count, not a list of who
// waits. A client with places booked is not forgotten.

// Booking is a request that was counted, now or in windows to come.
type Booking struct {
	// Wait is when its windows are open; 0 for now.
	Wait time.Duration

	all []ask
}

// Book counts a request in all windows of all demands, each as it is after the
// shortest wait, of at most the patience, that leaves all of them enough. It notes
// in the request's Info what is left only where it refuses; afterwards Tell does.
// Who gives up must Cancel. Faults: those of Take.
func Book(ctx context.Context, patience time.Duration, demands ...Demand) (*Booking, error) {
	var all []ask
	for i := range demands {
		all = demands[i].appendTo(all)
	}
	return book(ctx, patience, all)
}

func book(ctx context.Context, patience time.Duration, all []ask) (*Booking, error) {
	if len(all) == 0 {
		return &Booking{}, nil
	}
	wait, granted, err := takeAll(ctx, all, patience)
	switch {
	case err != nil && !errors.Is(err, errFull):
		return nil, err
	case !granted:
		return nil, refuse(reqctx.From(ctx), all, wait)
	}
	return &Booking{Wait: wait, all: all}, nil
}

// Tell notes in the Info of the request, which has waited, what is left now.
func (b *Booking) Tell(ctx context.Context) {
	if !b.look(ctx) {
		lockAll(b.all)
		for i := range b.all {
			b.all[i].peek(ctx)
		}
		unlockAll(b.all)
	}
	tell(reqctx.From(ctx), b.all)
}

// look finds out what is left where servers count together, if it can.
func (b *Booking) look(ctx context.Context) bool {
	s := shared(b.all)
	if s == nil {
		return false
	}
	_, _, err := lookShared(ctx, s, b.all, 0)
	return err == nil
}

// Cancel gives the places back, once, where their windows are not over.
func (b *Booking) Cancel() {
	if len(b.all) > 0 && b.all[0].common {
		cancelShared(shared(b.all), b.all)
		return
	}
	lockAll(b.all)
	defer unlockAll(b.all)
	for i := range b.all {
		if e := b.all[i].entry(); e != nil {
			e.remove(b.all[i].booked, b.all[i].n)
		}
	}
}

// vacancy returns the shortest wait, from one on, after which every window that is
// open then has enough left.
func vacancy(all []ask, wait time.Duration) time.Duration {
	for i := 0; i < len(all); i++ {
		a := &all[i]
		if e := a.entry(); e != nil {
			if later := e.vacancy(a.time+wait, a.n) - a.time; later > wait {
				wait, i = later, -1 // those before must have room then, too
			}
		}
	}
	return wait
}

// vacancyInSeconds is vacancy in whole seconds.
func vacancyInSeconds(all []ask, wait time.Duration) time.Duration {
	return inSeconds(wait, func(wait time.Duration) time.Duration { return vacancy(all, wait) })
}

// inSeconds returns the shortest wait in whole seconds, from one on, that later, which
// returns the shortest from one on, returns unchanged.
func inSeconds(wait time.Duration, later func(time.Duration) time.Duration) time.Duration {
	for {
		whole := (later(wait) + time.Second - 1).Truncate(time.Second)
		if wait = later(whole); wait == whole {
			return whole
		}
	}
}

// vacancy returns the first moment, from one in the window or behind it on, at
// which there is room for n, or for as many as ever.
func (e *entry) vacancy(at time.Duration, n int64) time.Duration {
	i := int((at - e.start) / e.period)
	for n = min(n, e.limit); e.counted(i)+n > e.limit; i++ {
	}
	return max(at, e.start+time.Duration(i)*e.period)
}

// counted is what is counted in the window, 0, or the i-th to come.
func (e *entry) counted(i int) int64 {
	if i == 0 {
		return e.count
	}
	return e.ahead.at(i)
}

// add counts n at a moment in the window or behind it.
func (e *entry) add(at time.Duration, n int64) {
	i := int((at - e.start) / e.period)
	if i == 0 {
		e.count += n
		return
	}
	if e.ahead == nil {
		e.ahead = &line{}
	}
	for e.ahead.windows() < i {
		e.ahead.booked = append(e.ahead.booked, 0)
	}
	e.ahead.booked[i-1] += n
}

// remove takes n back that were counted at a moment. A count above the limit says
// only that there was no room.
func (e *entry) remove(at time.Duration, n int64) {
	switch i := int((at - e.start) / e.period); {
	case at < e.start:
	case i == 0:
		e.count = max(0, min(e.count, e.limit)-n)
	case i <= e.ahead.windows():
		e.ahead.booked[i-1] = max(0, e.ahead.booked[i-1]-n)
	}
}

// state is what is left of the window; and of a full one, when there is room again.
func (e *entry) state(now time.Duration, rate limiter.Rate) limiter.Context {
	left := e.start + e.period - now
	if e.ahead != nil && e.count >= e.limit {
		left = e.wait(now)
	}
	return state(rate, e.count, left)
}

// wait is how many whole seconds it takes until there is room for one.
func (e *entry) wait(now time.Duration) time.Duration {
	return inSeconds(0, func(wait time.Duration) time.Duration { return e.vacancy(now+wait, 1) - now })
}

// line is how many are booked in each of the windows to come. A nil one is empty.
type line struct{ booked []int64 }

// windows is how many windows to come are known of.
func (l *line) windows() int {
	if l == nil {
		return 0
	}
	return len(l.booked)
}

// at is how many are booked in the i-th window to come, from 1.
func (l *line) at(i int) int64 {
	if i > l.windows() {
		return 0
	}
	return l.booked[i-1]
}

// from is what is left of the line when the i-th window to come is open.
func (l *line) from(i int) *line {
	if i >= l.windows() {
		return nil
	}
	l.booked = l.booked[i:]
	return l
}
