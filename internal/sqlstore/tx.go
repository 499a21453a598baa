package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// View runs read on one state of everything.
func (s *Store) View(ctx context.Context, read func(*accounts.Tx) error) error {
	return s.viewing(ctx, func(t *transaction) error { return read(t.accounts()) })
}

func (s *Store) viewing(ctx context.Context, read func(*transaction) error) error {
	return s.bounded(ctx, func(ctx context.Context) error { return s.read(ctx, read) })
}

// Update runs change in one transaction that no other writer can interleave
// with, in this process or another, and commits it unless change fails. The
// revision moves if change wrote anything.
func (s *Store) Update(ctx context.Context, change func(*accounts.Tx) error) error {
	return s.moving(ctx, func(t *transaction) error { return change(t.accounts()) })
}

// moving is write with the revision, which moves if change wrote anything.
func (s *Store) moving(ctx context.Context, change func(*transaction) error) error {
	var wrote bool
	err := s.bounded(ctx, func(ctx context.Context) error {
		return s.write(ctx, func(t *transaction) error {
			if err := change(t); err != nil || !t.wrote {
				return err
			}
			wrote = true
			_, err := t.change(anyTenant, moveRevision)
			return err
		})
	})
	if err == nil && wrote {
		s.moved()
	}
	return err
}

// Note is Update for what nobody remembers: it leaves the revision.
func (s *Store) Note(ctx context.Context, change func(*accounts.Tx) error) error {
	return s.bounded(ctx, func(ctx context.Context) error {
		return s.write(ctx, func(t *transaction) error { return change(t.accounts()) })
	})
}

// Revision returns the number that every Update moves, whoever made it.
func (s *Store) Revision(ctx context.Context) (revision int64, err error) {
	err = s.bounded(ctx, func(ctx context.Context) error {
		revision, err = s.revision(ctx)
		return err
	})
	return revision, err
}

func (s *Store) read(ctx context.Context, read func(*transaction) error) error {
	options := s.dialect.view
	tx, err := s.db.BeginTx(ctx, &options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return read(s.transaction(ctx, tx))
}

// write runs change as the only writer.
func (s *Store) write(ctx context.Context, change func(*transaction) error) error {
	return s.writeUnder(ctx, "", change)
}

// writeUnder runs change as the only writer, in a transaction with a setting of its
// own that the wait for other writers is under, too.
func (s *Store) writeUnder(ctx context.Context, setting string, change func(*transaction) error) error {
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
	for _, statement := range []string{setting, s.dialect.lock} {
		if statement == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := change(s.transaction(ctx, tx)); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *Store) transaction(ctx context.Context, tx *sql.Tx) *transaction {
	return &transaction{ctx: ctx, q: tx, dialect: s.dialect}
}

// bounded runs one call within callTimeout, and makes a fault of its error.
func (s *Store) bounded(ctx context.Context, call func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.classify(ctx, call(limited))
}

// classify turns an error of the database into a fault; ctx is the caller's.
// What is a fault already stays as it is.
func (s *Store) classify(ctx context.Context, err error) error {
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
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, context.DeadlineExceeded), s.dialect.transient(err):
		return &fault.Error{
			Kind: fault.Unavailable, Msg: "The database cannot be reached; try again in a second",
			Err: err, RetryAfter: time.Second,
		}
	default:
		return err
	}
}
