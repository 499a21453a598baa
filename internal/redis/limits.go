package redis

import (
	_ "embed" // the script
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/limit"
)

// clock has Redis's own clock decide when windows end, whatever those of the servers
// say. It only stands still within one run of a script.
const clock = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

//go:embed limits.lua
var counting string

// Limits counts windows for all servers that ask the same database. It is a
// limit.Shared. Of a large limit it counts a small part ahead, so that few requests
// have to ask.
type Limits struct {
	client *Client
	script *Script
	leases leases
}

var _ limit.Shared = (*Limits)(nil)

// NewLimits returns what counts over the client.
func NewLimits(c *Client) *Limits { return newLimits(c, clock) }

func newLimits(c *Client, clock string) *Limits {
	return &Limits{client: c, script: NewScript(clock + counting), leases: leases{now: c.now, windows: map[string]*lease{}}}
}

// Up is described at limit.Shared.
func (l *Limits) Up() bool { return l.client.Up() }

// Take is described at limit.Shared.
func (l *Limits) Take(within time.Duration, windows []limit.Window) (wait time.Duration, granted bool, err error) {
	if l.leases.spend(windows) {
		return 0, true, nil
	}
	if more := l.leases.extend(windows); more != nil {
		sent := l.leases.now()
		_, granted, err = l.take(0, windows)
		l.leases.settle(windows, sent, more, granted, err)
		if granted || err != nil {
			return 0, granted, err
		}
	}
	sent := l.leases.now()
	if wait, granted, err = l.take(within, windows); err == nil {
		l.leases.learn(windows, sent, granted)
	}
	return wait, granted, err
}

func (l *Limits) take(within time.Duration, windows []limit.Window) (wait time.Duration, granted bool, err error) {
	wait, granted, err = l.ask("take", within, windows)
	if err == nil && (granted && wait > within || !granted && !lacking(windows)) {
		return 0, false, errAnswer
	}
	return wait, granted, err
}

// Look is described at limit.Shared.
func (l *Limits) Look(from time.Duration, windows []limit.Window) (wait time.Duration, left bool, err error) {
	wait, left, err = l.ask("look", from, windows)
	if err == nil && !left && !lacking(windows) {
		return 0, false, errAnswer
	}
	return wait, left, err
}

// lacking reports whether there is a reason to refuse.
func lacking(windows []limit.Window) bool {
	return slices.ContainsFunc(windows, func(w limit.Window) bool { return w.Remaining < w.N })
}

// Cancel is described at limit.Shared.
func (l *Limits) Cancel(windows []limit.Window) error {
	_, _, err := l.ask("cancel", 0, windows)
	return err
}

// perWindow is how many numbers are answered for each window, behind two for all.
const perWindow = 4

func (l *Limits) ask(verb string, within time.Duration, windows []limit.Window) (time.Duration, bool, error) {
	args := make([]any, 0, 2+2*len(windows)+2) // and two in front of them
	for i := range windows {
		args = append(args, namespace+windows[i].Key)
	}
	args = append(args, verb, within.Milliseconds())
	for i := range windows {
		args = append(args, demand(&windows[i]))
	}
	answer, err := redigo.Values(l.client.Run(l.script, len(windows), args...))
	if err != nil {
		return 0, false, err
	}
	return read(answer, windows)
}

// demand is what the script is told of a window.
func demand(w *limit.Window) []byte {
	b := make([]byte, 0, 48)
	for _, n := range [...]int64{w.Limit, w.Period.Milliseconds(), w.N, w.Carried} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = strconv.AppendInt(b, w.At.Milliseconds(), 10)
	if w.Told == 0 { // as ever but after an outage
		return b
	}
	b = strconv.AppendInt(append(b, ' '), w.Told, 10)
	return strconv.AppendInt(append(b, ' '), w.Began.Milliseconds(), 10)
}

var errAnswer = errors.New("redis: an answer of another form than the script gives")

const (
	// maxRemaining is the greatest count that Lua's numbers hold exactly.
	maxRemaining = 1 << 53
	// maxWait is longer than anybody waits for a window, which lasts a day at most.
	maxWait = int64(366 * 24 * time.Hour / time.Millisecond)
	// maxMoment is the last one that a time.Duration holds.
	maxMoment = math.MaxInt64 / int64(time.Millisecond)
)

// read takes what was found out of the answer. Errors: errAnswer, also for numbers
// that the script cannot have given.
func read(answer []any, windows []limit.Window) (wait time.Duration, granted bool, err error) {
	if len(answer) != 2+perWindow*len(windows) {
		return 0, false, errAnswer
	}
	number := func(i int, most int64) int64 {
		n, ok := answer[i].(int64)
		if !ok || n < 0 || n > most {
			err = errAnswer
			return 0
		}
		return n
	}
	granted = number(0, 1) == 1
	wait = milliseconds(number(1, maxWait))
	for i := range windows {
		w, at := &windows[i], 2+perWindow*i
		w.Remaining = number(at, maxRemaining)
		w.Left = milliseconds(number(at+1, maxWait))
		w.At = milliseconds(number(at+2, maxMoment))
		w.Began = milliseconds(number(at+3, maxMoment))
	}
	if err != nil {
		return 0, false, err
	}
	return wait, granted, nil
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
