package accounts_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"onnxgate/internal/accounts"
	"onnxgate/internal/argon"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// through signs ada in through a client, and returns the stamp of her token and
// the refresh token that came with it.
func (f *fixture) through(t *testing.T, client *accounts.Client) (stamp, refresh string) {
	t.Helper()
	p, own, err := f.VerifyPassword(t.Context(), "ada", password)
	must(t, err)
	stored := f.clientRecord(t, client.ID)
	stamp = identity.StampThrough(own, &identity.Client{Principal: &identity.Principal{Subject: client.ID}, Stamp: stored.Stamp})
	refresh, _, err = f.NewFamily(t.Context(), &identity.Grant{Principal: p, Stamp: stamp, ClientID: client.ID, Scope: "models:read"})
	must(t, err)
	return stamp, refresh
}

func TestWhatAUserGotThroughAClientEndsWithTheClient(t *testing.T) {
	for name, change := range map[string]func(f *fixture, ctx context.Context, client string) error{
		"disabled": func(f *fixture, ctx context.Context, client string) error {
			return f.DisableClient(ctx, administrator, client)
		},
		"deleted": func(f *fixture, ctx context.Context, client string) error {
			return f.DeleteClient(ctx, administrator, client)
		},
		"disabled and enabled": func(f *fixture, ctx context.Context, client string) error {
			if err := f.DisableClient(ctx, administrator, client); err != nil {
				return err
			}
			return f.EnableClient(ctx, administrator, client)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.add(t, "ada", "user")
			client, _, err := f.AddClient(t.Context(), administrator, accounts.NewClient{Name: "web", Roles: []string{"user"}})
			must(t, err)
			stamp, refresh := f.through(t, client)
			if !stands(t, f.Service, "ada", stamp) {
				t.Fatal("the token does not count")
			}
			own := f.stamp(t, "ada")
			must(t, change(f, t.Context(), client.ID))
			if stands(t, f.Service, "ada", stamp) {
				t.Error("the token counts on")
			}
			_, _, err = f.Refresh(t.Context(), refresh, client.ID)
			wantKind(t, "the refresh token", err, fault.BadRequest)
			if !stands(t, f.Service, "ada", own) {
				t.Error("a token that the user got without the client ended too")
			}
		})
	}
}

func TestAStampThroughAClientIsOfBoth(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	client, _, err := f.AddClient(t.Context(), administrator, accounts.NewClient{Name: "web", Roles: []string{"user"}})
	must(t, err)
	good, _ := f.through(t, client)
	own, _, _ := strings.Cut(good, ".")
	for name, stamp := range map[string]string{
		"no client's stamp": own + "." + client.ID + ".", "another client": own + ".ogc_x." + f.clientRecord(t, client.ID).Stamp,
		"the client's alone": "." + client.ID + "." + f.clientRecord(t, client.ID).Stamp, "a part more": good + ".x",
		"a user as client": own + ".ada." + own,
	} {
		if stands(t, f.Service, "ada", stamp) {
			t.Errorf("%s: it counts", name)
		}
	}
}

func TestATenantsNetworksHoldForPasswordsSecretsAndRefreshTokens(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	client, secret, err := f.AddClient(t.Context(), administrator, accounts.NewClient{Name: "web", Roles: []string{"user"}})
	must(t, err)
	_, refresh := f.through(t, client)
	must(t, f.SetTenantAddresses(t.Context(), administrator, "default", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}))
	from := func(addr string) context.Context {
		return reqctx.With(t.Context(), &reqctx.Info{ClientAddr: netip.MustParseAddr(addr)})
	}
	outside, inside := from("192.0.2.1"), from("10.1.2.3")
	_, _, err = f.VerifyPassword(outside, "ada", password)
	wantKind(t, "the password", err, fault.Forbidden)
	_, _, err = f.VerifyPassword(outside, "ada", another)
	wantKind(t, "a wrong one", err, fault.Unauthenticated)
	_, err = f.VerifyClient(outside, client.ID, secret)
	wantKind(t, "the secret", err, fault.Forbidden)
	_, err = f.VerifyClient(outside, client.ID, secret+"x")
	wantKind(t, "a wrong one", err, fault.Unauthenticated)
	_, _, err = f.Refresh(outside, refresh, client.ID)
	wantKind(t, "the refresh token", err, fault.Forbidden)
	_, _, err = f.VerifyPassword(inside, "ada", password)
	must(t, err)
	_, err = f.VerifyClient(inside, client.ID, secret)
	must(t, err)
	_, _, err = f.Refresh(inside, refresh, client.ID)
	must(t, err)
}

func TestWhoTriesAPasswordDoesNotKeepItsUserFromChangingIt(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for range 10 {
		_, _, _ = f.VerifyPassword(t.Context(), "ada", "wrong password of somebody")
	}
	_, _, err := f.VerifyPassword(t.Context(), "ada", password)
	wantKind(t, "signing in", err, fault.RateLimited)
	ada := &identity.Principal{Subject: "ada", Tenant: "default", Method: identity.Bearer}
	for range 9 {
		wantKind(t, "a wrong present one", f.ChangePassword(t.Context(), ada, another, another+another), fault.Forbidden)
	}
	must(t, f.ChangePassword(t.Context(), ada, password, another+" "+another))
}

