package accounts_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/sqlstore"
)

const (
	password = "lamp-violet-orbit-42"
	another  = "river stone candle 7"
)

// cheap makes tests fast; the real cost is tested where it matters.
var cheap = accounts.Params{Memory: 64, Time: 1, Threads: 1}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is a Service on a real database in a data directory of its own.
type fixture struct {
	*accounts.Service

	store *sqlstore.Store
	dir   string
	now   time.Time
}

func newFixture(t *testing.T, overrides ...func(*accounts.Config)) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: start}
	f.store = openStore(t, f.dir)
	f.Service = f.service(t, overrides...)
	return f
}

func openStore(t *testing.T, dir string) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(dir, "onnxgate.db")})
	must(t, err)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// service returns a further Service on the same data, as a second process has
// it.
func (f *fixture) service(t *testing.T, overrides ...func(*accounts.Config)) *accounts.Service {
	t.Helper()
	cfg := accounts.Config{
		Store: f.store, Params: cheap, InitialPasswordFile: f.passwordFile(),
		Now: func() time.Time { return f.now },
	}
	for _, o := range overrides {
		o(&cfg)
	}
	s, err := accounts.New(cfg)
	must(t, err)
	return s
}

func (f *fixture) passwordFile() string { return filepath.Join(f.dir, "initial-admin-password") }

func (f *fixture) add(t *testing.T, name string, roles ...string) {
	t.Helper()
	_, _, err := f.Add(t.Context(), administrator, accounts.NewUser{Name: name, Password: password, Roles: roles})
	must(t, err)
}

func (f *fixture) record(ctx context.Context, name string) (r *accounts.Record, err error) {
	err = f.store.View(ctx, func(tx *accounts.Tx) error {
		r, err = tx.Users.Get(accounts.AnyTenant, name)
		return err
	})
	return r, err
}

