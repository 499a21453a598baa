package oauth_test

import (
	"cmp"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/keys"
)

// TestNoValidTokenIsRefusedWhileKeysRotate has two servers share their keys: one
// issues, both verify, and somebody rotates, ROTATIONS times.
func TestNoValidTokenIsRefusedWhileKeysRotate(t *testing.T) {
	rotations, err := strconv.Atoi(cmp.Or(os.Getenv("ROTATIONS"), "5"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := keys.Config{Dir: filepath.Join(t.TempDir(), "keys"), Lead: 500 * time.Millisecond, Poll: 5 * time.Millisecond}
	p := wire(t, cfg)
	replica, err := keys.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	other, err := authn.NewBearer(authn.BearerConfig{Issuer: issuer, Audience: issuer, Keys: replica, Issued: p.users})
	if err != nil {
		t.Fatal(err)
	}
	p.add(t, "ada", "user")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, set := range []*keys.Set{p.keys, replica} {
		running.Go(func() { set.Watch(ctx) })
	}
	running.Go(func() {
		if err := p.users.Watch(ctx); err != nil {
			t.Error(err)
		}
	})
	var tokens atomic.Int64
	running.Go(func() {
		var last string
		for ctx.Err() == nil {
			res, err := p.server.Token(ctx, request(url.Values{"username": {"ada"}, "password": {password}}))
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			for _, token := range []string{res.AccessToken, cmp.Or(last, res.AccessToken)} {
				for _, verifier := range []authn.Authenticator{p.bearer, authn.Chain(p.users, other)} {
					if _, err := verifier.Authenticate(ctx, authn.Credentials{Bearer: token}); err != nil && ctx.Err() == nil {
						t.Errorf("a valid token is refused: %v", err)
						return
					}
				}
			}
			last = res.AccessToken
			tokens.Add(1)
		}
	})
	seen := map[string]bool{p.keys.Signer().KID: true}
	for range rotations {
		made, err := replica.Rotate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen[made.KID] = true
	}
	cancel()
	running.Wait()
	if len(seen) != rotations+1 || tokens.Load() == 0 {
		t.Errorf("%d keys, %d tokens", len(seen), tokens.Load())
	}
	t.Logf("in all: %d rotations, %d tokens", rotations, tokens.Load())
}
