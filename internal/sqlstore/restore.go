package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse says that a process has the database open.
var ErrInUse = errors.New("a server or a command has it open: stop that first")

// Restore puts a backup into the place of a SQLite database, brings its schema
// up to date, and ends the sign-ins that it remembers: refresh tokens that were
// used after the backup would count again. It overwrites a database only with
// force, and never one that another process has open. This one must not.
func Restore(ctx context.Context, cfg Config, file string, force bool) error {
	if cfg.URL != "" {
		return ownTools(restoreCommand, file)
	}
	unlock, err := takeOver(cfg.Path, force)
	if err != nil {
		return cfg.explain(err)
	}
	defer unlock()
	part, err := prepareBackup(ctx, file, filepath.Dir(cfg.Path))
	if err != nil {
		return fmt.Errorf("backup %s: %w", file, err)
	}
	// First what belongs to the former database: SQLite would apply it to the
	// new one.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(cfg.Path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(cfg.explain(err), os.Remove(part))
		}
	}
	return cfg.explain(replace(part, cfg.Path))
}

// SQLite's locks are on these bytes of the file, beyond any that a database of
// less than a gigabyte uses (pendingByte in its os.h). Every connection holds
// one of them as long as it is open, in WAL mode.
const (
	lockedFrom  = 0x40000000
	lockedBytes = 2 + 510
)

// takeOver locks the database that is at path, if one is, against every
// process. The function that it returns ends that.
func takeOver(path string, force bool) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the operator's own path
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, os.MkdirAll(filepath.Dir(path), dirMode)
	}
	if err != nil {
		return nil, err
	}
	if !force {
		return nil, errors.Join(errors.New("it exists; --force overwrites it"), f.Close())
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: lockedFrom, Len: lockedBytes}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		return nil, errors.Join(ErrInUse, f.Close())
	}
	return func() { _ = f.Close() }, nil // and the lock with it
}

// prepareBackup checks a backup and returns a copy in dir that can be served
// from.
func prepareBackup(ctx context.Context, file, dir string) (part string, err error) {
	if _, err := os.Stat(file + "-wal"); err == nil {
		return "", errors.New("it is a database in use, and no backup: make one with onnxgate db backup")
	}
	if part, err = copyFile(file, dir); err != nil {
		return "", err
	}
	if err = freshen(ctx, part); err != nil {
		return "", errors.Join(err, os.Remove(part))
	}
	return part, nil
}

func copyFile(file, dir string) (string, error) {
	from, err := os.Open(file) //nolint:gosec // the operator's own path
	if err != nil {
		return "", errors.Unwrap(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp(dir, ".onnxgate-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(to.Name()))
	}
	return to.Name(), nil
}

// freshen makes a database of a backup.
func freshen(ctx context.Context, path string) error {
	cfg := Config{Path: path}
	status, err := inspect(ctx, cfg)
	if err == nil && status.Version == 0 {
		err = errors.New("it is empty")
	}
	if err == nil {
		err = checkIntegrity(ctx, cfg)
	}
	if err != nil {
		return err
	}
	s, _, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(t *transaction) error {
		for _, statement := range []string{"DELETE FROM refresh_families", "DELETE FROM servers", moveRevision} {
			if _, err := t.change(anyTenant, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, s.Close())
}

// checkIntegrity refuses a damaged file.
func checkIntegrity(ctx context.Context, cfg Config) (err error) {
	s, err := existing(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var verdict string
	if err := s.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("it is damaged: %s", verdict)
	}
	return nil
}
