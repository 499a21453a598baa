// Package accounts owns the users, the API keys and the tenants: their names,
// secrets, roles and state, the rules for each, and the first administrator. It
// answers two questions: does this password belong to this user, and is what was
// proven then still true now; and it finds the key that a caller presents.
//
// It must not know how users are stored, nor any protocol or token format.
package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
)

// Config says how to keep users.
type Config struct {
	Store Store
	// InitialPasswordFile is where Bootstrap leaves the password that it
	// chose. It is removed when that password is changed.
	InitialPasswordFile string
	// Argon computes the hashes of passwords; nil does so in this process.
	Argon Argon
	// Params is the cost of new password hashes; zero means DefaultParams.
	Params Params
	// HashConcurrency is how many passwords are hashed at a time; zero means 1,
	// so that signing in never takes more than one core from predictions.
	HashConcurrency int
	// PollInterval is how often Watch looks for changes that other processes
	// made; zero means 200 ms.
	PollInterval time.Duration
	// MaxStale is how long what was last read may be relied on while the store
	// cannot be reached; zero means 60 s.
	MaxStale time.Duration
	// Guesses counts wrong passwords for several servers; nil: this one counts alone.
	Guesses limit.SharedBackoff
	// Audit keeps a record of every change; nil keeps none.
	Audit audit.Recorder
	// Reached is told by Watch, with the reason, when the store can no longer be read
	// or written to, and with nil when it can again; nil tells nobody.
	Reached func(error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of salts, stamps and passwords; nil means crypto/rand.
	Rand io.Reader
}

// Service keeps users. It is safe for concurrent use.
type Service struct {
	store   Store
	hasher  *hasher
	audit   audit.Recorder
	watcher *watcher
	joined  told // by Join, for Watch
	// guesses slows down who guesses passwords.
	guesses *limit.Backoff
	// changes are those of each tenant's own administrators.
	changes *limit.Table
	now     func() time.Time
	rand    io.Reader
	// initialFile is the path of the initial password's file, or empty.
	initialFile string
	uses        uses
	// unwritten is why the last note of Watch could not be made.
	unwritten atomic.Pointer[error]
	// told is what Watch last told other processes of this one; nil for nothing.
	told atomic.Pointer[Server]
	// reached is told of the store by Watch.
	reached func(error)
	// nobody is verified against when there is no such user, so that the
	// answer takes as long.
	nobody string
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil {
		return nil, errors.New("accounts: a store is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard{}
	}
	if cfg.Reached == nil {
		cfg.Reached = func(error) {}
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	hasher, err := newHasher(cfg.Argon, cfg.Params, cfg.HashConcurrency, cfg.Rand)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: cfg.Store, hasher: hasher, audit: cfg.Audit, now: cfg.Now, rand: cfg.Rand,
		initialFile: cfg.InitialPasswordFile, reached: cfg.Reached,
		watcher: newWatcher(&cfg), guesses: newGuesses(&cfg), changes: newChanges(cfg.Now),
	}
	if s.nobody, err = hasher.decoy(); err != nil {
		return nil, err
	}
	return s, nil
}

// Revision returns a number that moves whenever an account, a key or a tenant
// may have changed: what was learnt under another has to be asked again. It
// answers from memory. The fault is Unavailable when the store was not reached
// for too long.
func (s *Service) Revision(ctx context.Context) (int64, error) { return s.watcher.current(ctx) }

// TokenStands reports whether a token still counts that was issued to the
// subject, a user's name or a client's id, under that stamp and with that id:
// whoever it is for, and the client that a user got it through, is there,
// enabled and unchanged, and the token was not revoked.
func (s *Service) TokenStands(ctx context.Context, subject, stamp, tokenID string) (bool, error) {
	return view(ctx, s, func(tx *Tx) (bool, error) {
		stands, err := stampStands(tx, subject, stamp)
		if err != nil || !stands {
			return false, err
		}
		ended, err := revoked(tx, tokenID)
		return err == nil && !ended, err
	})
}

// stampStands reports whether the stamp is the present one of the subject, and
// of the client if it was issued through one.
func stampStands(tx *Tx, subject, stamp string) (bool, error) {
	own, clientID, client := identity.StampParts(stamp)
	present, err := presentStamp(tx, subject)
	if err != nil || present == "" || present != own || clientID == "" {
		return err == nil && present != "" && present == own, err
	}
	if !strings.HasPrefix(clientID, ClientPrefix) {
		return false, nil
	}
	present, err = presentStamp(tx, clientID)
	return err == nil && present != "" && present == client, err
}

// presentStamp returns the stamp of an enabled user or client, else nothing.
func presentStamp(tx *Tx, subject string) (string, error) {
	if strings.HasPrefix(subject, ClientPrefix) {
		client, err := tx.Clients.Get(AnyTenant, subject)
		if err != nil || client.Disabled {
			return "", ignoreNotFound(err)
		}
		return client.Stamp, nil
	}
	user, err := tx.Users.Get(AnyTenant, subject)
	if err != nil || user.Disabled {
		return "", ignoreNotFound(err)
	}
	return user.Stamp, nil
}

// ClientPrefix begins every client's id, and no user's name.
const ClientPrefix = "ogc_"

// view runs read on one state of the store. The fault is Unavailable, at once, while
// Watch does not reach it.
func view[T any](ctx context.Context, s *Service, read func(*Tx) (T, error)) (got T, err error) {
	if err := s.watcher.reachable(); err != nil {
		return got, err
	}
	err = s.store.View(ctx, func(tx *Tx) error {
		got, err = read(tx)
		return err
	})
	return got, err
}

// errIncorrect is the one answer to every wrong pair of name and password.
func errIncorrect(cause error) error {
	return fault.Wrap(fault.Unauthenticated, "Incorrect username or password", cause)
}

// VerifyPassword returns the principal of an enabled user and the stamp under
// which what is issued to it counts. An unknown name, a wrong password and a
// disabled user, or one of a disabled tenant, give the same fault of kind
// Unauthenticated after the same work; from the tenth in a row for a name on,
// one of kind RateLimited that says how long no password is looked at for that
// name. Unavailable means too many at once, or a store out of reach.
func (s *Service) VerifyPassword(ctx context.Context, name, password string) (*identity.Principal, string, error) {
	if len(password) > maxPasswordBytes {
		// Nobody's: nothing is looked up, counted or hashed, so that the answer
		// tells nothing and fills nothing.
		return nil, "", errIncorrect(errors.New("the password is longer than any can be"))
	}
	canonical, err := CanonicalName(name)
	if err != nil {
		// A name that nobody can have is looked up all the same: the answer must
		// take as long as for one that somebody could. It is not counted.
		return s.verifyPassword(ctx, "-", password)
	}
	return s.verifyCounted(ctx, canonical, canonical, password)
}

// HasPassword reports whether a user can sign in with the password. It is for who runs
// the server, at whose every start a wrong one would count: nothing is counted.
func (s *Service) HasPassword(ctx context.Context, name, password string) bool {
	_, _, err := s.verifyPassword(ctx, name, password)
	return err == nil
}

func (s *Service) verifyPassword(ctx context.Context, canonical, password string) (*identity.Principal, string, error) {
	var user inTenant[Record] // nobody
	match, err := s.hasher.verify(ctx, func() (string, error) {
		found, err := view(ctx, s, func(tx *Tx) (*inTenant[Record], error) { return withTenant(tx, tx.Users, canonical) })
		if err != nil {
			return s.nobody, ignoreNotFound(err)
		}
		user = *found
		return user.record.PasswordHash, nil
	}, s.nobody, password)
	record := user.record
	switch {
	case err != nil:
		return nil, "", err
	case !match.ok && record == nil:
		return nil, "", errIncorrect(match.reason)
	case !match.ok:
		return nil, "", errIncorrect(record.names(match.reason))
	case record == nil:
		return nil, "", errIncorrect(errors.New("no such user"))
	case record.Disabled:
		return nil, "", errIncorrect(record.names(errors.New("the user or its tenant is disabled")))
	}
	if err := admit(ctx, user.tenant); err != nil {
		return nil, "", record.names(err)
	}
	if match.outdated {
		_ = s.rehash(ctx, record, password) // the password was right; the next sign-in tries again
	}
	principal := &identity.Principal{Subject: record.Name, Tenant: record.Tenant, Roles: record.Roles}
	return principal, record.Stamp, nil
}

// names says for the record whose password was refused.
func (r *Record) names(reason error) *audit.DenialError {
	return &audit.DenialError{Actor: r.Name, Tenant: r.Tenant, Method: "password", Err: reason}
}

func (s *Service) record(ctx context.Context, name string) (*Record, error) {
	return view(ctx, s, func(tx *Tx) (*Record, error) { return tx.Users.Get(AnyTenant, name) })
}

// rehash stores the password under the present cost, unless it was changed in
// the meantime.
func (s *Service) rehash(ctx context.Context, old *Record, password string) error {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *Tx) error {
		record, err := tx.Users.Get(old.Tenant, old.Name)
		if err != nil || record.PasswordHash != old.PasswordHash {
			return ignoreNotFound(err)
		}
		record.PasswordHash = hash
		return tx.Users.Replace(record)
	})
}

func ignoreNotFound(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// newStamp returns 128 random bits in base64url.
func (s *Service) newStamp() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}
