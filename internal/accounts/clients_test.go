package accounts_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func (f *fixture) addClient(t *testing.T) (*accounts.Client, string) {
	t.Helper()
	client, secret, err := f.AddClient(t.Context(), administrator, accounts.NewClient{
		Name: "scoring", Roles: []string{"user"}, Scopes: []string{identity.ModelsPredict},
	})
	must(t, err)
	return client, secret
}

func (f *fixture) clientRecord(t *testing.T, id string) (c *accounts.Client) {
	t.Helper()
	must(t, f.store.View(t.Context(), func(tx *accounts.Tx) (err error) {
		c, err = tx.Clients.Get(accounts.AnyTenant, id)
		return err
	}))
	return c
}

func TestAClientProvesItselfByItsSecret(t *testing.T) {
	f := newFixture(t)
	client, secret := f.addClient(t)
	if !regexp.MustCompile(`^ogc_[0-9A-Za-z]{12}$`).MatchString(client.ID) || !regexp.MustCompile(`^[0-9A-Za-z]{43}$`).MatchString(secret) {
		t.Errorf("id %s and a secret of %d characters", client.ID, len(secret))
	}
	got, err := f.VerifyClient(t.Context(), client.ID, secret)
	must(t, err)
	want := &identity.Client{
		Principal: &identity.Principal{
			Subject: client.ID, Tenant: "default", Roles: []string{"user"}, Scopes: []string{identity.ModelsPredict},
		},
		Grants: []string{"client_credentials"}, Stamp: got.Stamp,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.Stamp == "" {
		t.Error(diff)
	}
	if record := f.clientRecord(t, client.ID); strings.Contains(record.SecretHash, secret) || len(record.SecretHash) != 64 {
		t.Errorf("the store holds %s", record.SecretHash)
	}
}

func TestNothingThatIsShownHoldsASecret(t *testing.T) {
	f := newFixture(t)
	client, secret := f.addClient(t)
	rotated, second, err := f.RotateClient(t.Context(), administrator, client.ID, time.Hour)
	must(t, err)
	one, err := f.Client(t.Context(), "default", client.ID)
	must(t, err)
	all, err := f.Clients(t.Context(), accounts.AnyTenant, accounts.Page{})
	must(t, err)
	for _, c := range append(all, *client, *rotated, *one) {
		if c.SecretHash+c.FormerHash+c.Stamp != "" {
			t.Errorf("%+v shows what must not leave the server", c)
		}
	}
	if secret == second {
		t.Error("the second secret is the first")
	}
}

func TestEveryClientThatIsRefusedGetsTheSameAnswer(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	client, secret := f.addClient(t)
	disabled, disabledSecret := f.addClient(t)
	must(t, f.DisableClient(t.Context(), administrator, disabled.ID))
	foreign, foreignSecret, err := f.AddClient(t.Context(), administrator, accounts.NewClient{Name: "x", Roles: []string{"user"}, Tenant: "acme"})
	must(t, err)
	must(t, f.DisableTenant(t.Context(), administrator, "acme"))
	for name, pair := range map[string][2]string{
		"unknown": {"ogc_000000000000", secret}, "wrong": {client.ID, disabledSecret}, "no secret": {client.ID, ""},
		"no id": {"", secret}, "disabled": {disabled.ID, disabledSecret}, "of a disabled tenant": {foreign.ID, foreignSecret},
		"a secret and more": {client.ID, secret + "x"}, "capitals": {strings.ToUpper(client.ID), secret},
		"far too long": {client.ID, strings.Repeat("x", 1<<20)}, "its hash": {client.ID, f.clientRecord(t, client.ID).SecretHash},
	} {
		_, err := f.VerifyClient(t.Context(), pair[0], pair[1])
		if got := fault.As(err); got == nil || got.Kind != fault.Unauthenticated || got.Msg != "The client is unknown, disabled, or its secret is wrong" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARotatedSecretCountsForTheOverlapAlone(t *testing.T) {
	f := newFixture(t)
	client, first := f.addClient(t)
	_, second, err := f.RotateClient(t.Context(), administrator, client.ID, time.Hour)
	must(t, err)
	accepted := func(secret string) bool {
		_, err := f.VerifyClient(t.Context(), client.ID, secret)
		return err == nil
	}
	if !accepted(first) || !accepted(second) {
		t.Error("within the overlap both secrets count")
	}
	f.now = f.now.Add(time.Hour)
	if accepted(first) || !accepted(second) {
		t.Error("after the overlap the new secret counts alone")
	}
	_, third, err := f.RotateClient(t.Context(), administrator, client.ID, 0)
	must(t, err)
	if accepted(second) || !accepted(third) {
		t.Error("without an overlap the new secret counts alone, at once")
	}
	_, _, err = f.RotateClient(t.Context(), administrator, client.ID, -time.Second)
	wantKind(t, "a negative overlap", err, fault.Content)
}

func TestTheTokensOfAClientEndWithIt(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(s *accounts.Service, ctx context.Context, by accounts.Actor, id string) error
		stands bool
	}{
		"disabled": {(*accounts.Service).DisableClient, false},
		"deleted":  {(*accounts.Service).DeleteClient, false},
		"rotated": {func(s *accounts.Service, ctx context.Context, by accounts.Actor, id string) error {
			_, _, err := s.RotateClient(ctx, by, id, 0)
			return err
		}, true},
	} {
		f := newFixture(t)
		client, _ := f.addClient(t)
		stamp := f.clientRecord(t, client.ID).Stamp
		must(t, tc.change(f.Service, t.Context(), administrator, client.ID))
		got, err := f.TokenStands(t.Context(), client.ID, stamp, "id")
		if err != nil || got != tc.stands {
			t.Errorf("%s: stands = %t, %v", name, got, err)
		}
	}
}

func TestAnActorReachesTheClientsOfItsTenantAlone(t *testing.T) {
	f := newFixture(t)
	client, _ := f.addClient(t)
	eve := accounts.Actor{Name: "eve", Tenant: "acme"}
	_, _, err := f.RotateClient(t.Context(), eve, client.ID, 0)
	wantKind(t, "rotate", err, fault.NotFound)
	wantKind(t, "disable", f.DisableClient(t.Context(), eve, client.ID), fault.NotFound)
	wantKind(t, "delete", f.DeleteClient(t.Context(), eve, client.ID), fault.NotFound)
	_, _, err = f.AddClient(t.Context(), eve, accounts.NewClient{Name: "x", Roles: []string{"user"}})
	wantKind(t, "add", err, fault.Content)
}

func TestAClientThatCannotBe(t *testing.T) {
	f := newFixture(t)
	good := accounts.NewClient{Name: "x", Roles: []string{"user"}}
	for name, change := range map[string]func(*accounts.NewClient){
		"no name":           func(c *accounts.NewClient) { c.Name = "" },
		"two lines":         func(c *accounts.NewClient) { c.Name = "a\nb" },
		"a blank behind":    func(c *accounts.NewClient) { c.Name = "a " },
		"a long name":       func(c *accounts.NewClient) { c.Name = strings.Repeat("x", 101) },
		"no role":           func(c *accounts.NewClient) { c.Roles = nil },
		"an unknown scope":  func(c *accounts.NewClient) { c.Scopes = []string{"offline_access"} },
		"an unknown grant":  func(c *accounts.NewClient) { c.Grants = []string{"implicit"} },
		"an unknown tenant": func(c *accounts.NewClient) { c.Tenant = "nowhere" },
	} {
		bad := good
		change(&bad)
		_, _, err := f.AddClient(t.Context(), administrator, bad)
		wantKind(t, name, err, fault.Content)
	}
}

func TestARevokedTokenStandsNoMore(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	stamp := f.stamp(t, "ada")
	token := &identity.AccessToken{
		Principal: &identity.Principal{Subject: "ada", Tenant: "default"}, ID: "one", ExpiresAt: f.now.Add(time.Minute),
	}
	for range 2 {
		must(t, f.Revoke(t.Context(), token))
	}
	stands := map[string]bool{}
	for _, id := range []string{"one", "two"} {
		var err error
		stands[id], err = f.TokenStands(t.Context(), "ada", stamp, id)
		must(t, err)
	}
	if diff := cmp.Diff(map[string]bool{"one": false, "two": true}, stands); diff != "" {
		t.Error(diff)
	}
	// The token lives on by the clock of a server that is behind the one which tidies up.
	must(t, f.store.Note(t.Context(), func(tx *accounts.Tx) error { return tx.Prune(token.ExpiresAt.Add(50 * time.Second)) }))
	if stands, err := f.TokenStands(t.Context(), "ada", stamp, "one"); stands || err != nil {
		t.Errorf("after a server whose clock is ahead tidied up: %t, %v", stands, err)
	}
	// What has ended is not kept, and what is kept goes when it has.
	token.ID, token.ExpiresAt = "ended", f.now
	must(t, f.Revoke(t.Context(), token))
	kept := func() (all []accounts.Revocation) {
		must(t, f.store.View(t.Context(), func(tx *accounts.Tx) (err error) {
			all, err = tx.Revocations.List(accounts.AnyTenant, accounts.Page{})
			return err
		}))
		return all
	}
	want := []accounts.Revocation{{ID: "one", Tenant: "default"}}
	if diff := cmp.Diff(want, kept(), cmpopts.IgnoreFields(accounts.Revocation{}, "ExpiresAt")); diff != "" {
		t.Error(diff)
	}
	must(t, f.store.Note(t.Context(), func(tx *accounts.Tx) error { return tx.Prune(f.now.Add(time.Hour)) }))
	if all := kept(); len(all) > 0 {
		t.Errorf("%v was not pruned", all)
	}
}

func TestAPasswordChangesForThePresentOneAndEndsWhatWasIssued(t *testing.T) {
	f := newFixture(t)
	f.add(t, "ada", "user")
	token, _ := f.signIn(t)
	ada := &identity.Principal{Subject: "ada", Tenant: "default", Method: identity.Bearer}
	outside, key := *ada, *ada
	outside.Issuer, key.Method = "https://idp.example", identity.APIKey
	for name, p := range map[string]*identity.Principal{
		"an outside issuer's ada": &outside, "a key": &key,
		"a client": {Subject: "ogc_000000000000", Tenant: "default", Method: identity.Bearer},
	} {
		wantKind(t, name, f.ChangePassword(t.Context(), p, password, another), fault.Forbidden)
	}
	wantKind(t, "a wrong one", f.ChangePassword(t.Context(), ada, another, another), fault.Forbidden)
	wantKind(t, "a weak one", f.ChangePassword(t.Context(), ada, password, "password1234567"), fault.Content)
	stamp := f.stamp(t, "ada")
	must(t, f.ChangePassword(t.Context(), ada, password, another))
	if _, _, err := f.VerifyPassword(t.Context(), "ada", another); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if stands, err := f.TokenStands(t.Context(), "ada", stamp, "id"); stands || err != nil {
		t.Errorf("a token from before stands: %t, %v", stands, err)
	}
	_, err := f.refresh(t, token)
	wantKind(t, "a refresh token from before", err, fault.BadRequest)
}

// An administrator of one tenant may register any name that is free, also one that
// stands in the certificate of another tenant's program.
func TestACertificateOfTwoTenantsClientsProvesNeither(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	own := []string{"uri:spiffe://example.org/scoring", "dns:scoring.example.org"}
	add := func(name, tenant, certificate string) string {
		t.Helper()
		client, _, err := f.AddClient(t.Context(), administrator, accounts.NewClient{Name: name, Roles: []string{"user"}, Tenant: tenant, Certificate: certificate})
		if err != nil {
			t.Fatal(err)
		}
		return client.ID
	}
	scoring := add("scoring", "", own[1])
	if p, err := f.ClientByCertificate(t.Context(), own); err != nil || p.Subject != scoring {
		t.Fatalf("%v, %v", p, err)
	}
	second := add("second", "", own[0])
	if p, err := f.ClientByCertificate(t.Context(), own); err != nil || p.Subject != second {
		t.Errorf("of two clients of one tenant: %v, %v, want that of the first name", p, err)
	}
	if err := f.DeleteClient(t.Context(), administrator, second); err != nil {
		t.Fatal(err)
	}
	add("claimed", "acme", own[0])
	if p, err := f.ClientByCertificate(t.Context(), own); fault.KindOf(err) != fault.Conflict {
		t.Errorf("of clients of two tenants: %v, %v", p, err)
	}
	if p, err := f.ClientByCertificate(t.Context(), own[1:]); err != nil || p.Subject != scoring {
		t.Errorf("of one of these names: %v, %v", p, err)
	}
}
