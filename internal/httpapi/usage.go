package httpapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"net/url"
	"strconv"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/quota"
)

// Usage knows what tenants and their API keys used. Faults: Unavailable, Timeout,
// Canceled.
type Usage interface {
	// Of is the caller's own: of its API key, where it has one, else of its tenant.
	Of(ctx context.Context, p *identity.Principal) (*quota.Report, error)
	// Tenant is a tenant's in the periods around a moment, which is now for the zero
	// time.
	Tenant(ctx context.Context, name string, at time.Time) (*quota.Report, error)
	// Key is an API key's.
	Key(ctx context.Context, tenant, id string, at time.Time) (*quota.Report, error)
	// DaysOf is the caller's own on each day; see Days.
	DaysOf(ctx context.Context, p *identity.Principal, from, to time.Time) (*quota.DayByDay, error)
	// Days is a tenant's, or an API key's, on each day from one to another, which is
	// today for the zero time. Faults: BadRequest.
	Days(ctx context.Context, tenant, key string, from, to time.Time) (*quota.DayByDay, error)
}

// The parameters of the usage beside those of every list.
const (
	usageAt   = "at"
	usageFrom = "from"
	usageTo   = "to"
	usageBy   = "by"
	byTenant  = "tenant"
	byKey     = "key"
	dayFormat = time.DateOnly
	// maxDayByDay is how many tenants or keys a page has that shows each of some days.
	maxDayByDay = 100
)

// usageHeader is the first line of the usage of tenants as a table; that of keys
// has the key and its name behind the tenant.
var usageHeader = []string{"tenant", "per", "start", "calls", "rows", "bytes", "compute_ms"}

// ownUsage answers with what the caller used.
func (a *API) ownUsage(ctx context.Context, x *exchange) error {
	values, err := x.parameters(usageFrom, usageTo)
	if err != nil {
		return err
	}
	days, err := daysAsked(values)
	if err != nil {
		return err
	}
	var used any
	if days.dayByDay() {
		used, err = a.cfg.Usage.DaysOf(ctx, x.principal, days.from, days.to)
	} else {
		used, err = a.cfg.Usage.Of(ctx, x.principal)
	}
	if err != nil {
		return err
	}
	return x.encode(used)
}

// usageDays are the days that the usage is asked for.
type usageDays struct {
	// at is one day, and its month; the zero time is today.
	at time.Time
	// from is the first of several days, the zero time where one is asked for; the zero
	// time for to is today.
	from, to time.Time
}

func (a *usageDays) dayByDay() bool { return !a.from.IsZero() }

// daysAsked reads the days that are asked for.
func daysAsked(values url.Values) (*usageDays, error) {
	a := new(usageDays)
	switch {
	case values.Has(usageAt) && values.Has(usageFrom):
		return nil, fault.Newf(fault.BadRequest, "The parameter %s is for one day and %s for several: send one of them", usageAt, usageFrom)
	case values.Has(usageTo) && !values.Has(usageFrom):
		return nil, fault.Newf(fault.BadRequest, "The parameter %s is the last day of a range: send the first as %s, too", usageTo, usageFrom)
	}
	for name, into := range map[string]*time.Time{usageAt: &a.at, usageFrom: &a.from, usageTo: &a.to} {
		if !values.Has(name) {
			continue
		}
		day, err := time.Parse(dayFormat, values.Get(name))
		if err != nil || day.IsZero() { // which stands for what was not asked for
			return nil, fault.Newf(fault.BadRequest, "The parameter %s must be a day such as 2030-01-31", name)
		}
		*into = day
	}
	return a, nil
}

// consumer is who uses something: a tenant, or one of its keys.
type consumer struct{ tenant, key, name string }

