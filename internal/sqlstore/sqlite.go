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

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"onnxgate/internal/regular"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
	// applicationID marks the file as ours (PRAGMA application_id): "onxg".
	applicationID = 0x6f6e7867
	// retryInterval is how often an attempt that met another process is
	// repeated.
	retryInterval = 20 * time.Millisecond
	sqliteConns   = 4
)

// sqliteDialect is SQLite's. A transaction that may write takes the lock when
// it begins, and sees one state as any does.
func sqliteDialect() *dialect {
	return &dialect{
		name: "sqlite", mark: asIs, position: "instr", view: sql.TxOptions{ReadOnly: true},
		version:    sqliteVersion,
		setVersion: fmt.Sprintf("PRAGMA user_version = %%d; PRAGMA application_id = %d", applicationID),
		transient:  sqliteTransient,
	}
}

// connectSQLite opens the file without looking into it.
func connectSQLite(path string) (*Store, error) {
	connector, err := sqlite.NewConnector(sqliteDSN(path))
	if err != nil {
		return nil, err
	}
	s := newStore(sqliteDialect(), sql.OpenDB(connector), sqliteConns)
	w := &dataVersion{db: s.db}
	s.revision, s.release, s.prepare = w.revision, w.close, s.enableWAL
	return s, nil
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
	return checkMode(path, info)
}

func checkMode(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	return regular.CheckMode(path, info.Mode(), regular.OthersAccess)
}

// sqliteDSN returns the URI of the database. A commit is on disk before it is
// acknowledged (synchronous), transactions take the write lock when they begin
// rather than fail later, and what is deleted is overwritten.
func sqliteDSN(path string) string {
	query := url.Values{
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_busy_timeout": {fmt.Sprint(lockTimeout.Milliseconds())},
		"_foreign_keys": {"1"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_pragma":       {"trusted_schema(0)", "secure_delete(1)", "cache_size(-512)"},
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}

// enableWAL sets the journal mode, which the file then keeps. SQLite does not
// wait for other connections here, so that processes that start at the same
// time have to try again.
func (s *Store) enableWAL(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*lockTimeout)
	defer cancel()
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		var mode string
		err := s.db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("the file system does not allow the journal mode WAL (it stays %s); use a local disk", mode)
		case !isBusy(err):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

func sqliteVersion(ctx context.Context, q querier) (int, error) {
	var id, version, tables int
	row := q.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema)`)
	if err := row.Scan(&id, &version, &tables); err != nil {
		return 0, err
	}
	if id != applicationID && (id != 0 || version != 0 || tables != 0) {
		return 0, errors.New("it is a SQLite database of another program")
	}
	return version, nil
}

// dataVersion reads the revision only when the database was written to since
// the last look, so that a look costs one at shared memory. SQLite's
// data_version counts what other connections wrote, and this one writes
// nothing.
type dataVersion struct {
	db *sql.DB

	mu      sync.Mutex
	conn    *sql.Conn
	version uint32
	known   int64
}

func (w *dataVersion) revision(ctx context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.look(ctx); err != nil {
		return 0, errors.Join(err, w.drop())
	}
	return w.known, nil
}

func (w *dataVersion) look(ctx context.Context) (err error) {
	fresh := w.conn == nil
	if fresh {
		if w.conn, err = w.db.Conn(ctx); err != nil {
			return err
		}
	}
	var version uint32
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if !fresh && version == w.version {
		return nil
	}
	if err := w.conn.QueryRowContext(ctx, readRevision).Scan(&w.known); err != nil {
		return err
	}
	w.version = version
	return nil
}

func (w *dataVersion) drop() error {
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

func (w *dataVersion) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drop()
}

// primaryCode returns SQLite's primary result code, 0 for another error.
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	code := primaryCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

func sqliteTransient(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM:
		return true
	default:
		return false
	}
}
