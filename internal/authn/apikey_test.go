package authn_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/apikey"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

// keyring is a store of keys that counts what it is asked.
type keyring struct {
	mu       sync.Mutex
	keys     map[string]*identity.Key
	revision int64
	lookups  int
	used     []time.Time
	err      error
}

func (k *keyring) Revision(context.Context) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.revision, k.err
}

func (k *keyring) APIKey(_ context.Context, id string) (*identity.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookups++
	if key := k.keys[id]; key != nil {
		clone := *key
		return &clone, nil
	}
	return new(identity.Key), nil
}

func (k *keyring) KeyUsed(_ string, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used = append(k.used, at)
}

// change changes a key and moves the revision.
func (k *keyring) change(id string, change func(*identity.Key)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.revision++
	if change == nil {
		delete(k.keys, id)
		return
	}
	change(k.keys[id])
}

// asked returns how many look-ups there were since it was last called.
func (k *keyring) asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.lookups
	k.lookups = 0
	return n
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// held is an authenticator on a keyring with one key.
type held struct {
	*authn.APIKey
	*keyring

	now      time.Time
	id, text string
}

func newText(tb testing.TB) (text, id string) {
	tb.Helper()
	text, err := apikey.New(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := apikey.Whole(text)
	if err != nil {
		tb.Fatal(err)
	}
	return text, p.ID
}

func hashOf(tb testing.TB, text string) [32]byte {
	tb.Helper()
	p, err := apikey.Whole(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p.Hash
}

func newKeys(tb testing.TB) *held {
	tb.Helper()
	text, id := newText(tb)
	k := &held{keyring: &keyring{keys: map[string]*identity.Key{}}, now: noon, id: id, text: text}
	k.keys[id] = &identity.Key{ID: id, Tenant: "default", Roles: []string{"user"}, Hash: hashOf(tb, text)}
	var err error
	k.APIKey, err = authn.NewAPIKey(authn.APIKeyConfig{Keys: k.keyring, Now: func() time.Time { return k.now }})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func (k *held) try(ctx context.Context, text string) (*identity.Principal, error) {
	return k.Authenticate(ctx, authn.Credentials{APIKey: text})
}

// mistyped changes a secret and keeps the checksum right.
func mistyped(tb testing.TB, id string) string {
	tb.Helper()
	text, err := apikey.WithID(rand.Reader, id)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestAKeyIsItsPrincipal(t *testing.T) {
	k := newKeys(t)
	want := &identity.Principal{
		Subject: "apikey:" + k.id, Tenant: "default", Roles: []string{"user"},
		Scopes: []string{"models:read", "models:predict"}, Method: identity.APIKey,
	}
	got, err := k.try(t.Context(), k.text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	k.change(k.id, func(key *identity.Key) {
		key.Scopes, key.Models = []string{"models:predict"}, []string{"iris"}
		key.Limit = testkit.Limit("5/minute, 7 rows/minute")
	})
	want.Scopes, want.Models, want.Limit = []string{"models:predict"}, []string{"iris"}, testkit.Limit("5/minute, 7 rows/minute")
	got, err = k.try(t.Context(), k.text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := k.Authenticate(t.Context(), authn.Credentials{Bearer: "x"}); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("a token is not the business of keys: %v", err)
	}
}

// K02: what is refused has always cost the same one look-up, also for a key that
// was proven before; K06: but none when the text is no key at all.
func TestRefusalsCostOneLookUpAndGarbageNone(t *testing.T) {
	k := newKeys(t)
	unknown, _ := newText(t)
	wrong := mistyped(t, k.id)
	refused := func(name, text string, lookups int) {
		t.Helper()
		_, err := k.try(t.Context(), text)
		if n := k.asked(); n != lookups || fault.KindOf(err) != fault.Unauthenticated || fault.As(err).Msg != "The API key is not valid" {
			t.Errorf("%s: %d look-ups and %v, want %d", name, n, err, lookups)
		}
	}
	all := func(when string) {
		t.Helper()
		refused("an unknown id "+when, unknown, 1)
		refused("a wrong secret "+when, wrong, 1)
		refused("a wrong hash "+when, "ogk_"+k.id+"_sha256:"+strings.Repeat("00", 32), 1)
		refused("garbage "+when, "ogk_garbage", 0)
		refused("a wrong checksum "+when, k.text[:len(k.text)-1]+"!", 0)
		refused("a megabyte "+when, strings.Repeat("ogk_", 1<<18), 0)
	}
	all("before the key was used")
	for range 3 {
		if _, err := k.try(t.Context(), k.text); err != nil {
			t.Fatal(err)
		}
	}
	if n := k.asked(); n != 1 {
		t.Errorf("a good key was looked up %d times, want once", n)
	}
	all("after the key was used")
	for name, change := range map[string]func(*identity.Key){
		"disabled": func(key *identity.Key) { key.Disabled = true },
		"over":     func(key *identity.Key) { key.Disabled, key.ExpiresAt = false, noon },
		"revoked":  nil,
	} {
		k.change(k.id, change)
		refused(name, k.text, 1)
		if name == "revoked" {
			break
		}
	}
}

// K05: changes count from the next revision on, ends from their second on.
func TestEndsOfKeys(t *testing.T) {
	k := newKeys(t)
	works := func(name, text string, want bool) {
		t.Helper()
		if _, err := k.try(t.Context(), text); (err == nil) != want {
			t.Errorf("%s: %v, want it to work: %t", name, err, want)
		}
	}
	works("at first", k.text, true)
	k.change(k.id, func(key *identity.Key) { key.ExpiresAt = noon.Add(time.Minute) })
	k.now = noon.Add(time.Minute - time.Nanosecond)
	works("before its end", k.text, true)
	k.now = noon.Add(time.Minute)
	works("at its end", k.text, false)
	k.change(k.id, func(key *identity.Key) { key.ExpiresAt = time.Time{} })
	works("without an end", k.text, true)

	next := mistyped(t, k.id)
	k.change(k.id, func(key *identity.Key) {
		key.Former, key.FormerUntil, key.Hash = key.Hash, noon.Add(24*time.Hour), hashOf(t, next)
	})
	works("the next after rotation", next, true)
	works("the former after rotation", k.text, true)
	k.now = noon.Add(24*time.Hour - time.Nanosecond)
	works("the former before the overlap ends", k.text, true)
	k.now = noon.Add(24 * time.Hour)
	works("the former after the overlap", k.text, false)
	works("the next after the overlap", next, true)

	k.change(k.id, func(key *identity.Key) { key.Disabled = true })
	works("disabled", next, false)
	k.change(k.id, func(key *identity.Key) { key.Disabled = false })
	works("enabled", next, true)
	k.change(k.id, nil)
	works("revoked", next, false)
}

// An empty hash must prove nothing: not the one of a key that was never rotated.
func TestNoSecretProvesTheFormerOfAKeyWithoutOne(t *testing.T) {
	k := newKeys(t)
	k.change(k.id, func(key *identity.Key) { key.Hash, key.FormerUntil = [32]byte{}, noon.Add(time.Hour) })
	if _, err := k.try(t.Context(), k.text); err == nil {
		t.Error("a key was proven against nothing")
	}
	k.change(k.id, nil)
	if _, err := k.try(t.Context(), k.text); err == nil {
		t.Error("a key that is not there was proven")
	}
}

func TestAKeyFromAForbiddenAddressIsForbidden(t *testing.T) {
	k := newKeys(t)
	k.change(k.id, func(key *identity.Key) { key.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	from := func(addr string) context.Context {
		return reqctx.With(t.Context(), &reqctx.Info{ClientAddr: netip.MustParseAddr(addr)})
	}
	for addr, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "192.0.2.1": false, "::1": false} {
		_, err := k.try(from(addr), k.text)
		if (err == nil) != want || err != nil && fault.KindOf(err) != fault.Forbidden {
			t.Errorf("from %s: %v", addr, err)
		}
		if _, err := k.try(from(addr), mistyped(t, k.id)); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("a wrong key from %s: %v", addr, err)
		}
	}
	if _, err := k.try(t.Context(), k.text); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("from no address: %v", err)
	}
}

func TestUsesAreToldOnceAMinute(t *testing.T) {
	k := newKeys(t)
	for range 130 {
		if _, err := k.try(t.Context(), k.text); err != nil {
			t.Fatal(err)
		}
		k.now = k.now.Add(time.Second)
		k.change(k.id, func(*identity.Key) {}) // what was learnt is asked again, and the minute is not forgotten
	}
	if diff := cmp.Diff([]time.Time{noon, noon.Add(time.Minute), noon.Add(2 * time.Minute)}, k.used); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyIsLetInWhileTheStoreIsAway(t *testing.T) {
	k := newKeys(t)
	if _, err := k.try(t.Context(), k.text); err != nil {
		t.Fatal(err)
	}
	k.err = fault.New(fault.Unavailable, "")
	if _, err := k.try(t.Context(), k.text); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestProvenKeysTakeNoMemory(t *testing.T) {
	k := newKeys(t)
	ctx := reqctx.With(t.Context(), &reqctx.Info{Received: noon})
	hashed := "ogk_" + k.id + "_sha256:" + strings.Repeat("00", 32)
	if _, err := k.try(ctx, k.text); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.try(ctx, k.text) }); n != 0 {
		t.Errorf("a good key allocates %v times", n)
	}
	if _, err := k.try(ctx, hashed); err == nil {
		t.Error("a wrong hash was taken")
	}
}

func TestKeysAreSafeForConcurrentUse(t *testing.T) {
	k := newKeys(t)
	wrong := mistyped(t, k.id)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, err := k.try(t.Context(), k.text); err != nil {
					t.Error(err)
				}
				if _, err := k.try(t.Context(), wrong); err == nil {
					t.Error("a wrong key was taken")
				}
				k.change(k.id, func(*identity.Key) {})
			}
		})
	}
	wg.Wait()
}

func BenchmarkAPIKey(b *testing.B) {
	k := newKeys(b)
	ctx := reqctx.With(b.Context(), &reqctx.Info{Received: noon})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.try(ctx, k.text); err != nil {
			b.Fatal(err)
		}
	}
}

// The end of the chain: who was proven is let in by the state of its tenant, and
// the holder of a key is told no more than before.
func TestAKeyOfATenantThatIsGoneIsNotValid(t *testing.T) {
	k := newKeys(t)
	k.change(k.id, func(key *identity.Key) { key.Tenant = "gone" })
	_, err := authn.Chain(oneTenant{}, k).Authenticate(t.Context(), authn.Credentials{APIKey: k.text})
	if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Msg != "The API key is not valid" {
		t.Errorf("%v", err)
	}
	_, err = authn.Chain(oneTenant{}).Authenticate(t.Context(), authn.Credentials{APIKey: k.text})
	if f := fault.As(err); f == nil || f.Kind != fault.Unauthenticated || f.Msg != "The API key is not valid" {
		t.Errorf("without anybody who judges keys: %v", err)
	}
}
