package accounts_test

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
)

// told keeps what became of what.
type told struct{ rec audit.Record }

func (l *told) Record(_ context.Context, rec *audit.Record) error {
	l.rec = *rec
	return nil
}

// changes are those of the last record as a line, which must be the tenant's.
func (l *told) changes(t *testing.T, tenant string) string {
	t.Helper()
	if l.rec.Tenant != tenant || l.rec.ActorTenant != "default" {
		t.Errorf("%s is a record of %q by one of %q", l.rec.Event, l.rec.Tenant, l.rec.ActorTenant)
	}
	var all []string
	for _, c := range l.rec.Changes {
		all = append(all, fmt.Sprintf("%s:%s>%s", c.What, c.Old, c.New))
	}
	return strings.Join(all, ", ")
}

// everything is a change of all that can be changed.
func everything[T any](t *testing.T, change T, silent ...string) T {
	t.Helper()
	v := reflect.ValueOf(change)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !slices.Contains(silent, name) {
			t.Fatalf("the change leaves %s out, so that nobody knows whether it would be on record", name)
		}
	}
	return change
}

func TestARecordSaysWhatBecameOfWhat(t *testing.T) {
	kept := &told{}
	f := newFixture(t, func(c *accounts.Config) { c.Audit = kept })
	ctx := t.Context()
	want := func(step, want string, err error) {
		t.Helper()
		must(t, err)
		if got := kept.changes(t, "acme"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", step, got, want)
		}
	}
	off, networks := true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	name, rate, quota, none := "renamed", "7/minute", "calls=10/day", ""

	_, err := f.AddTenant(ctx, administrator, accounts.NewTenant{Name: "acme", Rate: "5/minute"})
	want("a tenant", "rate:>5/minute", err)
	_, err = f.ChangeTenant(ctx, administrator, "acme", everything(t, accounts.TenantChange{Addresses: networks, Rate: &rate, Quota: &quota, Disabled: &off}))
	want("a changed tenant", "networks:>10.0.0.0/8 fd00::/8, rate:5/minute>7/minute, quota:>calls=10/day, state:enabled>disabled", err)
	want("an enabled tenant", "state:disabled>enabled", f.EnableTenant(ctx, administrator, "acme"))
	want("a tenant of every network", "networks:10.0.0.0/8 fd00::/8>", f.SetTenantAddresses(ctx, administrator, "acme", nil))

	_, _, err = f.Add(ctx, administrator, accounts.NewUser{Name: "ada", Password: password, Roles: []string{"user"}, Tenant: "acme"})
	want("a user", "roles:>user", err)
	want("an administrator", "roles:user>user admin", f.SetRoles(ctx, administrator, "ada", []string{"user", "admin"}))
	next := another
	_, err = f.ChangeUser(ctx, administrator, "ada", everything(t, accounts.UserChange{Password: &next, Roles: []string{"owner"}, Disabled: &off}, "CurrentPassword"))
	want("a changed user", "roles:user admin>owner, state:enabled>disabled, password:>", err)
	want("a user that may", "state:disabled>enabled", f.Enable(ctx, administrator, "ada"))
	want("tokens", "", f.RevokeAll(ctx, administrator, "ada"))
	want("no user", "roles:owner>", f.Delete(ctx, administrator, "ada"))

	ends := f.now.Add(time.Hour).UTC().Truncate(time.Second)
	key, _, err := f.CreateKey(ctx, administrator, accounts.NewKey{Name: "k", Tenant: "acme", Roles: []string{"user"}, Scopes: []string{"models:read"}, Rate: "1/minute"})
	want("a key", "name:>k, roles:>user, scopes:>models:read, rate:>1/minute", err)
	_, err = f.ChangeKey(ctx, administrator, key.ID, everything(t, accounts.KeyChange{
		Name: &name, Roles: []string{"owner"}, Scopes: []string{}, Models: []string{"iris", "wine"}, Addresses: networks, Rate: &none, Quota: &quota,
		ExpiresAt: &ends, Disabled: &off,
	}))
	want("a changed key", "name:k>renamed, roles:user>owner, scopes:models:read>, models:>iris wine, networks:>10.0.0.0/8 fd00::/8, rate:1/minute>, quota:>calls=10/day, expires:>"+
		ends.Format(time.RFC3339)+", state:enabled>disabled", err)
	_, _, err = f.RotateKey(ctx, administrator, key.ID, 0)
	want("a key with another secret", "secret:>", err)

	client, _, err := f.AddClient(ctx, administrator, accounts.NewClient{Name: "c", Tenant: "acme", Roles: []string{"user"}})
	want("a client", "name:>c, roles:>user, grants:>client_credentials", err)
	certificate := "dns:scoring.example.org"
	_, err = f.ChangeClient(ctx, administrator, client.ID, everything(t, accounts.ClientChange{
		Name: &name, Roles: []string{"owner"}, Scopes: []string{"models:read"}, Grants: []string{"password"}, Disabled: &off, Certificate: &certificate,
	}))
	want("a changed client", "name:c>renamed, roles:user>owner, scopes:>models:read, grants:client_credentials>password, certificate:>"+certificate+", state:enabled>disabled", err)
	_, _, err = f.RotateClient(ctx, administrator, client.ID, 0)
	want("a client with another secret", "secret:>", err)
	want("no client", "name:renamed>, roles:owner>, scopes:models:read>, grants:password>, certificate:"+certificate+">", f.DeleteClient(ctx, administrator, client.ID))
	want("no tenant", "rate:7/minute>, quota:calls=10/day>", f.DeleteTenant(ctx, administrator, "acme"))
}
