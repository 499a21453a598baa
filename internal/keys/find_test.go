package keys_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/keys"
)

// noKey is a name that no key has.
func noKey() string {
	sum := make([]byte, 32)
	_, _ = rand.Read(sum) // never fails
	return base64.RawURLEncoding.EncodeToString(sum)
}

func finds(t *testing.T, set *keys.Set, kid string) bool {
	t.Helper()
	v, ok := set.Find(t.Context(), kid)
	if ok && v.KID != kid {
		t.Errorf("%s was found for %s", v.KID, kid)
	}
	return ok
}

// A server that stands still while another one makes a key finds it when a token comes
// that the key has signed.
func TestAKeyIsFoundThatWasMadeMeanwhile(t *testing.T) {
	now := time.Now()
	dir, store := filepath.Join(t.TempDir(), "keys"), &memory{}
	quick := func(c *keys.Config) { c.Poll = time.Millisecond }
	for name, open := range map[string]func() *keys.Set{
		"in a store":     func() *keys.Set { return sharing(t, store, &now, quick) },
		"in a directory": func() *keys.Set { return clocked(t, dir, &now, quick) },
	} {
		t.Run(name, func(t *testing.T) {
			one, still := open(), open()
			for range 3 {
				kid := rotate(t, one, &now)
				if verifies(still, kid) {
					t.Fatal("the key is known already, so that nothing is shown")
				}
				if !finds(t, still, kid) || still.Signer().KID != kid {
					t.Errorf("a key that signs is not found")
				}
				now = now.Add(time.Second)
			}
		})
	}
}

// However many names come that no key has, the store is looked at once in a second.
func TestUnknownNamesAreLookedForOnceASecond(t *testing.T) {
	now := time.Now()
	store := &memory{}
	set := sharing(t, store, &now)
	flood := func() (looks int) {
		t.Helper()
		before := store.looks
		var all sync.WaitGroup
		var found atomic.Int64
		for range 8 {
			all.Go(func() {
				for range 10_000 / 8 {
					if _, ok := set.Find(t.Context(), noKey()); ok {
						found.Add(1)
					}
				}
			})
		}
		all.Wait()
		if found.Load() != 0 {
			t.Errorf("%d keys were found that nobody has made", found.Load())
		}
		return store.looks - before
	}
	for i, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {0, 0}, {time.Second - 1, 0}, {1, 1}, {time.Hour, 1}, {-time.Minute, 1}} {
		now = now.Add(step.after)
		if looks := flood(); looks != step.want {
			t.Errorf("step %d: the store was looked at %d times for 10,000 names, want %d", i, looks, step.want)
		}
	}
	loads := store.loads
	now = now.Add(time.Hour)
	if flood(); store.loads != loads {
		t.Errorf("unchanged keys were read %d times", store.loads-loads)
	}
}

// Nothing is looked at for names that no key can have, for one that is known, nor while
// the keys cannot be read anyway.
func TestNothingIsLookedAtInVain(t *testing.T) {
	now := time.Now()
	store := &memory{}
	set := sharing(t, store, &now)
	before := store.looks
	if !finds(t, set, set.Signer().KID) {
		t.Error("the key that signs is not found")
	}
	for _, kid := range []string{
		"", "x", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("A", 4000), noKey() + "=", noKey()[:42] + "\n",
		noKey()[:42] + "_", "../../dev/null",
	} {
		if finds(t, set, kid) {
			t.Errorf("%q is found", kid)
		}
	}
	if n := store.looks - before; n != 0 {
		t.Errorf("the store was looked at %d times", n)
	}
	store.away = errors.New("away")
	if finds(t, set, noKey()) || set.Behind() == nil {
		t.Error("keys that cannot be read are not behind")
	}
	before, now = store.looks, now.Add(time.Hour)
	if finds(t, set, noKey()) || store.looks != before {
		t.Errorf("the store was looked at although it is known to be away")
	}
	secret, err := keys.Open(t.Context(), keys.Config{Secret: make([]byte, keys.MinSecretBytes)})
	if err != nil {
		t.Fatal(err)
	}
	if finds(t, secret, noKey()) || !finds(t, secret, secret.Signer().KID) {
		t.Error("a secret is found by a wrong name, or not by its own")
	}
}

// slow is a store that takes its time.
type slow struct {
	*memory

	takes time.Duration
}

func (s slow) Revision(ctx context.Context) (int64, error) {
	select {
	case <-time.After(s.takes):
		return s.memory.Revision(ctx)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Tokens that come at once wait for one look, and no longer than their request lasts.
func TestTokensThatComeAtOnceShareALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		open := func(store keys.Store) *keys.Set {
			set, err := keys.Open(t.Context(), keys.Config{Store: store})
			if err != nil {
				t.Fatal(err)
			}
			return set
		}
		one, still := open(store), open(slow{store, 500 * time.Millisecond})
		made, err := one.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		looks := store.looks
		gone, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, ok := still.Find(t.Context(), made.KID); !ok {
					t.Errorf("token %d is refused", i)
				}
			})
			all.Go(func() {
				if _, ok := still.Find(gone, made.KID); ok || time.Since(began) > 100*time.Millisecond {
					t.Errorf("token %d was waited for %s", i, time.Since(began))
				}
			})
		}
		all.Wait()
		if n := store.looks - looks; n != 1 || time.Since(began) != 500*time.Millisecond {
			t.Errorf("the store was looked at %d times in %s", n, time.Since(began))
		}
	})
}

// Who follows the keys is told of another one that signs also where a token came first.
func TestAKeyThatATokenFoundIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		told := make(chan string, 10)
		open := func() *keys.Set {
			set, err := keys.Open(t.Context(), keys.Config{Store: store, Changed: func(kid string, err error) { told <- fmt.Sprint(kid, err) }})
			if err != nil {
				t.Fatal(err)
			}
			return set
		}
		one, other := open(), open()
		made, err := one.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go other.Watch(ctx)
		synctest.Wait() // it has not looked yet
		if !finds(t, other, made.KID) || other.Signer().KID != made.KID {
			t.Fatal("the key is not found")
		}
		time.Sleep(time.Second)
		end()
		synctest.Wait()
		close(told)
		var all []string
		for kid := range told {
			all = append(all, kid)
		}
		if len(all) != 1 || all[0] != made.KID+"<nil>" {
			t.Errorf("told of %q, want once of %s", all, made.KID)
		}
	})
}
