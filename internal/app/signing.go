package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/regular"
)

// sharesKeys reports whether the keys that sign tokens are in the database, which
// other servers share.
func sharesKeys(cfg *config.Config) bool { return cfg.DatabaseURL.IsSet() && !cfg.JWTSecret.IsSet() }

func signingKeys(cfg *config.Config) keys.Config {
	return keys.Config{
		Dir: inDataDir(cfg, keysDir), Algorithm: keys.Algorithm(cfg.JWTAlg), Secret: []byte(cfg.JWTSecret.Reveal()),
		TokenTTL: cfg.TokenTTL, RotateEvery: cfg.JWTRotate, Now: time.Now,
	}
}

// openKeys opens the keys that sign tokens, but for those in the database.
func (a *App) openKeys(ctx context.Context) error {
	if sharesKeys(a.cfg) {
		return nil // a part of what is stored
	}
	return a.openKeysIn(ctx, nil)
}

// openKeysIn opens the keys of a store, and of the data directory without one.
func (a *App) openKeysIn(ctx context.Context, store keys.Store) (err error) {
	c := signingKeys(a.cfg)
	c.Store, c.Changed, c.Now = store, a.keyChanged, a.clock.Now
	c.Moving = func(kids []string, failed error) error { return a.recordMove(ctx, kids, failed) }
	if store != nil && a.changes != nil { // which come with the store
		c.Wake = a.changes.keys
	}
	if a.keys, err = keys.Open(ctx, c); err != nil {
		return err
	}
	moved := a.keys.Moved()
	if len(moved.KIDs) > 0 {
		a.log.InfoContext(ctx, "moved the signing keys into the database, which servers share", slog.String("from", c.Dir), slog.Any("kids", moved.KIDs))
	}
	if moved.Left != nil {
		a.log.WarnContext(ctx, "the signing keys are in the database: remove their files, which hold private keys", slog.String("folder", c.Dir), slog.Any("error", moved.Left))
	}
	return nil
}

// recordMove puts on record that keys of the data directory go into the database: before
// they do and, where that fails, afterwards.
func (a *App) recordMove(ctx context.Context, kids []string, failed error) error {
	if err := a.openAudit(); err != nil { //nolint:contextcheck // what the log writes by itself belongs to no request
		return err
	}
	for _, kid := range kids {
		if err := a.onRecord(ctx, &audit.Record{Event: audit.KeyMove, Object: kid, Outcome: audit.Outcome(failed)}); err != nil {
			return err
		}
	}
	return nil
}

// hasKeyFiles reports whether keys that sign tokens are in the data directory.
func hasKeyFiles(cfg *config.Config) bool {
	files, err := fs.Glob(os.DirFS(inDataDir(cfg, keysDir)), "*.pem")
	return err == nil && len(files) > 0
}

// checkSigningKeys reads the keys that sign tokens in the data directory. A file that
// others may read is told of as such.
func checkSigningKeys(cfg *config.Config) error {
	if cfg.JWTSecret.IsSet() {
		return nil
	}
	err := keys.Check(inDataDir(cfg, keysDir))
	if _, open := errors.AsType[*regular.ModeError](err); open {
		return nil
	}
	return err
}

// OpenKeys opens the signing keys for a command that works beside the server. The
// caller must call the function it returns. The fault is NotFound where no server was
// started: the command makes nothing that a server could take for its own.
func OpenKeys(ctx context.Context, cfg *config.Config) (*keys.Set, func() error, error) {
	c := signingKeys(cfg)
	c.Existing = true
	done := func() error { return nil }
	if sharesKeys(cfg) {
		store, closeStore, err := openForCommand(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		done = closeStore
		service, err := newSealing(ctx, cfg, store, nil, time.Now)
		if err != nil {
			return nil, nil, errors.Join(err, done())
		}
		c.Store = service.Signing(store.Signing())
	}
	set, err := keys.Open(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		err = notServed(cfg, "keys that sign tokens with "+cfg.JWTAlg)
	}
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return set, done, nil
}

// RecordKey puts on record what a command is about to do to the keys that sign
// tokens, of which a rotation names none: the state of one changes.
func RecordKey(ctx context.Context, cfg *config.Config, actor string, event audit.Event, kid string, before, after keys.State) error {
	kept := commandRecordsOf(cfg)
	rec := &audit.Record{
		Event: event, Actor: actor, Tenant: identity.DefaultTenant, Object: kid, Decision: audit.Allow, Outcome: audit.OK,
	}
	rec.Changes.Text(audit.PropertyState, string(before), string(after))
	err := kept.Record(ctx, rec)
	return errors.Join(err, kept.Close())
}

func (a *App) keyChanged(kid string, err error) {
	ctx := context.Background()
	if kind := fault.KindOf(err); sharesKeys(a.cfg) && (kind == fault.Unavailable || kind == fault.Timeout) {
		return // it is the database that is away, which is told, and when it is back
	}
	if err != nil {
		a.log.ErrorContext(ctx, "kept the old signing keys", slog.Any("error", err))
		return
	}
	a.noted(ctx, &audit.Record{Event: audit.KeyRotate, Object: kid})
	a.log.InfoContext(ctx, "a new key signs tokens now", slog.String("kid", kid))
}
