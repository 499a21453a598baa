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
	// waiting is what callers wait for, in their order.
	waiting []claim
	// more says that something is to be set aside, and typical what a call uses that
	// a lease is for.
	more    bool
	typical Use
	// offered says that what was set aside goes back unless it is granted again.
	offered bool
	// refused says that there is not what one needs who waits.
	refused bool
	// made is when the tenant was made, and missing says that there is no such tenant
	// any more, but perhaps another of its name.
	made    time.Time
	missing bool
}

// transaction is what the store is asked at once.
type transaction struct {
	statements []*statement
	of         map[*account]*statement
}

// entry is what it is asked about one period.
type entry struct {
	period *period
	at     Place
	// hard are the quotas; where there is none, all that was set aside goes back.
	hard Use
	// calls is for how many calls a lease is set aside at most.
	calls int64
	// owed was used and is told, and had was set aside and not used.
	owed, had Use
	// needed is for callers who wait, and lease for calls to come.
	needed, lease Use
	// granted is set aside beside what there was, or goes back where it is below
	// zero, and stored is what the store counts then.
	granted, stored Use
}

// sync asks the store about accounts, in one transaction. The caller has the turn.
func (s *Service) sync(ctx context.Context, accounts []*account, last bool) error {
	at := s.steady(s.cfg.Now())
	tx := begin(at, accounts, last)
	// What is learnt is everybody's: one caller who goes away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chargeTimeout)
	defer cancel()
	judged, err := s.charge(ctx, tx)
	failed := int64(0)
	if err != nil {
		failed, err = s.elapsed(), unavailable(err)
	}
	s.ledger.failed.Store(failed)
	for _, st := range tx.statements {
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

// begin returns what the store is to be asked about accounts, and about the keys of
// those who wait at them.
func begin(at time.Time, accounts []*account, last bool) *transaction {
	tx := &transaction{of: make(map[*account]*statement, len(accounts))}
	for _, a := range accounts {
		if a.key == "" {
			tx.begin(a, at, nil, last)
		}
	}
	waiting := map[*account][]claim{}
	for _, st := range tx.statements {
		for _, c := range st.waiting {
			if key := c.of[1]; key != nil {
				accounts, waiting[key] = append(accounts, key), append(waiting[key], c)
			}
		}
	}
	for _, a := range accounts {
		if a.key != "" {
			tx.begin(a, at, waiting[a], last)
		}
	}
	return tx
}

// begin adds an account, once.
func (tx *transaction) begin(a *account, at time.Time, waiting []claim, last bool) {
	if tx.of[a] != nil {
		return
	}
	if st := a.begin(at, waiting, last); st != nil {
		tx.of[a], tx.statements = st, append(tx.statements, st)
	}
}

// charge asks the store, and reports whether it came to be asked everything: then
// an error leaves open what it did.
func (s *Service) charge(ctx context.Context, tx *transaction) (judged bool, err error) {
	if !slices.ContainsFunc(tx.statements, func(st *statement) bool { return len(st.entries) > 0 }) {
		return true, nil
	}
	err = s.cfg.Store.Charge(ctx, func(l Ledger) error {
		judged = false
		if err := tx.charge(l); err != nil {
			return err
		}
		judged = true
		return nil
	})
	return judged, err
}

// charge tells what was used, and grants what the quotas leave.
func (tx *transaction) charge(l Ledger) error {
	for _, st := range tx.statements {
		if err := st.look(l); err != nil {
			return err
		}
	}
	for _, st := range tx.statements {
		if st.account.key == "" {
			tx.reserve(st.waiting)
		}
	}
	for _, st := range tx.statements {
		st.grant()
		if err := st.tell(l); err != nil {
			return err
		}
	}
	return nil
}

// look reads what was used.
func (st *statement) look(l Ledger) (err error) {
	st.refused, st.missing = false, false
	if len(st.entries) == 0 {
		return nil
	}
	made, err := l.Made(st.account.tenant)
	if st.missing = fault.KindOf(err) == fault.NotFound || err == nil && !made.Equal(st.made); err != nil && !st.missing {
		return err
	}
	for i := range st.entries {
		e := &st.entries[i]
		if e.stored, err = l.Used(e.at); err != nil {
			return err
		}
		e.needed = Use{}
	}
	return nil
}

// reserve adds to what is needed what each of those who wait does, if all of it is left,
// of its tenant's quotas and its key's: nobody sets aside of one what others need beside
// what they have of another.
func (tx *transaction) reserve(waiting []claim) {
	for i := range waiting {
		c := &waiting[i]
		fits := true
		for _, a := range c.of {
			fits = fits && (a == nil || tx.of[a] != nil && tx.of[a].fits(&c.use))
		}
		for _, a := range c.of {
			if st := tx.of[a]; st != nil {
				st.reserve(&c.use, fits)
			}
		}
	}
}

// tell adds what was used, and what is set aside.
func (st *statement) tell(l Ledger) error {
	if st.missing {
		return nil
	}
	for i := range st.entries {
		if err := st.entries[i].add(l); fault.KindOf(err) == fault.NotFound {
			st.missing = true
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

// grant sets aside what those who wait need, and a lease of as many calls in each unit.
func (st *statement) grant() {
	calls := int64(leaseCalls)
	if st.offered && st.refused {
		calls = 0 // others may have the rest of what is missing here
	}
	for i := range st.entries {
		calls = min(calls, st.entries[i].leasable(st))
	}
	for i := range st.entries {
		st.entries[i].grant(st, calls)
	}
}

// reserve adds to what is needed, or notes that there is not enough.
func (st *statement) reserve(use *Use, fits bool) {
	st.refused = st.refused || !fits
	for i := range st.entries {
		if fits {
			st.entries[i].reserve(use)
		}
	}
}

// fits reports whether there is what one who waits needs.
func (st *statement) fits(use *Use) bool {
	return !slices.ContainsFunc(st.entries, func(e entry) bool { return !e.fits(use) })
}

// left is what there is beside what is needed: what the quota leaves, and what was set
// aside, also where the quota was lowered since.
func (e *entry) left(unit int) int64 {
	return max(e.hard[unit]-e.stored[unit]-e.owed[unit], 0) + e.had[unit] - e.needed[unit]
}

// fits reports whether there is what one who waits needs.
func (e *entry) fits(use *Use) bool {
	for unit, most := range e.hard {
		if most > 0 && e.left(unit) < needed(use, unit) {
			return false
		}
	}
	return true
}

// reserve adds to what is needed.
func (e *entry) reserve(use *Use) {
	for unit, most := range e.hard {
		if most > 0 {
			e.needed[unit] += needed(use, unit)
		}
	}
}

// leasable is how many calls a lease may be for: a share of what is left, beside what is
// set aside already and not offered.
func (e *entry) leasable(st *statement) int64 {
	calls := int64(leaseCalls)
	for unit, most := range e.hard {
		if most == 0 {
			continue
		}
		each, left, kept := st.typical[unit], e.left(unit), int64(0)
		if !st.offered {
			kept = max(e.had[unit]-e.needed[unit], 0) / each
		}
		share := (left/each - kept + leaseShare - 1) / leaseShare
		calls = min(calls, e.calls, kept+share)
	}
	return calls
}

// grant says what is set aside, and what goes back.
func (e *entry) grant(st *statement, calls int64) {
	for unit, most := range e.hard {
		switch {
		case most == 0:
			e.granted[unit], e.lease[unit] = -e.had[unit], 0
		case st.more:
			e.lease[unit] = calls * st.typical[unit]
			e.granted[unit] = e.needed[unit] + e.lease[unit] - e.had[unit]
			if !st.offered {
				e.granted[unit] = max(e.granted[unit], 0)
			}
		}
	}
}

// add tells what was used, and what is set aside beside it.
func (e *entry) add(l Ledger) error {
	var more Use
	for unit := range more {
		more[unit] = e.owed[unit] + e.granted[unit]
		e.stored[unit] += more[unit]
	}
	if more == (Use{}) {
		return nil
	}
	return l.Add(e.at, more)
}

// begin returns what the store is to be asked, for those who wait at the account and
// others; nil for an account that is forgotten.
func (a *account) begin(at time.Time, waiting []claim, last bool) *statement {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.putAway {
		return nil
	}
	a.queued, a.hurried, a.hungry = false, false, false
	a.asked++
	st := &statement{account: a, ticket: a.asked, waiting: append(a.waiting, waiting...)}
	a.waiting = nil
	l := a.limits.Load()
	if l == nil {
		return st
	}
	waits := len(st.waiting) > 0
	st.made = l.made
	if a.active || waits {
		a.active, a.activeAt = false, at
	}
	quiet := !waits && (last || at.Sub(a.activeAt) >= idleAfter)
	st.offered = quiet || slices.ContainsFunc(st.waiting, func(c claim) bool { return c.offers[a.payer()] })
	a.held = st.offered
	for unit, use := range a.typical {
		st.typical[unit] = max(use, 1)
	}
	st.more = waits || !quiet && a.low(l)
	for i, p := range a.current {
		switch {
		case p == nil:
		case quiet:
			st.add(p, &Use{})
		default:
			st.add(p, &l.hard[i])
		}
	}
	for _, p := range a.closed {
		st.add(p, &Use{})
	}
	return st
}

// add asks about a period with these quotas, unless there is nothing to tell or to set
// aside.
func (st *statement) add(p *period, hard *Use) {
	a := st.account
	e := entry{period: p, at: Place{Tenant: a.tenant, Key: a.key, Per: p.per, Start: p.start}, hard: *hard, lease: p.lease}
	e.calls = int64(max(leaseCalls-p.flying, 1))
	ask := st.more && *hard != (Use{})
	for unit, has := range p.balance {
		e.owed[unit], e.had[unit] = max(-has, 0), max(has, 0)
		ask = ask || has < 0 || has > 0 && hard[unit] == 0
	}
	if ask {
		st.entries = append(st.entries, e)
	}
}

// apply takes over what came of a transaction. Where nobody knows, what was to go
// back, or to be set aside, is given up, and what was used is told again: no more
// than a quota is ever used.
func (a *account) apply(at time.Time, st *statement, o outcome, last bool) (urgency, []Warning) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done, a.held = st.ticket, false
	l := a.limits.Load()
	if st.missing {
		a.clear()
		return nothing, nil
	}
	for i := range st.entries {
		switch e := &st.entries[i]; o {
		case done:
			e.apply(l)
			if st.offered && len(st.waiting) > 0 {
				e.period.offered = at
			}
		case undone:
		case unknown:
			e.giveUp()
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
func (e *entry) apply(l *limits) {
	p := e.period
	for unit := range p.balance {
		p.balance[unit] += e.owed[unit] + e.granted[unit]
	}
	p.lease = e.lease
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

// giveUp takes out of the balance what may have gone back.
func (e *entry) giveUp() {
	for unit := range e.granted {
		e.period.balance[unit] += min(e.granted[unit], 0)
	}
}

// served reports whether the store was asked for a claim.
func (a *account) served(ticket uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done >= ticket
}
