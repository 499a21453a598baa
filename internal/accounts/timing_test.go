package accounts_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/testkit"
)

// TestRefusedSignInsTakeTheSameTime compares the times of the refusals of an
// unknown, a wrong and a disabled user or client, over TIMING interleaved
// samples. It is for a quiet machine: make proof runs it.
func TestRefusedSignInsTakeTheSameTime(t *testing.T) {
	samples, err := strconv.Atoi(cmp.Or(os.Getenv("TIMING"), "0"))
	if err != nil || samples == 0 {
		t.Skip("takes a quiet machine and minutes; TIMING=20000 runs it, and make proof does")
	}
	f := newFixture(t, func(c *accounts.Config) { c.Params = accounts.DefaultParams() })
	f.add(t, "root", "admin")
	f.add(t, "ada", "user")
	f.add(t, "bob", "user")
	must(t, f.Disable(t.Context(), administrator, "bob"))
	client, _ := f.addClient(t)
	disabled, secret := f.addClient(t)
	must(t, f.DisableClient(t.Context(), administrator, disabled.ID))
	user := func(name, password string) func() error {
		return func() error {
			f.now = f.now.Add(time.Hour) // nobody has to wait
			_, _, err := f.VerifyPassword(t.Context(), name, password)
			return err
		}
	}
	program := func(id, secret string) func() error {
		return func() error {
			_, err := f.VerifyClient(t.Context(), id, secret)
			return err
		}
	}
	for who, kinds := range map[string]map[string]func() error{
		"user":   {"unknown": user("eve", another), "wrong": user("ada", another), "disabled": user("bob", password)},
		"client": {"unknown": program("ogc_000000000000", secret), "wrong": program(client.ID, secret), "disabled": program(disabled.ID, secret)},
	} {
		t.Run(who, func(t *testing.T) {
			took := map[string][]float64{}
			names := slices.Sorted(maps.Keys(kinds))
			for range samples / len(names) {
				rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				for _, name := range names {
					start := time.Now()
					if err := kinds[name](); err == nil {
						t.Fatalf("%s: no refusal", name)
					}
					took[name] = append(took[name], float64(time.Since(start)))
				}
			}
			testkit.CompareTimes(t, took)
		})
	}
	t.Logf("in all: %d samples of users, %[1]d of clients", samples)
}
