package quota

import (
	"context"
	"slices"
	"time"

	"onnxgate/internal/fault"
)

// statement is what the store is asked about one account.
type statement struct {
	account *account
	ticket  uint64
	entries []entry
	missing bool // there is no such tenant any more
}

// entry is what it is asked about one period.
type entry struct {
	period *period
	at     Place
	hard   Use
	// owed was used and is told; back was set aside and goes back.
	owed, back Use
	// wanted is for callers who wait, and lease what is set aside beside it.
	wanted, lease Use
	// had is the balance that there is, granted what came of it, and stored what
	// the store counts then.
	had, granted, stored Use
}

// sync asks the store about accounts, in one transaction. The caller has the turn.
func (s *Service) sync(ctx context.Context, accounts []*account, last bool) error {
	at := s.steady(s.cfg.Now())
	var asked []statement
	for _, a := range accounts {
		if st, first := a.begin(at, last); first {
			asked = append(asked, st)
		}
	}
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chargeTimeout)
	defer cancel()
	judged, err := s.charge(ctx, asked)
	failed := int64(0)
	if err != nil {
		failed, err = s.elapsed(), unavailable(err)
	}
	s.ledger.failed.Store(failed)
	for i := range asked {
		st := &asked[i]
		u, reached := st.account.apply(at, st, outcomeOf(err, judged), last)
		s.urge(st.account, u)
		for _, w := range reached {
			s.cfg.Warn(w)
		}
	}
	return err
}

// outcome is what is known of a transaction.
type outcome uint8

const (
	done    outcome = iota
	undone          // it changed nothing
	unknown         // it failed when everything was said
)

func outcomeOf(err error, judged bool) outcome {
	switch {
	case err == nil:
		return done
	case judged:
		return unknown
	}
	return undone
}

// charge asks the store, and reports whether it came to be asked everything: then
// an error leaves open what it did.
func (s *Service) charge(ctx context.Context, asked []statement) (judged bool, err error) {
	if !slices.ContainsFunc(asked, func(st statement) bool { return len(st.entries) > 0 }) {
		return true, nil
	}
	err = s.cfg.Store.Charge(ctx, func(l Ledger) error {
		judged = false
		for i := range asked {
			if err := asked[i].charge(l); err != nil {
				return err
			}
		}
		judged = true
		return nil
	})
	return judged, err
}

