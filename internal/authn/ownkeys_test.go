package authn_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/authn"
	"onnxgate/internal/fault"
	"onnxgate/internal/keys"
)

// shelf is a store of keys that servers share, and counts the looks at it.
type shelf struct {
	mu       sync.Mutex
	records  []keys.Record
	revision int64
	looks    int
}

func (s *shelf) Load(context.Context) ([]keys.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]keys.Record{}, s.records...), nil
}

func (s *shelf) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.revision, nil
}

func (s *shelf) Update(_ context.Context, change func([]keys.Record) ([]keys.Record, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := change(s.records)
	s.records = append(s.records, made...)
	s.revision++
	return err
}

// newMintIn is newMint of a server that shares its keys.
func newMintIn(t *testing.T, store keys.Store) *mint {
	t.Helper()
	m := &mint{now: start}
	var err error
	m.set, err = keys.Open(t.Context(), keys.Config{Store: store, Lead: time.Millisecond, Poll: time.Millisecond, Now: func() time.Time { return m.now }})
	if err != nil {
		t.Fatal(err)
	}
	m.key, _ = m.set.Signer().Private().(ed25519.PrivateKey)
	return m
}

// A server that has stood still while another one made a key, and began to sign with
// it, accepts the tokens of that one.
func TestATokenIsGoodWhoseKeyWasMadeMeanwhile(t *testing.T) {
	store := &shelf{}
	other, still := newMintIn(t, store), newMintIn(t, store)
	a := still.bearer(t, everybody{})
	if _, err := other.set.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.now, still.now = start.Add(time.Second), start.Add(time.Second)
	if err := other.set.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.key, _ = other.set.Signer().Private().(ed25519.PrivateKey)
	if _, known := still.set.Verifier(other.set.Signer().KID); known {
		t.Fatal("the key is known already, so that nothing is shown")
	}
	var all sync.WaitGroup
	for i := range 16 {
		token := other.withClaims(object{"jti": fmt.Sprint("token-", i)})
		all.Go(func() {
			if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// 10,000 tokens with names that no key has make the store be looked at once, and such
// as cannot be our own never.
func TestAStrangersTokensDoNotHaveKeysLookedFor(t *testing.T) {
	store := &shelf{}
	m := newMintIn(t, store)
	a := m.bearer(t, everybody{})
	send := func(what string, n, want int, header, claims object) {
		t.Helper()
		before := store.looks
		for i := range n {
			kid := sha256.Sum256(fmt.Append(nil, what, i))
			token := m.sign(m.header().with(object{"kid": b64(kid[:])}).with(header), m.claims().with(claims))
			if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: token}); fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if looks := store.looks - before; looks != want {
			t.Errorf("%s: %d tokens had the store looked at %d times, want %d", what, n, looks, want)
		}
	}
	send("another issuer", 10, 0, nil, object{"iss": "https://idp.example"})
	send("no issuer", 10, 0, nil, object{"iss": nil})
	send("another type", 10, 0, object{"typ": "JWT"}, nil)
	send("no signature", 10, 0, object{"alg": "none"}, nil)
	send("a secret", 10, 0, object{"alg": "HS256"}, nil)
	send("an algorithm that nobody signs by here", 10, 0, object{"alg": "PS256"}, nil)
	send("no name of a key", 10, 0, object{"kid": "../../dev/null"}, nil)
	send("as our own", 10_000, 1, nil, nil)
	m.now = m.now.Add(time.Second)
	send("as our own, a second later", 1000, 1, nil, nil)
	if _, err := a.Authenticate(t.Context(), authn.Credentials{Bearer: m.genuine()}); err != nil {
		t.Errorf("a good one: %v", err)
	}
}
