// Package sqlstore keeps the state of the server in a SQLite database, in WAL
// mode, which several processes may use at the same time. It owns the schema
// and its migrations.
//
// It must not know the rules about what it keeps, nor any protocol.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite" // the driver

	"onnxgate/internal/accounts"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
	// foreignAccess are the permission bits that strangers must not have. Those
	// of the group are left alone: volume managers set them for a group that
	// the server alone is in.
	foreignAccess = 0o007
	// busyTimeout is how long a writer waits for another process.
	busyTimeout = 5 * time.Second
	maxConns    = 4
)

// Config says where the database is.
type Config struct {
	// Path is the database file. It is made with mode 0600, and its directory
	// with 0700, when they are not there.
	Path string
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	db *sql.DB
	// writing is held by the one writer of this process, so that writers queue
	// here in order instead of polling SQLite's lock.
	writing chan struct{}

	// mu guards the connection that watches for changes, and what it saw last.
	mu       sync.Mutex
	watcher  *sql.Conn
	version  uint32
	revision int64
}

var _ accounts.Store = (*Store)(nil)

// Open opens the database, makes it when it is not there, and brings its schema
// up to date. A database of a newer version is refused. Errors are for the
// operator: they name the file.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(ctx, cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", cfg.Path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(dsn(path))
	if err != nil {
		return nil, err
	}
	s := &Store{db: sql.OpenDB(connector), writing: make(chan struct{}, 1)}
	s.db.SetMaxOpenConns(maxConns)
	s.db.SetMaxIdleConns(maxConns)
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.watcher != nil {
		err = s.watcher.Close()
		s.watcher = nil
	}
	return errors.Join(err, s.db.Close())
}

// prepareFile makes an empty file, so that SQLite never makes one by the
// process's umask; it gives the files beside it the same mode.
func prepareFile(path string) error {
	if path == "" {
		return errors.New("no path given")
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return checkMode(info)
}

func checkMode(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return errors.New("it is no regular file")
	case mode.Perm()&foreignAccess != 0:
		return fmt.Errorf("its mode %04o gives other users access: run chmod 600 on it", mode.Perm())
	}
	return nil
}

// dsn returns the URI of the database. A commit is on disk before it is
// acknowledged (synchronous), transactions take the write lock when they begin
// rather than fail later, and what is deleted is overwritten.
func dsn(path string) string {
	query := url.Values{
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"1"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_pragma":       {"trusted_schema(0)", "secure_delete(1)", "cache_size(-512)"},
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}