// hashing is argon2id, and what else happens before one of its hashes is there.
type hashing struct {
	argon.Here

	jobs   int
	before map[int]func()
}

func (h *hashing) Hash(ctx context.Context, job *argon.Job) ([]byte, error) {
	h.jobs++
	if before := h.before[h.jobs]; before != nil {
		before()
	}
	return h.Here.Hash(ctx, job)
}

// Who has an old password and a token must not take the account back that an
// administrator takes away while the new password is hashed.
func TestAPasswordIsNotChangedForOneThatIsNotThePresentOneAnyMore(t *testing.T) {
	const resets = "meadow copper window 9"
	var h hashing
	f := newFixture(t, func(c *accounts.Config) { c.Argon = &h })
	other := f.service(t)
	f.add(t, "root", "admin")
	own := &identity.Principal{Subject: "ada", Tenant: "default", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Bearer}
	for name, change := range map[string]func() error{
		"as a user": func() error { return f.ChangePassword(t.Context(), own, password, another) },
		"as an administrator": func() error {
			present, next := password, another
			_, err := f.ChangeUser(t.Context(), accounts.ActorOf(own, authz.Roles{}), "ada", accounts.UserChange{Password: &next, CurrentPassword: &present})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.add(t, "ada", "admin")
			// The first hash is that of the present password, the second that of the next.
			h.jobs, h.before = 0, map[int]func(){2: func() { must(t, other.SetPassword(t.Context(), administrator, "ada", resets)) }}
			wantKind(t, "the change", change(), fault.Forbidden)
			if f.HasPassword(t.Context(), "ada", another) || !f.HasPassword(t.Context(), "ada", resets) {
				t.Error("the password is not the administrator's")
			}
			must(t, f.Delete(t.Context(), administrator, "ada"))
		})
	}
}

// A change waits for a hash, and for others who hash: who was disabled meanwhile makes
// nobody an administrator any more.
func TestWhoWasDisabledMeanwhileChangesNothing(t *testing.T) {
	var h hashing
	f := newFixture(t, func(c *accounts.Config) { c.Argon = &h })
	other := f.service(t)
	f.add(t, "root", "admin")
	own := &identity.Principal{Subject: "ada", Tenant: "default", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Bearer}
	for name, change := range map[string]func() error{
		"disabled": func() error { return other.Disable(t.Context(), administrator, "ada") },
		"deleted":  func() error { return other.Delete(t.Context(), administrator, "ada") },
		"lowered":  func() error { return other.SetRoles(t.Context(), administrator, "ada", []string{"user"}) },
	} {
		f.add(t, "ada", "admin")
		h.jobs, h.before = 0, map[int]func(){1: func() { must(t, change()) }}
		_, _, err := f.Add(t.Context(), accounts.ActorOf(own, authz.Roles{}), accounts.NewUser{Name: "eve", Password: another, Roles: []string{"admin"}})
		wantKind(t, name, err, fault.Forbidden)
		h.before = nil
		if err := f.Delete(t.Context(), administrator, "ada"); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
	}
}

// The same of a whole tenant: nothing is left behind for when it is enabled again.
func TestWhoseTenantWasDisabledMeanwhileChangesNothing(t *testing.T) {
	var h hashing
	f := newFixture(t, func(c *accounts.Config) { c.Argon = &h })
	other := f.service(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	_, _, err = f.Add(t.Context(), administrator, accounts.NewUser{Name: "ada", Password: password, Roles: []string{"admin"}, Tenant: "acme"})
	must(t, err)
	for name, own := range map[string]*identity.Principal{
		"our own": {Subject: "ada", Tenant: "acme", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Bearer},
		"outside": {Subject: "bob", Tenant: "acme", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Outside, Issuer: "https://idp.example"},
	} {
		must(t, f.EnableTenant(t.Context(), administrator, "acme"))
		h.jobs, h.before = 0, map[int]func(){1: func() { must(t, other.DisableTenant(t.Context(), administrator, "acme")) }}
		_, _, err := f.Add(t.Context(), accounts.ActorOf(own, authz.Roles{}), accounts.NewUser{Name: "eve", Password: another, Roles: []string{"admin"}, Tenant: "acme"})
		wantKind(t, name, err, fault.Forbidden)
	}
}

// The count of sign-ins is a stranger's to fill, on every way to one's own password.
func TestWhoTriesAPasswordDoesNotKeepAnAdministratorFromChangingTheirOwn(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "admin")
	for range 10 {
		_, _, _ = f.VerifyPassword(t.Context(), "ada", "wrong password of somebody")
	}
	own := &identity.Principal{Subject: "ada", Tenant: "default", Roles: []string{"admin"}, Scopes: authz.Permissions(), Method: identity.Bearer}
	present, next := password, another
	_, err := f.ChangeUser(t.Context(), accounts.ActorOf(own, authz.Roles{}), "ada", accounts.UserChange{Password: &next, CurrentPassword: &present})
	must(t, err)
}

func TestALongPasswordCostsAndCountsNothing(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for range 30 {
		_, _, err := f.VerifyPassword(t.Context(), "ada", strings.Repeat("x", 1100))
		wantKind(t, "a long one", err, fault.Unauthenticated)
	}
	_, _, err := f.VerifyPassword(t.Context(), "ada", password)
	must(t, err)
}
