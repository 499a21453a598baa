package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/keys"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
)

func listSigning(t *testing.T, s *sqlstore.Store) (all []keys.Record) {
	t.Helper()
	must(t, s.Signing().View(t.Context(), func(stored sealing.SigningKeys) (err error) {
		all, err = stored.List()
		return err
	}))
	return all
}

func TestKeysThatSignTokensAreKeptToTheNanosecond(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		testSigningKeys(t, open(t, cfg), open(t, cfg))
	})
}

func testSigningKeys(t *testing.T, s, other *sqlstore.Store) {
	t.Helper()
	update := func(change func(sealing.SigningKeys) error) error { return s.Signing().Update(t.Context(), change) }
	first := fixtureKey()
	second := first
	second.KID, second.Since = "another", first.Since.Add(time.Nanosecond)
	before := revision(t, other)
	must(t, update(func(all sealing.SigningKeys) error { return errors.Join(all.Put(&first), all.Put(&second)) }))
	if revision(t, other) == before {
		t.Error("the revision did not move")
	}
	if diff := cmp.Diff([]keys.Record{second, first}, listSigning(t, other)); diff != "" {
		t.Error(diff)
	}
	first.Retired = true
	if update(func(all sealing.SigningKeys) error { return all.Put(&first) }) == nil {
		t.Error("a retired key kept its private half")
	}
	first.Private = []byte{}
	must(t, update(func(all sealing.SigningKeys) error { return all.Put(&first) }))
	if diff := cmp.Diff([]keys.Record{second, first}, listSigning(t, other)); diff != "" {
		t.Error(diff)
	}
	second.Private = nil
	if update(func(all sealing.SigningKeys) error { return all.Put(&second) }) == nil {
		t.Error("a key lost its private half and was not retired")
	}
}

// TestEverythingThatIsWrappedIsVisited, whichever table it is in, but for what was
// retired; what is returned instead is stored.
func TestEverythingThatIsWrappedIsVisited(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		s := open(t, b.fresh(t))
		makeTenants(t, s)
		retired := sealingKey("acme", "retired", sealing.Retired)
		retired.Wrapped = nil
		must(t, s.Sealing().Update(t.Context(), func(all sealing.Keys) error {
			return errors.Join(all.Insert(sealingKey("acme", "a", sealing.Active)), all.Insert(sealingKey("other", "b", sealing.Former)), all.Insert(retired))
		}))
		signs, ended := fixtureKey(), fixtureKey()
		ended.KID, ended.Retired, ended.Private = "ended", true, nil
		must(t, s.Signing().Update(t.Context(), func(all sealing.SigningKeys) error { return errors.Join(all.Put(&signs), all.Put(&ended)) }))
		want := map[seal.Binding]string{
			{Use: "fernet", Tenant: "acme", KID: "a"}:  string(sealingKey("acme", "a", sealing.Active).Wrapped),
			{Use: "fernet", Tenant: "other", KID: "b"}: string(sealingKey("other", "b", sealing.Former).Wrapped),
			{Use: "token", KID: "kid"}:                 "wrapped",
		}
		visit := func(instead []byte) map[seal.Binding]string {
			found := map[seal.Binding]string{}
			must(t, s.Sealing().Update(t.Context(), func(all sealing.Keys) error {
				return all.Wrapped().EachWrapped(func(b seal.Binding, wrapped []byte) ([]byte, error) {
					found[b] = string(wrapped)
					return instead, nil
				})
			}))
			return found
		}
		if diff := cmp.Diff(want, visit([]byte("again"))); diff != "" {
			t.Error(diff)
		}
		for b := range want {
			want[b] = "again"
		}
		if diff := cmp.Diff(want, visit(nil)); diff != "" {
			t.Error(diff)
		}
		broken := errors.New("broken")
		err := s.Signing().View(t.Context(), func(all sealing.SigningKeys) error {
			return all.Wrapped().EachWrapped(func(seal.Binding, []byte) ([]byte, error) { return nil, broken })
		})
		if !errors.Is(err, broken) {
			t.Errorf("a visit that fails: %v", err)
		}
	})
}

// signWithAnotherAllTheTime rotates the keys that sign tokens until the process is
// killed, and says the name of each that a rotation has ended with.
func signWithAnotherAllTheTime(ctx context.Context, s *sqlstore.Store) error {
	service, err := sealing.New(ctx, sealing.Config{Store: s.Sealing(), KEKFile: os.Getenv(childSigns)})
	if err != nil {
		return err
	}
	set, err := keys.Open(ctx, keys.Config{Store: service.Signing(s.Signing()), Lead: time.Millisecond, Poll: time.Millisecond})
	if err != nil {
		return err
	}
	for {
		made, err := set.Rotate(ctx)
		if err != nil {
			return err
		}
		fmt.Println(made.KID)
	}
}

func openSigning(t *testing.T, s *sqlstore.Store, service *sealing.Service) *keys.Set {
	t.Helper()
	set, err := keys.Open(t.Context(), keys.Config{Store: service.Signing(s.Signing())})
	must(t, err)
	return set
}

// TestAKilledRotationOfTheSigningKeysLosesNothing kills at random moments a process
// that rotates, beside a server that follows. Of what was acknowledged, and of what
// was there before, every key verifies, at the server and after a start.
func TestAKilledRotationOfTheSigningKeysLosesNothing(t *testing.T) {
	cfg, kek := sqlstore.Config{URL: testkit.StartPostgres(t).Database(t)}, filepath.Join(t.TempDir(), "kek")
	s := open(t, cfg)
	service := openSealing(t, s, kek, true)
	server := openSigning(t, s, service)
	known, acknowledged := map[string]bool{server.Signer().KID: true}, 0
	draw := rand.New(rand.NewPCG(7, 8))
	rounds, within := kills(t)/2, 200*time.Millisecond
	for round := range rounds {
		for _, kid := range childOutput(t, startChild(t, cfg, childSigns+"="+kek), time.Duration(draw.Int64N(int64(within)))) {
			if kid != "open" {
				known[kid] = true
				acknowledged++
			}
		}
		if acknowledged == 0 {
			within *= 2 // the machine is busy: nothing would ever be acknowledged
		}
		must(t, server.Look(t.Context()))
		started := openSigning(t, s, service)
		for kid := range known {
			if _, ok := server.Verifier(kid); !ok {
				t.Fatalf("after %d kills, the server does not have %s", round+1, kid)
			}
			if _, ok := started.Verifier(kid); !ok {
				t.Fatalf("after %d kills, a start does not find %s", round+1, kid)
			}
		}
		if diff := cmp.Diff(string(started.JWKS()), string(server.JWKS())); diff != "" {
			t.Fatal(diff)
		}
	}
	if acknowledged == 0 {
		t.Error("no rotation ended before a kill")
	}
	t.Logf("in all: %d kills, %d rotations that ended, %d keys", rounds, acknowledged, len(server.KIDs()))
}
