package quota

import (
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
)

const (
	// leaseCalls is how many calls a process sets aside at most, and so how many
	// are lost when it is killed; of the other units it sets aside as much as so
	// many calls use.
	leaseCalls = 100
	// leaseShare is which part of what is left of each unit a process sets aside at
	// most, so that the last of it goes round among several.
	leaseShare = 20
	// askAgain is how long the store is not asked again that had not enough left, or
	// did not answer.
	askAgain = time.Second
	// idleAfter is when what was set aside and is not used goes back.
	idleAfter = 2 * time.Second
	// firstCompute is what a call is taken to compute before one did.
	firstCompute = int64(time.Millisecond)
	// typicalWeight is how slowly what calls use follows what the last one used.
	typicalWeight = 8
)

// limits are the quotas of one account, in what is counted; 0 is none.
type limits struct {
	revision   int64
	made       time.Time // the tenant
	quotas     []limit.Quota
	hard, soft [limit.Periods]Use
	// limited says that there is a hard quota, warned that there is a soft one.
	limited, warned bool
}

func newLimits(revision int64, quotas []limit.Quota) *limits {
	l := &limits{revision: revision, quotas: quotas}
	for _, q := range quotas {
		to := &l.hard
		if q.Soft {
			to = &l.soft
		}
		to[q.Per][q.Unit] = q.Limit * q.Unit.Scale()
		l.limited, l.warned = l.limited || !q.Soft, l.warned || q.Soft
	}
	return l
}

// account is what one subject uses.
type account struct {
	subject

	limits atomic.Pointer[limits]

	mu sync.Mutex // guards what follows
	// current are the periods that are counted, and closed those before them that
	// the store does not know all of.
	current [limit.Periods]*period
	closed  []*period
	// typical is what a call uses.
	typical Use
	// waiting is what callers wait for, in their order. Those with an API key wait at
	// their tenant's account.
	waiting []claim
	// held says that what is set aside may go back just now: nobody takes of it.
	held bool
	// active says that something was used since the store was told, at activeAt.
	active   bool
	activeAt time.Time
	// queued, hurried and hungry say what the syncer knows already.
	queued, hurried, hungry bool
	// asked counts the times that the store was asked for the account, and done is
	// the last of them that is over.
	asked, done uint64
	// putAway says that the account is forgotten: there may be another.
	putAway bool
}

// period is what one account uses in one period.
type period struct {
	per        limit.Per
	start, end time.Time
	// balance is what the store counts as used and nobody has used yet; below zero,
	// what was used and the store does not know.
	balance Use
	// stored is what the store counted when it was asked last, if it was.
	stored Use
	loaded bool
	// lease is what was set aside for calls to come when the store was asked last.
	lease Use
	// offered is when all that was set aside was last offered to the store, because
	// somebody needed more than there was.
	offered time.Time
	// warned are the soft quotas that were warned of.
	warned [limit.Units]bool
	// flying is how many reservations are not settled.
	flying int
}

func newPeriod(per limit.Per, now time.Time) *period {
	start, end := per.Around(now)
	return &period{per: per, start: start, end: end}
}

// settled reports whether the store knows all, and nothing more will come.
func (p *period) settled() bool { return p.flying == 0 && p.balance == Use{} }

func newAccount(of subject) *account {
	a := &account{subject: of}
	a.typical[limit.UnitCalls], a.typical[limit.UnitCompute] = 1, firstCompute
	return a
}

// verdict is what becomes of a claim.
type verdict uint8

const (
	taken   verdict = iota
	short           // the store must be asked
	usedUp          // the store has nothing left
	tooMuch         // no period has so much
	putAway         // there is another account
)

// urgency is when the store is to be told.
type urgency uint8

const (
	nothing urgency = iota
	later           // with the next turn
	soon
	now
)

// take claims what a call uses, in all periods.
func (a *account) take(of *share, use *Use) urgency {
	for i, p := range a.current {
		for unit := range p.balance {
			p.balance[unit] -= use[unit]
		}
		p.flying++
		of.periods[i] = p
	}
	of.account = a
	a.active = true
	return a.urgency(a.limits.Load())
}

// roll begins the periods that the time is in. A period never comes back: where the
// clock does, the one that was counted goes on.
func (a *account) roll(at time.Time) {
	for i, p := range a.current {
		if p != nil && at.Before(p.end) {
			continue
		}
		if p != nil && !p.settled() {
			a.closed = append(a.closed, p)
		}
		a.current[i] = newPeriod(limit.Per(i), at)
	}
}

// standing is what an account says to a claim.
type standing struct {
	verdict verdict
	// starved says that more is needed than there is, as far as is known, and unknown
	// that nothing is known yet.
	starved, unknown bool
	// spare says that something is set aside of a quota that ends soon, and fresh that
	// it was offered just now.
	spare, fresh bool
}

// room says whether all hard quotas have room.
func (a *account) room(at time.Time, use *Use) (st standing) {
	if a.putAway {
		st.verdict = putAway
		return st
	}
	a.roll(at)
	l := a.limits.Load()
	if !l.limited {
		return st
	}
	for i, p := range a.current {
		for unit, most := range l.hard[i] {
			if most > 0 {
				st.add(a, p, at, unit, use[unit], most)
			}
		}
	}
	return st
}

