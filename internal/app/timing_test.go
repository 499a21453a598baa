package app_test

import (
	"cmp"
	"crypto/rand"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
)

// K02: how long a refusal takes does not tell whether there is such a key, and
// why it was refused. TIMING is how often each is measured.
func TestRefusalsOfAPIKeysTakeTheSameTime(t *testing.T) {
	samples, err := strconv.Atoi(cmp.Or(os.Getenv("TIMING"), "0"))
	if err != nil || samples == 0 {
		t.Skip("takes a quiet machine; TIMING=20000 runs it, and make proof does")
	}
	check, refused := refusedKeys(t)
	took := map[string][]float64{}
	for range samples {
		for _, i := range mathrand.Perm(len(refused)) {
			start := time.Now()
			_, err := check.Authenticate(t.Context(), authn.Credentials{APIKey: refused[i].text})
			took[refused[i].name] = append(took[refused[i].name], float64(time.Since(start)))
			if fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("%s: %v", refused[i].name, err)
			}
		}
	}
	compare(t, took)
	t.Logf("in all: %d samples of each of %d kinds", samples, len(refused))
}

type refusedKey struct{ name, text string }

// refusedKeys returns keys that are refused for different reasons, among some
// that count.
func refusedKeys(t *testing.T) (*authn.APIKey, []refusedKey) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")})
	noError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	service, err := accounts.New(accounts.Config{Store: store, MaxStale: 24 * time.Hour, Now: func() time.Time { return now }})
	noError(t, err)
	check, err := authn.NewAPIKey(authn.APIKeyConfig{Keys: service, Now: func() time.Time { return now }})
	noError(t, err)
	by := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	create := func(ends time.Time) (id, text string) {
		key, text, err := service.CreateKey(t.Context(), by, accounts.NewKey{Name: "key", Roles: []string{"user"}, ExpiresAt: ends})
		noError(t, err)
		return key.ID, text
	}
	for range 100 {
		create(time.Time{})
	}
	_, over := create(now.Add(time.Hour))
	id, used := create(time.Time{})
	noError(t, service.BootstrapKey(t.Context(), generated(t), "user"))
	bootstrap := generated(t)
	noError(t, service.BootstrapKey(t.Context(), bootstrap, "user"))
	presented, err := apikey.Parse(bootstrap)
	noError(t, err)
	noError(t, service.RevokeKey(t.Context(), by, presented.ID))
	for _, text := range []string{over, used} {
		_, err := check.Authenticate(t.Context(), authn.Credentials{APIKey: text})
		noError(t, err)
	}
	wrong, err := apikey.WithID(rand.Reader, id)
	noError(t, err)
	now = now.Add(2 * time.Hour)
	return check, []refusedKey{
		{"an unknown key", generated(t)}, {"a wrong secret", wrong}, {"a key that is over", over}, {"a disabled key", bootstrap},
	}
}

func generated(t *testing.T) string {
	t.Helper()
	text, err := apikey.New(rand.Reader)
	noError(t, err)
	return text
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
