// Package clock tells the time by which credentials are judged. It is that of the
// machine, as long as it goes as a clock does: somebody who sets it back must not make
// tokens live again, and whoever sets it forward must not end them, nor begin the next
// month of a quota.
//
// It must not know what the time is used for.
package clock

import (
	"sync/atomic"
	"time"
)

const (
	// Tolerance is how far the clock of the machine may be set, in one step or in
	// several, and still be followed: what time services correct is far less.
	Tolerance = 5 * time.Minute
	// refill is in how long what was followed is forgotten by a part of it: a minute
	// in a day, so that a time service may correct a clock for months.
	refill = 24 * time.Hour / time.Minute
	// step is what is no step of the clock but the time between two looks at it.
	step = time.Second
)

// Config says where the time comes from. The zero value is the machine.
type Config struct {
	// Wall is the clock that can be set, with monotonic readings unless Elapsed is
	// given; nil means time.Now.
	Wall func() time.Time
	// Elapsed is how long it is since any one moment, by a clock that cannot be set;
	// nil means by the monotonic readings of Wall.
	Elapsed func() time.Duration
	// Slept is how long the machine has slept since any one moment, which Elapsed
	// does not count; nil means what the machine says of it.
	Slept func() time.Duration
}

// Clock is safe for concurrent use.
type Clock struct {
	cfg    Config
	anchor atomic.Pointer[anchor]
}

// anchor is what all readings were at one moment. It does not change.
type anchor struct {
	at             time.Time
	elapsed, slept time.Duration
	// spent is how much of Tolerance was used up by what was followed until then.
	spent time.Duration
}

// New returns a Clock that takes the present time of the machine for right.
func New(cfg Config) *Clock {
	if cfg.Wall == nil {
		cfg.Wall = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if cfg.Slept == nil {
		cfg.Slept = slept
	}
	c := &Clock{cfg: cfg}
	c.Accept()
	return c
}

// Accept takes the present time of the machine for right, whatever was before.
func (c *Clock) Accept() { c.anchor.Store(c.mooring(c.cfg.Wall(), 0)) }

func (c *Clock) mooring(wall time.Time, spent time.Duration) *anchor {
	a := &anchor{at: wall, slept: c.cfg.Slept(), spent: spent}
	if c.cfg.Elapsed != nil {
		a.elapsed = c.cfg.Elapsed()
	}
	return a
}

// Now returns the time of the machine; where that was set by more than Tolerance, the
// time as it would be had nobody set it. Steps forward add up, less a minute for each
// day since. A time in which the machine slept is no
// setting. Its monotonic reading is that of the machine in either case.
func (c *Clock) Now() time.Time {
	now, _ := c.look()
	return now
}

// Offset returns how far the clock of the machine is ahead of Now, which is zero
// unless it was set by more than Tolerance.
func (c *Clock) Offset() time.Duration {
	_, offset := c.look()
	return offset
}

func (c *Clock) look() (now time.Time, offset time.Duration) {
	wall, a := c.cfg.Wall(), c.anchor.Load()
	steady := a.at.Add(c.since(a, wall))
	set := wall.Round(0).Sub(steady.Round(0)) // without monotonic readings
	if -Tolerance <= set && set < step || set > 0 && c.follow(a, wall, set) {
		return wall, 0
	}
	return steady, set
}

// follow takes what the clock was set forward for right, for good, where that is no
// more than is left of Tolerance: what is later ends credentials, and revives none. What
// is earlier is not followed for good, so that many small steps back are one large one.
func (c *Clock) follow(a *anchor, wall time.Time, set time.Duration) bool {
	asleep := max(c.cfg.Slept()-a.slept, 0)
	spent := max(a.spent-c.since(a, wall)/refill, 0) + (set - asleep).Abs()
	if spent > Tolerance {
		return false
	}
	// Where another has followed already, what it did holds: the next look is from there.
	c.anchor.CompareAndSwap(a, c.mooring(wall, spent))
	return true
}

func (c *Clock) since(a *anchor, wall time.Time) time.Duration {
	if c.cfg.Elapsed != nil {
		return c.cfg.Elapsed() - a.elapsed
	}
	return wall.Sub(a.at)
}
