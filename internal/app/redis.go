package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
)

// redisTime bounds how long a start waits for the first answer of Redis. It goes on
// without one.
const redisTime = time.Second

// openRedis connects to the Redis server of the configuration, if there is one.
func (a *App) openRedis(ctx context.Context) (err error) {
	if !a.cfg.RedisURL.IsSet() {
		return nil
	}
	//nolint:contextcheck // the connection belongs to no request
	if a.redis, err = redis.New(redis.Config{URL: a.cfg.RedisURL.Reveal(), Changed: a.redisChanged, Now: time.Now}); err != nil {
		return badRedis(err)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	_ = a.redis.Connected(ctx) // it is told, and shown by its metric
	return nil
}

// redisChanged logs whether the Redis server that is there answers.
func (a *App) redisChanged(there string, err error) {
	where := slog.String("redis", there)
	if err != nil {
		a.log.WarnContext(context.Background(), "Redis is away: this server counts rates and wrong passwords by itself", where, slog.Any("error", err))
		return
	}
	a.log.InfoContext(context.Background(), "rates are counted in Redis", where)
}

func badRedis(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ONNXGATE_REDIS_URL: %w", err)
}

// sharedLimits returns what counts rates for all servers, nil without Redis.
func (a *App) sharedLimits() limit.Shared { //nolint:ireturn // nil for none
	if a.redis == nil {
		return nil
	}
	return redis.NewLimits(a.redis)
}

// sharedGuesses returns what counts wrong passwords for all servers, nil without Redis.
func (a *App) sharedGuesses() limit.SharedBackoff { //nolint:ireturn // nil for none
	if a.redis == nil {
		return nil
	}
	return redis.NewBackoff(a.redis)
}

func (a *App) closeRedis() error {
	if a.redis == nil {
		return nil
	}
	return a.redis.Close()
}

func (a *App) showRedis() {
	if a.redis == nil {
		return
	}
	a.metrics.Gauge("onnxgate_redis_up", "1 while rates and wrong passwords are counted in Redis, 0 while this server counts them by itself.",
		func() float64 { return flag(a.redis.Up()) })
	a.metrics.Counter("onnxgate_local_rate_decisions_total", "Rates and wrong passwords that this server counted by itself, because Redis was away.",
		func() float64 { return float64(a.admission.Alone() + a.accounts.GuessesAlone()) })
}

// checkRedis judges the URL of a Redis server without connecting.
func checkRedis(cfg *config.Config) (found []Finding, err error) {
	if !cfg.RedisURL.IsSet() {
		return nil, nil
	}
	warnings, err := redis.CheckURL(cfg.RedisURL.Reveal())
	for _, text := range warnings {
		found = append(found, Finding{redisInsecure, Warning, text, "write rediss://USER:PASSWORD@HOST into what " + cfg.Variable("ONNXGATE_REDIS_URL") + " holds or names"})
	}
	return found, badRedis(err)
}

// redisFindings ask the Redis server once, as a server would, and return what was
// asked.
func redisFindings(ctx context.Context, cfg *config.Config) (found []Finding, looked []string) {
	if _, err := checkRedis(cfg); err != nil || !cfg.RedisURL.IsSet() {
		return nil, nil // told as what refuses a start
	}
	where := "Redis server " + redis.Where(cfg.RedisURL.Reveal())
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	if err := redis.Reach(ctx, cfg.RedisURL.Reveal()); err != nil {
		found = []Finding{{
			redisUnreachable, Error, fmt.Sprintf("the %s cannot be reached, or does not count: %v", where, err),
			"start it, or fix " + cfg.Variable("ONNXGATE_REDIS_URL") + "; until then each server counts rates and wrong passwords by itself",
		}}
	}
	return found, []string{where}
}
