// Package sealing owns the keys that seal text, per tenant: it makes them at
// first use, rotates and retires them, and seals and opens text with them. They
// are stored wrapped by the key-encryption key, and unwrapped in memory alone; so
// are, for package keys, those that sign the tokens of servers that share a store.
//
// It must not know how keys are stored, nor any protocol.
package sealing

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/seal"
)

// State says what a key does.
type State string

// The states, in the order in which a key goes through them.
const (
	// Active is the one key of a tenant that seals; it also opens.
	Active State = "active"
	// Former only opens: it was rotated away.
	Former State = "former"
	// Retired does nothing any more, and its bytes are gone.
	Retired State = "retired"
)

// order is the place of a state in that order.
func (s State) order() int { return slices.Index([]State{Active, Former, Retired}, s) }

// Use is the word for these keys among all keys of the server.
const Use = "fernet"

// Algorithm is what the keys are for: AES-128-CBC and HMAC-SHA256 in one token.
const Algorithm = "Fernet"

// AnyTenant stands for every tenant, where the administrators of the installation
// ask. No tenant has this name.
const AnyTenant = "*"

// MaxText is the longest text that is sealed, in bytes.
const MaxText = 1 << 20

// Key is what is known of one key without its bytes.
type Key struct {
	KID    string
	Tenant string
	State  State
	// CreatedAt and RetiredAt are UTC, to the second; RetiredAt is zero before.
	CreatedAt, RetiredAt time.Time
}

// Record is a Key with its bytes, wrapped by the key-encryption key; none when it
// is retired.
type Record struct {
	Key

	Wrapped []byte
}

// Store keeps keys. Its errors are faults: Unavailable when the store cannot be
// reached for now, Canceled and Timeout for a context that ended.
type Store interface {
	// View runs read on one state of everything.
	View(ctx context.Context, read func(Keys) error) error
	// Update runs change in one transaction that no other writer can interleave
	// with, in this process or another, and commits it unless change fails.
	Update(ctx context.Context, change func(Keys) error) error
	// Revision returns a number that differs whenever the keys may have changed,
	// whoever changed them.
	Revision(ctx context.Context) (int64, error)
}

// Keys is the inside of Store.View and Store.Update.
type Keys interface {
	// Wrapped returns everything in the store that is wrapped.
	Wrapped() Wrapped
	// List returns the keys of a tenant, or of AnyTenant, in any order.
	List(tenant string) ([]Record, error)
	// Insert adds a key. It fails for an id that is taken, for a tenant that does
	// not exist, and for a second active key of a tenant.
	Insert(*Record) error
	// Replace overwrites the key of that id, which must exist in the tenant.
	Replace(*Record) error
}

// Wrapped is everything in a store that the key-encryption key wraps, whatever it is
// for, and which of these keys there were, inside of a transaction.
type Wrapped interface {
	// EachWrapped hands each of it to visit, until that fails, and stores what it
	// returns in its place; nil leaves it.
	EachWrapped(visit func(b seal.Binding, wrapped []byte) (instead []byte, err error)) error
	// KEKs returns the key-encryption keys that were added, in any order.
	KEKs() ([]KEKUse, error)
	// AddKEK adds one that is not there.
	AddKEK(*KEKUse) error
}

// KEKUse says since when a key-encryption key is in use, or was.
type KEKUse struct {
	// Fingerprint names the key, as seal.KEK.Fingerprints does.
	Fingerprint string
	// Number is higher than that of every key that was in use before.
	Number int64
	// Since is when it was first wrapped under, as far as is known: UTC, to the second.
	Since time.Time
}

// Outside is what the key-encryption key wraps outside of the store.
type Outside interface {
	// Count returns how many keys the first key of the file has wrapped, and how many
	// the one on its second line. It fails for one that neither opens.
	Count() (first, second int, err error)
	// Rewrap wraps under the first key what the second has wrapped, and returns how many
	// keys that were.
	Rewrap() (int, error)
}

// nothing is outside of the store.
type nothing struct{}

func (nothing) Count() (first, second int, err error) { return 0, 0, nil }
func (nothing) Rewrap() (int, error)                  { return 0, nil }

// Config says how to keep keys.
type Config struct {
	Store Store
	// KEKFile holds the key-encryption key.
	KEKFile string
	// MakeKEK makes that file when it is not there, unless there are keys that a
	// lost one wrapped.
	MakeKEK bool
	// Outside is wrapped by the same key and rotated with it. Nil: there is nothing.
	Outside Outside
	// PollInterval is how long what was read of the store is relied on before it
	// is asked for changes; zero means 200 ms.
	PollInterval time.Duration
	// MaxStale is how long it is relied on while the store cannot be reached;
	// zero means 60 s.
	MaxStale time.Duration
	// Audit keeps a record of each use of a key and of each change; nil keeps none.
	Audit audit.Recorder
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of keys and initialisation vectors; nil means
	// crypto/rand.
	Rand io.Reader
}

