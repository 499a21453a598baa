// Package accounts owns the users: their names, passwords, roles and state,
// the rules for each, and the first administrator. It answers two questions:
// does this password belong to this user, and is what was proven then still
// true now.
//
// It must not know how users are stored, nor any protocol or token format.
package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// User is a person or a program that signs in with a password.
type User struct {
	// Name is canonical (see CanonicalName) and unique in the installation.
	Name string
	// Tenant is whose models and data the user sees.
	Tenant string
	// Roles are words that rules speak about, in the order they were given.
	Roles    []string
	Disabled bool
	// CreatedAt and UpdatedAt are UTC, to the second.
	CreatedAt, UpdatedAt time.Time
}

// Record is a User with what must not leave the server.
type Record struct {
	User
	// PasswordHash is a PHC string.
	PasswordHash string
	// Stamp is random and changes with the password, the roles and the state:
	// what was issued under another stamp is void.
	Stamp string
	// InitialPassword says that the password is still the one that the first
	// start chose.
	InitialPassword bool
}

func (r *Record) enabledAdmin() bool {
	return !r.Disabled && (&identity.Principal{Roles: r.Roles}).HasRole(identity.RoleAdmin)
}

// Store keeps users. Its errors are faults: Unavailable when the store cannot
// be reached for now, Canceled and Timeout for a context that ended.
type Store interface {
	// Users returns all users in the order of their names.
	Users(ctx context.Context) ([]User, error)
	// Record returns one user, or a fault of kind NotFound.
	Record(ctx context.Context, name string) (*Record, error)
	// Update runs change in one transaction that no other writer can
	// interleave with, in this process or another, and commits it unless
	// change fails.
	Update(ctx context.Context, change func(Tx) error) error
	// Revision returns a number that differs whenever anything that Stamps
	// returns may have changed, whoever changed it.
	Revision(ctx context.Context) (int64, error)
	// Stamps returns the stamps of all enabled users by their names.
	Stamps(ctx context.Context) (map[string]string, error)
}

// Tx is the inside of Store.Update.
type Tx interface {
	// Record returns one user, or a fault of kind NotFound.
	Record(name string) (*Record, error)
	// CountAdmins returns how many users hold the role admin and are enabled.
	CountAdmins() (int, error)
	// Insert adds a user; one of that name must not exist.
	Insert(*Record) error
	// Replace overwrites the user of that name, which must exist.
	Replace(*Record) error
	// Delete removes the user of that name, which must exist.
	Delete(name string) error
}

// Config says how to keep users.
type Config struct {
	Store Store
	// InitialPasswordFile is where Bootstrap leaves the password that it
	// chose. It is removed when that password is changed.
	InitialPasswordFile string
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
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of salts, stamps and passwords; nil means crypto/rand.
	Rand io.Reader
}

// Service keeps users. It is safe for concurrent use.
type Service struct {
	store     Store
	hasher    *hasher
	directory *directory
	now       func() time.Time
	rand      io.Reader
	// initialFile is the path of the initial password's file, or empty.
	initialFile string
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
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	hasher, err := newHasher(cfg.Params, cfg.HashConcurrency, cfg.Rand)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: cfg.Store, hasher: hasher, now: cfg.Now, rand: cfg.Rand,
		initialFile: cfg.InitialPasswordFile,
		directory:   newDirectory(&cfg),
	}
	if s.nobody, err = hasher.decoy(); err != nil {
		return nil, err
	}
	return s, nil
}

// Current reports whether stamp is the present stamp of an enabled user of
// that name. It answers from memory; before it says no it looks for changes
// that are not there yet. The error is a fault of kind Unavailable when the
// store was not reached for too long.
func (s *Service) Current(ctx context.Context, name, stamp string) (bool, error) {
	return s.directory.current(ctx, name, stamp)
}

// Watch follows the changes that other processes make, so that Current knows
// them within a second, until ctx ends. It returns nil then.
func (s *Service) Watch(ctx context.Context) error { return s.directory.watch(ctx) }

// errIncorrect is the one answer to every wrong pair of name and password.
func errIncorrect(cause error) error {
	return fault.Wrap(fault.Unauthenticated, "Incorrect username or password", cause)
}

// VerifyPassword returns the principal of an enabled user and the stamp under
// which what is issued to it counts. An unknown name, a wrong password and a
// disabled user give the same fault of kind Unauthenticated after the same
// work. Unavailable means too many at once, or a store out of reach.
func (s *Service) VerifyPassword(ctx context.Context, name, password string) (*identity.Principal, string, error) {
	record, err := s.lookup(ctx, name)
	if err != nil {
		return nil, "", err
	}
	stored := s.nobody
	if record != nil {
		stored = record.PasswordHash
	}
	match, err := s.hasher.verify(ctx, stored, s.nobody, password)
	switch {
	case err != nil:
		return nil, "", err
	case !match.ok:
		return nil, "", errIncorrect(match.reason)
	case record == nil:
		return nil, "", errIncorrect(errors.New("no such user"))
	case record.Disabled:
		return nil, "", errIncorrect(errors.New("the user is disabled"))
	}
	if match.outdated {
		_ = s.rehash(ctx, record, password) // the password was right; the next sign-in tries again
	}
	principal := &identity.Principal{Subject: record.Name, Tenant: record.Tenant, Roles: record.Roles}
	return principal, record.Stamp, nil
}

// lookup returns the user that a client named, or nil.
func (s *Service) lookup(ctx context.Context, name string) (*Record, error) {
	canonical, err := CanonicalName(name)
	if err != nil {
		// A name that nobody can have is looked up all the same: the answer
		// must take as long as for one that somebody could.
		canonical = "-"
	}
	record, err := s.store.Record(ctx, canonical)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil //nolint:nilnil // no such user is no failure here
	}
	return record, err
}

// rehash stores the password under the present cost, unless it was changed in
// the meantime.
func (s *Service) rehash(ctx context.Context, old *Record, password string) error {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx Tx) error {
		record, err := tx.Record(old.Name)
		if err != nil || record.PasswordHash != old.PasswordHash {
			return ignoreNotFound(err)
		}
		record.PasswordHash = hash
		return tx.Replace(record)
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
