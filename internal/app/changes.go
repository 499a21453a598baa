package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"onnxgate/internal/config"
	"onnxgate/internal/redis"
	"onnxgate/internal/sqlstore"
)

const (
	// changesChannel is where servers that share a database tell each other that
	// something in it was changed: to be looked at, since a message proves nothing.
	changesChannel = "changed"
	// changesApart is the least time between two looks, however many messages come.
	changesApart = 20 * time.Millisecond
	// tellTime bounds how long a command tries to tell what it changed.
	tellTime = time.Second
)

// changes tells the other servers at once of what this one changed, and has this one
// look at once when another did. A message that is lost costs the time until the
// next look at the database, which each server takes several times a second anyway.
type changes struct {
	redis *redis.Client
	// id is how this process knows its own messages.
	id []byte
	// own and others are set when this process, or another, changed something.
	own, others chan struct{}
	// keys and tenants are for those who follow more than the accounts.
	keys, tenants chan struct{}
}

func newChanges(client *redis.Client) *changes {
	flag := func() chan struct{} { return make(chan struct{}, 1) }
	return &changes{redis: client, id: []byte(rand.Text()), own: flag(), others: flag(), keys: flag(), tenants: flag()}
}

// set sets a flag, which may be set already.
func set(flag chan<- struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// moved says that this process changed something. It takes no time.
func (c *changes) moved() { set(c.own) }

// tenantsMoved is set when tenants and models are to be looked at; nil, which never
// is, without Redis.
func (c *changes) tenantsMoved() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.tenants
}

// looker finds out what other processes changed.
type looker interface{ Look(ctx context.Context) }

// run tells and listens until ctx ends.
func (c *changes) run(ctx context.Context, all ...looker) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { c.redis.Subscribe(ctx, changesChannel, c.subscriber()) })
	parts.Go(func() {
		for wait(ctx, c.own) {
			_ = c.redis.Publish(changesChannel, c.id) // the others look by themselves, too
		}
	})
	for wait(ctx, c.others) {
		for _, one := range all {
			one.Look(ctx)
		}
		set(c.keys)
		set(c.tenants)
		pause := time.NewTimer(changesApart)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// wait waits for a flag, and reports whether ctx goes on.
func wait(ctx context.Context, flag <-chan struct{}) bool {
	select {
	case <-flag:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *changes) subscriber() redis.Subscriber {
	return redis.Subscriber{
		Joined: func() { set(c.others) }, // what was said meanwhile was missed
		Message: func(id []byte) {
			if !bytes.Equal(id, c.id) {
				set(c.others)
			}
		},
	}
}

// openForCommand opens the store for a command that works beside servers. The caller
// must call the function it returns, which tells them when something was changed.
func openForCommand(ctx context.Context, cfg *config.Config) (*sqlstore.Store, func() error, error) {
	var moved atomic.Bool
	where := database(cfg)
	where.Moved = func() { moved.Store(true) }
	store, err := sqlstore.Open(ctx, where)
	if err != nil {
		return nil, nil, err
	}
	return store, func() error {
		if moved.Load() {
			tellServers(context.WithoutCancel(ctx), cfg)
		}
		return store.Close()
	}, nil
}

// tellServers says once that something was changed. Without an answer the servers find
// out by themselves.
func tellServers(ctx context.Context, cfg *config.Config) {
	if !cfg.RedisURL.IsSet() {
		return
	}
	client, err := redis.New(redis.Config{URL: cfg.RedisURL.Reveal(), Now: time.Now}) //nolint:contextcheck // it is closed before the return
	if err != nil {
		return // told by every start
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if client.Connected(ctx) == nil {
		_ = client.Publish(changesChannel, nil)
	}
	_ = client.Close() // returns nil
}
