// Package quota counts what tenants and their API keys use, by day and by month
// of UTC, and refuses what would be more than they may.
//
// Where a quota holds, a server takes a part of what is left out of the store
// before it is used, a lease, and counts it down in memory: so no number of servers
// can give out more than there is, and what a server had not used when it was
// killed is lost. What no quota bounds is counted in memory and told to the store
// soon after.
//
// It must not know any protocol, how what was used is kept, or how models run.
package quota

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
)

// Limits knows the quotas.
type Limits interface {
	// Revision returns a number that moves whenever Quotas may answer otherwise.
	// It is called for every request. The error is a fault of kind Unavailable
	// when that is not known.
	Revision(ctx context.Context) (int64, error)
	// Quotas returns those of a tenant, or of one of its API keys where a key is
	// named, and when the tenant was made: another of its name was made at another
	// time. Faults: NotFound, Unavailable.
	Quotas(ctx context.Context, tenant, key string) (quotas []limit.Quota, made time.Time, err error)
}

// Warning says that a soft quota was reached.
type Warning struct {
	Tenant string
	// Key is the id of the API key whose quota it is; empty for the tenant's.
	Key   string
	Quota limit.Quota
	// Used is how much was used, in the quota's own terms.
	Used int64
}

// Config is what a Service is made of. Store, Limits and Now are required.
type Config struct {
	Store  Store
	Limits Limits
	// Warn is told of each soft quota that is reached while this process counts,
	// once in a period. Nil: nobody is.
	Warn func(Warning)
	// Now is the clock, with monotonic readings: then a step of the wall clock
	// begins no period, and ends none.
	Now func() time.Time
}

// Service counts. It is safe for concurrent use.
type Service struct {
	cfg   Config
	began time.Time

	mu       sync.RWMutex // guards accounts
	accounts map[subject]*account

	ledger syncer
}

// subject is who is counted: a tenant, or one of its keys.
type subject struct{ tenant, key string }

// New returns a Service that has counted nothing yet.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Limits == nil || cfg.Now == nil {
		return nil, errors.New("quota: a store, the limits and a clock are needed")
	}
	if cfg.Warn == nil {
		cfg.Warn = func(Warning) {}
	}
	s := &Service{cfg: cfg, began: cfg.Now(), accounts: map[subject]*account{}}
	s.ledger.init()
	return s, nil
}

// now is the time of the request, or of the clock, by monotonic readings.
func (s *Service) now(ctx context.Context) time.Time {
	return s.steady(reqctx.Now(ctx, s.cfg.Now))
}

// steady is a time as it would be if nobody had set the clock since the start.
func (s *Service) steady(t time.Time) time.Time { return s.began.Add(t.Sub(s.began)) }

// keyOf returns the id of the principal's API key, empty without one.
func keyOf(p *identity.Principal) string {
	for ; p != nil; p = p.With {
		if p.Method == identity.APIKey {
			return strings.TrimPrefix(p.Subject, identity.KeySubject)
		}
	}
	return ""
}

// Reservation is what a prediction may use. It belongs to one goroutine.
type Reservation struct {
	service *Service
	use     Use
	// shares are of the tenant and, where there is one, of the key.
	shares [2]share
}

// share is a reservation of one account.
type share struct {
	account *account
	periods [limit.Periods]*period
}

// Reserve claims what a prediction will use, as far as that is known, from the
// tenant of the principal and from its API key, of both or of neither. Compute is known
// only afterwards: there, something must be left, and what is in flight when it runs out
// is more than the quota. Faults: QuotaExceeded with RetryAfter to the end of the period,
// Content for what no period has room for, Unavailable where a hard quota holds and
// the store cannot be asked, Timeout, Canceled.
func (s *Service) Reserve(ctx context.Context, p *identity.Principal, use Use) (*Reservation, error) {
	r := &Reservation{service: s, use: use}
	now, key := s.now(ctx), keyOf(p)
	for {
		var of payers
		var err error
		if of[0], err = s.known(ctx, subject{tenant: p.Tenant}); err != nil {
			return nil, err
		}
		if key != "" {
			if of[1], err = s.known(ctx, subject{p.Tenant, key}); err != nil {
				return nil, err
			}
		}
		ticket, result, urges := of.take(now, r)
		for i := range of {
			s.urge(of[i], urges[i])
		}
		switch result {
		case taken:
			return r, nil
		case putAway:
		case tooMuch:
			if err := of.tooLarge(&use); err != nil {
				return nil, err
			}
		case usedUp:
			if err := of.exceeded(now, &use); err != nil {
				return nil, err
			}
		case short:
			if err := s.refill(ctx, of[0], ticket); err != nil {
				of.withdraw(ticket, &use)
				return nil, err
			}
		}
	}
}

// Settle says what was used, once; nothing gives all back.
func (r *Reservation) Settle(used Use) {
	for i := range r.shares {
		if r.shares[i].account != nil {
			r.service.settle(&r.shares[i], &r.use, &used)
			r.shares[i].account = nil
		}
	}
}

// settle says to one account what was used of what was reserved.
func (s *Service) settle(claim *share, reserved, used *Use) {
	a := claim.account
	urge, reached := a.settle(claim, reserved, used)
	s.urge(a, urge)
	for _, w := range reached {
		s.cfg.Warn(w)
	}
}

// known returns the account of a subject, which knows its quotas.
func (s *Service) known(ctx context.Context, of subject) (*account, error) {
	a := s.account(of)
	return a, s.refresh(ctx, a)
}

// refresh has the account know its quotas as they are now. Those that it knew go
// on where the store cannot be asked. An account of another tenant, of the same name,
// that was deleted is forgotten, with what was set aside for it.
func (s *Service) refresh(ctx context.Context, a *account) error {
	known := a.limits.Load()
	revision, err := s.cfg.Limits.Revision(ctx)
	if err == nil && known != nil && known.revision == revision {
		return nil
	}
	var quotas []limit.Quota
	var made time.Time
	if err == nil {
		quotas, made, err = s.cfg.Limits.Quotas(ctx, a.tenant, a.key)
	}
	if fault.KindOf(err) == fault.NotFound {
		err = nil // deleted in this moment
	}
	if err != nil {
		if known != nil {
			err = nil
		}
		return err
	}
	next := newLimits(revision, quotas)
	if next.made = made; known != nil && !made.Equal(known.made) {
		s.forget(a)
		return nil
	}
	a.limits.Store(next)
	return nil
}

// forget puts an account away.
func (s *Service) forget(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[a.subject] == a {
		delete(s.accounts, a.subject)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.putAway = true
}

// account returns the account of a subject.
func (s *Service) account(of subject) *account {
	s.mu.RLock()
	a := s.accounts[of]
	s.mu.RUnlock()
	if a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a = s.accounts[of]; a == nil {
		of = subject{strings.Clone(of.tenant), strings.Clone(of.key)}
		a = newAccount(of)
		s.accounts[of] = a
	}
	return a
}
