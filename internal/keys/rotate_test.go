package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/keys"
	"onnxgate/internal/testkit"
)

// clocked opens the keys of a directory under a clock that the test moves.
func clocked(t *testing.T, dir string, now *time.Time, change ...func(*keys.Config)) *keys.Set {
	t.Helper()
	cfg := keys.Config{Dir: dir, TokenTTL: 15 * time.Minute, Lead: time.Millisecond, Now: func() time.Time { return *now }}
	for _, c := range change {
		c(&cfg)
	}
	set, err := keys.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func rotate(t *testing.T, set *keys.Set, now *time.Time) string {
	t.Helper()
	*now = now.Add(time.Second)
	made, err := set.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(time.Second) // it signs
	look(t, set)
	return made.KID
}

func look(t *testing.T, set *keys.Set) {
	t.Helper()
	if err := set.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// published returns the names in the JWK Set.
func published(t *testing.T, set *keys.Set) []string {
	t.Helper()
	var jwks struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(set.JWKS(), &jwks); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range jwks.Keys {
		kids = append(kids, key["kid"])
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != "" {
				t.Errorf("the JWK Set has the private member %s", private)
			}
		}
		if key["use"] != "sig" || key["alg"] == "" || key["kty"] == "" {
			t.Errorf("the JWK Set has %v", key)
		}
	}
	return kids
}

func states(set *keys.Set) map[string]keys.State {
	all := map[string]keys.State{}
	for _, k := range set.List() {
		all[k.KID] = k.State
	}
	return all
}

func verifies(set *keys.Set, kid string) bool {
	_, ok := set.Verifier(kid)
	return ok
}

func TestAFormerKeyVerifiesAsLongAsItsTokensLast(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.EdDSA, keys.ES256, keys.RS256} {
		now := time.Now()
		set := clocked(t, filepath.Join(t.TempDir(), "keys"), &now, func(c *keys.Config) { c.Algorithm = alg })
		first := set.Signer().KID
		second := rotate(t, set, &now)
		if set.Signer().KID != second || len(published(t, set)) != 2 || !verifies(set, first) {
			t.Errorf("%s: %v", alg, states(set))
		}
		if diff := cmp.Diff(map[string]keys.State{first: keys.Former, second: keys.Active}, states(set)); diff != "" {
			t.Error(diff)
		}
		now = now.Add(15 * time.Minute)
		look(t, set)
		if !verifies(set, first) {
			t.Errorf("%s: a token of the last second is refused", alg)
		}
		now = now.Add(2 * time.Minute)
		look(t, set)
		if diff := cmp.Diff([]string{second}, published(t, set)); diff != "" || verifies(set, first) {
			t.Errorf("%s: the key outlives its tokens: %s", alg, diff)
		}
		if diff := cmp.Diff(map[string]keys.State{first: keys.Retired, second: keys.Active}, states(set)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestANewKeyIsKnownBeforeItSigns(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "keys")
	set := clocked(t, dir, &now)
	replica := clocked(t, dir, &now)
	first := set.Signer().KID
	now = now.Add(time.Second)
	made, err := clocked(t, dir, &now, func(c *keys.Config) { c.Lead = 30 * time.Millisecond }).Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*keys.Set{set, replica} {
		look(t, s)
		if s.Signer().KID != first || !verifies(s, made.KID) || len(published(t, s)) != 2 {
			t.Errorf("before its time: %v", states(s))
		}
	}
	now = now.Add(time.Second)
	for _, s := range []*keys.Set{set, replica} {
		look(t, s)
		if s.Signer().KID != made.KID {
			t.Errorf("after its time: %v", states(s))
		}
	}
}

func TestARetiredKeyEndsAtOnce(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "keys")
	set, replica := clocked(t, dir, &now), clocked(t, dir, &now)
	first := set.Signer().KID
	if err := set.Retire(t.Context(), first); err == nil {
		t.Error("the only key was retired")
	}
	second := rotate(t, set, &now)
	look(t, replica)
	if err := set.Retire(t.Context(), second); err == nil {
		t.Error("the key that signs was retired")
	}
	if err := set.Retire(t.Context(), "nobody's"); err == nil {
		t.Error("a key that is not there was retired")
	}
	for kid, want := range map[string]keys.State{first: keys.Former, second: "", "nobody's": ""} {
		if got, err := set.Retirable(t.Context(), kid); got != want || (err == nil) != (want != "") {
			t.Errorf("Retirable(%s) = %q, %v", kid, got, err)
		}
	}
	if err := set.Retire(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := set.Retire(t.Context(), first); err == nil {
		t.Error("a key was retired twice")
	}
	look(t, replica)
	for _, s := range []*keys.Set{set, replica} {
		if verifies(s, first) || len(published(t, s)) != 1 {
			t.Errorf("%v", states(s))
		}
	}
	if diff := cmp.Diff(map[string]keys.State{first: keys.Retired, second: keys.Active}, states(clocked(t, dir, &now))); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
}

// What is left of a retired key is its public half, also when it was retired by a
// process that was killed in between, or by one that kept both.
func TestThePrivateHalfOfARetiredKeyIsRemoved(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.EdDSA, keys.ES256, keys.RS256} {
		now := time.Now()
		dir := filepath.Join(t.TempDir(), "keys")
		open := func() *keys.Set {
			return clocked(t, dir, &now, func(c *keys.Config) { c.Algorithm = alg })
		}
		set := open()
		first := filepath.Join(dir, set.Signer().KID)
		private, err := os.ReadFile(first + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		rotate(t, set, &now)
		listed := set.List()[1]
		if err := set.Retire(t.Context(), filepath.Base(first)); err != nil {
			t.Fatal(err)
		}
		stripped := func(name string, set *keys.Set) {
			t.Helper()
			left, err := os.ReadFile(first + ".retired")
			if _, gone := os.Stat(first + ".pem"); err != nil || strings.Contains(string(left), "PRIVATE") || !os.IsNotExist(gone) {
				t.Errorf("%s, %s: %v, %v: %s", alg, name, err, gone, left)
			}
			want := listed
			want.State = keys.Retired
			if diff := cmp.Diff(want, set.List()[1]); diff != "" {
				t.Errorf("%s, %s: %s", alg, name, diff)
			}
		}
		stripped("at once", set)
		for _, left := range []string{".pem", ".retired"} {
			err := os.WriteFile(first+left, private, 0o600)
			if err = errors.Join(err, os.Chtimes(first+left, listed.Created, listed.Created)); err != nil {
				t.Fatal(err)
			}
			look(t, set)
			if verifies(set, filepath.Base(first)) {
				t.Errorf("%s: %s brings the key back", alg, left)
			}
			stripped(left, open())
		}
	}
}

func TestAKeyStaysTheSameWhileOthersCome(t *testing.T) {
	now := time.Now()
	set := clocked(t, filepath.Join(t.TempDir(), "keys"), &now)
	kid := set.Signer().KID
	before, _ := set.Verifier(kid)
	rotate(t, set, &now)
	if after, ok := set.Verifier(kid); !ok || after != before {
		t.Error("what was remembered under the key has to be verified again")
	}
}

func TestKeysRotateOnTime(t *testing.T) {
	const every = 10 * 24 * time.Hour
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "keys")
	onTime := func(c *keys.Config) { c.RotateEvery = every }
	set, replica := clocked(t, dir, &now, onTime), clocked(t, dir, &now, onTime)
	first := set.Signer().KID
	if due := set.Due(); due.Sub(now).Abs() > every+time.Minute || due.Sub(now) < every-time.Minute {
		t.Errorf("the next key is due on %v", due)
	}
	now = now.Add(every - 2*time.Hour)
	look(t, set)
	if len(set.List()) != 1 {
		t.Fatal("a key was made too early")
	}
	now = now.Add(time.Hour + time.Minute)
	for _, s := range []*keys.Set{set, replica, set} {
		look(t, s)
		if s.Signer().KID != first || len(s.List()) != 2 || len(published(t, s)) != 2 {
			t.Fatalf("an hour before: %v", states(s))
		}
	}
	now = now.Add(time.Hour)
	look(t, set)
	if set.Signer().KID == first || !verifies(set, first) {
		t.Errorf("on time: %v", states(set))
	}
}

func TestASecretCannotBeRotatedOrPublished(t *testing.T) {
	set, err := keys.Open(t.Context(), keys.Config{Secret: []byte("an unguessable secret of 32 bytes or more")})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(set.JWKS()); got != `{"keys":[]}` {
		t.Errorf("JWKS = %s", got)
	}
	if _, err := set.Rotate(t.Context()); err == nil || set.Rotatable() == nil {
		t.Error("Rotate: no error")
	}
	if err := set.Retire(t.Context(), set.Signer().KID); err == nil {
		t.Error("Retire: no error")
	}
	if list := set.List(); len(list) != 1 || list[0].State != keys.Active || list[0].Algorithm != keys.HS256 {
		t.Errorf("List = %v", list)
	}
}

// TestTokensOfAFormerSecretAreGoodUntilTheyEnd: another secret signs at once, and each
// before it verifies for as long as a token that it has signed may last.
func TestTokensOfAFormerSecretAreGoodUntilTheyEnd(t *testing.T) {
	now := time.Now()
	secret := func(n int) []byte { return fmt.Appendf(nil, "an unguessable secret of 32 bytes or more, the %d", n) }
	set, err := keys.Open(t.Context(), keys.Config{Secret: secret(0), TokenTTL: time.Hour, RotateEvery: time.Minute, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	use := func(n int) string {
		t.Helper()
		if err := set.UseSecret(secret(n)); err != nil {
			t.Fatal(err)
		}
		return set.Signer().KID
	}
	first := set.Signer().KID
	second := use(1) // in the same moment
	if second == first || !verifies(set, first) || !verifies(set, second) || string(set.JWKS()) != `{"keys":[]}` {
		t.Fatalf("after the first change: %v, %s", states(set), set.JWKS())
	}
	if err := set.UseSecret([]byte("short")); err == nil || set.Signer().KID != second {
		t.Errorf("a short secret: %v, %v", err, states(set))
	}
	now = now.Add(30 * time.Minute)
	if third := use(2); !verifies(set, first) || !verifies(set, second) || third == second {
		t.Errorf("after the second change: %v", states(set))
	}
	now = now.Add(31 * time.Minute)
	look(t, set)
	if verifies(set, first) || !verifies(set, second) {
		t.Errorf("when the tokens of the first have ended: %v", states(set))
	}
	if again := use(1); again != second || len(set.KIDs()) != 2 {
		t.Errorf("the second again: %v", states(set))
	}
	now = now.Add(-time.Hour) // somebody has set the clock back
	if last := use(3); !verifies(set, second) || set.Signer().KID != last {
		t.Errorf("under a clock that was set back: %v", states(set))
	}
	for n := range 2 * keys.MaxFormerSecrets {
		use(10 + n)
	}
	if kids := set.KIDs(); len(kids) != 1+keys.MaxFormerSecrets || verifies(set, second) {
		t.Errorf("after many changes %d verify", len(kids))
	}
}

func TestABadFileLeavesTheKeysAsTheyWereAndIsToldOnce(t *testing.T) {
	var mu sync.Mutex
	var told []error
	dir := filepath.Join(t.TempDir(), "keys")
	set, err := keys.Open(t.Context(), keys.Config{Dir: dir, Poll: time.Millisecond, Changed: func(_ string, err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	kid := set.Signer().KID
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { set.Watch(ctx) })
	if err := os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(told)
	}
	testkit.Eventually(t, "the bad file is told", func() bool { return count() > 0 })
	time.Sleep(20 * time.Millisecond) // many looks
	if err := set.Err(); err == nil || !strings.Contains(err.Error(), "bad.pem") {
		t.Errorf("while it is there: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "bad.pem")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all is well without it", func() bool { return set.Err() == nil })
	cancel()
	watching.Wait()
	if n := count(); n != 1 || told[0] == nil || !strings.Contains(told[0].Error(), "bad.pem") {
		t.Errorf("told %d times: %v", n, errors.Join(told...))
	}
	if set.Signer().KID != kid || !verifies(set, kid) {
		t.Error("the keys changed")
	}
}
