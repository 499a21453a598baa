package accounts_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func newKey(t *testing.T, s *accounts.Service, change ...func(*accounts.NewKey)) (*accounts.APIKey, string) {
	t.Helper()
	add := accounts.NewKey{Name: "scoring", Roles: []string{"user"}}
	for _, c := range change {
		c(&add)
	}
	key, text, err := s.CreateKey(t.Context(), administrator, add)
	must(t, err)
	return key, text
}

// proves reports whether the text proves the key as authentication would see.
func proves(t *testing.T, s *accounts.Service, text string, now time.Time) bool {
	t.Helper()
	p, err := apikey.Parse(text)
	must(t, err)
	key, err := s.APIKey(t.Context(), p.ID)
	must(t, err)
	return key.ID == p.ID && !key.Disabled && (key.Hash == p.Hash || key.Former == p.Hash && now.Before(key.FormerUntil))
}

func TestAKeyIsKeptAsItWasMade(t *testing.T) {
	f := newFixture(t)
	made, text := newKey(t, f.Service, func(k *accounts.NewKey) {
		k.Scopes, k.Models, k.Rate = []string{"models:predict", "models:predict"}, []string{"iris"}, "100/minute, 7 rows/second"
		k.Addresses = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}
		k.ExpiresAt = start.Add(90*24*time.Hour + time.Millisecond)
	})
	want := &accounts.APIKey{
		ID: made.ID, Name: "scoring", Tenant: "default", Roles: []string{"user"}, Scopes: []string{"models:predict"},
		Models: []string{"iris"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Rate: "100/minute, 7 rows/second",
		ExpiresAt: start.Add(90 * 24 * time.Hour), CreatedBy: "administrator", CreatedAt: start,
	}
	kept, err := f.Key(t.Context(), accounts.AnyTenant, made.ID)
	must(t, err)
	all, err := f.Keys(t.Context(), accounts.AnyTenant, accounts.Page{})
	must(t, err)
	for name, got := range map[string]*accounts.APIKey{"made": made, "kept": kept, "listed": &all[0]} {
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Error(name, diff) // without a hash
		}
	}
	seen, err := f.APIKey(t.Context(), made.ID)
	must(t, err)
	if seen.Limit.String() != "100/minute, 7 rows/second" || !proves(t, f.Service, text, start) {
		t.Errorf("authentication sees %+v", seen)
	}
	unknown, err := f.APIKey(t.Context(), "000000000000")
	if diff := cmp.Diff(new(identity.Key), unknown, cmpopts.EquateComparable(netip.Prefix{})); diff != "" || err != nil {
		t.Error("another's key was told", err, diff)
	}
}

func TestAnEmptyStoreKnowsNoKey(t *testing.T) {
	f := newFixture(t)
	if key, err := f.APIKey(t.Context(), "000000000000"); err != nil || key.ID != "" {
		t.Errorf("APIKey = %v, %v", key, err)
	}
}

func TestKeysThatBreakARuleAreRefused(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*accounts.NewKey){
		"no name":               func(k *accounts.NewKey) { k.Name = "" },
		"a name with a newline": func(k *accounts.NewKey) { k.Name = "a\nb" },
		"a name for a terminal": func(k *accounts.NewKey) { k.Name = "a\x1b[31m" },
		"a name in reverse":     func(k *accounts.NewKey) { k.Name = "a\u202eb" },
		"a long name":           func(k *accounts.NewKey) { k.Name = strings.Repeat("a", 65) },
		"no role":               func(k *accounts.NewKey) { k.Roles = nil },
		"a bad role":            func(k *accounts.NewKey) { k.Roles = []string{"a b"} },
		"a bad tenant":          func(k *accounts.NewKey) { k.Tenant = "*" },
		"no such tenant":        func(k *accounts.NewKey) { k.Tenant = "acme" },
		"no such scope":         func(k *accounts.NewKey) { k.Scopes = []string{"models:predict", "everything"} },
		"scopes but none":       func(k *accounts.NewKey) { k.Scopes = []string{} },
		"models but none":       func(k *accounts.NewKey) { k.Models = []string{} },
		"a model that is none":  func(k *accounts.NewKey) { k.Models = []string{"../iris"} },
		"too many models":       func(k *accounts.NewKey) { k.Models = strings.Split(strings.Repeat("m,", 300)+"m", ",") },
		"no network":            func(k *accounts.NewKey) { k.Addresses = []netip.Prefix{{}} },
		"over already":          func(k *accounts.NewKey) { k.ExpiresAt = start },
		"over before the epoch": func(k *accounts.NewKey) { k.ExpiresAt = time.Unix(-1, 0) },
		"a rate that is none":   func(k *accounts.NewKey) { k.Rate = "100/fortnight" },
	} {
		add := accounts.NewKey{Name: "scoring", Roles: []string{"user"}}
		change(&add)
		if _, text, err := f.CreateKey(t.Context(), administrator, add); fault.KindOf(err) != fault.Content || text != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := f.Keys(t.Context(), accounts.AnyTenant, accounts.Page{}); err != nil || len(all) != 0 {
		t.Errorf("%d keys were made: %v", len(all), err)
	}
}

