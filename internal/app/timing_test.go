package app_test

import (
	"crypto/rand"
	"math"
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
// why it was refused. SAMPLES is how often each is measured.
func TestRefusalsOfAPIKeysTakeTheSameTime(t *testing.T) {
	samples := 1000
	if text := os.Getenv("SAMPLES"); text != "" {
		var err error
		if samples, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	check, refused := refusedKeys(t)
	times := map[string][]float64{}
	for range samples {
		for _, i := range mathrand.Perm(len(refused)) {
			start := time.Now()
			_, err := check.Authenticate(t.Context(), authn.Credentials{APIKey: refused[i].text})
			times[refused[i].name] = append(times[refused[i].name], float64(time.Since(start)))
			if fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("%s: %v", refused[i].name, err)
			}
		}
	}
	for _, other := range refused[1:] {
		if v := welch(times[refused[0].name], times[other.name]); math.Abs(v) >= 4.5 {
			t.Errorf("%s can be told from %s: t = %.1f", refused[0].name, other.name, v)
		}
	}
	t.Logf("in all: %d samples of each of %d refusals", samples, len(refused))
}

type refusedKey struct{ name, text string }

// refusedKeys returns keys that are refused for different reasons, among some
// that count.
func refusedKeys(t *testing.T) (*authn.APIKey, []refusedKey) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")})
	ok(t, err)
	t.Cleanup(func() { _ = store.Close() })
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	service, err := accounts.New(accounts.Config{Store: store, MaxStale: 24 * time.Hour, Now: func() time.Time { return now }})
	ok(t, err)
	check, err := authn.NewAPIKey(authn.APIKeyConfig{Keys: service, Now: func() time.Time { return now }})
	ok(t, err)
	by := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	create := func(ends time.Time) (id, text string) {
		key, text, err := service.CreateKey(t.Context(), by, accounts.NewKey{Name: "key", Roles: []string{"user"}, ExpiresAt: ends})
		ok(t, err)
		return key.ID, text
	}
	for range 100 {
		create(time.Time{})
	}
	_, over := create(now.Add(time.Hour))
	id, used := create(time.Time{})
	ok(t, service.BootstrapKey(t.Context(), generated(t), "user"))
	bootstrap := generated(t)
	ok(t, service.BootstrapKey(t.Context(), bootstrap, "user"))
	presented, err := apikey.Parse(bootstrap)
	ok(t, err)
	ok(t, service.RevokeKey(t.Context(), by, presented.ID))
	for _, text := range []string{over, used} {
		_, err := check.Authenticate(t.Context(), authn.Credentials{APIKey: text})
		ok(t, err)
	}
	wrong, err := apikey.WithID(rand.Reader, id)
	ok(t, err)
	now = now.Add(2 * time.Hour)
	return check, []refusedKey{
		{"an unknown key", generated(t)}, {"a wrong secret", wrong}, {"a key that is over", over}, {"a disabled key", bootstrap},
	}
}

func generated(t *testing.T) string {
	t.Helper()
	text, err := apikey.New(rand.Reader)
	ok(t, err)
	return text
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// welch returns Welch's t of two samples.
func welch(a, b []float64) float64 {
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	return (meanA - meanB) / math.Sqrt(varA/float64(len(a))+varB/float64(len(b)))
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, variance
}
