package redis

import (
	"context"
	"net"
	"slices"
	"time"

	"onnxgate/internal/limit"
)

// NewLimitsAt returns limits whose clock is the number of milliseconds under a key of
// Redis, and which keep everything there; now is that of this server.
func NewLimitsAt(c *Client, key string, now func() time.Time) *Limits {
	l := newLimits(c, clockAt(key))
	l.leases.now = now
	return l
}

// NewBackoffAt is NewLimitsAt of failures in a row.
func NewBackoffAt(c *Client, key string) *Backoff { return newBackoff(c, clockAt(key)) }

func clockAt(key string) string {
	return `
local now = tonumber(redis.call('GET', '` + key + `'))
local real = redis
local redis = {call = function(name, ...)
  if name ~= 'SET' then return real.call(name, ...) end
  local args = {...}
  return real.call(name, args[1], args[2])
end}
`
}

// Follow subscribes until the connection is lost, and returns why it was.
func (c *Client) Follow(ctx context.Context, channel string) error {
	return c.follow(ctx, channel, Subscriber{Message: func([]byte) {}})
}

// Guarded returns the connection as Redis's is read.
func Guarded(c net.Conn) net.Conn { return newGuard(c) }

// Within returns how much of a stream is within the bounds, how many replies that
// holds, and what is wrong with the next byte.
func Within(stream []byte) (length, complete int, err error) {
	r := newReplies()
	for i := range stream {
		if err := r.pass(stream[i : i+1]); err != nil {
			return i, complete, err
		}
		if r.at == atKind && r.depth == 0 {
			complete++
		}
	}
	return len(stream), complete, nil
}

// WithinChunks reports whether all of a stream that comes in chunks is within the bounds.
func WithinChunks(stream []byte, size int) bool {
	r := newReplies()
	for chunk := range slices.Chunk(stream, size) {
		if r.pass(chunk) != nil {
			return false
		}
	}
	return true
}

// ErrMore is the error of a reply over the bounds.
var ErrMore = errMore

// Bounds of a reply.
const (
	MaxReply  = maxReply
	MaxValues = maxValues
	MaxDepth  = maxDepth
)

// Read reads the answer of the script that counts.
func Read(answer []any, windows []limit.Window) (time.Duration, bool, error) {
	return read(answer, windows)
}
