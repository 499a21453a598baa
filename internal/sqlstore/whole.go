package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onnxgate/internal/regular"
)

// Status is what a database is, seen without changing it.
type Status struct {
	// Backend is "sqlite" or "postgres".
	Backend string `json:"backend"`
	// Location is the file, or the server and the database's name.
	Location string `json:"location"`
	// Version is that of the schema, 0 for an empty database; Newest is the one
	// that this program makes.
	Version int `json:"version"`
	Newest  int `json:"newest"`
}

// Inspect looks at a database. It is an error when there is none.
func Inspect(ctx context.Context, cfg Config) (*Status, error) {
	status, err := inspect(ctx, cfg)
	return status, cfg.explain(err)
}

func inspect(ctx context.Context, cfg Config) (*Status, error) {
	s, status, err := look(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return status, s.Close()
}

// Look opens a database that is there, as it is: it makes nothing, and leaves the schema
// at the version that Status has. The caller must close it.
func Look(ctx context.Context, cfg Config) (*Store, *Status, error) {
	s, status, err := look(ctx, cfg)
	return s, status, cfg.explain(err)
}

func look(ctx context.Context, cfg Config) (*Store, *Status, error) {
	s, err := existing(cfg)
	if err != nil {
		return nil, nil, err
	}
	status := &Status{Backend: s.dialect.name, Location: cfg.Location()}
	steps, err := s.dialect.steps()
	if status.Newest = len(steps); err == nil {
		status.Version, err = s.dialect.version(ctx, s.db)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, status, nil
}

// existing is connect for a database that must be there.
func existing(cfg Config) (*Store, error) {
	if cfg.URL == "" {
		info, err := os.Stat(cfg.Path)
		if err != nil {
			return nil, errors.Unwrap(err) // the file is named anyway
		}
		if err := checkMode(cfg.Path, info); err != nil {
			return nil, err
		}
	}
	return connect(cfg)
}

// Migrate brings the schema up to date, as Open does, and returns the versions
// before and after.
func Migrate(ctx context.Context, cfg Config) (before, after int, err error) {
	s, before, err := open(ctx, cfg)
	if err != nil {
		return 0, 0, cfg.explain(err)
	}
	steps, err := s.dialect.steps()
	return before, len(steps), errors.Join(err, s.Close())
}

// How a PostgreSQL database is backed up and restored. Row-level security holds
// the role that owns the tables too, so that the tools have to say that they are
// about every tenant.
const (
	dumpCommand    = `PGOPTIONS='-c onnxgate.tenant=*' pg_dump --enable-row-security --format=custom --file=%s "$ONNXGATE_DATABASE_URL"`
	restoreCommand = `PGOPTIONS='-c onnxgate.tenant=*' pg_restore --enable-row-security --clean --if-exists --no-owner --single-transaction --dbname="$ONNXGATE_DATABASE_URL" %s`
)

func ownTools(command, file string) error {
	return fmt.Errorf("a PostgreSQL database has tools of its own for that: %s", fmt.Sprintf(command, quoted(file)))
}

// quoted returns a word of a POSIX shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Backup writes one state of a SQLite database to a file of mode 0600 that must
// not exist, also while servers use it.
func Backup(ctx context.Context, cfg Config, file string) error {
	if cfg.URL != "" {
		return ownTools(dumpCommand, file)
	}
	s, err := existing(cfg)
	if err != nil {
		return cfg.explain(err)
	}
	return errors.Join(s.backup(ctx, file), s.Close())
}

func (s *Store) backup(ctx context.Context, file string) error {
	// The name is taken first, so that nothing is overwritten; it gets its
	// content at once when all of that is on the disk.
	if err := reserve(file); err != nil {
		return err
	}
	part, err := s.copyBeside(ctx, file)
	if err == nil {
		err = replace(part, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

func reserve(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode) //nolint:gosec // the operator's own path
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists; name a file that does not", file)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// copyBeside writes the database to a new file in the folder of another.
func (s *Store) copyBeside(ctx context.Context, file string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".onnxgate-*") // mode 0600, which SQLite keeps
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	version, err := s.dialect.version(ctx, s.db) // refuses what is not ours
	if err == nil && version == 0 {
		err = errors.New("the database is empty")
	}
	if err == nil {
		_, err = s.db.ExecContext(ctx, "VACUUM INTO ?", f.Name())
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// replace puts a file into the place of another, on the disk before it returns.
func replace(part, file string) error {
	if err := regular.Sync(part); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, file); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return regular.Sync(filepath.Dir(file))
}
