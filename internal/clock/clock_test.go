package clock_test

import (
	"testing"
	"time"

	"onnxgate/internal/clock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is one whose clock is set, and that sleeps.
type machine struct{ elapsed, set, slept time.Duration }

func (m *machine) clock() *clock.Clock {
	return clock.New(clock.Config{
		Wall:    func() time.Time { return noon.Add(m.elapsed + m.slept + m.set) },
		Elapsed: func() time.Duration { return m.elapsed }, Slept: func() time.Duration { return m.slept },
	})
}

func TestTheTimeGoesOnWhateverIsSet(t *testing.T) {
	const s, m1, h = time.Second, time.Minute, time.Hour
	// do is what happens after an hour, and then a minute passes.
	for name, tc := range map[string]struct {
		do           func(m *machine, c *clock.Clock)
		want, offset time.Duration // after noon
	}{
		"nothing":                                  {func(*machine, *clock.Clock) {}, h + m1, 0},
		"a correction forward":                     {func(m *machine, _ *clock.Clock) { m.set = 5 * m1 }, h + 6*m1, 0},
		"a correction back":                        {func(m *machine, _ *clock.Clock) { m.set = -5 * m1 }, h - 4*m1, 0},
		"set forward":                              {func(m *machine, _ *clock.Clock) { m.set = 5*m1 + s }, h + m1, 5*m1 + s},
		"set back":                                 {func(m *machine, _ *clock.Clock) { m.set = -5*m1 - s }, h + m1, -5*m1 - s},
		"set forward by years":                     {func(m *machine, _ *clock.Clock) { m.set = 90000 * h }, h + m1, 90000 * h},
		"set to 1970":                              {func(m *machine, _ *clock.Clock) { m.set = -492000 * h }, h + m1, -492000 * h},
		"set and set right":                        {func(m *machine, c *clock.Clock) { m.set = h; c.Now(); m.set = 0 }, h + m1, 0},
		"set back in small steps":                  {steps(-4 * m1), h + m1, -40 * m1},
		"set forward in small steps":               {steps(4 * m1), h + 5*m1, 36 * m1},
		"set forward in seconds":                   {steps(50 * s), h + 6*m1, 200 * s},
		"in small steps forward, and back at once": {func(m *machine, c *clock.Clock) { steps(4*m1)(m, c); m.set = 0 }, h + m1, 0},
		"asleep":                                   {func(m *machine, _ *clock.Clock) { m.slept = 8 * h }, 9*h + m1, 0},
		"asleep, and set":                          {func(m *machine, _ *clock.Clock) { m.slept, m.set = 8*h, h }, h + m1, 9 * h},
		"asleep often, and set a little each time": {func(m *machine, c *clock.Clock) {
			for range 10 {
				m.slept, m.set = m.slept+h, m.set-4*m1
				c.Now()
			}
		}, 2*h - 3*m1, 9*h - 36*m1},
		"set, and accepted": {func(m *machine, c *clock.Clock) { m.set = -h; c.Now(); c.Accept() }, m1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{}
			c := m.clock()
			m.elapsed = h
			c.Now()
			tc.do(m, c)
			c.Now()
			m.elapsed += m1
			if got, offset := c.Now().Sub(noon), c.Offset(); got != tc.want || offset != tc.offset {
				t.Errorf("it is %v after noon, and the machine %v ahead; want %v and %v", got, offset, tc.want, tc.offset)
			}
		})
	}
}

// TestATimeServiceMayCorrectAClockForYears: what was followed is forgotten by a minute
// a day, and no more.
func TestATimeServiceMayCorrectAClockForYears(t *testing.T) {
	const day = 24 * time.Hour
	for name, tc := range map[string]struct{ daily, ahead, offset time.Duration }{
		"a minute a day":      {time.Minute, 1000 * time.Minute, 0},
		"a second more a day": {61 * time.Second, 244 * time.Minute, 772*time.Minute + 40*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{}
			c := m.clock()
			for range 1000 {
				m.elapsed, m.set = m.elapsed+day, m.set+tc.daily
				c.Now()
			}
			if ahead, offset := c.Now().Sub(noon)-m.elapsed, c.Offset(); ahead != tc.ahead || offset != tc.offset {
				t.Errorf("it is %v ahead, and the machine %v more; want %v and %v", ahead, offset, tc.ahead, tc.offset)
			}
		})
	}
}

func steps(by time.Duration) func(m *machine, c *clock.Clock) {
	return func(m *machine, c *clock.Clock) {
		for range 10 {
			m.set += by
			c.Now()
		}
	}
}

// TestTheMachinesOwnTimeIsTold also says that nothing is allocated for it.
func TestTheMachinesOwnTimeIsTold(t *testing.T) {
	c := clock.New(clock.Config{})
	before := time.Now()
	now := c.Now()
	if after := time.Now(); now.Before(before) || now.After(after) || c.Offset() != 0 {
		t.Errorf("%v is not from %v to %v", now, before, after)
	}
	if n := testing.AllocsPerRun(100, func() { c.Now() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
