package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"onnxgate/internal/fault"
)

// inTransaction runs do in a transaction that holds the write lock from its
// beginning, and commits it unless do fails.
func (s *Store) inTransaction(ctx context.Context, do func(*sql.Tx) error) error {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writing }()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing once it was committed
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// classify turns an error of the database into a fault. What is one already
// stays as it is.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, "The request took too long", err)
	case ctx.Err() != nil:
		return fault.Wrap(fault.Canceled, "The request was canceled", err)
	case errors.Is(err, sql.ErrConnDone), isTransient(err):
		return &fault.Error{
			Kind: fault.Unavailable, Msg: "The database cannot be reached; try again in a second",
			Err: err, RetryAfter: time.Second,
		}
	default:
		return err
	}
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

// isTransient reports whether the database or its disk is the cause, rather
// than what was asked of it.
func isTransient(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM:
		return true
	default:
		return false
	}
}
