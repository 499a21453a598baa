package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"
)

// migrations holds a folder for each dialect with NNNN.sql, which takes the
// schema from version NNNN-1 to NNNN. One that was released never changes.
//
//go:embed migrations/*/*.sql
var migrations embed.FS

// migrateTimeout bounds all the steps together.
const migrateTimeout = 5 * time.Minute

func (d *dialect) steps() ([]string, error) {
	return fs.Glob(migrations, "migrations/"+d.name+"/*.sql")
}

// migrate brings the schema up to date and returns the version that it had. A
// schema that is up to date is only read, so that a role which may not change
// it is enough to serve.
func (s *Store) migrate(ctx context.Context) (before int, err error) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	files, err := s.dialect.steps()
	if err != nil {
		return 0, err
	}
	before, err = s.version(ctx, s.db, len(files))
	if err != nil || before == len(files) {
		return before, err
	}
	err = s.writeUnder(ctx, s.dialect.unhurried, func(t *transaction) error {
		// Another process may have done it meanwhile.
		if before, err = s.version(ctx, t.q, len(files)); err != nil {
			return err
		}
		if err := t.enter(anyTenant); err != nil {
			return err
		}
		return s.dialect.raise(ctx, t.q, files, before)
	})
	return before, err
}

// version returns the schema's version and refuses a newer one.
func (s *Store) version(ctx context.Context, q querier, newest int) (int, error) {
	version, err := s.dialect.version(ctx, q)
	if err == nil && version > newest {
		err = fmt.Errorf("it has schema version %d and this program knows versions up to %d: use the newer program that made it", version, newest)
	}
	return version, err
}

func (d *dialect) raise(ctx context.Context, q querier, files []string, from int) error {
	for i := from; i < len(files); i++ {
		if err := d.step(ctx, q, files[i], i+1); err != nil {
			return fmt.Errorf("migrate the schema to version %d: %w", i+1, err)
		}
	}
	return nil
}

func (d *dialect) step(ctx context.Context, q querier, file string, version int) error {
	ddl, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, string(ddl)); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, fmt.Sprintf(d.setVersion, version))
	return err
}
