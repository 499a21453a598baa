// Package keys owns the keys that sign access tokens: it makes and rotates them,
// keeps them as PKCS#8 PEM files that only their owner can read, or in a store that
// several servers share, names them by their RFC 7638 thumbprint, and binds each to
// the one algorithm it may be used with. It refuses keys that are too weak.
//
// It must not know what is signed, nor any token format, nor how a store keeps
// secrets.
package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MinSecretBytes is the least length of a shared secret: that of the hash's
// output (RFC 7518 section 3.2).
const MinSecretBytes = 32

// Config says which keys to use.
type Config struct {
	// Dir is the directory of the key files, made with mode 0700 when it is not
	// there. Unused with a Secret. With a Store, the keys that it has are moved
	// there.
	Dir string
	// Store keeps the keys in place of the directory, for servers that share it.
	// Unused with a Secret.
	Store Store
	// Moving is told of the keys that are about to be moved into the Store, and of the
	// same again with what kept them from it. Its error leaves them where they are. Nil:
	// nobody is.
	Moving func(kids []string, failed error) error
	// Existing opens the keys that there are, and makes neither the directory nor
	// the first key, nor moves any: Open returns an fs.ErrNotExist instead.
	Existing bool
	// Algorithm is what new tokens are signed with: EdDSA (also when empty),
	// ES256 or RS256. Unused with a Secret.
	Algorithm Algorithm
	// Secret, when set, is the only key until UseSecret: HS256 signs and verifies, and
	// the directory is neither read nor written, so that a public key can never
	// meet a symmetric algorithm.
	Secret []byte
	// TokenTTL is how long a token holds that a key signs: so long the key
	// verifies after the next one began to sign. Zero means 24 h.
	TokenTTL time.Duration
	// RotateEvery is how old a key gets before Watch makes the next one; zero
	// makes none.
	RotateEvery time.Duration
	// Lead is how long a key that Rotate made is known before it signs; zero
	// means 2 s. Poll is how often Watch looks; zero means 250 ms.
	Lead, Poll time.Duration
	// Wake has Watch look at once; nil never does.
	Wake <-chan struct{}
	// Changed is told by Watch of another key that signs, and of what keeps the
	// keys from being read. Nil: nobody is.
	Changed func(kid string, err error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Signer is the private half of a key.
type Signer struct {
	// KID is the key's name in a token's header (RFC 7515 section 4.1.4).
	KID       string
	Algorithm Algorithm
	private   any
}

// Private returns the key itself: an ed25519.PrivateKey, an *ecdsa.PrivateKey,
// an *rsa.PrivateKey, or the []byte of a shared secret.
func (s *Signer) Private() any { return s.private }

// String names the key without showing it.
func (s *Signer) String() string { return fmt.Sprintf("%s key %s", s.Algorithm, s.KID) }

// GoString is String, so that no verb prints the key.
func (s *Signer) GoString() string { return s.String() }

// Verifier is the half of a key that checks signatures, bound to one
// algorithm (RFC 8725 section 3.1).
type Verifier struct {
	// KID is the key's name in a token's header (RFC 7515 section 4.1.4).
	KID       string
	Algorithm Algorithm
	public    any
}

// Public returns the key itself: an ed25519.PublicKey, an *ecdsa.PublicKey, an
// *rsa.PublicKey, or the []byte of a shared secret.
func (v *Verifier) Public() any { return v.public }

// String names the key without showing it.
func (v *Verifier) String() string { return fmt.Sprintf("%s key %s", v.Algorithm, v.KID) }

// GoString is String, so that no verb prints a shared secret.
func (v *Verifier) GoString() string { return v.String() }

// NewVerifier binds a public key, or a shared secret, to an algorithm. It
// refuses a key of another type, on another curve, or too weak.
func NewVerifier(alg Algorithm, public any) (*Verifier, error) {
	spec, ok := algorithms[alg]
	if !ok {
		return nil, fmt.Errorf("unknown signature algorithm %q", alg)
	}
	if err := spec.check(public); err != nil {
		return nil, fmt.Errorf("%s: %w", alg, err)
	}
	kid, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	return &Verifier{KID: kid, Algorithm: alg, public: public}, nil
}

// Set is the keys of one server: one signs, all verify. It is safe for
// concurrent use.
type Set struct {
	place       place
	shared      bool
	algorithm   Algorithm
	overlap     time.Duration
	rotateEvery time.Duration
	lead, poll  time.Duration
	wake        <-chan struct{}
	changed     func(kid string, err error)
	now         func() time.Time
	opened      time.Time
	moved       Moved

	keys atomic.Pointer[present]
	// wrong is why the last look of Watch failed, and unread why the keys could not be
	// read when they last were to be.
	wrong, unread atomic.Pointer[error]
	// mu is held by whoever reads the keys; seen is the revision that they had then,
	// unmade why a key that is due could not be made, and again when that is tried next.
	mu     sync.Mutex
	seen   int64
	unmade error
	again  time.Time

	asks asks
}

// place is where keys are kept: a directory, a store that servers share, or memory.
type place interface {
	// load returns every key. What is known stays the same in memory.
	load(ctx context.Context, known []*key) ([]*key, error)
	// revision returns a number that differs whenever keys have changed, but for
	// one that has not settled.
	revision(ctx context.Context, now time.Time) (number int64, settled bool, err error)
	// create makes a key of the algorithm that signs from the time on, if it still
	// is needed when no other process makes one; else it returns nil.
	create(ctx context.Context, alg Algorithm, since time.Time, needed func([]*key) bool) (*key, error)
	// retire ends a key and removes its private half.
	retire(ctx context.Context, k *key) error
}

// present is the keys as they are for a while. It does not change.
type present struct {
	all       []*key
	signer    *Signer
	verifiers map[string]*Verifier
	published []byte
	// until is when the clock alone makes a difference.
	until time.Time
}

// Open reads the keys and makes the first one of the configured algorithm when it
// is not there. The newest of that algorithm signs. Processes that start at the same
// time agree on one key. Errors are for the operator: they name files.
func Open(ctx context.Context, cfg Config) (*Set, error) {
	s := newSet(&cfg)
	if len(cfg.Secret) > 0 {
		s.place, s.algorithm, s.rotateEvery = inMemory{}, HS256, 0
		return s, s.UseSecret(cfg.Secret)
	}
	if !s.algorithm.Signs() {
		return nil, fmt.Errorf("signature algorithm %q cannot sign here; use %s, %s or %s", s.algorithm, EdDSA, ES256, RS256)
	}
	if err := s.openPlace(ctx, &cfg); err != nil {
		return nil, err
	}
	found, err := s.first(ctx, cfg.Existing)
	if err != nil {
		return nil, err
	}
	keys, err := s.assemble(found, s.now())
	s.keys.Store(keys)
	return s, err
}

func (s *Set) openPlace(ctx context.Context, cfg *Config) (err error) {
	if cfg.Store == nil {
		s.place, err = openDirectory(cfg.Dir, cfg.Existing)
		return err
	}
	s.place, s.shared = shared{cfg.Store}, true
	if !cfg.Existing {
		s.moved, err = s.move(ctx, cfg)
	}
	return err
}

// first returns the keys, of which there is one of the algorithm.
func (s *Set) first(ctx context.Context, existing bool) ([]*key, error) {
	found, err := s.place.load(ctx, nil)
	none := func(found []*key) bool { return newest(found, s.algorithm) == nil }
	if err != nil || !none(found) {
		return found, err
	}
	if existing {
		return nil, fmt.Errorf("%s has no key for %s: %w", s.place, s.algorithm, fs.ErrNotExist)
	}
	if _, err := s.place.create(ctx, s.algorithm, s.now(), none); err != nil {
		return nil, fmt.Errorf("make a signing key in %s: %w", s.place, err)
	}
	return s.place.load(ctx, found)
}

func newSet(cfg *Config) *Set {
	s := &Set{
		algorithm: cfg.Algorithm, rotateEvery: cfg.RotateEvery, lead: cfg.Lead, poll: cfg.Poll,
		wake: cfg.Wake, changed: cfg.Changed, now: cfg.Now, overlap: cfg.TokenTTL + clockDifference,
	}
	if s.algorithm == "" {
		s.algorithm = EdDSA
	}
	if cfg.TokenTTL == 0 {
		s.overlap += 24 * time.Hour
	}
	if s.lead == 0 {
		s.lead = defaultLead
	}
	if s.poll == 0 {
		s.poll = defaultPoll
	}
	if s.changed == nil {
		s.changed = func(string, error) {}
	}
	if s.now == nil {
		s.now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	s.opened = s.now()
	return s
}

// assemble prepares the keys for use at the time.
func (s *Set) assemble(all []*key, now time.Time) (*present, error) {
	p := &present{all: all, verifiers: make(map[string]*Verifier, len(all)), until: s.nextChange(all, now)}
	var published []*Verifier
	states := s.states(all, now)
	for _, k := range all {
		if states[k] == Active {
			p.signer = &Signer{KID: k.verifier.KID, Algorithm: s.algorithm, private: k.secret()}
		}
		if states[k] != Retired {
			p.verifiers[k.verifier.KID] = k.verifier
			published = append(published, k.verifier)
		}
	}
	if p.signer == nil {
		return nil, errors.New("no key is left that signs; start again to make one")
	}
	var err error
	p.published, err = publish(published)
	return p, err
}

// nextChange returns when the clock alone changes a state: a key begins to sign,
// or the tokens of the one before have all ended.
func (s *Set) nextChange(all []*key, now time.Time) time.Time {
	next := now.Add(24 * time.Hour)
	consider := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	consider(s.opened.Add(s.overlap))
	for _, k := range all {
		consider(k.since)
		consider(k.since.Add(s.overlap))
	}
	return next
}

// Signer returns the key that signs new tokens.
func (s *Set) Signer() *Signer { return s.keys.Load().signer }

// Err returns why the keys as they are now cannot be read, so that those from
// before serve on; nil when they can. Watch finds out.
func (s *Set) Err() error {
	if wrong := s.wrong.Load(); wrong != nil {
		return *wrong
	}
	return nil
}

// Behind returns why keys may be missing that other processes have made meanwhile; nil
// when none are.
func (s *Set) Behind() error {
	if unread := s.unread.Load(); unread != nil {
		return *unread
	}
	return nil
}

// Verifier returns the key with that name, which is only looked up in memory.
func (s *Set) Verifier(kid string) (*Verifier, bool) {
	v, ok := s.keys.Load().verifiers[kid]
	return v, ok
}

// KIDs returns the names of all keys that verify, sorted.
func (s *Set) KIDs() []string { return slices.Sorted(maps.Keys(s.keys.Load().verifiers)) }

// JWKS returns the public halves as a JWK Set (RFC 7517 section 5). There is
// none of a shared secret.
func (s *Set) JWKS() []byte { return s.keys.Load().published }