// add says what one unit of one period says.
func (st *standing) add(a *account, p *period, at time.Time, unit int, use, most int64) {
	need := max(use, 1)
	switch {
	case use > most:
		st.verdict = tooMuch
	case !a.held && p.balance[unit] >= need:
	case p.lacks(at, unit, need, most):
		st.verdict = max(st.verdict, usedUp)
	default:
		st.verdict = max(st.verdict, short)
		st.starved = st.starved || p.beyond(unit, need, most)
	}
	st.unknown = st.unknown || !p.loaded
	st.spare = st.spare || p.balance[unit] > 0 && most-p.stored[unit] < leaseCalls*leaseShare*max(a.typical[unit], 1)
	st.fresh = st.fresh || at.Sub(p.offered) < askAgain
}

// beyond reports whether more is needed than the quota leaves, as far as is known.
func (p *period) beyond(unit int, need, most int64) bool {
	return p.balance[unit] < need && p.stored[unit]-p.balance[unit] > most-need
}

// lacks reports whether that is so although all was offered to the store just now.
func (p *period) lacks(at time.Time, unit int, need, most int64) bool {
	return at.Sub(p.offered) < askAgain && p.beyond(unit, need, most)
}

// needed is what must be left for a call: something also of what is known only
// afterwards.
func needed(use *Use, unit int) int64 { return max(use[unit], 1) }

// urgency says when the store is to be told of the account, and notes that it will
// be.
func (a *account) urgency(l *limits) urgency {
	u := nothing
	if !a.queued {
		a.queued, u = true, later
	}
	if day := a.current[limit.PerDay]; !a.hurried && -day.balance[limit.UnitCalls] >= leaseCalls {
		a.hurried, u = true, soon
	}
	if l.limited && !a.hungry && a.low(l) {
		a.hungry, u = true, now
	}
	return u
}

// low reports whether half of what was set aside is used.
func (a *account) low(l *limits) bool {
	for i, p := range a.current {
		for unit, most := range l.hard[i] {
			if most > 0 && p.balance[unit]*2 < p.lease[unit] {
				return true
			}
		}
	}
	return false
}

// settle gives back what was reserved, and takes what was used.
func (a *account) settle(claim *share, reserved, used *Use) (urgency, []Warning) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range claim.periods {
		for unit := range p.balance {
			p.balance[unit] += reserved[unit] - used[unit]
		}
		p.flying--
	}
	if used[limit.UnitCalls] > 0 {
		for unit := range a.typical {
			a.typical[unit] = follow(a.typical[unit], used[unit])
		}
	}
	l := a.limits.Load()
	var reached []Warning
	if l.warned {
		reached = a.reached(l)
	}
	return a.urgency(l), reached
}

// follow moves what calls use towards what the last one used, by one at least.
func follow(typical, used int64) int64 {
	by := used - typical
	if by > 0 {
		return typical + (by+typicalWeight-1)/typicalWeight
	}
	return typical + (by-typicalWeight+1)/typicalWeight
}

// used is how much the period has used as far as is known here.
func (p *period) used(unit limit.Unit) int64 { return p.stored[unit] - p.balance[unit] }

// reached returns the soft quotas that were reached since the last look. Nothing is
// known before the store was asked.
func (a *account) reached(l *limits) (all []Warning) {
	for _, q := range l.quotas {
		p := a.current[q.Per]
		if !q.Soft || p == nil || !p.loaded || p.warned[q.Unit] || p.used(q.Unit) < l.soft[q.Per][q.Unit] {
			continue
		}
		p.warned[q.Unit] = true
		all = append(all, Warning{Tenant: a.tenant, Key: a.key, Quota: q, Used: p.used(q.Unit) / q.Unit.Scale()})
	}
	return all
}

// whose says whose quota it is, to the one it is of.
func (a *account) whose() string {
	if a.key != "" {
		return "this API key"
	}
	return "your tenant"
}

// tooLarge is the fault of a call that no period has room for; nil where one has.
func (a *account) tooLarge(use *Use) error {
	for _, q := range a.limits.Load().quotas {
		if !q.Soft && use[q.Unit] > q.Limit*q.Unit.Scale() {
			return fault.Newf(fault.Content, "the request has %d %s, and the quota of %s allows %d in a %s: send less at once",
				use[q.Unit], q.Unit, a.whose(), q.Limit, q.Per)
		}
	}
	return nil
}

// exceeded is the fault of a quota that is used up: of the one that lasts longest,
// where there are several; nil where none is any more.
func (a *account) exceeded(at time.Time, use *Use) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var end time.Time
	var most limit.Quota
	for _, q := range a.limits.Load().quotas {
		p, unit := a.current[q.Per], int(q.Unit)
		if !q.Soft && p.lacks(at, unit, needed(use, unit), q.Limit*q.Unit.Scale()) && p.end.After(end) {
			end, most = p.end, q
		}
	}
	if end.IsZero() { // it changed in this moment
		return nil
	}
	f := fault.Newf(fault.QuotaExceeded, "The quota of %s, %d %s in a %s, is used up until %s",
		a.whose(), most.Limit, most.Unit, most.Per, end.Format(time.RFC3339))
	f.RetryAfter = end.Sub(at)
	return f
}