// Z03: a key of another tenant is as one that is not there.
func TestATenantSeesAndChangesItsOwnKeysAlone(t *testing.T) {
	f := newFixture(t)
	_, err := f.AddTenant(t.Context(), administrator, accounts.NewTenant{Name: "acme"})
	must(t, err)
	eve := accounts.Actor{Name: "eve", Tenant: "default"}
	theirs, text := newKey(t, f.Service, func(k *accounts.NewKey) { k.Tenant = "acme" })
	for name, err := range map[string]error{
		"read":   second(f.Key(t.Context(), "default", theirs.ID)),
		"rotate": third(f.RotateKey(t.Context(), eve, theirs.ID, 0)),
		"revoke": f.RevokeKey(t.Context(), eve, theirs.ID),
	} {
		if fault.KindOf(err) != fault.NotFound || err.Error() != "there is no API key "+theirs.ID {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := f.CreateKey(t.Context(), eve, accounts.NewKey{Name: "k", Tenant: "acme", Roles: []string{"user"}}); fault.KindOf(err) != fault.Content {
		t.Errorf("a key was made in another tenant: %v", err)
	}
	if all, err := f.Keys(t.Context(), "default", accounts.Page{}); err != nil || len(all) != 0 {
		t.Errorf("default sees %v, %v", all, err)
	}
	if !proves(t, f.Service, text, start) {
		t.Error("the key was changed")
	}
	must(t, f.DeleteTenant(t.Context(), administrator, "acme"))
	if proves(t, f.Service, text, start) {
		t.Error("the key outlives its tenant")
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestListsOfKeysHavePages(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		newKey(t, f.Service)
	}
	var ids []string
	for after := ""; ; {
		page, err := f.Keys(t.Context(), "default", accounts.Page{After: after, Limit: 2})
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, k := range page {
			ids = append(ids, k.ID)
		}
		after = ids[len(ids)-1]
	}
	all, err := f.Keys(t.Context(), accounts.AnyTenant, accounts.Page{})
	must(t, err)
	if len(ids) != 5 || len(all) != 5 || all[4].ID != ids[4] {
		t.Errorf("pages hold %v of %d keys", ids, len(all))
	}
}

func TestRotationOverlaps(t *testing.T) {
	f := newFixture(t)
	made, first := newKey(t, f.Service)
	rotated, next, err := f.RotateKey(t.Context(), administrator, made.ID, time.Hour)
	must(t, err)
	if rotated.ID != made.ID || rotated.FormerUntil != start.Add(time.Hour) || rotated.Hash != "" || rotated.FormerHash != "" {
		t.Errorf("%+v", rotated)
	}
	for i, at := range []time.Duration{0, time.Hour - 1, time.Hour} {
		if want := i < 2; !proves(t, f.Service, next, start.Add(at)) || proves(t, f.Service, first, start.Add(at)) != want {
			t.Errorf("after %s the former should count: %t", at, want)
		}
	}
	_, last, err := f.RotateKey(t.Context(), administrator, made.ID, 0)
	must(t, err)
	if !proves(t, f.Service, last, start) || proves(t, f.Service, next, start) || proves(t, f.Service, first, start) {
		t.Error("without an overlap the new one counts alone")
	}
	for _, overlap := range []time.Duration{-1, 91 * 24 * time.Hour} {
		if _, _, err := f.RotateKey(t.Context(), administrator, made.ID, overlap); fault.KindOf(err) != fault.Content {
			t.Errorf("overlap %s: %v", overlap, err)
		}
	}
}

func TestTheKeyOfTheConfiguration(t *testing.T) {
	kept := &records{}
	f := newFixture(t, func(c *accounts.Config) { c.Audit = kept })
	own, _ := newKey(t, f.Service)
	first, err := apikey.New(rand.Reader)
	must(t, err)
	second, err := apikey.New(rand.Reader)
	must(t, err)
	boot := func(text, role string) {
		t.Helper()
		must(t, f.BootstrapKey(t.Context(), text, role))
	}
	role := func(text string) string {
		t.Helper()
		p, err := apikey.Parse(text)
		must(t, err)
		key, err := f.Key(t.Context(), "default", p.ID)
		if fault.KindOf(err) == fault.NotFound {
			return ""
		}
		must(t, err)
		if !key.Bootstrap || key.Name != accounts.BootstrapName {
			t.Errorf("%+v", key)
		}
		if key.Disabled {
			return "revoked"
		}
		return key.Roles[0]
	}
	boot(first, "user")
	if got := role(first); got != "user" || !proves(t, f.Service, first, start) {
		t.Errorf("made with the role %q", got)
	}
	before, err := f.Revision(t.Context())
	must(t, err)
	boot(first, "user")
	if after, err := f.Revision(t.Context()); err != nil || after != before {
		t.Error("the same again changed something")
	}
	boot(first, "admin")
	if got := role(first); got != "admin" {
		t.Errorf("the role is %q", got)
	}
	boot(second, "user")
	if role(first) != "" || role(second) != "user" || proves(t, f.Service, first, start) {
		t.Error("another key does not end the former")
	}
	p, err := apikey.Parse(second)
	must(t, err)
	if _, _, err := f.RotateKey(t.Context(), administrator, p.ID, 0); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "change the setting and reload (SIGHUP)") {
		t.Errorf("rotated: %v", err)
	}
	must(t, f.RevokeKey(t.Context(), administrator, p.ID))
	ended := len(kept.all)
	must(t, f.RevokeKey(t.Context(), administrator, p.ID))
	if len(kept.all) != ended {
		t.Errorf("the end of a key that had ended is on record: %q", kept.all[ended:])
	}
	boot(second, "user")
	if role(second) != "revoked" || proves(t, f.Service, second, start) {
		t.Error("a revoked key came back at the next start")
	}
	boot("", "user")
	all, err := f.Keys(t.Context(), accounts.AnyTenant, accounts.Page{})
	if err != nil || len(all) != 1 || all[0].ID != own.ID {
		t.Errorf("a removed key stays, or took others with it: %v %v", all, err)
	}
	taken, err := apikey.WithID(rand.Reader, own.ID)
	must(t, err)
	for name, tc := range map[string]struct {
		text, role string
		want       fault.Kind
	}{
		"malformed":      {"ogk_nonsense", "user", fault.Content},
		"no role":        {first, "", fault.Content},
		"another's id":   {taken, "user", fault.Conflict},
		"a wrong ending": {first[:len(first)-1] + "-", "user", fault.Content},
	} {
		if err := f.BootstrapKey(t.Context(), tc.text, tc.role); fault.KindOf(err) != tc.want || strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// K05: uses are written at most once a minute, all at once, and at the end; no
// revision moves.
func TestUsesOfKeysCostNoWriteEach(t *testing.T) {
	f := newFixture(t, func(c *accounts.Config) { c.PollInterval = time.Millisecond })
	key, _ := newKey(t, f.Service)
	gone, _ := newKey(t, f.Service)
	must(t, f.RevokeKey(t.Context(), administrator, gone.ID))
	before, err := f.store.Revision(t.Context())
	must(t, err)
	for i := range 10_000 {
		f.KeyUsed(key.ID, start.Add(time.Duration(i)*time.Millisecond))
		f.KeyUsed(gone.ID, start)
	}
	f.KeyUsed(key.ID, start) // late
	if kept, err := f.Key(t.Context(), "default", key.ID); err != nil || !kept.LastUsed.IsZero() {
		t.Errorf("written at once: %v %v", kept.LastUsed, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	must(t, f.Watch(ctx)) // one turn, and the end
	kept, err := f.Key(t.Context(), "default", key.ID)
	must(t, err)
	if want := start.Add(9 * time.Second); !kept.LastUsed.Equal(want) {
		t.Errorf("LastUsed is %s, want %s", kept.LastUsed, want)
	}
	f.KeyUsed(key.ID, start)
	must(t, f.Watch(ctx))
	if again, err := f.Key(t.Context(), "default", key.ID); err != nil || !again.LastUsed.Equal(kept.LastUsed) {
		t.Errorf("LastUsed ran backward: %v %v", again.LastUsed, err)
	}
	if after, err := f.store.Revision(t.Context()); err != nil || after != before {
		t.Errorf("the revision moved from %d to %d, %v", before, after, err)
	}
}

// canaries returns everything of the keys that would open a door.
func canaries(keys ...string) []string {
	var all []string
	for _, key := range keys {
		secret := key[17 : len(key)-6]
		once := sha256.Sum256([]byte(secret))
		all = append(all, key, secret, string(once[:]), hex.EncodeToString(once[:]))
	}
	return all
}

// K01: neither a key nor its secret nor the hash that a caller may send is in
// any file.
func TestTheStoreHoldsNoKey(t *testing.T) {
	f := newFixture(t)
	key, text := newKey(t, f.Service)
	_, next, err := f.RotateKey(t.Context(), administrator, key.ID, time.Hour)
	must(t, err)
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	must(t, err)
	read := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		read += bytes.Count(data, []byte(key.ID))
		for _, canary := range canaries(text, next) {
			if bytes.Contains(data, []byte(canary)) {
				t.Errorf("%s holds %s", file, canary)
			}
		}
	}
	if read == 0 {
		t.Error("the id of the key was not found: what was searched is not what was written")
	}
}

// A rate has one spelling, and none is none, by whatever way it comes.
func TestARateHasOneSpelling(t *testing.T) {
	f := newFixture(t)
	for said, want := range map[string]string{
		"": "", "off": "", " off ": "", " 10/second ,\t200/minute" + strings.Repeat(" ", 1000): "10/second, 200/minute", "200/minute,10/second": "10/second, 200/minute",
		"5000 rows/minute ,100/minute,9 rows/second": "100/minute, 9 rows/second, 5000 rows/minute", "1 rows/day": "1 rows/day",
	} {
		key, _, err := f.CreateKey(t.Context(), administrator, accounts.NewKey{Name: "k", Roles: []string{"user"}, Rate: said})
		must(t, err)
		key, err = f.ChangeKey(t.Context(), administrator, key.ID, accounts.KeyChange{Rate: &said})
		must(t, err)
		tenant, err := f.ChangeTenant(t.Context(), administrator, "default", accounts.TenantChange{Rate: &said})
		must(t, err)
		if key.Rate != want || tenant.Rate != want {
			t.Errorf("%.20q: a key's is %q, a tenant's %q, want %q", said, key.Rate, tenant.Rate, want)
		}
	}
}

func TestWhatIsNoRateSaysWhatToWrite(t *testing.T) {
	f := newFixture(t)
	for _, said := range []string{"5000 row/minute", "rows=5000/minute", "5000/minute rows", "0 rows/minute"} {
		_, err := f.ChangeTenant(t.Context(), administrator, "default", accounts.TenantChange{Rate: &said})
		if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), `the rate of a tenant must be a number`) || !strings.Contains(err.Error(), `"100/minute, 5000 rows/minute"`) {
			t.Errorf("%q: %v", said, err)
		}
	}
}
