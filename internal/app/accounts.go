package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/argon"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/sqlstore"
)

// database returns where the accounts are kept.
func database(cfg *config.Config) sqlstore.Config {
	return sqlstore.Config{URL: cfg.DatabaseURL.Reveal(), Path: inDataDir(cfg, databaseFile)}
}

// newAccounts returns the accounts of a store. Changes are told to record; nil
// hashes computes those of passwords in this process.
func newAccounts(cfg *config.Config, store *sqlstore.Store, record audit.Recorder, hashes accounts.Argon) (*accounts.Service, error) {
	return accounts.New(accounts.Config{
		Store: store, Argon: hashes, InitialPasswordFile: inDataDir(cfg, passwordFile), MaxStale: cfg.RevocationMaxAge, Audit: record, Now: time.Now,
	})
}

// HasAccounts returns an error that says what to do when there are no users yet,
// because no server was started with this data directory.
func HasAccounts(cfg *config.Config) error {
	const do = "name the server's own with --data-dir or ONNXGATE_DATA_DIR"
	if cfg.DatabaseURL.IsSet() {
		return nil
	}
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data directory %s; %s", cfg.DataDir, do)
	}
	if _, err := os.Stat(inDataDir(cfg, databaseFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there are no users in %s, where no server was started yet; %s", cfg.DataDir, do)
	}
	return nil
}

// OpenAccounts opens the users of the data directory, or of the database that
// the configuration names, for a command that works beside the server. The
// caller must call the function it returns.
func OpenAccounts(ctx context.Context, cfg *config.Config) (*accounts.Service, func() error, error) {
	if !cfg.DatabaseURL.IsSet() {
		if err := makeDataDir(cfg.DataDir); err != nil {
			return nil, nil, err
		}
	}
	store, err := sqlstore.Open(ctx, database(cfg))
	if err != nil {
		return nil, nil, err
	}
	kept := &commandRecords{cfg: cfg, ready: makeKEK(ctx, cfg, store)}
	service, err := newAccounts(cfg, store, kept, nil)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return service, kept.with(store.Close), nil
}

// openStored opens the store and what lives in it.
func (a *App) openStored(ctx context.Context) error {
	var err error
	if a.store, err = sqlstore.Open(ctx, database(a.cfg)); err != nil {
		return err
	}
	if a.sealing, err = newSealing(ctx, a.cfg, a.store, records{a}); err == nil {
		err = a.openAudit() //nolint:contextcheck // what the log writes by itself belongs to no request
	}
	if err != nil {
		return errors.Join(err, checkAdminPassword(a.cfg)) // nothing is made without a record
	}
	if err := a.openAccounts(ctx); err != nil {
		return err
	}
	a.quotas, err = a.newQuotas()
	return err
}

func (a *App) openAccounts(ctx context.Context) (err error) {
	for _, text := range a.store.Warnings() {
		a.log.WarnContext(ctx, "database warning", slog.String("detail", text))
	}
	if a.accounts, err = newAccounts(a.cfg, a.store, records{a}, a.newHashes()); err != nil {
		return err
	}
	if err := a.accounts.BootstrapKey(ctx, a.cfg.BootstrapAPIKey.Reveal(), a.cfg.BootstrapAPIKeyRole); err != nil {
		return fmt.Errorf("ONNXGATE_BOOTSTRAP_API_KEY: %w", err)
	}
	created, err := a.accounts.Bootstrap(ctx, a.cfg.AdminPassword.Reveal())
	if err != nil && a.cfg.AdminPassword.IsSet() {
		return badAdminPassword(err)
	}
	if err != nil {
		return err
	}
	if created && !a.cfg.AdminPassword.IsSet() {
		a.log.InfoContext(ctx, "made the first administrator; change the password and the file goes",
			slog.String("user", accounts.AdminName), slog.String("password_file", inDataDir(a.cfg, passwordFile)))
	}
	return nil
}

// newHashes returns what computes the hashes of passwords: a process of its own
// where there is a program for it.
func (a *App) newHashes() accounts.Argon { //nolint:ireturn // nil for this process
	worker := a.opts.HashWorker
	if len(worker) == 0 {
		return nil
	}
	a.hashes = argon.NewWorker(argon.Config{Path: worker[0], Args: worker[1:], Failed: func(ctx context.Context, err error) {
		a.log.WarnContext(ctx, "passwords are hashed in the server itself; predictions may have to wait", slog.Any("error", err))
	}})
	return a.hashes
}

// checkDatabase judges the URL of a database without connecting.
func checkDatabase(cfg *config.Config) (found []Finding, err error) {
	if !cfg.DatabaseURL.IsSet() {
		return nil, nil
	}
	warnings, err := sqlstore.CheckURL(cfg.DatabaseURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_DATABASE_URL: %w", err)
	}
	for _, text := range warnings {
		found = append(found, Finding{databaseInsecure, Warning, text, "write sslmode=verify-full into ONNXGATE_DATABASE_URL"})
	}
	return found, nil
}

// DatabaseStatus looks at the database without changing it.
func DatabaseStatus(ctx context.Context, cfg *config.Config) (*sqlstore.Status, error) {
	if err := HasAccounts(cfg); err != nil {
		return nil, err
	}
	return sqlstore.Inspect(ctx, database(cfg))
}

// MigrateDatabase brings the schema up to date, as a start does.
func MigrateDatabase(ctx context.Context, cfg *config.Config, actor string) (before, after int, err error) {
	if err := makeDataDir(cfg.DataDir); err != nil {
		return 0, 0, err
	}
	if err := recordDatabase(ctx, cfg, actor, "migrate"); err != nil {
		return 0, 0, err
	}
	return sqlstore.Migrate(ctx, database(cfg))
}

// BackupDatabase writes the accounts to a file, also while the server runs.
func BackupDatabase(ctx context.Context, cfg *config.Config, actor, file string) error {
	if err := HasAccounts(cfg); err != nil {
		return err
	}
	if err := recordDatabase(ctx, cfg, actor, "backup"); err != nil {
		return err
	}
	return sqlstore.Backup(ctx, database(cfg), file)
}

// RestoreDatabase puts a backup into the place of the accounts while no server
// runs; with force also where there are some.
func RestoreDatabase(ctx context.Context, cfg *config.Config, actor, file string, force bool) error {
	if err := makeDataDir(cfg.DataDir); err != nil {
		return err
	}
	if err := recordDatabase(ctx, cfg, actor, "restore"); err != nil {
		return err
	}
	return sqlstore.Restore(ctx, database(cfg), file, force)
}
