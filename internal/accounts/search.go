package accounts

import (
	"context"
	"slices"
)

// Filter narrows a list; its zero value lists everything.
type Filter struct {
	// Tenant is whose things are listed.
	Tenant string
	// Role is one that they hold.
	Role     string
	Disabled *bool
}

func (f *Filter) keeps(disabled bool, roles []string) bool {
	return (f.Disabled == nil || *f.Disabled == disabled) && (f.Role == "" || slices.Contains(roles, f.Role))
}

// Found is a page of a list.
type Found[T any] struct {
	Items []T
	// Next is where the next page begins, empty behind the last.
	Next string
}

// How many things a page has.
const (
	DefaultPage = 100
	MaxPage     = 500
)

// searched is how many records one search reads at most: a page of a filtered
// list has then what was found so far.
const searched = 2000

// within returns the tenant whose things the actor asks for, and false when it
// may see nothing of it.
func (a Actor) within(tenant string) (string, bool) {
	switch {
	case tenant == "" || tenant == a.Tenant:
		return a.Tenant, true
	case a.Tenant == AnyTenant:
		return tenant, true
	}
	return "", false
}

// SearchUsers returns a page of the users that the actor may see, in the order of
// their names.
func (s *Service) SearchUsers(ctx context.Context, by Actor, f Filter, page Page) (Found[User], error) {
	return search(ctx, s, by, f.Tenant, page,
		func(tx *Tx) Reader[Record] { return tx.Users },
		func(r *Record) string { return r.Name },
		func(r *Record) bool { return f.keeps(r.Disabled, r.Roles) },
		func(r *Record) User { return r.User })
}

// SearchTenants returns a page of the tenants that the actor may see, in the
// order of their names.
func (s *Service) SearchTenants(ctx context.Context, by Actor, f Filter, page Page) (Found[Tenant], error) {
	return search(ctx, s, by, f.Tenant, page,
		func(tx *Tx) Reader[Tenant] { return tx.Tenants },
		func(r *Tenant) string { return r.Name },
		func(r *Tenant) bool { return f.keeps(r.Disabled, nil) },
		func(r *Tenant) Tenant { return *r })
}

// SearchClients returns a page of the service clients that the actor may see, in
// the order of their ids, without their secrets' hashes.
func (s *Service) SearchClients(ctx context.Context, by Actor, f Filter, page Page) (Found[Client], error) {
	return search(ctx, s, by, f.Tenant, page,
		func(tx *Tx) Reader[Client] { return tx.Clients },
		func(r *Client) string { return r.ID },
		func(r *Client) bool { return f.keeps(r.Disabled, r.Roles) },
		func(r *Client) Client { return *r.shown() })
}

// SearchKeys returns a page of the API keys that the actor may see, in the order
// of their ids, without their hashes.
func (s *Service) SearchKeys(ctx context.Context, by Actor, f Filter, page Page) (Found[APIKey], error) {
	return search(ctx, s, by, f.Tenant, page,
		func(tx *Tx) Reader[APIKey] { return tx.Keys },
		func(r *APIKey) string { return r.ID },
		func(r *APIKey) bool { return f.keeps(r.Disabled, r.Roles) },
		func(r *APIKey) APIKey { return *r.shown() })
}

// search reads records in the order of the store until a page is full, all were
// read, or enough.
func search[R, T any](
	ctx context.Context, s *Service, by Actor, tenant string, page Page,
	of func(*Tx) Reader[R], id func(*R) string, keep func(*R) bool, show func(*R) T,
) (Found[T], error) {
	tenant, ok := by.within(tenant)
	if !ok {
		return Found[T]{}, nil
	}
	if page.Limit <= 0 || page.Limit > MaxPage {
		page.Limit = DefaultPage
	}
	return view(ctx, s, func(tx *Tx) (found Found[T], err error) {
		// One more than asked for tells whether there is another page.
		read := Page{After: page.After, Limit: page.Limit + 1}
		for total := 0; total < searched; total += read.Limit {
			records, err := of(tx).List(tenant, read)
			if err != nil {
				return found, err
			}
			for i := range records {
				r := &records[i]
				if keep(r) {
					if len(found.Items) == page.Limit {
						found.Next = read.After
						return found, nil
					}
					found.Items = append(found.Items, show(r))
				}
				read.After = id(r)
			}
			if len(records) < read.Limit {
				return found, nil
			}
		}
		found.Next = read.After
		return found, nil
	})
}