const (
	defaultPoll     = 200 * time.Millisecond
	defaultMaxStale = time.Minute
)

// Service seals and opens text. It is safe for concurrent use.
type Service struct {
	store Store
	audit audit.Recorder
	kek   atomic.Pointer[seal.KEK]
	now   func() time.Time
	rand  io.Reader
	// kekFile holds the key-encryption key.
	kekFile string
	outside Outside
	watch   *watch
	rings   sync.Map // of *ring, by tenant
	// decoy is worked with for a tenant that has no key, so that the answer
	// takes as long.
	decoy []*seal.FernetKey
}

// New returns a Service, after making sure that every stored key opens. Its
// error is for the operator: it names the file, the key and what to do.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.KEKFile == "" {
		return nil, errors.New("sealing: a store and the file of a key-encryption key are needed")
	}
	s := newService(&cfg)
	if err := s.openKEK(ctx, &cfg); err != nil {
		return nil, err
	}
	_, decoy, err := s.newSecret()
	s.decoy = []*seal.FernetKey{decoy}
	return s, err
}

// newService puts defaults where the configuration leaves something open.
func newService(cfg *Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard{}
	}
	if cfg.Outside == nil {
		cfg.Outside = nothing{}
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = defaultPoll
	}
	if cfg.MaxStale <= 0 {
		cfg.MaxStale = defaultMaxStale
	}
	return &Service{store: cfg.Store, audit: cfg.Audit, now: cfg.Now, rand: cfg.Rand, kekFile: cfg.KEKFile, outside: cfg.Outside, watch: newWatch(cfg)}
}

// errFailed is the one answer to every token that does not open.
func errFailed() error { return fault.New(fault.Undecryptable, "Decryption failed") }

// Seal returns the token of a text under the active key of the caller's tenant,
// which is made when there is none. Faults: Content for what is no text, TooLarge,
// Unavailable.
func (s *Service) Seal(ctx context.Context, p *identity.Principal, text string) (string, error) {
	token, err := s.seal(ctx, p, text)
	return s.recorded(ctx, p, audit.KeyEncrypt, token, err)
}

func (s *Service) seal(ctx context.Context, p *identity.Principal, text string) (string, error) {
	switch {
	case len(text) > MaxText:
		return "", fault.Newf(fault.TooLarge, "The plaintext must be at most %d bytes", MaxText)
	case !utf8.ValidString(text):
		return "", fault.New(fault.Content, "The plaintext must be valid UTF-8")
	}
	r, err := s.ring(ctx, p.Tenant, false)
	if err == nil && r.active == nil {
		r, err = s.begin(ctx, p)
	}
	if err != nil {
		return "", err
	}
	token, err := r.active.Seal(s.rand, reqctx.Now(ctx, s.now), []byte(text))
	return string(token), err
}

// Open returns the text of a token that one of the keys of the caller's tenant made
// at most maxAge seconds ago; seal.AnyAge sets no limit. Whatever else is wrong
// with a token, the fault is Undecryptable and took the same work, which grows with
// the token and with the number of keys. Further faults: Unavailable.
func (s *Service) Open(ctx context.Context, p *identity.Principal, token string, maxAge int64) (string, error) {
	text, err := s.open(ctx, p.Tenant, token, maxAge)
	return s.recorded(ctx, p, audit.KeyDecrypt, text, err)
}

// recorded puts on record how a key was used, or hands nothing out.
func (s *Service) recorded(ctx context.Context, p *identity.Principal, event audit.Event, result string, err error) (string, error) {
	record := &audit.Record{Event: event, Decision: audit.Allow, Outcome: audit.Outcome(err)}
	record.By(p)
	if err := s.audit.Record(ctx, record); err != nil {
		return "", err
	}
	return result, err
}

func (s *Service) open(ctx context.Context, tenant, token string, maxAge int64) (string, error) {
	r, err := s.ring(ctx, tenant, false)
	if err != nil {
		return "", err
	}
	text, err := s.try(ctx, r, token, maxAge)
	if err == nil {
		return text, nil
	}
	// Its key may be newer than what is known, or the one that was.
	later, err := s.ring(ctx, tenant, true)
	if err != nil {
		return "", err
	}
	if later == r {
		return "", errFailed()
	}
	return s.try(ctx, later, token, maxAge)
}

func (s *Service) try(ctx context.Context, r *ring, token string, maxAge int64) (string, error) {
	keys := r.keys
	if len(keys) == 0 {
		keys = s.decoy
	}
	text, err := seal.Open(keys, []byte(token), reqctx.Now(ctx, s.now), maxAge)
	if err != nil || !utf8.Valid(text) {
		return "", errFailed()
	}
	return string(text), nil
}
