package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// applicationID marks the file as ours (PRAGMA application_id): "onxg".
const applicationID = 0x6f6e7867

// migrations holds NNNN.sql, which takes the schema from version NNNN-1 to
// NNNN. One that was released never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// retryInterval is how often an attempt that met another process is repeated.
const retryInterval = 20 * time.Millisecond

// prepare turns WAL on and brings the schema up to date.
func (s *Store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*busyTimeout)
	defer cancel()
	if err := s.enableWAL(ctx); err != nil {
		return err
	}
	return s.update(ctx, func(t *transaction) error { return migrate(ctx, t.q) })
}

// enableWAL sets the journal mode, which the file then keeps. SQLite does not
// wait for other connections here, so that processes that start at the same
// time have to try again.
func (s *Store) enableWAL(ctx context.Context) error {
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

func migrate(ctx context.Context, tx querier) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, tx)
	if err != nil {
		return err
	}
	newest := len(files)
	if version > newest {
		return fmt.Errorf("it has schema version %d and this program knows versions up to %d: use the newer program that made it", version, newest)
	}
	for i := version; i < newest; i++ {
		if err := step(ctx, tx, files[i], i+1); err != nil {
			return fmt.Errorf("migrate the schema to version %d: %w", i+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, tx querier, file string, version int) error {
	ddl, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(ddl)); err != nil {
		return err
	}
	// A pragma takes no parameters; these are numbers of ours.
	_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", version, applicationID))
	return err
}

// schemaVersion returns the version of the schema, 0 for an empty database. It
// refuses a database of another program.
func schemaVersion(ctx context.Context, tx querier) (int, error) {
	var id, version, tables int
	row := tx.QueryRowContext(ctx, `SELECT
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
