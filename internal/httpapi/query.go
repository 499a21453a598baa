package httpapi

import (
	"net/url"
	"slices"
	"strconv"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// The parameters that a list can be narrowed by, and those of every list.
const (
	filterTenant   = "tenant"
	filterRole     = "role"
	filterDisabled = "disabled"

	pageLimit = "limit"
	pageAfter = "after"
)

// maxParameter is far above the longest name or id that a parameter can hold.
const maxParameter = 256

// search reads the parameters of a list: those of its page, and the filters that
// it has. The fault is BadRequest for any other, one that stands twice, or a
// value that it cannot have.
func (x *exchange) search(filters ...string) (f accounts.Filter, page accounts.Page, err error) {
	values, err := x.parameters(append([]string{pageLimit, pageAfter}, filters...)...)
	if err != nil {
		return f, page, err
	}
	f.Tenant, f.Role, page.After = values.Get(filterTenant), values.Get(filterRole), values.Get(pageAfter)
	if page.Limit, err = limitOf(values); err != nil {
		return f, page, err
	}
	f.Disabled, err = truth(values, filterDisabled)
	return f, page, err
}

// tenantParameter reads the one parameter tenant, empty without it.
func (x *exchange) tenantParameter() (string, error) {
	values, err := x.parameters(filterTenant)
	return values.Get(filterTenant), err
}

// parameters reads the query, which has no parameter but the known ones, each
// once. Faults: BadRequest.
func (x *exchange) parameters(known ...string) (url.Values, error) {
	if x.request.URL.RawQuery == "" {
		return url.Values{}, nil
	}
	values, err := url.ParseQuery(x.request.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.BadRequest, "The query must be NAME=VALUE pairs joined by &")
	}
	for name, all := range values {
		switch {
		case len(known) == 0:
			return nil, fault.New(fault.BadRequest, "This path takes no parameters")
		case !slices.Contains(known, name):
			return nil, fault.Newf(fault.BadRequest, "Unknown parameter %q; this path takes %s", cut(name), join(known))
		case len(all) > 1:
			return nil, fault.Newf(fault.BadRequest, "The parameter %s is given twice", name)
		case all[0] == "" || len(all[0]) > maxParameter:
			return nil, fault.Newf(fault.BadRequest, "The parameter %s must have a value of at most %d bytes", name, maxParameter)
		}
	}
	return values, nil
}

func limitOf(values url.Values) (int, error) {
	if !values.Has(pageLimit) {
		return accounts.DefaultPage, nil
	}
	n, err := strconv.Atoi(values.Get(pageLimit))
	if err != nil || n < 1 || n > accounts.MaxPage {
		return 0, fault.Newf(fault.BadRequest, "The parameter %s must be a number from 1 to %d", pageLimit, accounts.MaxPage)
	}
	return n, nil
}

// truth returns the value of a parameter that is true or false, nil without it.
func truth(values url.Values, name string) (*bool, error) {
	if !values.Has(name) {
		return nil, nil //nolint:nilnil // it was not asked for
	}
	text := values.Get(name)
	if text != "true" && text != "false" {
		return nil, fault.Newf(fault.BadRequest, "The parameter %s must be true or false", name)
	}
	yes := text == "true"
	return &yes, nil
}

// cut bounds how much of a client's own text comes back.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
