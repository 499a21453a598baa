package accounts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// TestAnActorGivesWhatAllItsCredentialsHold is the rule of ActorOf alone; httpapi
// tries it through every route.
func TestAnActorGivesWhatAllItsCredentialsHold(t *testing.T) {
	f := newFixture(t)
	roles, err := authz.NewRoles(map[string][]string{"helpdesk": {identity.UsersWrite, identity.ModelsRead, identity.ModelsPredict}})
	must(t, err)
	who := func(words ...string) *identity.Principal {
		return &identity.Principal{Subject: "the" + strings.Join(words, "-"), Tenant: "default", Roles: words, Scopes: roles.Of("default", words)}
	}
	for _, words := range [][]string{{"admin"}, {"helpdesk"}, {"helpdesk", "analyst"}} {
		f.add(t, who(words...).Subject, words...)
	}
	with := func(p, second *identity.Principal) *identity.Principal { p.With = second; return p }
	of := func(tenant string, p *identity.Principal) *identity.Principal { p.Tenant = tenant; return p }
	for i, tc := range []struct {
		name string
		who  *identity.Principal
		give []string
		want fault.Kind
	}{
		{"an administrator", who("admin"), []string{"admin", "analyst"}, allowed},
		{"one credential of two", with(who("admin"), who("helpdesk")), []string{"admin"}, fault.Forbidden},
		{"the other of two", with(who("helpdesk"), who("admin")), []string{"admin"}, fault.Forbidden},
		{"what both hold", with(who("helpdesk"), who("admin")), []string{"user"}, allowed},
		{"a word that one of two lacks", with(who("admin"), who("helpdesk")), []string{"analyst"}, fault.Forbidden},
		{"a word of its own", who("helpdesk", "analyst"), []string{"analyst", "user"}, allowed},
		{"no role at all", who(), []string{"user"}, fault.Forbidden},
		{"a tenant's administrator, elsewhere", of("acme", who("admin")), []string{"user"}, fault.Content},
	} {
		add := accounts.NewUser{Name: fmt.Sprintf("u%d", i), Password: password, Roles: tc.give}
		_, _, err := f.Add(t.Context(), accounts.ActorOf(tc.who, roles), add)
		if tc.want == allowed && err != nil || tc.want != allowed && fault.KindOf(err) != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// allowed stands for no fault.
const allowed = fault.Kind(255)

func TestASearchReadsABoundedNumberOfRecords(t *testing.T) {
	f := newFixture(t)
	const all = 4500
	must(t, f.store.Update(t.Context(), func(tx *accounts.Tx) error {
		for i := range all {
			role := "user"
			if i == all-1 {
				role = "rare"
			}
			r := &accounts.Record{User: accounts.User{Name: fmt.Sprintf("u%04d", i), Tenant: "default", Roles: []string{role}, CreatedAt: start, UpdatedAt: start}}
			if err := tx.Users.Insert(r); err != nil {
				return err
			}
		}
		return nil
	}))
	var found []accounts.User
	after, empty := "", 0
	for pages := 1; ; pages++ {
		page, err := f.SearchUsers(t.Context(), administrator, accounts.Filter{Role: "rare"}, accounts.Page{After: after, Limit: 10})
		must(t, err)
		found = append(found, page.Items...)
		if len(page.Items) == 0 {
			empty++
		}
		if after = page.Next; after == "" || pages > all {
			break
		}
	}
	if len(found) != 1 || found[0].Name != "u4499" || empty < 1 || empty > 5 {
		t.Errorf("%v after %d empty pages; want the one that there is, after a few", found, empty)
	}
}

// A tenant's changes must not keep the servers busy for the others, and never keep
// anybody from taking rights away.
func TestChangesOfATenantAreBounded(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	own := identity.Principal{Subject: "ada", Tenant: "acme", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Outside, Issuer: "https://idp.example"}
	installation := own
	installation.Tenant = identity.DefaultTenant
	create := func(by *identity.Principal) (string, error) {
		key, _, err := f.CreateKey(t.Context(), accounts.ActorOf(by, authz.Roles{}), accounts.NewKey{Name: "k", Tenant: by.Tenant, Roles: []string{"user"}})
		if err != nil {
			return "", err
		}
		return key.ID, nil
	}
	var made []string
	for range 10 {
		id, err := create(&own)
		must(t, err)
		made = append(made, id)
	}
	_, err = create(&own)
	wantKind(t, "the eleventh in a second", err, fault.RateLimited)
	if wait := fault.As(err).RetryAfter; wait <= 0 || wait > time.Second {
		t.Errorf("it is told to wait %v", wait)
	}
	for _, id := range made {
		must(t, f.RevokeKey(t.Context(), accounts.ActorOf(&own, authz.Roles{}), id))
	}
	for range 20 {
		_, err := create(&installation)
		must(t, err)
	}
	f.now = f.now.Add(time.Second)
	_, err = create(&own)
	must(t, err)
}
