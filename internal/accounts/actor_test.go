package accounts_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
)

// records keeps what was recorded, unless it cannot.
type records struct {
	all []string
	err error
}

func (r *records) Record(_ context.Context, rec *audit.Record) error {
	if r.err == nil {
		r.all = append(r.all, string(rec.Event)+" "+rec.Object+" by "+rec.Actor+" in "+rec.Tenant)
	}
	return r.err
}

func TestEveryChangeNamesItsActorOrIsNotMade(t *testing.T) {
	kept := &records{}
	f := newFixture(t, func(c *accounts.Config) { c.Audit = kept })
	ctx := t.Context()
	ada := accounts.NewUser{Name: "ada", Password: password, Roles: []string{"user"}, Tenant: "acme"}
	of := accounts.Actor{Name: "grace", Tenant: "acme"}
	var id string // of a key
	changes := []func(by accounts.Actor) error{
		func(accounts.Actor) error {
			_, err := f.AddTenant(ctx, administrator, accounts.NewTenant{Name: "acme"})
			return err
		},
		func(by accounts.Actor) error { _, _, err := f.Add(ctx, by, ada); return err },
		func(by accounts.Actor) error { return f.SetPassword(ctx, by, "ada", another) },
		func(by accounts.Actor) error { return f.SetRoles(ctx, by, "ada", []string{"owner"}) },
		func(by accounts.Actor) error { return f.Disable(ctx, by, "ada") },
		func(by accounts.Actor) error { return f.Enable(ctx, by, "ada") },
		func(by accounts.Actor) error { return f.Delete(ctx, by, "ada") },
		func(by accounts.Actor) error {
			key, _, err := f.CreateKey(ctx, by, accounts.NewKey{Name: "k", Tenant: "acme", Roles: []string{"user"}})
			if err == nil {
				id = key.ID
			}
			return err
		},
		func(by accounts.Actor) error { _, _, err := f.RotateKey(ctx, by, id, 0); return err },
		func(by accounts.Actor) error { return f.RevokeKey(ctx, by, id) },
		func(accounts.Actor) error { return f.DisableTenant(ctx, administrator, "acme") },
		func(accounts.Actor) error { return f.EnableTenant(ctx, administrator, "acme") },
		func(accounts.Actor) error { return f.SetTenantAddresses(ctx, administrator, "acme", nil) },
		func(accounts.Actor) error { return f.DeleteTenant(ctx, administrator, "acme") },
	}
	full := errors.New("the disk is full")
	for i, change := range changes {
		before, err := f.store.Revision(ctx)
		must(t, err)
		kept.err = full
		if err := change(of); !errors.Is(err, full) {
			t.Errorf("change %d without a record: %v", i, err)
		}
		if after, err := f.store.Revision(ctx); err != nil || after != before {
			t.Errorf("change %d was made without a record", i)
		}
		kept.err = nil
		must(t, change(of))
	}
	want := []string{
		"tenant.create acme by administrator in acme", "user.add ada by grace in acme", "user.password ada by grace in acme",
		"user.roles ada by grace in acme", "user.disable ada by grace in acme", "user.enable ada by grace in acme",
		"user.delete ada by grace in acme",
		"apikey.create " + id + " by grace in acme", "apikey.rotate " + id + " by grace in acme", "apikey.revoke " + id + " by grace in acme",
		"tenant.disable acme by administrator in acme", "tenant.enable acme by administrator in acme",
		"tenant.addresses acme by administrator in acme", "tenant.delete acme by administrator in acme",
	}
	if diff := cmp.Diff(want, kept.all); diff != "" {
		t.Error(diff)
	}
}

func TestAnActorAddsToItsOwnTenantAlone(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	for _, tenant := range []string{"acme", "default", "nowhere"} {
		add := accounts.NewUser{Name: "ada", Password: password, Roles: []string{"user"}, Tenant: tenant}
		_, _, err := f.Add(t.Context(), accounts.Actor{Name: "eve", Tenant: "other"}, add)
		if f := fault.As(err); f == nil || f.Kind != fault.Content || f.Msg != "there is no tenant "+tenant {
			t.Errorf("to %s: %v, want that it looks as if there were none", tenant, err)
		}
	}
}
