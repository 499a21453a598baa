// Package redis asks a Redis server that several servers share: it counts rates, and
// passes messages on. It owns the connections, how long anybody waits for Redis, and
// what is kept there under which names.
//
// Redis may be away at any time, and nothing here fails for long because of it: while
// it is away, every call returns ErrAway at once, and a connection is tried again once
// a second beside the requests. A Redis that hangs costs those that wait at that
// moment 250 ms, at most once a second. One that answers more than it was asked for is
// away, too, before its reply takes memory. Connections are gomodule/redigo's.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

// ErrAway is the error of every call while Redis cannot be asked; Err says why.
var ErrAway = errors.New("redis: it is away")

const (
	// DefaultPatience is how long a call waits for its answer unless told otherwise.
	DefaultPatience = 250 * time.Millisecond
	// retryEvery is the least time between two attempts to connect.
	retryEvery = time.Second
	// askEvery is how often Redis is asked whether it is there, whoever else asks.
	askEvery = time.Second
)

// namespace begins every key. Its braces put all of them into one slot of a cluster,
// since one call asks for several.
const namespace = "{onnxgate}:"

// Config is what a Client is made of.
type Config struct {
	// URL is redis://USER:PASSWORD@HOST:PORT/DATABASE, with rediss:// over TLS; then
	// ca_file, cert_file and key_file in its query name files in PEM.
	URL string
	// Patience is how long a call waits for its answer; 0 is DefaultPatience.
	Patience time.Duration
	// Changed is told when Redis goes away, with where it is and the reason, and with
	// nil when it answers; nil tells nobody. It does not hold up any call.
	Changed func(where string, err error)
	// Now is the clock, with monotonic readings. It is required.
	Now func() time.Time
}

// Client asks one Redis server. It is safe for concurrent use.
type Client struct {
	target   atomic.Pointer[target]
	patience time.Duration
	now      func() time.Time
	changed  func(string, error)

	link  atomic.Pointer[link] // nil while Redis is away
	tried chan struct{}        // closed after the first attempt
	stop  context.CancelFunc
	ended chan struct{}

	mu  sync.Mutex
	err error
}

// New returns a client that connects beside its caller. It must be closed.
func New(cfg Config) (*Client, error) {
	if cfg.Now == nil {
		return nil, errors.New("redis: a clock is needed")
	}
	t, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		patience: cmp.Or(cfg.Patience, DefaultPatience), now: cfg.Now, changed: cfg.Changed,
		tried: make(chan struct{}), stop: stop, ended: make(chan struct{}), err: errors.New("it was not reached yet"),
	}
	c.target.Store(t)
	go c.run(ctx)
	return c, nil
}

// Use has the client go over to another URL. Calls are asked of the connection that
// there is until there is one to that, and what they wait for then still comes.
func (c *Client) Use(url string) error {
	t, err := parseURL(url)
	if err != nil {
		return err
	}
	close(c.target.Swap(t).left)
	return nil
}

// Close ends the connection. Calls return ErrAway from then on.
func (c *Client) Close() error {
	c.stop()
	<-c.ended
	return nil
}

// Connected waits for the first attempt to connect, and returns what came of it.
func (c *Client) Connected(ctx context.Context) error {
	select {
	case <-c.tried:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Err says why Redis is away; nil when it is not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Up reports whether Redis answers.
func (c *Client) Up() bool { return c.link.Load() != nil }

// Where says where the server is.
func (c *Client) Where() string { return c.target.Load().String() }

// run keeps the link up until ctx is done.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	for first := true; ; first = false {
		began := c.now()
		t := c.target.Load()
		l, err := c.connect(ctx, t)
		c.turn(l, err, first)
		if first {
			close(c.tried)
		}
		if l != nil && !c.hold(ctx, l, t) {
			return
		}
		if !pause(ctx, retryEvery-c.now().Sub(began)) {
			return
		}
	}
}

