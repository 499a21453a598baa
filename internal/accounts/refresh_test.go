package accounts_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// signIn begins a family for ada and returns its first token and its id.
func (f *fixture) signIn(t *testing.T) (token, family string) {
	t.Helper()
	p, stamp, err := f.VerifyPassword(t.Context(), "ada", password)
	must(t, err)
	token, family, err = f.NewFamily(t.Context(), &identity.Grant{Principal: p, Stamp: stamp, ClientID: "app", Scope: "models:read"})
	must(t, err)
	return token, family
}

func (f *fixture) refresh(t *testing.T, token string) (string, error) {
	t.Helper()
	grant, next, err := f.Refresh(t.Context(), token, "app")
	if err == nil && (grant.Subject != "ada" || grant.Scope != "models:read" || next == token) {
		t.Errorf("Refresh = %+v", grant)
	}
	return next, err
}

func (f *fixture) standsIn(t *testing.T, family string) bool {
	t.Helper()
	stands, err := f.TokenStands(t.Context(), "ada", f.stamp(t, "ada"), identity.FamilyTokenID(family, "id"))
	must(t, err)
	return stands
}

func newFamilyFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.add(t, "root", "admin")
	f.add(t, "ada", "user")
	return f
}

func TestARefreshTokenCountsOnceAndReuseEndsItsFamily(t *testing.T) {
	f := newFamilyFixture(t)
	first, family := f.signIn(t)
	other, otherFamily := f.signIn(t)
	second, err := f.refresh(t, first)
	must(t, err)
	third, err := f.refresh(t, second)
	must(t, err)
	if !f.standsIn(t, family) {
		t.Error("the family's access tokens do not stand")
	}
	_, err = f.refresh(t, first)
	wantKind(t, "a former token", err, fault.BadRequest)
	_, err = f.refresh(t, third)
	wantKind(t, "the last token of a family that ended", err, fault.BadRequest)
	if f.standsIn(t, family) {
		t.Error("the access tokens of a family that ended stand")
	}
	if _, err := f.refresh(t, other); err != nil || !f.standsIn(t, otherFamily) {
		t.Errorf("another family ended too: %v", err)
	}
}

// counted counts the records of what was ended.
type counted struct{ revoked atomic.Int32 }

func (c *counted) Record(_ context.Context, rec *audit.Record) error {
	if rec.Event == audit.UserRevoke {
		c.revoked.Add(1)
	}
	return nil
}

func TestATokenThatWasEndedEndsOnce(t *testing.T) {
	var ended counted
	f := newFixture(t, func(c *accounts.Config) { c.Audit = &ended })
	token := &identity.AccessToken{
		Principal: &identity.Principal{Subject: "ada", Tenant: "default"}, ID: "one", ExpiresAt: f.now.Add(time.Minute),
	}
	for range 2 { // two requests that found it valid
		must(t, f.Revoke(t.Context(), token))
	}
	if n := ended.revoked.Load(); n != 1 {
		t.Errorf("the end of one token is on record %d times", n)
	}
}

func TestOf100ParallelUsesOneSucceeds(t *testing.T) {
	var ended counted
	f := newFixture(t, func(c *accounts.Config) { c.Audit = &ended })
	f.add(t, "ada", "user")
	token, _ := f.signIn(t)
	var successes atomic.Int32
	var next atomic.Value
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, got, err := f.Refresh(t.Context(), token, "app")
			switch {
			case err == nil:
				successes.Add(1)
				next.Store(got)
			case fault.KindOf(err) != fault.BadRequest:
				t.Errorf("Refresh: %v", err)
			}
		})
	}
	all.Wait()
	if n := successes.Load(); n != 1 {
		t.Fatalf("%d of 100 parallel uses succeeded", n)
	}
	last, ok := next.Load().(string)
	if _, err := f.refresh(t, last); err == nil || !ok {
		t.Error("99 of 100 uses were reuse, and the family lives")
	}
	if n := ended.revoked.Load(); n != 1 {
		t.Errorf("the end of one family is on record %d times", n)
	}
}

func TestAFamilyEndsWithTheChangeOfItsUser(t *testing.T) {
	for name, change := range map[string]func(*fixture) error{
		"password": func(f *fixture) error { return f.SetPassword(t.Context(), administrator, "ada", another) },
		"roles":    func(f *fixture) error { return f.SetRoles(t.Context(), administrator, "ada", []string{"owner"}) },
		"disabled": func(f *fixture) error { return f.Disable(t.Context(), administrator, "ada") },
		"deleted":  func(f *fixture) error { return f.Delete(t.Context(), administrator, "ada") },
	} {
		f := newFamilyFixture(t)
		token, _ := f.signIn(t)
		must(t, change(f))
		_, err := f.refresh(t, token)
		wantKind(t, name, err, fault.BadRequest)
	}
}

