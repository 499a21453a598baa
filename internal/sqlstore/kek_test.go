package sqlstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
)

// rotateAllTheTime rotates the key-encryption key until the process is killed, and
// says each time that it did.
func rotateAllTheTime(ctx context.Context, s *sqlstore.Store) error {
	service, err := sealing.New(ctx, sealing.Config{Store: s.Sealing(), KEKFile: os.Getenv(childRotates)})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if _, err := service.RotateKEK(ctx, "admin", true); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestAKilledRotationOfTheKeyEncryptionKeyLosesNothing kills at random moments a
// process that rotates, while a server seals on, and starts again each time.
func TestAKilledRotationOfTheKeyEncryptionKeyLosesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg, kek := b.fresh(t), filepath.Join(t.TempDir(), "kek")
		server := open(t, cfg)
		makeTenants(t, server)
		running := openSealing(t, server, kek, true)
		draw := rand.New(rand.NewPCG(3, 4))
		tokens, rotations, rounds := map[string]string{}, 0, kills(t)/2
		signer := openSigning(t, server, running).Signer().KID
		for round := range rounds {
			cmd := startChild(t, cfg, childRotates+"="+kek)
			rotations += max(0, len(childOutput(t, cmd, time.Duration(draw.IntN(200))*time.Millisecond))-1) // but for "open"
			tenant := []string{"acme", "other", identity.DefaultTenant}[round%3]
			if _, err := running.Rotate(t.Context(), "admin", tenant); err != nil {
				t.Fatal(err)
			}
			token, err := running.Seal(t.Context(), &identity.Principal{Tenant: tenant}, "text")
			must(t, err)
			tokens[token] = tenant
			started := openSealing(t, server, kek, false)
			if now := openSigning(t, server, started).Signer().KID; now != signer {
				t.Fatalf("after %d kills %s signs tokens, and no longer %s", round+1, now, signer)
			}
			for token, tenant := range tokens {
				if text, err := started.Open(t.Context(), &identity.Principal{Tenant: tenant}, token, seal.AnyAge); err != nil || text != "text" {
					t.Fatalf("after %d kills, a text of %s: %q, %v", round+1, tenant, text, err)
				}
			}
		}
		if _, err := running.RotateKEK(t.Context(), "admin", true); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadFile(kek)
		must(t, err)
		if strings.Count(string(left), "\n") != 1 {
			t.Errorf("the file holds %d lines after a rotation that ended", strings.Count(string(left), "\n"))
		}
		openSealing(t, server, kek, false)
		t.Logf("in all: %d kills, %d rotations that ended", rounds, rotations)
	})
}

func openSealing(t *testing.T, s *sqlstore.Store, kek string, first bool) *sealing.Service {
	t.Helper()
	service, err := sealing.New(t.Context(), sealing.Config{Store: s.Sealing(), KEKFile: kek, MakeKEK: first})
	must(t, err)
	return service
}
