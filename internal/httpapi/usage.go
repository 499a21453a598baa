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
}

// The parameters of the usage beside those of every list.
const (
	usageAt   = "at"
	usageBy   = "by"
	byTenant  = "tenant"
	byKey     = "key"
	dayFormat = time.DateOnly
)

// usageHeader is the first line of the usage of tenants as a table; that of keys
// has the key and its name behind the tenant.
var usageHeader = []string{"tenant", "per", "start", "calls", "rows", "bytes", "compute_ms"}

// ownUsage answers with what the caller used.
func (a *API) ownUsage(ctx context.Context, x *exchange) error {
	report, err := a.cfg.Usage.Of(ctx, x.principal)
	if err != nil {
		return err
	}
	return x.encode(report)
}

// listUsage answers with what tenants, or API keys, used, as JSON or as a table.
func (a *API) listUsage(ctx context.Context, x *exchange) error {
	values, err := x.parameters(pageLimit, pageAfter, filterTenant, usageAt, usageBy)
	if err != nil {
		return err
	}
	page := accounts.Page{After: values.Get(pageAfter)}
	if page.Limit, err = limitOf(values); err != nil {
		return err
	}
	at, err := dayOf(values)
	if err != nil {
		return err
	}
	var used accounts.Found[quota.Report]
	switch by := values.Get(usageBy); {
	case by == byKey:
		used, err = a.usageOfKeys(ctx, x, values.Get(filterTenant), page, at)
	case by == byTenant, !values.Has(usageBy):
		used, err = a.usageOfTenants(ctx, x, values.Get(filterTenant), page, at)
	default:
		err = fault.Newf(fault.BadRequest, "The parameter %s is %s or %s", usageBy, byTenant, byKey)
	}
	if err != nil {
		return err
	}
	if wantsTable(x.request.Header["Accept"]) {
		return x.usageTable(used, values)
	}
	return x.encode(listing("usage", used, func(r *quota.Report) *quota.Report { return r }))
}

func (a *API) usageOfTenants(ctx context.Context, x *exchange, tenant string, page accounts.Page, at time.Time) (used accounts.Found[quota.Report], err error) {
	found, err := a.cfg.Accounts.SearchTenants(ctx, a.actor(x), accounts.Filter{Tenant: tenant}, page)
	if err != nil {
		return used, err
	}
	return reports(found, func(t *accounts.Tenant) (*quota.Report, error) { return a.cfg.Usage.Tenant(ctx, t.Name, at) })
}

func (a *API) usageOfKeys(ctx context.Context, x *exchange, tenant string, page accounts.Page, at time.Time) (used accounts.Found[quota.Report], err error) {
	found, err := a.cfg.Accounts.SearchKeys(ctx, a.actor(x), accounts.Filter{Tenant: tenant}, page)
	if err != nil {
		return used, err
	}
	return reports(found, func(k *accounts.APIKey) (*quota.Report, error) {
		report, err := a.cfg.Usage.Key(ctx, k.Tenant, k.ID, at)
		if err == nil {
			report.Name = k.Name
		}
		return report, err
	})
}

// reports returns one for each that was found.
func reports[T any](found accounts.Found[T], of func(*T) (*quota.Report, error)) (used accounts.Found[quota.Report], err error) {
	used.Next = found.Next
	for i := range found.Items {
		report, err := of(&found.Items[i])
		if err != nil {
			return used, err
		}
		used.Items = append(used.Items, *report)
	}
	return used, nil
}

// dayOf returns the day that the usage is asked for, the zero time for today's.
func dayOf(values url.Values) (time.Time, error) {
	if !values.Has(usageAt) {
		return time.Time{}, nil
	}
	day, err := time.Parse(dayFormat, values.Get(usageAt))
	if err != nil {
		return day, fault.Newf(fault.BadRequest, "The parameter %s is a day such as 2030-01-31", usageAt)
	}
	return day, nil
}

// usageTable answers with two lines of CSV (RFC 4180) for each tenant, or key, and
// the next page as a link (RFC 8288).
func (x *exchange) usageTable(used accounts.Found[quota.Report], asked url.Values) error {
	var table bytes.Buffer
	w := csv.NewWriter(&table)
	w.UseCRLF = true
	keys := asked.Get(usageBy) == byKey
	_ = w.Write(withKey(keys, usageHeader, "key", "name")) // into memory
	for i := range used.Items {
		r := &used.Items[i]
		_ = w.Write(withKey(keys, usageLine(r.Tenant, "day", &r.Day), r.Key, r.Name))
		_ = w.Write(withKey(keys, usageLine(r.Tenant, "month", &r.Month), r.Key, r.Name))
	}
	w.Flush()
	if used.Next != "" {
		asked.Set(pageAfter, used.Next)
		x.Header()["Link"] = []string{"<" + adminPath + "usage?" + asked.Encode() + `>; rel="next"`}
	}
	x.sendOK(typeCSV, table.Bytes())
	return w.Error()
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