// listUsage answers with what tenants, or API keys, used, as JSON or as a table.
func (a *API) listUsage(ctx context.Context, x *exchange) error {
	values, err := x.parameters(pageLimit, pageAfter, filterTenant, usageAt, usageFrom, usageTo, usageBy)
	if err != nil {
		return err
	}
	page := accounts.Page{After: values.Get(pageAfter)}
	if page.Limit, err = limitOf(values); err != nil {
		return err
	}
	days, err := daysAsked(values)
	if err != nil {
		return err
	}
	if days.dayByDay() && page.Limit > maxDayByDay {
		return fault.Newf(fault.BadRequest, "The parameter %s must be at most %d with %s", pageLimit, maxDayByDay, usageFrom)
	}
	users, err := a.consumers(ctx, x, values, page)
	if err != nil {
		return err
	}
	if days.dayByDay() {
		return sendUsage(x, users, values, dayLines, func(u *consumer) (*quota.DayByDay, error) {
			used, err := a.cfg.Usage.Days(ctx, u.tenant, u.key, days.from, days.to)
			if err == nil {
				used.Name = u.name
			}
			return used, err
		})
	}
	return sendUsage(x, users, values, reportLines, func(u *consumer) (*quota.Report, error) {
		if u.key == "" {
			return a.cfg.Usage.Tenant(ctx, u.tenant, days.at)
		}
		report, err := a.cfg.Usage.Key(ctx, u.tenant, u.key, days.at)
		if err == nil {
			report.Name = u.name
		}
		return report, err
	})
}

// consumers returns a page of those whose usage is asked for.
func (a *API) consumers(ctx context.Context, x *exchange, values url.Values, page accounts.Page) (users accounts.Found[consumer], err error) {
	filter := accounts.Filter{Tenant: values.Get(filterTenant)}
	switch by := values.Get(usageBy); {
	case by == byKey:
		found, err := a.cfg.Accounts.SearchKeys(ctx, a.actor(x), filter, page)
		for i := range found.Items {
			k := &found.Items[i]
			users.Items = append(users.Items, consumer{k.Tenant, k.ID, k.Name})
		}
		users.Next = found.Next
		return users, err
	case by == byTenant, !values.Has(usageBy):
		found, err := a.cfg.Accounts.SearchTenants(ctx, a.actor(x), filter, page)
		for i := range found.Items {
			users.Items = append(users.Items, consumer{tenant: found.Items[i].Name})
		}
		users.Next = found.Next
		return users, err
	}
	return users, fault.Newf(fault.BadRequest, "The parameter %s must be %s or %s", usageBy, byTenant, byKey)
}

// sendUsage answers with what each used, as JSON or as a table: CSV (RFC 4180) of the
// lines of each, and the next page as a link (RFC 8288).
func sendUsage[T any](x *exchange, users accounts.Found[consumer], values url.Values, lines func(*T) [][]string, of func(*consumer) (*T, error)) error {
	used := accounts.Found[*T]{Next: users.Next}
	var listed []consumer
	for i := range users.Items {
		one, err := of(&users.Items[i])
		if fault.KindOf(err) == fault.NotFound {
			continue // somebody has just deleted it
		}
		if err != nil {
			return err
		}
		used.Items, listed = append(used.Items, one), append(listed, users.Items[i])
	}
	if !wantsTable(x.request.Header["Accept"]) {
		return x.encode(listing("usage", used, func(r **T) *T { return *r }))
	}
	var table bytes.Buffer
	w := csv.NewWriter(&table)
	w.UseCRLF = true
	keys := values.Get(usageBy) == byKey
	_ = w.Write(withKey(keys, usageHeader, "key", "name")) // into memory
	for i, one := range used.Items {
		for _, line := range lines(one) {
			_ = w.Write(withKey(keys, line, listed[i].key, listed[i].name))
		}
	}
	w.Flush()
	if used.Next != "" {
		values.Set(pageAfter, used.Next)
		x.Header()["Link"] = []string{"<" + adminPath + "usage?" + values.Encode() + `>; rel="next"`}
	}
	x.sendOK(typeCSV, table.Bytes())
	return w.Error()
}

func reportLines(r *quota.Report) [][]string {
	return [][]string{usageLine(r.Tenant, "day", &r.Day), usageLine(r.Tenant, "month", &r.Month)}
}

func dayLines(d *quota.DayByDay) (lines [][]string) {
	for i := range d.Days {
		lines = append(lines, usageLine(d.Tenant, "day", &d.Days[i]))
	}
	return lines
}

// withKey returns the line with the key and its name behind the tenant, where keys are
// listed.
func withKey(keys bool, line []string, key, name string) []string {
	if !keys {
		return line
	}
	return append([]string{line[0], key, name}, line[1:]...)
}

func usageLine(tenant, per string, p *quota.Period) []string {
	line := []string{tenant, per, timestamp(p.Start)}
	for _, n := range []int64{p.Calls, p.Rows, p.Bytes, p.ComputeMS} {
		line = append(line, strconv.FormatInt(n, 10))
	}
	return line
}
