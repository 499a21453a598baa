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
	known bool // the key has a place
	at    int  // the number of the key's shard
	// time is when that was looked at, and booked the moment that it is counted for,
	// since the store's epoch.
	time, booked time.Duration
	common       bool // it was found in the count that servers share
}

func (a *ask) store() *store { return a.table.windows[a.window] }

func (a *ask) shard() *shard { return &a.store().shard[a.at] }

// maxAsks is how many windows one request is counted in at once without memory of
// its own: those of two credentials, of the tenant and of the principal.
const maxAsks = 4 * identity.MaxWindows

// takeAll counts the request in every window, or in none when one has not enough
// left within the patience, and returns when that is: granted for then, or, where it
// is later, refused until then. What it finds is in all. The error is errFull where
// one has no place.
func takeAll(ctx context.Context, all []ask, patience time.Duration) (wait time.Duration, granted bool, err error) {
	s := shared(all)
	if s == nil {
		return takeOwn(ctx, all, patience)
	}
	if wait, granted, err = takeShared(ctx, s, all, patience); err == nil {
		return wait, granted, nil
	}
	wait, granted, err = takeOwn(ctx, all, patience)
	stray(ctx, all)
	return wait, granted, err
}

// takeOwn is takeAll in this server's memory.
func takeOwn(ctx context.Context, all []ask, patience time.Duration) (wait time.Duration, granted bool, err error) {
	if len(all) == 1 && all[0].n == 1 && patience == 0 {
		a := &all[0]
		a.state, err = a.store().Get(ctx, a.key, a.rate)
		a.full = errors.Is(err, errFull)
		a.short = a.full || a.state.Reached
		return a.reset(), !a.short, err
	}
	lockAll(all)
	defer unlockAll(all)
	if !enough(ctx, all) {
		if wait = vacancy(all, 0); wait > patience {
			return vacancyInSeconds(all, wait), false, nil
		}
	}
	for i := range all {
		if err := all[i].settle(); err != nil {
			return all[i].reset(), false, err
		}
	}
	for i := range all {
		all[i].count(wait)
	}
	return wait, true, nil
}

// lookAll reports whether every window has enough left, or else when they have.
func lookAll(ctx context.Context, all []ask) (wait time.Duration, left bool) {
	if s := shared(all); s != nil {
		if wait, left, err := lookShared(ctx, s, all, 0); err == nil {
			return wait, left
		}
	}
	lockAll(all)
	defer unlockAll(all)
	if enough(ctx, all) {
		return 0, true
	}
	return vacancyInSeconds(all, 0), false
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

// entry returns what is known of the key, nil for nothing.
func (a *ask) entry() *entry {
	sh := a.shard()
	if i, known := sh.index[a.key]; known {
		return &sh.entries[i]
	}
	return nil
}

// peek finds out what is left now. It returns what is known of the key.
func (a *ask) peek(ctx context.Context) *entry {
	s := a.store()
	a.time = a.shard().at(reqctx.Now(ctx, s.now).Sub(s.epoch))
	e := a.entry()
	if a.known = e != nil; !a.known {
		a.state = state(a.rate, 0, a.rate.Period)
		return nil
	}
	e.roll(a.time, a.rate)
	a.state = e.state(a.time, a.rate)
	return e
}

// look reports whether there is enough left. A window that has nothing left
// remembers who asks as an offender.
func (a *ask) look(ctx context.Context) bool {
	e := a.peek(ctx)
	if a.short = a.state.Remaining < a.n; a.short && a.n == 1 && e != nil {
		e.count = max(e.count, a.rate.Limit+1)
	}
	return !a.short
}

// settle makes sure that the key has a place.
func (a *ask) settle() error {
	if a.known {
		return nil
	}
	e, wait := a.shard().find(a.key, a.time, a.store().limit)
	if e != nil {
		return nil
	}
	a.short, a.full, a.state = true, true, state(a.rate, a.rate.Limit+1, wait)
	return errFull
}

// count counts in the window that is open after the wait.
func (a *ask) count(wait time.Duration) {
	e, _ := a.shard().find(a.key, a.time, a.store().limit)
	if e == nil {
		return // another key of the request has taken its place just now
	}
	e.roll(a.time, a.rate)
	a.booked = a.time + wait
	e.add(a.booked, a.n)
	a.short, a.state = false, e.state(a.time, a.rate)
}

// decide counts the request in every window or in none, notes what is left for
// its answer, and refuses it where it was not counted. Faults: those of refuse.
func decide(ctx context.Context, all []ask) error {
	if len(all) == 0 {
		return nil
	}
	wait, granted, err := takeAll(ctx, all, 0)
	if err != nil && !errors.Is(err, errFull) {
		return err
	}
	info := reqctx.From(ctx)
	if !granted {
		return refuse(info, all, wait)
	}
	tell(info, all)
	return nil
}

// refuse is the fault of a request that one of the windows, at least, has not
// enough left for during the wait: RateLimited, whose RetryAfter is when every window
// that it was counted in, now and before, has room again.
func refuse(info *reqctx.Info, all []ask, wait time.Duration) error {
	wait = max(wait, exhausted(info.Limits))
	tell(info, all)
	var refused *ask
	for i := range all {
		if a := &all[i]; a.short && (refused == nil || a.state.Reset > refused.state.Reset) {
			refused = a
		}
	}
	return &fault.Error{
		Kind: fault.RateLimited, RetryAfter: max(wait, refused.reset()),
		Msg: "Too many " + refused.table.counted() + ": at most " + identity.Rate{Requests: refused.rate.Limit, Window: refused.rate.Period}.String() +
			"; wait as long as Retry-After says",
	}
}

// Wait returns the shortest time, from one on and in whole seconds, after which the
// limits, in which a request was counted in these tables, have room for another, of one
// row. It counts nothing.
func Wait(ctx context.Context, from time.Duration, limits []reqctx.Limit, tables ...*Table) time.Duration {
	var all []ask
	for i := range limits {
		l := &limits[i]
		for _, t := range tables {
			if t.unit == l.Unit && slices.Contains(t.names[:], l.Policy) {
				all = append(all, ask{table: t, window: l.Number, key: l.Key, rate: limiter.Rate{Period: l.Window, Limit: l.Quota}, n: 1})
			}
		}
	}
	if len(all) == 0 {
		return from
	}
	if s := shared(all); s != nil {
		if wait, _, err := lookShared(ctx, s, all, from); err == nil {
			return wait
		}
	}
	lockAll(all)
	defer unlockAll(all)
	for i := range all {
		all[i].peek(ctx)
	}
	return vacancyInSeconds(all, from)
}

// exhausted returns how long it takes until all of the limits have room for
// another request.
func exhausted(limits []reqctx.Limit) (wait time.Duration) {
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
			Policy: a.table.names[a.after+a.window], Unit: a.table.unit, Number: a.window, Key: a.key, Quota: a.rate.Limit, Remaining: a.state.Remaining,
			Window: a.rate.Period, Reset: a.reset(),
		})
	}
}
