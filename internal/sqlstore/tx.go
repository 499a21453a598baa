package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// View runs read on one state of everything.
func (s *Store) View(ctx context.Context, read func(*accounts.Tx) error) error {
	return classify(ctx, s.view(ctx, func(t *transaction) error { return read(t.accounts()) }))
}

// Update runs change in one transaction that no other writer can interleave
// with, in this process or another, and commits it unless change fails. The
// revision moves if change wrote anything.
func (s *Store) Update(ctx context.Context, change func(*accounts.Tx) error) error {
	return s.moving(ctx, func(t *transaction) error { return change(t.accounts()) })
}

// moving is update with the revision, which moves if change wrote anything.
func (s *Store) moving(ctx context.Context, change func(*transaction) error) error {
	return classify(ctx, s.update(ctx, func(t *transaction) error {
		if err := change(t); err != nil || !t.wrote {
			return err
		}
		_, err := t.change(moveRevision)
		return err
	}))
}

// Note is Update for what nobody remembers: it leaves the revision.
func (s *Store) Note(ctx context.Context, change func(*accounts.Tx) error) error {
	return classify(ctx, s.update(ctx, func(t *transaction) error { return change(t.accounts()) }))
}

func (s *Store) view(ctx context.Context, read func(*transaction) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return read(s.transaction(ctx, tx))
}

// update holds the write lock from its beginning.
func (s *Store) update(ctx context.Context, change func(*transaction) error) error {
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
	if err := change(s.transaction(ctx, tx)); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *Store) transaction(ctx context.Context, tx *sql.Tx) *transaction {
	return &transaction{ctx: ctx, q: tx, mark: asIs}
}

// asIs leaves the place holders of SQLite, which are those of the statements.
func asIs(statement string) string { return statement }

// Revision returns the number that every Update moves, whoever made it. As long
// as nothing is written to the database it costs a look at shared memory.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.watch(ctx); err != nil {
		if s.watcher != nil {
			err = errors.Join(err, s.watcher.Close())
			s.watcher = nil
		}
		return 0, classify(ctx, err)
	}
	return s.revision, nil
}

// watch reads the revision when the database was written to since the last
// look. Its data_version counts what other connections wrote, and this one
// writes nothing.
func (s *Store) watch(ctx context.Context) (err error) {
	fresh := s.watcher == nil
	if fresh {
		if s.watcher, err = s.db.Conn(ctx); err != nil {
			return err
		}
	}
	var version uint32
	if err := s.watcher.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if !fresh && version == s.version {
		return nil
	}
	if err := s.watcher.QueryRowContext(ctx, readRevision).Scan(&s.revision); err != nil {
		return err
	}
	s.version = version
	return nil
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