func (f *fixture) stamp(t *testing.T, name string) string {
	t.Helper()
	r, err := f.record(t.Context(), name)
	must(t, err)
	return r.Stamp
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestAUserIsAddedAndVerified(t *testing.T) {
	f := newFixture(t)
	got, added, err := f.Add(t.Context(), administrator, accounts.NewUser{
		Name: "Ada", Password: password, Roles: []string{"user", "analyst", "user"},
	})
	must(t, err)
	want := &accounts.User{
		Name: "ada", Tenant: "default", Roles: []string{"user", "analyst"}, CreatedAt: start, UpdatedAt: start,
	}
	if diff := cmp.Diff(want, got); diff != "" || !added {
		t.Error(added, diff)
	}
	for _, name := range []string{"ada", "ADA", "Ａｄａ"} {
		p, stamp, err := f.VerifyPassword(t.Context(), name, password)
		must(t, err)
		if diff := cmp.Diff(&identity.Principal{Subject: "ada", Tenant: "default", Roles: []string{"user", "analyst"}}, p); diff != "" {
			t.Error(diff)
		}
		if len(stamp) != 22 || stamp != f.stamp(t, "ada") {
			t.Errorf("the stamp is %q", stamp)
		}
	}
}

func TestPasswordsMatchInEitherNormalForm(t *testing.T) {
	f := newFixture(t)
	composed, decomposed := "crème brûlée für zwei", "cre\u0300me bru\u0302le\u0301e fu\u0308r zwei"
	_, _, err := f.Add(t.Context(), administrator, accounts.NewUser{Name: "ada", Password: decomposed, Roles: []string{"user"}})
	must(t, err)
	for _, p := range []string{composed, decomposed} {
		if _, _, err := f.VerifyPassword(t.Context(), "ada", p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestEveryWrongSignInLooksTheSame(t *testing.T) {
	f := newFixture(t)
	f.add(t, "root", "admin")
	f.add(t, "ada", "user")
	f.add(t, "dora", "user")
	must(t, f.Disable(t.Context(), administrator, "dora"))
	f.add(t, "eve", "user")
	spoil(t, f, "eve", "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	for what, tc := range map[string]struct{ name, password string }{
		"wrong password":         {"ada", password + "x"},
		"a truncated password":   {"ada", password[:len(password)-1]},
		"an empty password":      {"ada", ""},
		"a password too long":    {"ada", strings.Repeat("a", 1025)},
		"unknown user":           {"bob", password},
		"no name":                {"", password},
		"a name nobody can have": {"ada ", password},
		"a hostile name":         {"' OR 1=1 --\x00", password},
		"disabled user":          {"dora", password},
		"hash of absurd cost":    {"eve", password},
		"invalid UTF-8":          {"ada", "\xff\xfe"},
	} {
		p, stamp, err := f.VerifyPassword(t.Context(), tc.name, tc.password)
		if p != nil || stamp != "" {
			t.Errorf("%s: %v, %q", what, p, stamp)
		}
		want := &fault.Error{Kind: fault.Unauthenticated, Msg: "Incorrect username or password"}
		if diff := cmp.Diff(want, fault.As(err), cmpopts.IgnoreFields(fault.Error{}, "Err")); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// spoil stores a hash that this package never makes.
func spoil(t *testing.T, f *fixture, name, hash string) {
	t.Helper()
	must(t, f.store.Update(t.Context(), func(tx *accounts.Tx) error {
		r, err := tx.Users.Get(accounts.AnyTenant, name)
		if err != nil {
			return err
		}
		r.PasswordHash = hash
		return tx.Users.Replace(r)
	}))
}

func TestAHashOfAnotherCostIsRenewed(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	before, err := f.record(t.Context(), "ada")
	must(t, err)
	dearer := f.service(t, func(c *accounts.Config) { c.Params = accounts.Params{Memory: 128, Time: 1, Threads: 1} })
	_, _, err = dearer.VerifyPassword(t.Context(), "ada", "wrong, so that nothing is renewed")
	wantKind(t, "wrong password", err, fault.Unauthenticated)
	if after, err := f.record(t.Context(), "ada"); err != nil || after.PasswordHash != before.PasswordHash {
		t.Errorf("a wrong password renewed the hash: %v", err)
	}
	for range 2 {
		if _, _, err := dearer.VerifyPassword(t.Context(), "ada", password); err != nil {
			t.Fatal(err)
		}
	}
	after, err := f.record(t.Context(), "ada")
	must(t, err)
	if !strings.HasPrefix(after.PasswordHash, "$argon2id$v=19$m=128,t=1,p=1$") {
		t.Errorf("the hash is %s", after.PasswordHash)
	}
	if after.Stamp != before.Stamp {
		t.Error("renewing the hash ended the user's tokens")
	}
}

func TestAddRefusesWhatBreaksARule(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	for what, tc := range map[string]struct {
		add  accounts.NewUser
		kind fault.Kind
	}{
		"a name that is taken":     {accounts.NewUser{Name: "ADA", Password: password, Roles: []string{"user"}}, fault.Conflict},
		"no name":                  {accounts.NewUser{Password: password, Roles: []string{"user"}}, fault.Content},
		"a name with a blank":      {accounts.NewUser{Name: "a b", Password: password, Roles: []string{"user"}}, fault.Content},
		"no role":                  {accounts.NewUser{Name: "bob", Password: password}, fault.Content},
		"a role in capitals":       {accounts.NewUser{Name: "bob", Password: password, Roles: []string{"Admin"}}, fault.Content},
		"a role with a blank":      {accounts.NewUser{Name: "bob", Password: password, Roles: []string{"user admin"}}, fault.Content},
		"an empty role":            {accounts.NewUser{Name: "bob", Password: password, Roles: []string{""}}, fault.Content},
		"a tenant with a slash":    {accounts.NewUser{Name: "bob", Password: password, Roles: []string{"user"}, Tenant: "a/b"}, fault.Content},
		"a weak password":          {accounts.NewUser{Name: "bob", Password: "password", Roles: []string{"user"}}, fault.Content},
		"weak, though it is there": {accounts.NewUser{Name: "ada", Password: "password", Roles: []string{"user"}, IfAbsent: true}, fault.Content},
	} {
		_, added, err := f.Add(t.Context(), administrator, tc.add)
		wantKind(t, what, err, tc.kind)
		if added {
			t.Errorf("%s: added", what)
		}
	}
	users, err := f.Users(t.Context(), accounts.AnyTenant, accounts.Page{})
	if err != nil || len(users) != 1 {
		t.Errorf("List = %v, %v, want ada alone", users, err)
	}
}

func TestAddIfAbsentLeavesAUserAsItIs(t *testing.T) {
	kept := &records{}
	f := newFixture(t, func(c *accounts.Config) { c.Audit = kept })
	f.add(t, "ada", "user")
	before := f.stamp(t, "ada")
	kept.all = nil
	got, added, err := f.Add(t.Context(), administrator, accounts.NewUser{
		Name: "ada", Password: another, Roles: []string{"admin"}, IfAbsent: true,
	})
	must(t, err)
	if added || !cmp.Equal(got.Roles, []string{"user"}) || f.stamp(t, "ada") != before || len(kept.all) > 0 {
		t.Errorf("added %v, user %+v, on record %q", added, got, kept.all)
	}
	if _, _, err := f.VerifyPassword(t.Context(), "ada", password); err != nil {
		t.Errorf("the former password: %v", err)
	}
}

func TestEveryChangeGivesANewStamp(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t)
	f.add(t, "root", "admin")
	f.add(t, "ada", "user")
	seen := map[string]string{f.stamp(t, "ada"): "add", f.stamp(t, "root"): "another user"}
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"password", func() error { return f.SetPassword(ctx, administrator, "Ada", another) }},
		{"the same password", func() error { return f.SetPassword(ctx, administrator, "ada", another) }},
		{"roles", func() error { return f.SetRoles(ctx, administrator, "ada", []string{"analyst"}) }},
		{"disable", func() error { return f.Disable(ctx, administrator, "ada") }},
		{"enable", func() error { return f.Enable(ctx, administrator, "ada") }},
		{"delete and add", func() error {
			return errors.Join(f.Delete(ctx, administrator, "ada"), func() error {
				_, _, err := f.Add(ctx, administrator, accounts.NewUser{Name: "ada", Password: another, Roles: []string{"analyst"}})
				return err
			}())
		}},
	} {
		f.now = f.now.Add(time.Hour)
		must(t, step.change())
		r, err := f.record(ctx, "ada")
		must(t, err)
		if former, ok := seen[r.Stamp]; ok {
			t.Errorf("%s gave the stamp of %s", step.what, former)
		}
		seen[r.Stamp] = step.what
		if !r.UpdatedAt.Equal(f.now) {
			t.Errorf("%s: updated at %s, want %s", step.what, r.UpdatedAt, f.now)
		}
	}
	if _, _, err := f.VerifyPassword(ctx, "ada", another); err != nil {
		t.Error(err)
	}
}

func TestChangesOfNobodyAreNotFound(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t)
	for what, err := range map[string]error{
		"password": f.SetPassword(ctx, administrator, "bob", password), "roles": f.SetRoles(ctx, administrator, "bob", []string{"user"}),
		"disable": f.Disable(ctx, administrator, "bob"), "enable": f.Enable(ctx, administrator, "bob"), "delete": f.Delete(ctx, administrator, "bob"),
	} {
		wantKind(t, what, err, fault.NotFound)
	}
}

func TestChangesKeepTheRules(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t)
	f.add(t, "ada", "user")
	for what, err := range map[string]error{
		"weak password": f.SetPassword(ctx, administrator, "ada", "password"), "no role": f.SetRoles(ctx, administrator, "ada", nil),
		"bad role": f.SetRoles(ctx, administrator, "ada", []string{"a b"}), "bad name": f.Delete(ctx, administrator, "a b"),
	} {
		wantKind(t, what, err, fault.Content)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t)
	f.add(t, "root", "admin", "user")
	f.add(t, "ada", "admin")
	must(t, f.Disable(ctx, administrator, "ada"))
	for what, err := range map[string]error{
		"disable": f.Disable(ctx, administrator, "root"), "delete": f.Delete(ctx, administrator, "root"), "demote": f.SetRoles(ctx, administrator, "root", []string{"user"}),
	} {
		wantKind(t, what, err, fault.Conflict)
	}
	must(t, f.SetRoles(ctx, administrator, "root", []string{"admin"})) // keeps the role
	must(t, f.SetPassword(ctx, administrator, "root", another))
	must(t, f.Delete(ctx, administrator, "ada")) // was no enabled one
	f.add(t, "eve", "admin")
	must(t, f.Disable(ctx, administrator, "root"))
	wantKind(t, "disable the other", f.Disable(ctx, administrator, "eve"), fault.Conflict)
	must(t, f.Enable(ctx, administrator, "root"))
	must(t, f.Delete(ctx, administrator, "eve"))
}

func TestOfTwoWhoRemoveEachOtherOneStays(t *testing.T) {
	for range 5 {
		f := newFixture(t)
		f.add(t, "ada", "admin")
		f.add(t, "bob", "admin")
		ctx := context.WithoutCancel(t.Context())
		errs := make(chan error, 2)
		for _, name := range []string{"ada", "bob"} {
			go func() { errs <- f.Delete(ctx, administrator, name) }()
		}
		one, two := <-errs, <-errs
		if (one == nil) == (two == nil) {
			t.Errorf("outcomes %v and %v, want one refusal", one, two)
		}
	}
}
