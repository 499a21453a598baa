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
	// Key is the id of the API key where administrators ask for one's own.
	Key string `json:"key,omitempty"`
	// Name is what people call the key, where who asks for it has said so.
	Name  string `json:"name,omitempty"`
	Day   Period `json:"day"`
	Month Period `json:"month"`
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

// DayByDay is what a tenant, or one of its API keys, used on each of some days.
type DayByDay struct {
	Tenant string   `json:"tenant"`
	Key    string   `json:"key,omitempty"`
	Name   string   `json:"name,omitempty"` // of the key, as in Report
	Days   []Period `json:"days"`
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

// Key returns what an API key of a tenant used in the periods around a moment, and the
// quotas of its own; the zero time is now. Faults: those of Of.
func (s *Service) Key(ctx context.Context, tenant, id string, at time.Time) (*Report, error) {
	if at.IsZero() {
		at = s.now(ctx)
	}
	r, err := s.report(ctx, subject{tenant, id}, at)
	if err == nil {
		r.Key = id
	}
	return r, err
}

// DaysOf is Days for the caller's own use; see Of.
func (s *Service) DaysOf(ctx context.Context, p *identity.Principal, from, to time.Time) (*DayByDay, error) {
	used, err := s.Days(ctx, p.Tenant, keyOf(p), from, to)
	if err == nil {
		used.Key = ""
	}
	return used, err
}

// Days returns what a tenant used, or one of its API keys where one is named, on each
// day of UTC from that of one moment to that of another, both included: nothing on
// days that are forgotten. The zero time is now, for to. Faults: BadRequest for more days than are kept, or for none;
// those of Of.
func (s *Service) Days(ctx context.Context, tenant, key string, from, to time.Time) (*DayByDay, error) {
	if to.IsZero() {
		to = s.now(ctx)
	}
	start, end := limit.PerDay.Around(from)
	switch last, _ := limit.PerDay.Around(to); {
	case last.Before(start):
		return nil, fault.New(fault.BadRequest, "The last day is before the first")
	case last.Sub(start) >= keepDays:
		return nil, fault.Newf(fault.BadRequest, "These are more than the %d days that are kept", keepDays/(24*time.Hour))
	}
	var places []Place
	for ; !start.After(to); start, end = limit.PerDay.Around(end) {
		places = append(places, Place{tenant, key, limit.PerDay, start})
	}
	used, err := s.usedAt(ctx, subject{tenant, key}, places)
	if err != nil {
		return nil, err
	}
	days := make([]Period, len(places))
	for i := range places {
		days[i] = toldOf(places[i].Start, &used[i])
	}
	return &DayByDay{Tenant: tenant, Key: key, Days: days}, nil
}

func (s *Service) report(ctx context.Context, of subject, at time.Time) (*Report, error) {
	quotas, _, err := s.cfg.Limits.Quotas(ctx, of.tenant, of.key)
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
	return toldOf(start, &all[per])
}

func toldOf(start time.Time, used *Use) Period {
	return Period{
		Start: start, Calls: used[limit.UnitCalls], Rows: used[limit.UnitRows], Bytes: used[limit.UnitBytes],
		ComputeMS: used[limit.UnitCompute] / limit.UnitCompute.Scale(),
	}
}

// looks is how often the store is read again because it was told something
// meanwhile.
const looks = 4

// used returns what was used in the periods around a moment.
func (s *Service) used(ctx context.Context, of subject, at time.Time) (*[limit.Periods]Use, error) {
	var places []Place
	for per := range limit.Periods {
		start, _ := per.Around(at)
		places = append(places, Place{of.tenant, of.key, per, start})
	}
	all, err := s.usedAt(ctx, of, places)
	if err != nil {
		return nil, err
	}
	return (*[limit.Periods]Use)(all), nil
}

// usedAt returns what the store counts at places of the subject, without what this
// process has set aside of it, and with what the store does not know.
func (s *Service) usedAt(ctx context.Context, of subject, places []Place) ([]Use, error) {
	if a := s.present(of); a != nil {
		_ = s.refresh(ctx, a) // else it goes on as it is; that of another tenant of the name is forgotten
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
		for i := range stored {
			for unit := range stored[i] {
				stored[i][unit] = max(0, stored[i][unit]-balances[i][unit])
			}
		}
		return stored, nil
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
func (a *account) balances(places []Place) []Use {
	all := make([]Use, len(places))
	if a == nil {
		return all
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range places {
		for _, p := range append(slices.Clip(a.closed), a.current[at.Per]) {
			if p != nil && p.per == at.Per && p.start.Equal(at.Start) {
				all[i] = p.balance
			}
		}
	}
	return all
}
