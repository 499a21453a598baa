package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/redis"
	"onnxgate/internal/sqlstore"
)

// tryTime bounds how long a reload tries a database, or a Redis server.
const tryTime = 10 * time.Second

// takeover is what a reload takes over of the settings.
type takeover struct {
	inForce *config.Config
	// restart names the settings that differ and are not taken over.
	restart []string
	// database is the way to it that was tried; nil when that is the same as before.
	database *sqlstore.Store
}

// tryOut finds out whether the settings that a reload has read can be used, and changes
// nothing. Its error names the setting. What it returns must be closed.
func (a *App) tryOut(ctx context.Context, next *config.Config) (*takeover, error) {
	t := &takeover{}
	t.inForce, _, t.restart = a.inForce.TakeLive(next)
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	err := inParallel(
		func() (err error) { t.database, err = a.tryDatabase(ctx, t.inForce); return err },
		func() error { return a.tryRedis(ctx, t.inForce) },
	)
	return t, err
}

// close gives up what was not taken over.
func (t *takeover) close() {
	if t.database != nil {
		_ = t.database.Close() // nothing was written
	}
}

// tryDatabase opens the database at another URL, nil when it is the same.
func (a *App) tryDatabase(ctx context.Context, next *config.Config) (*sqlstore.Store, error) {
	if next.DatabaseURL.Reveal() == a.inForce.DatabaseURL.Reveal() {
		return nil, nil //nolint:nilnil // as it says
	}
	where := database(next)
	store, err := sqlstore.Try(ctx, where)
	if err == nil {
		if err = a.accounts.Shares(ctx, store); err != nil {
			err = errors.Join(fmt.Errorf("database %s: %w", where.Location(), err), store.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_DATABASE_URL: %w", err)
	}
	return store, nil
}

func (a *App) tryRedis(ctx context.Context, next *config.Config) error {
	url := next.RedisURL.Reveal()
	if url == a.inForce.RedisURL.Reveal() {
		return nil
	}
	if err := redis.Reach(ctx, url); err != nil {
		return badRedis(fmt.Errorf("the Redis server %s cannot be reached, or does not count: %w", redis.Where(url), err))
	}
	return nil
}

// takeSecrets goes over to what was tried, and makes the key of the configuration. What
// cannot be taken over stays in force as it was.
func (a *App) takeSecrets(ctx context.Context, t *takeover) error {
	before, next := a.inForce, t.inForce
	var errs []error
	take := func(now *config.Secret, before config.Secret, use func(string) error) {
		if now.Reveal() == before.Reveal() {
			return
		}
		if err := use(now.Reveal()); err != nil {
			*now = before // the next reload tries again
			errs = append(errs, err)
		}
	}
	take(&next.DatabaseURL, before.DatabaseURL, func(string) error {
		for _, text := range t.database.Warnings() {
			a.log.WarnContext(ctx, "database warning", slog.String("detail", text))
		}
		a.store.Use(t.database)
		return nil
	})
	take(&next.RedisURL, before.RedisURL, func(url string) error { return badRedis(a.redis.Use(url)) })
	//nolint:contextcheck // another key is told of beyond any reload
	take(&next.JWTSecret, before.JWTSecret, func(secret string) error {
		if err := a.keys.UseSecret([]byte(secret)); err != nil {
			return fmt.Errorf("ONNXGATE_JWT_SECRET: %w", err)
		}
		a.keyChanged(a.keys.Signer().KID, nil)
		return nil
	})
	take(&next.BootstrapAPIKey, before.BootstrapAPIKey, func(key string) error {
		return badBootstrapKey(a.accounts.BootstrapKey(ctx, key, next.BootstrapAPIKeyRole))
	})
	return errors.Join(errs...)
}
