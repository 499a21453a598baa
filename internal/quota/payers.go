package quota

import (
	"slices"
	"time"

	"onnxgate/internal/fault"
)

// payers are the accounts that a prediction counts for: that of its tenant, and that of
// its API key, or nil.
type payers [2]*account

// claim is what a call waits for, of the accounts that have hard quotas, and of the first.
type claim struct {
	use Use
	of  payers
	// offers says, of each of the two, that the store is offered all that is set
	// aside: somebody needs more than there is, as far as is known.
	offers [2]bool
}

// payer is which of the payers the account is.
func (a *account) payer() int {
	if a.key != "" {
		return 1
	}
	return 0
}

// lock is always of the tenant first.
func (p *payers) lock() {
	for _, a := range p {
		if a != nil {
			a.mu.Lock()
		}
	}
}

func (p *payers) unlock() {
	for _, a := range p {
		if a != nil {
			a.mu.Unlock()
		}
	}
}

// take claims what a call uses, in all periods of all accounts or in none. Where it is
// short, the claim is among those that wait, and the ticket is the number of the asking
// that will be for it.
func (p *payers) take(at time.Time, r *Reservation) (ticket uint64, v verdict, urges [2]urgency) {
	p.lock()
	defer p.unlock()
	ticket = p[0].asked + 1
	if v = p.room(at, &r.use); v != taken {
		return ticket, v, urges
	}
	for i, a := range p {
		if a != nil {
			urges[i] = a.take(&r.shares[i], &r.use)
		}
	}
	return ticket, taken, urges
}

// room says whether all hard quotas have room. A claim that is short waits with all that
// it needs, also of what there is enough of: so nobody sets aside of a tenant's quota what
// others need beside what they have of their key's.
func (p *payers) room(at time.Time, use *Use) verdict {
	var of [2]standing
	for i, a := range p {
		if a != nil {
			of[i] = a.room(at, use)
		}
	}
	v := max(of[0].verdict, of[1].verdict)
	if v == usedUp && (of[0].open() || of[1].open()) {
		v = short
	}
	if v == short {
		c := claim{use: *use, of: *p}
		if p[1] != nil && !p[1].limits.Load().limited {
			c.of[1] = nil
		}
		starved := of[0].starves() || of[1].starves()
		for i := range of {
			c.offers[i] = of[i].starves() || starved && of[i].spare
		}
		p[0].waiting = append(p[0].waiting, c)
	}
	return v
}

// starves reports whether more is needed than there is.
func (st *standing) starves() bool { return st.starved || st.verdict == usedUp }

// open reports whether the store is to be asked before it is said that another account
// is used up: because this one may be, too, and for longer, or because it has set
// something aside that others may wait for.
func (st *standing) open() bool {
	switch st.verdict {
	case taken:
		return st.spare && !st.fresh
	case short:
		return st.starved || st.unknown || st.spare && !st.fresh
	case usedUp, tooMuch, putAway:
	}
	return false
}

// withdraw takes back what was waited for, unless the store was asked for it.
func (p *payers) withdraw(ticket uint64, use *Use) {
	a := p[0]
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.waiting, func(c claim) bool { return c.use == *use && (c.of[1] == nil || c.of[1] == p[1]) })
	if i >= 0 && a.asked < ticket {
		a.waiting = slices.Delete(a.waiting, i, i+1)
	}
}

// tooLarge is the fault of a call that no period has room for.
func (p *payers) tooLarge(use *Use) error {
	err := p[0].tooLarge(use)
	if err == nil && p[1] != nil {
		err = p[1].tooLarge(use)
	}
	return err
}

// exceeded is the fault of a quota that is used up: of the one that lasts longest, also
// where another is: who waits must know for how long. It is nil where none is any more.
func (p *payers) exceeded(at time.Time, use *Use) (err error) {
	for _, a := range p {
		if a == nil {
			continue
		}
		if e := a.exceeded(at, use); e != nil && (err == nil || fault.As(e).RetryAfter > fault.As(err).RetryAfter) {
			err = e
		}
	}
	return err
}