func TestARefreshTokenEndsByItself(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("unused", func(t *testing.T) {
		f := newFamilyFixture(t)
		token, _ := f.signIn(t)
		f.now = f.now.Add(7 * day)
		_, err := f.refresh(t, token)
		wantKind(t, "after a week", err, fault.BadRequest)
	})
	t.Run("used every day", func(t *testing.T) {
		f := newFamilyFixture(t)
		token, _ := f.signIn(t)
		for n := 1; ; n++ {
			f.now = f.now.Add(day)
			next, err := f.refresh(t, token)
			if err != nil {
				if n != 30 {
					t.Errorf("it ended on day %d", n)
				}
				return
			}
			token = next
		}
	})
}

func TestNobodyElseUsesOrEndsAFamily(t *testing.T) {
	f := newFamilyFixture(t)
	token, family := f.signIn(t)
	line, secret, _ := strings.Cut(strings.TrimPrefix(token, "ogr_"), ".")
	zeros := strings.Repeat("0", len(secret))
	for name, presented := range map[string]string{
		"nothing": "", "a prefix alone": "ogr_", "no secret": "ogr_" + line, "no line": "ogr_." + secret,
		"a short secret": token[:len(token)-1], "a long one": token + "0", "another prefix": "ogk_" + line + "." + secret,
		// An access token carries the family's id; that must be of no use.
		"the family's id": "ogr_" + family[:len(line)] + "." + zeros,
		"another line":    "ogr_" + strings.Repeat("0", len(line)) + "." + secret,
	} {
		_, err := f.refresh(t, presented)
		wantKind(t, name, err, fault.BadRequest)
		must(t, f.RevokeRefreshToken(t.Context(), presented, "app"))
	}
	_, _, err := f.Refresh(t.Context(), token, "another client")
	wantKind(t, "another client uses it", err, fault.BadRequest)
	wantKind(t, "another client ends it", f.RevokeRefreshToken(t.Context(), token, "another client"), fault.Forbidden)
	if _, err := f.refresh(t, token); err != nil {
		t.Errorf("the family ended: %v", err)
	}
}

func TestARevokedRefreshTokenEndsItsFamily(t *testing.T) {
	f := newFamilyFixture(t)
	first, family := f.signIn(t)
	second, err := f.refresh(t, first)
	must(t, err)
	must(t, f.RevokeRefreshToken(t.Context(), first, "app")) // a former one does, too
	_, err = f.refresh(t, second)
	wantKind(t, "its successor", err, fault.BadRequest)
	if f.standsIn(t, family) {
		t.Error("its access tokens stand")
	}
	must(t, f.RevokeRefreshToken(t.Context(), second, "app"))
}

func TestTheStoreHoldsNoRefreshToken(t *testing.T) {
	f := newFamilyFixture(t)
	token, _ := f.signIn(t)
	line, secret, _ := strings.Cut(strings.TrimPrefix(token, "ogr_"), ".")
	must(t, f.store.View(t.Context(), func(tx *accounts.Tx) error {
		all, err := tx.Families.List(accounts.AnyTenant, accounts.Page{})
		for _, r := range all {
			if text := r.ID + r.Hash; strings.Contains(text, line) || strings.Contains(text, secret) {
				t.Errorf("the store holds %s", text)
			}
		}
		if len(all) != 1 {
			t.Errorf("%d families", len(all))
		}
		return err
	}))
}

func TestNoFamilyBeginsForWhoIsNotTheUserAnyMore(t *testing.T) {
	f := newFamilyFixture(t)
	p, stamp, err := f.VerifyPassword(t.Context(), "ada", password)
	must(t, err)
	grant := &identity.Grant{Principal: p, Stamp: stamp, ClientID: "app", Scope: "models:read"}
	must(t, f.SetRoles(t.Context(), administrator, "ada", []string{"user", "owner"}))
	_, _, err = f.NewFamily(t.Context(), grant)
	wantKind(t, "a user of other roles", err, fault.BadRequest)
	must(t, f.Delete(t.Context(), administrator, "ada"))
	_, _, err = f.NewFamily(t.Context(), grant)
	wantKind(t, "a user who is gone", err, fault.BadRequest)
}
