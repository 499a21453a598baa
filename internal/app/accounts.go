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

// accountsOf is what the accounts of a store are made of. Changes are told to record.
func accountsOf(cfg *config.Config, store *sqlstore.Store, record audit.Recorder) accounts.Config {
	return accounts.Config{
		Store: store, InitialPasswordFile: inDataDir(cfg, passwordFile), MaxStale: cfg.RevocationMaxAge, Audit: record, Now: time.Now,
	}
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
	service, _, done, err := openAccounts(ctx, cfg)
	return service, done, err
}

// openAccounts also returns the store that they are in.
func openAccounts(ctx context.Context, cfg *config.Config) (*accounts.Service, *sqlstore.Store, func() error, error) {
	if !cfg.DatabaseURL.IsSet() {
		if err := makeDataDir(cfg); err != nil {
			return nil, nil, nil, err
		}
	}
	store, done, err := openForCommand(ctx, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	kept := &commandRecords{cfg: cfg, ready: makeKEK(ctx, cfg, store)}
	service, err := accounts.New(accountsOf(cfg, store, kept))
	if err != nil {
		return nil, nil, nil, errors.Join(err, done())
	}
	return service, store, kept.with(done), nil
}

// openStored opens the store and what lives in it.
func (a *App) openStored(ctx context.Context) error {
	var err error
	where := database(a.cfg)
	if a.redis != nil {
		a.changes = newChanges(a.redis)
		where.Moved = a.changes.moved
	}
	if a.store, err = sqlstore.Open(ctx, where); err != nil {
		return err
	}
	a.sealing, err = newSealing(ctx, a.cfg, a.store, records{a}, a.clock.Now)
	if err == nil && sharesKeys(a.cfg) {
		err = a.openSharedKeys(ctx)
	}
	if err == nil {
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

// openSharedKeys opens the keys in the database before anything of this server's own is
// wrapped by a key-encryption key that may be another than that of the servers which
// were here before: but for the log of one that has keys to bring along, which has been
// here itself.
func (a *App) openSharedKeys(ctx context.Context) error {
	if hasKeyFiles(a.cfg) {
		if err := a.openAudit(); err != nil { //nolint:contextcheck // what the log writes by itself belongs to no request
			return err
		}
	}
	return a.openKeysIn(ctx, a.sealing.Signing(a.store.Signing()))
}

func (a *App) openAccounts(ctx context.Context) (err error) {
	for _, text := range a.store.Warnings() {
		a.log.WarnContext(ctx, "database warning", slog.String("detail", text))
	}
	c := accountsOf(a.cfg, a.store, records{a})
	c.Argon, c.Reached, c.Now = a.newHashes(), a.databaseReached, a.clock.Now
	c.Guesses = a.sharedGuesses()
	if a.accounts, err = accounts.New(c); err != nil {
		return err
	}
	if err := badBootstrapKey(a.accounts.BootstrapKey(ctx, a.cfg.BootstrapAPIKey.Reveal(), a.cfg.BootstrapAPIKeyRole)); err != nil {
		return err
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

func badBootstrapKey(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ONNXGATE_BOOTSTRAP_API_KEY: %w", err)
}

// AdminPasswordFile returns the file that holds the password of the first
// administrator as it is now; empty when the password was changed.
func (a *App) AdminPasswordFile(ctx context.Context) string {
	initial := inDataDir(a.cfg, passwordFile)
	if _, err := os.Stat(initial); err == nil {
		return initial
	}
	if !a.cfg.AdminPassword.IsSet() {
		return ""
	}
	if !a.accounts.HasPassword(ctx, accounts.AdminName, a.cfg.AdminPassword.Reveal()) {
		return ""
	}
	return a.cfg.AdminPasswordFile
}

// databaseReached logs whether the database can be used.
func (a *App) databaseReached(err error) {
	where := slog.String("database", a.store.Location())
	if err != nil {
		a.log.ErrorContext(context.Background(), "the database is away: what is known of it serves for a while, and nothing can be changed", where, slog.Any("error", err))
		return
	}
	a.log.InfoContext(context.Background(), "the database is back", where)
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
		found = append(found, Finding{databaseInsecure, Warning, text, "write sslmode=verify-full into what " + cfg.Variable("ONNXGATE_DATABASE_URL") + " holds or names"})
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
	if err := makeDataDir(cfg); err != nil {
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
	if err := makeDataDir(cfg); err != nil {
		return err
	}
	if err := recordDatabase(ctx, cfg, actor, "restore"); err != nil {
		return err
	}
	return sqlstore.Restore(ctx, database(cfg), file, force)
}
