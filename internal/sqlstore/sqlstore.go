// Package sqlstore keeps the state of the server in a SQLite database, in WAL
// mode, which several processes on one machine may use at the same time, or in
// a PostgreSQL database that servers on several machines share. It owns the
// schema and its migrations, and that what a tenant's statements find is the
// tenant's.
//
// It must not know the rules about what it keeps, nor any protocol.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"onnxgate/internal/accounts"
)

const (
	// lockTimeout is how long a writer waits for another process.
	lockTimeout = 5 * time.Second
	// callTimeout bounds a transaction, so that a database that hangs holds
	// nobody up for longer.
	callTimeout = 2 * lockTimeout
)

// Config says where the database is: in a file, or at a URL.
type Config struct {
	// Path is the file of a SQLite database. It is made with mode 0600, and its
	// directory with 0700, when they are not there.
	Path string
	// URL is a PostgreSQL connection string as libpq has it, such as
	// "postgres://user:password@host/database". It wins over Path.
	URL string
	// Moved is called after each change of this process that moved the revision, and
	// must not take long; nil tells nobody.
	Moved func()
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	dialect *dialect
	db      *sql.DB
	// connector makes the connections to PostgreSQL; nil for SQLite.
	connector *connector
	location  atomic.Pointer[string]
	// writing is held by the one writer of this process, so that writers queue
	// here in order instead of polling the database's lock.
	writing chan struct{}
	// revision reads the number of that name, and release ends what it keeps
	// for that.
	revision func(ctx context.Context) (int64, error)
	release  func() error
	moved    func()
	// prepare makes the database ready for the schema.
	prepare  func(ctx context.Context) error
	warnings []string
}

var _ accounts.Store = (*Store)(nil)

func newStore(d *dialect, db *sql.DB, conns int) *Store {
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return &Store{dialect: d, db: db, writing: make(chan struct{}, 1), release: func() error { return nil }}
}

// Open opens the database, makes a SQLite file when it is not there, and brings
// the schema up to date. A database of a newer version is refused. Errors are
// for the operator: they name the file, or the server without any password.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, _, err := open(ctx, cfg)
	return s, cfg.explain(err)
}

// open also returns the version that the schema had.
func open(ctx context.Context, cfg Config) (*Store, int, error) {
	if cfg.URL == "" {
		if err := prepareFile(cfg.Path); err != nil {
			return nil, 0, err
		}
	}
	s, err := connect(cfg)
	if err != nil {
		return nil, 0, err
	}
	var before int
	if err = s.prepare(ctx); err == nil {
		before, err = s.migrate(ctx)
	}
	if err != nil {
		return nil, before, errors.Join(err, s.Close())
	}
	return s, before, nil
}

// connect opens the database without looking into it.
func connect(cfg Config) (s *Store, err error) {
	if cfg.URL != "" {
		s, err = connectPostgres(cfg.URL)
	} else {
		s, err = connectSQLite(cfg.Path)
	}
	if err != nil {
		return nil, err
	}
	location := cfg.Location()
	s.location.Store(&location)
	if s.moved = cfg.Moved; s.moved == nil {
		s.moved = func() {}
	}
	return s, nil
}

// explain says which database an error is about.
func (cfg *Config) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("database %s: %w", cfg.Location(), oneLineError{err})
}

// oneLineError is an error whose text is one line, as commands and logs show it: a driver
// that has tried several addresses writes a line for each, and the same again where it
// has tried with TLS and without.
type oneLineError struct{ error }

func (e oneLineError) Error() string {
	var said []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

func (e oneLineError) Unwrap() error { return e.error }

// Location returns the file, or the server and the database without any password.
func (cfg *Config) Location() string {
	if cfg.URL != "" {
		return location(cfg.URL)
	}
	return cfg.Path
}

// Location is that of the configuration, or of the one that Use took over.
func (s *Store) Location() string { return *s.location.Load() }

// Warnings returns what works, and is probably not what the operator means.
func (s *Store) Warnings() []string { return s.warnings }

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.release(), s.db.Close()) }