// hold waits until the link is broken, and reports whether ctx goes on. A break is
// noticed within a second also while nobody calls. When Use has named another target it
// goes over to that as soon as it can be reached.
func (c *Client) hold(ctx context.Context, l *link, at *target) bool {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	former := l // the one before, until it is given up
	defer func() { former.fail(ErrAway) }()
	for left := at.left; ; {
		select {
		case <-left:
		case <-ticker.C:
			_, _ = l.do("PING", nil) // breaks the link when there is none
		case <-l.broken:
			c.turn(nil, l.err, false)
			return ctx.Err() == nil
		case <-ctx.Done():
			c.link.Store(nil)
			l.fail(ErrAway)
			return false
		}
		t := c.target.Load()
		left = t.left
		if former != l && !former.end() {
			continue
		}
		if next := c.cross(ctx, at, t); next != nil {
			former, l, at = l, next, t
		}
	}
}

// cross goes over to another target and returns the link to it; nil where it is no
// other, or cannot be reached now.
func (c *Client) cross(ctx context.Context, from, to *target) *link {
	if from == to {
		return nil
	}
	l, err := c.connect(ctx, to)
	if err != nil {
		return nil // the link that there is serves on, and it is tried again
	}
	c.link.Store(l)
	return l
}

// turn notes whether there is a link, and tells when that changes.
func (c *Client) turn(l *link, err error, first bool) {
	before := c.link.Swap(l)
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	if c.changed != nil && (first || (before == nil) != (l == nil)) {
		c.changed(c.Where(), err)
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (c *Client) connect(ctx context.Context, to *target) (*link, error) {
	conn, err := to.open(ctx)
	if err != nil {
		return nil, err
	}
	return newLink(conn, c.patience, c.now), nil
}

// probe writes as the counting does: a server that is full, read-only or allows us
// too little is as good as none.
const probe = `return redis.call('SET', KEYS[1], '', 'PX', 1000)`

// open connects and sees that scripts may write.
func (t *target) open(ctx context.Context) (redigo.Conn, error) { //nolint:ireturn // redigo's
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = redigo.DoContext(conn, ctx, "EVAL", probe, 1, namespace+"probe"); err != nil {
		_ = conn.Close() // that is told already
		return nil, err
	}
	return conn, nil
}

// Reach connects once, as a Client does, and says what keeps it from being used.
func Reach(ctx context.Context, url string) error {
	t, err := parseURL(url)
	if err != nil {
		return err
	}
	conn, err := t.open(ctx)
	if err == nil {
		return conn.Close()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w; rediss:// is for a server that speaks TLS, redis:// for one that does not", err)
	}
	return err
}

// do sends a command, and returns what it was sent over, nil for nothing. The error is
// ErrAway, what broke the link, or the answer itself.
func (c *Client) do(name string, args []any) (*link, any, error) {
	for l := c.link.Load(); l != nil; l = c.link.Load() {
		if reply, err := l.do(name, args); !errors.Is(err, errLeft) { // else there is another
			return l, reply, err
		}
	}
	return nil, nil, ErrAway
}

// Script is a program in Lua that Redis runs as one step.
type Script struct {
	source, digest string
}

// NewScript returns the script of a source.
func NewScript(source string) *Script {
	return &Script{source: source, digest: redigo.NewScript(-1, source).Hash()}
}

// Run has Redis run the script over the keys, whose names it gets in front of the
// arguments. It is sent by its digest, and whole where Redis does not know it. An
// answer that is an error ends the connection: who may not count, or has no memory for
// it, is not asked again for a second.
func (c *Client) Run(s *Script, keys int, keysAndArgs ...any) (any, error) {
	l, reply, err := c.do("EVALSHA", append([]any{s.digest, keys}, keysAndArgs...))
	if answer, ok := errors.AsType[redigo.Error](err); ok && strings.HasPrefix(string(answer), "NOSCRIPT") {
		l, reply, err = c.do("EVAL", append([]any{s.source, keys}, keysAndArgs...))
	}
	if l == nil {
		return nil, err
	}
	if err != nil {
		l.fail(err)
		return nil, fmt.Errorf("redis: %w", err)
	}
	return reply, nil
}

// Publish sends a message to all who subscribe to the channel now.
func (c *Client) Publish(channel string, message []byte) error {
	if _, _, err := c.do("PUBLISH", []any{c.target.Load().channel(channel), message}); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// channel is the name of a channel, which Redis does not keep apart by databases.
func (t *target) channel(name string) string {
	return namespace + strconv.Itoa(t.database) + ":" + name
}