func (st *statement) charge(l Ledger) error {
	for i := range st.entries {
		if err := st.entries[i].charge(l); fault.KindOf(err) == fault.NotFound {
			st.missing = true
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

// charge tells what was used, and grants what the quotas leave: to those who wait
// all of it, and beside that a share.
func (e *entry) charge(l Ledger) error {
	stored, err := l.Used(e.at)
	if err != nil {
		return err
	}
	var more Use
	for unit := range more {
		more[unit] = e.owed[unit] - e.back[unit]
		ask := e.wanted[unit] + e.lease[unit]
		left := e.hard[unit] - stored[unit] - more[unit]
		e.granted[unit] = 0
		if ask > 0 && left > 0 {
			spare := max(left-e.wanted[unit], 0)
			e.granted[unit] = min(ask, left, e.wanted[unit]+(spare+leaseShare-1)/leaseShare)
		}
		more[unit] += e.granted[unit]
		e.stored[unit] = stored[unit] + more[unit]
	}
	if more == (Use{}) {
		return nil
	}
	return l.Add(e.at, more)
}

// begin returns what the store is to be asked, and takes what goes back out of the
// balance, so that nobody uses it meanwhile. It reports false for an account that is
// in the transaction already: it may have been queued several times.
func (a *account) begin(at time.Time, last bool) (st statement, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked != a.done {
		return st, false
	}
	a.queued, a.hurried, a.hungry = false, false, false
	a.asked++
	if a.active || a.wants() {
		a.active, a.activeAt = false, at
	}
	st = statement{account: a, ticket: a.asked}
	l := a.limits.Load()
	if l == nil {
		return st, true
	}
	quiet := last || at.Sub(a.activeAt) >= idleAfter
	for i, p := range a.current {
		if p == nil {
			continue
		}
		hard := &l.hard[i]
		if quiet && p.wanted == (Use{}) {
			hard = &Use{}
		}
		st.add(a.entry(p, hard))
	}
	for _, p := range a.closed {
		st.add(a.entry(p, &Use{}))
	}
	return st, true
}

// wants reports whether callers wait for anything: then nothing of the account goes
// back, as what they need of another period may be there.
func (a *account) wants() bool {
	for _, p := range a.current {
		if p != nil && p.wanted != (Use{}) {
			return true
		}
	}
	return false
}

func (st *statement) add(e entry) {
	if e.owed != (Use{}) || e.back != (Use{}) || e.wanted != (Use{}) || e.lease != (Use{}) {
		st.entries = append(st.entries, e)
	}
}

// entry returns what is to be asked about a period with these quotas.
func (a *account) entry(p *period, hard *Use) entry {
	e := entry{period: p, at: Place{Tenant: a.tenant, Key: a.key, Per: p.per, Start: p.start}, hard: *hard}
	for unit := range p.balance {
		has := p.balance[unit]
		if has < 0 {
			e.owed[unit], has = -has, 0
		}
		switch {
		case hard[unit] == 0:
			e.back[unit] = has
			p.balance[unit] -= has
		case p.wanted[unit] > 0 || has*2 < p.lease[unit]:
			e.had[unit], e.wanted[unit] = has, p.wanted[unit]
			e.lease[unit] = max(0, a.lease(unit, p.flying)-has)
		}
	}
	p.wanted = Use{}
	return e
}

// lease is how much is set aside: what a hundred calls use, less those in flight.
func (a *account) lease(unit, flying int) int64 {
	return max(a.typical[unit], 1) * int64(max(leaseCalls-flying, 1))
}

// apply takes over what came of a transaction. Where nobody knows, what was to go
// back, or to be set aside, is given up, and what was used is told again: no more
// than a quota is ever used.
func (a *account) apply(at time.Time, st *statement, o outcome, last bool) (urgency, []Warning) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = st.ticket
	l := a.limits.Load()
	if st.missing {
		a.clear()
		return nothing, nil
	}
	for i := range st.entries {
		switch e := &st.entries[i]; o {
		case done:
			e.apply(at, l)
		case undone:
			e.restore()
		case unknown:
		}
	}
	a.closed = slices.DeleteFunc(a.closed, (*period).settled)
	if l == nil || last {
		return nothing, nil
	}
	u := nothing
	if !a.queued && a.unsettled() {
		a.queued, u = true, later
	}
	return u, a.reached(l)
}

// clear forgets what was used by a tenant that is gone.
func (a *account) clear() {
	a.closed = nil
	for _, p := range a.current {
		if p != nil {
			p.balance = Use{}
		}
	}
}

// unsettled reports whether the store must be asked again, if only to give back.
func (a *account) unsettled() bool {
	for _, p := range a.current {
		if p != nil && p.balance != (Use{}) {
			return true
		}
	}
	return len(a.closed) > 0
}

// apply takes over what the store said about a period.
func (e *entry) apply(at time.Time, l *limits) {
	p := e.period
	for unit := range p.balance {
		p.balance[unit] += e.owed[unit] + e.granted[unit]
		if e.wanted[unit]+e.lease[unit] == 0 {
			continue
		}
		p.lease[unit] = max(0, e.had[unit]+e.granted[unit]-e.wanted[unit])
		p.refused[unit] = time.Time{}
		if e.granted[unit] == 0 || e.had[unit]+e.granted[unit] < e.wanted[unit] {
			p.refused[unit] = at
		}
	}
	p.stored = e.stored
	if p.loaded {
		return
	}
	p.loaded = true
	for unit, reached := range l.soft[p.per] {
		// Somebody has warned of it.
		p.warned[unit] = reached > 0 && e.stored[unit]-e.owed[unit]-e.granted[unit] >= reached
	}
}

// restore undoes what begin took out of the balance.
func (e *entry) restore() {
	for unit := range e.back {
		e.period.balance[unit] += e.back[unit]
	}
}

// served reports whether the store was asked for a claim.
func (a *account) served(ticket uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done >= ticket
}
