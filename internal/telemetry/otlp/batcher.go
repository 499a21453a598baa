package otlp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Exporter sends one request: a Client.
type Exporter interface {
	Export(ctx context.Context, request []byte) error
}

// Counts are what became of the items of a Batcher, since the start.
type Counts struct{ Sent, Dropped uint64 }

// BatcherConfig is what a Batcher needs.
type BatcherConfig struct {
	Exporter Exporter
	Envelope *Envelope
	Batch    Batch
	// Patience is how long a batch is tried for when the collector is away; 0 is a
	// minute. What comes meanwhile waits in the queue, and is dropped when that is
	// full.
	Patience time.Duration
	// Now is the clock, with monotonic readings. It is required.
	Now func() time.Time
	// Failed is told, from one goroutine, why a batch was lost. It may be nil.
	Failed func(items int, err error)
}

// Batcher sends items in batches, in the background. Add never waits: a collector
// that is slow or away costs items, and nothing else. It holds at most so many
// items as its queue has room for, and one batch on its way.
type Batcher struct {
	cfg     BatcherConfig
	sent    atomic.Uint64
	dropped atomic.Uint64
	wake    chan struct{}
	closing chan struct{} // closed by Close
	ended   chan struct{}

	mu     sync.Mutex // guards what follows
	full   []chunk    // oldest first
	last   chunk
	held   int // items in full and last
	spare  [][]byte
	closed bool
}

// chunk is the items of one request, encoded.
type chunk struct {
	items []byte
	n     int
}

// The pauses between two tries of one batch: doubled from the first to the last.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	patience   = time.Minute
)

// NewBatcher returns a batcher, which Run serves from beginning to end.
func NewBatcher(cfg BatcherConfig) *Batcher {
	if cfg.Patience == 0 {
		cfg.Patience = patience
	}
	return &Batcher{cfg: cfg, wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{})}
}

// Add queues n items, which encode appends, or drops them where there is no room.
func (b *Batcher) Add(n int, encode func([]byte) []byte) {
	b.mu.Lock()
	if b.closed || b.held+n > b.cfg.Batch.Queue {
		b.mu.Unlock()
		b.dropped.Add(uint64(n)) //nolint:gosec // G115: not negative
		return
	}
	b.held += n
	b.last.items = encode(b.last.items)
	b.last.n += n
	full := b.last.n >= b.cfg.Batch.Size
	if full {
		b.turn()
	}
	b.mu.Unlock()
	if full {
		select {
		case b.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// turn ends the last chunk and begins another. The lock is held.
func (b *Batcher) turn() {
	b.full = append(b.full, b.last)
	b.last = chunk{}
	if n := len(b.spare); n > 0 {
		b.last.items, b.spare = b.spare[n-1][:0], b.spare[:n-1]
	}
}

// Counts returns what became of the items so far.
func (b *Batcher) Counts() Counts { return Counts{Sent: b.sent.Load(), Dropped: b.dropped.Load()} }

// Close has Run send what waits, and waits for that until ctx is done.
func (b *Batcher) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	close(b.closing)
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run sends batches until the batcher is closed and empty. When ctx is done, it
// drops what waits.
func (b *Batcher) Run(ctx context.Context) {
	defer close(b.ended)
	timer := time.NewTimer(b.cfg.Batch.Delay)
	defer timer.Stop()
	for {
		select {
		case <-b.wake:
		case <-timer.C:
			b.expire()
		case <-b.closing:
		case <-ctx.Done():
			_ = b.Close(ctx) // it does not wait: ctx is done
		}
		for {
			c, closed := b.take()
			if c.n == 0 {
				if closed {
					return
				}
				break
			}
			b.deliver(ctx, c)
		}
		timer.Reset(b.cfg.Batch.Delay)
	}
}

// expire ends a chunk that has waited long enough. What comes from then on, also while
// that is being sent, is in another.
func (b *Batcher) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.n > 0 {
		b.turn()
	}
}

// take returns the oldest chunk, an unfinished one once the batcher is closed; one
// without items when nothing is to be sent.
func (b *Batcher) take() (c chunk, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.full) == 0 && b.last.n > 0 && b.closed {
		b.turn()
	}
	if len(b.full) > 0 {
		c = b.full[0]
		b.full[0] = chunk{}
		b.full = b.full[1:]
		b.held -= c.n
	}
	return c, b.closed
}

// keepSpare is how many buffers are used again.
const keepSpare = 2

// deliver sends one chunk, patiently, and counts what became of it.
func (b *Batcher) deliver(ctx context.Context, c chunk) {
	err := b.try(ctx, b.cfg.Envelope.Request(c.items))
	lost := c.n
	if partial, ok := errors.AsType[*PartialError](err); ok {
		lost = int(min(partial.Rejected, int64(c.n)))
	} else if err == nil {
		lost = 0
	}
	b.sent.Add(uint64(c.n - lost)) //nolint:gosec // G115: not negative
	b.dropped.Add(uint64(lost))
	if lost > 0 && b.cfg.Failed != nil {
		b.cfg.Failed(lost, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spare) < keepSpare {
		b.spare = append(b.spare, c.items)
	}
}

// try sends a request until it is taken, refused for good, or the patience ends.
func (b *Batcher) try(ctx context.Context, request []byte) error {
	until := b.cfg.Now().Add(b.cfg.Patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := b.cfg.Exporter.Export(ctx, request)
		refusal, refused := errors.AsType[*RefusedError](err)
		if !refused || !refusal.Again {
			return err
		}
		wait := max(pause, refusal.RetryAfter)
		if b.cfg.Now().Add(wait).After(until) || !b.pause(ctx, wait) {
			return err
		}
	}
}

// pause waits, and reports whether the time has passed: who closes the batcher has
// time for one try of each batch alone.
func (b *Batcher) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.closing:
	case <-ctx.Done():
	}
	return false
}
