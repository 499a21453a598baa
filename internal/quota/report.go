package quota

import (
	"context"
	"slices"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
)

// Report is what a tenant, or one of its API keys, used in the periods around one
// moment, as everybody is told it.
type Report struct {
	Tenant string `json:"tenant"`
	Day    Period `json:"day"`
	Month  Period `json:"month"`
	// Quotas are those that bound it: of a key its own, and then its tenant's.
	Quotas []Line `json:"quota"`
}

// Period is what was used in one period.
type Period struct {
	Start     time.Time `json:"start"`
	Calls     int64     `json:"calls"`
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	ComputeMS int64     `json:"compute_ms"`
}

// Line is one quota, and what of it is used.
type Line struct {
	Unit  string `json:"unit"`
	Per   string `json:"per"`
	Limit int64  `json:"limit"`
	Used  int64  `json:"used"`
	Hard  bool   `json:"hard"`
}

// Of returns what the caller may know of its own use: of its API key, where it has
// one, else of its tenant. Faults: Unavailable, Timeout, Canceled.
func (s *Service) Of(ctx context.Context, p *identity.Principal) (*Report, error) {
	at := s.now(ctx)
	tenant, err := s.report(ctx, subject{tenant: p.Tenant}, at)
	key := keyOf(p)
	if err != nil || key == "" {
		return tenant, err
	}
	own, err := s.report(ctx, subject{p.Tenant, key}, at)
	if err != nil {
		return nil, err
	}
	own.Quotas = append(own.Quotas, tenant.Quotas...)
	return own, nil
}

// Tenant returns what a tenant used in the periods around a moment; the zero time is
// now. Faults: those of Of.
func (s *Service) Tenant(ctx context.Context, name string, at time.Time) (*Report, error) {
	if at.IsZero() {
		at = s.now(ctx)
	}
	return s.report(ctx, subject{tenant: name}, at)
}

func (s *Service) report(ctx context.Context, of subject, at time.Time) (*Report, error) {
	quotas, err := s.cfg.Limits.Quotas(ctx, of.tenant, of.key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	used, err := s.used(ctx, of, at)
	if err != nil {
		return nil, err
	}
	r := &Report{Tenant: of.tenant, Day: told(limit.PerDay, at, used), Month: told(limit.PerMonth, at, used), Quotas: []Line{}}
	for _, q := range quotas {
		r.Quotas = append(r.Quotas, Line{
			Unit: q.Unit.String(), Per: q.Per.String(), Limit: q.Limit, Used: used[q.Per][q.Unit] / q.Unit.Scale(), Hard: !q.Soft,
		})
	}
	return r, nil
}

func told(per limit.Per, at time.Time, all *[limit.Periods]Use) Period {
	start, _ := per.Around(at)
	used := all[per]
	return Period{
		Start: start, Calls: used[limit.UnitCalls], Rows: used[limit.UnitRows], Bytes: used[limit.UnitBytes],
		ComputeMS: used[limit.UnitCompute] / limit.UnitCompute.Scale(),
	}
}

// looks is how often the store is read again because it was told something
// meanwhile.
const looks = 4

// used returns what the store counts, without what this process has set aside of
// it, and with what the store does not know.
func (s *Service) used(ctx context.Context, of subject, at time.Time) (*[limit.Periods]Use, error) {
	var places []Place
	for per := range limit.Periods {
		start, _ := per.Around(at)
		places = append(places, Place{of.tenant, of.key, per, start})
	}
	for look := 1; ; look++ {
		a := s.present(of)
		before, steady := a.askings()
		stored, err := s.cfg.Store.Usage(ctx, places)
		if err != nil {
			return nil, err
		}
		balances := a.balances(places)
		if after, _ := a.askings(); look < looks && (after != before || !steady) {
			continue
		}
		var all [limit.Periods]Use
		for i := range all {
			for unit := range all[i] {
				all[i][unit] = max(0, stored[i][unit]-balances[i][unit])
			}
		}
		return &all, nil
	}
}

// present returns the account of a subject, nil when there is none in memory.
func (s *Service) present(of subject) *account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.accounts[of]
}

// askings returns how often the store was asked for the account, and whether it is
// not being asked just now.
func (a *account) askings() (n uint64, steady bool) {
	if a == nil {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked, a.asked == a.done
}

// balances returns those of the periods at the places.
func (a *account) balances(places []Place) (all [limit.Periods]Use) {
	if a == nil {
		return all
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range places {
		for _, p := range append(slices.Clip(a.closed), a.current[i]) {
			if p != nil && p.per == at.Per && p.start.Equal(at.Start) {
				all[i] = p.balance
			}
		}
	}
	return all
}
