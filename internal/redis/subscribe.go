package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

const (
	// pingEvery keeps a subscription's connection alive, and silence is how long it
	// may say nothing, not even to that.
	pingEvery = 5 * time.Second
	silence   = 3 * pingEvery
)

// Subscriber is told of what is published. Its functions are called one at a time.
type Subscriber struct {
	// Joined is called whenever the subscription is in force, at first and again after
	// each connection that was lost. What was published in between is not told. It may
	// be nil.
	Joined func()
	// Message is called for each message.
	Message func(message []byte)
}

// Subscribe tells what is published to the channel, over a connection of its own that
// it makes again when it is lost, until ctx is done.
func (c *Client) Subscribe(ctx context.Context, channel string, to Subscriber) {
	for {
		began := c.now()
		_ = c.follow(ctx, channel, to) // Err and Changed tell of Redis, and Joined of what this was
		if !pause(ctx, retryEvery-c.now().Sub(began)) {
			return
		}
	}
}

// follow subscribes over one connection until it is lost.
func (c *Client) follow(ctx context.Context, channel string, to Subscriber) error {
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	at := c.target.Load()
	conn, err := at.dial(dialing)
	cancel()
	if err != nil {
		return err
	}
	ps := redigo.PubSubConn{Conn: conn}
	ended := make(chan struct{})
	defer close(ended)
	if err := ps.Subscribe(at.channel(channel)); err != nil {
		return errors.Join(err, conn.Close())
	}
	go keep(ctx, ps, at.left, ended)
	for {
		if err := receive(ps, to); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
}

// keep shows the other side that we are there, and closes the connection when ctx is
// done or it is to be elsewhere.
func keep(ctx context.Context, ps redigo.PubSubConn, left, ended <-chan struct{}) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if ps.Ping("") == nil {
				continue
			}
		case <-ctx.Done():
		case <-left:
		case <-ended:
		}
		_ = ps.Close() // ends what receives
		return
	}
}

func receive(ps redigo.PubSubConn, to Subscriber) error {
	switch v := ps.ReceiveWithTimeout(silence).(type) {
	case error:
		return v
	case redigo.Message:
		to.Message(v.Data)
	case redigo.Subscription:
		if v.Kind == "subscribe" && to.Joined != nil {
			to.Joined()
		}
	case redigo.Pong:
	default:
		return fmt.Errorf("redis: %T where a message was expected", v)
	}
	return nil
}
