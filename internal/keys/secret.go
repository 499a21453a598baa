package keys

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// MaxFormerSecrets is how many shared secrets verify beside the one that signs.
const MaxFormerSecrets = 8

// newSecret makes the key of a shared secret, which signs from the time on. Its name is
// derived under the secret rather than by RFC 7638, whose section 7 warns that the
// thumbprint of a symmetric key lets anyone check a guess.
func newSecret(secret []byte, since time.Time) (*key, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("the secret has %d bytes; HS256 needs %d or more", len(secret), MinSecretBytes)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("onnxgate key id"))
	kid := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	return &key{verifier: &Verifier{KID: kid, Algorithm: HS256, public: slices.Clone(secret)}, since: since}, nil
}

// secret returns what signs: the private half of a key, or all of a shared secret.
func (k *key) secret() any {
	if k.verifier.Algorithm == HS256 {
		return k.verifier.public
	}
	return k.private
}

// inMemory is the place of shared secrets: they are those that are known.
type inMemory struct{}

func (inMemory) load(_ context.Context, known []*key) ([]*key, error) { return known, nil }

func (inMemory) revision(context.Context, time.Time) (number int64, settled bool, err error) {
	return 0, true, nil
}

func (inMemory) create(context.Context, Algorithm, time.Time, func([]*key) bool) (*key, error) {
	return nil, errSecret
}

func (inMemory) retire(context.Context, *key) error { return errSecret }

// UseSecret has another shared secret sign from now on, in a set that was opened with
// one. Those before it verify as long as their tokens last: of more than
// MaxFormerSecrets the newest.
func (s *Set) UseSecret(secret []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	made, err := newSecret(secret, now)
	if err != nil {
		return err
	}
	var all []*key
	if known := s.keys.Load(); known != nil {
		all = slices.DeleteFunc(slices.Clone(known.all), func(k *key) bool {
			return k.verifier.KID == made.verifier.KID || known.verifiers[k.verifier.KID] == nil
		})
	}
	slices.SortFunc(all, compareAge)
	all = all[max(0, len(all)-MaxFormerSecrets):]
	for i, k := range all {
		if !k.since.Before(now) { // the clock was set back, or stood
			all[i] = &key{verifier: k.verifier, since: now.Add(time.Duration(i - len(all)))}
		}
	}
	next, err := s.assemble(append(all, made), now)
	if err == nil {
		s.keys.Store(next)
	}
	return err
}
