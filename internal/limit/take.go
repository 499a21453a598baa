package limit

import (
	"context"
	"errors"
	"slices"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// ask is what a request needs of one window, and what it finds there.
type ask struct {
	table  *Table
	window int // its number in the table
	after  int // how many windows of its policy are named before those of the table
	key    string
	rate   limiter.Rate
	n      int64
	// silent windows are told of only when they refuse, instead of the others.
	silent bool

	state limiter.Context
	short bool // there is less than n left
	full  bool // there is no place for the key, which is short then
	at    int  // the number of the key's shard
}

func (a *ask) store() *store { return a.table.windows[a.window] }

func (a *ask) shard() *shard { return &a.store().shard[a.at] }

// maxAsks is how many windows one request is counted in at once without memory of
// its own: those of two credentials, of the tenant and of the principal.
const maxAsks = 4 * identity.MaxWindows

// takeAll counts the request in every window, or in none when one has not enough
// left, and reports whether it was counted. What it finds is in all. The error is
// errFull where one has no place.
func takeAll(ctx context.Context, all []ask) (bool, error) {
	if len(all) == 1 && all[0].n == 1 {
		a := &all[0]
		var err error
		a.state, err = a.store().Get(ctx, a.key, a.rate)
		a.full = errors.Is(err, errFull)
		a.short = a.full || a.state.Reached
		return !a.short, err
	}
	lockAll(all)
	defer unlockAll(all)
	if !enough(ctx, all) {
		return false, nil
	}
	for i := range all {
		if err := all[i].settle(ctx); err != nil {
			return false, err
		}
	}
	for i := range all {
		all[i].count(ctx)
	}
	return true, nil
}

// lookAll reports whether every window has enough left.
func lookAll(ctx context.Context, all []ask) bool {
	lockAll(all)
	defer unlockAll(all)
	return enough(ctx, all)
}

func enough(ctx context.Context, all []ask) bool {
	left := true
	for i := range all {
		left = all[i].look(ctx) && left
	}
	return left
}

// lockAll locks the shards in one order, whoever asks for them, each once. The
// windows are in that order afterwards.
func lockAll(all []ask) {
	for i := range all {
		all[i].at = all[i].store().place(all[i].key)
	}
	slices.SortStableFunc(all, func(a, b ask) int {
		if a.store() != b.store() {
			return a.store().order - b.store().order
		}
		return a.at - b.at
	})
	for i := range all {
		if i == 0 || all[i].shard() != all[i-1].shard() {
			all[i].shard().mu.Lock()
		}
	}
}

func unlockAll(all []ask) {
	for i := range all {
		if i == 0 || all[i].shard() != all[i-1].shard() {
			all[i].shard().mu.Unlock()
		}
	}
}

func (a *ask) now(ctx context.Context) time.Duration {
	s := a.store()
	return a.shard().at(reqctx.Now(ctx, s.now).Sub(s.epoch))
}

// look reports whether there is enough left. A window that has nothing left
// remembers who asks as an offender.
func (a *ask) look(ctx context.Context) bool {
	sh, now := a.shard(), a.now(ctx)
	i, known := sh.index[a.key]
	if !known {
		a.state = state(a.rate, 0, a.rate.Period)
		return true
	}
	e := &sh.entries[i]
	e.roll(now, a.rate)
	a.state = state(a.rate, e.count, e.left(now))
	if a.short = a.state.Remaining < a.n; a.short && a.n == 1 {
		e.count = max(e.count, a.rate.Limit+1)
	}
	return !a.short
}

// settle makes sure that the key has a place.
func (a *ask) settle(ctx context.Context) error {
	e, wait := a.shard().find(a.key, a.now(ctx), a.store().limit)
	if e != nil {
		return nil
	}
	a.short, a.full, a.state = true, true, state(a.rate, a.rate.Limit+1, wait)
	return errFull
}

func (a *ask) count(ctx context.Context) {
	now := a.now(ctx)
	e, _ := a.shard().find(a.key, now, a.store().limit)
	if e == nil {
		return // another key of the request has taken its place just now
	}
	e.roll(now, a.rate)
	e.count += a.n
	a.state = state(a.rate, e.count, e.left(now))
}

// decide counts the request in every window or in none, notes what is left for
// its answer, and refuses it where it was not counted. Faults: those of refuse.
func decide(ctx context.Context, all []ask) error {
	if len(all) == 0 {
		return nil
	}
	granted, err := takeAll(ctx, all)
	if err != nil && !errors.Is(err, errFull) {
		return err
	}
	info := reqctx.From(ctx)
	if !granted {
		return refuse(info, all)
	}
	tell(info, all)
	return nil
}

// refuse is the fault of a request that one of the windows, at least, has not
// enough left for: RateLimited, whose RetryAfter is when every window that it was
// counted in, now and before, has room again.
func refuse(info *reqctx.Info, all []ask) error {
	wait := Exhausted(info.Limits)
	tell(info, all)
	var refused *ask
	for i := range all {
		if a := &all[i]; a.short && (refused == nil || a.state.Reset > refused.state.Reset) {
			refused = a
		}
	}
	wait = max(wait, refused.reset())
	return &fault.Error{
		Kind: fault.RateLimited, RetryAfter: wait,
		Msg: "Too many " + refused.table.counted() + ": at most " + identity.Rate{Requests: refused.rate.Limit, Window: refused.rate.Period}.String() +
			"; wait as long as Retry-After says",
	}
}

// Exhausted returns how long it takes until all of the limits have room for
// another request.
func Exhausted(limits []reqctx.Limit) (wait time.Duration) {
	for i := range limits {
		if limits[i].Remaining == 0 {
			wait = max(wait, limits[i].Reset)
		}
	}
	return wait
}

func (a *ask) reset() time.Duration { return time.Duration(a.state.Reset) * time.Second }

// tell adds what was found to what the request's answer says.
func tell(info *reqctx.Info, all []ask) {
	silent := slices.ContainsFunc(all, func(a ask) bool { return a.silent && a.short })
	for i := range all {
		a := &all[i]
		if a.silent != silent {
			continue
		}
		info.Limits = append(info.Limits, reqctx.Limit{
			Policy: a.table.names[a.after+a.window], Unit: a.table.unit, Quota: a.rate.Limit, Remaining: a.state.Remaining,
			Window: a.rate.Period, Reset: a.reset(),
		})
	}
}
