package identity

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxRequests bounds the number in a rate, and MaxWindows how many windows one
// limit has.
const (
	MaxRequests = 1_000_000_000
	MaxWindows  = 4
)

// Rate is a number of requests, or of rows, in a window of time. The zero value
// is no limit.
type Rate struct {
	// Requests is how many are admitted in one window; 0 is no limit.
	Requests int64
	// Window is how long one window lasts, in whole seconds.
	Window time.Duration
}

// Rates are windows that hold at once, the shortest first, each of another
// length. None is no limit. They are shared and must not be changed.
type Rates []Rate

var units = []struct {
	name   string
	window time.Duration
}{
	{"second", time.Second},
	{"minute", time.Minute},
	{"hour", time.Hour},
	{"day", 24 * time.Hour},
}

// ErrNoRate is of a text that is no rate; it says how one is written.
var ErrNoRate = errors.New(`must be a number from 1, a slash, and "second", "minute", "hour" or "day", such as 10/minute; ` +
	`several with commas between, such as "10/second, 200/minute"; or "off"`)

// ParseRates reads "N/second", "N/minute", "N/hour" and "N/day", with commas
// between, or "off", which is no limit.
func ParseRates(s string) (Rates, error) {
	if strings.TrimSpace(s) == "off" {
		return nil, nil
	}
	var all Rates
	for part := range strings.SplitSeq(s, ",") {
		rate, err := parseRate(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all = append(all, rate)
	}
	slices.SortStableFunc(all, func(a, b Rate) int { return int((a.Window - b.Window) / time.Second) })
	return all, all.check()
}

func parseRate(s string) (Rate, error) {
	number, unit, ok := strings.Cut(s, "/")
	if !ok || number == "" || number[0] < '1' || number[0] > '9' {
		return Rate{}, ErrNoRate
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > MaxRequests {
		return Rate{}, fmt.Errorf("must be at most %d in a window", MaxRequests)
	}
	for _, u := range units {
		if u.name == unit {
			return Rate{Requests: n, Window: u.window}, nil
		}
	}
	return Rate{}, ErrNoRate
}

// check refuses windows of one length, and a window that a shorter one makes
// pointless because it never fills it.
func (r Rates) check() error {
	for i := 1; i < len(r); i++ {
		short, long := r[i-1], r[i]
		if short.Window == long.Window {
			return fmt.Errorf("must have windows of different lengths, and %s and %s are alike", short, long)
		}
		if long.Requests < short.Requests {
			return fmt.Errorf("must admit no fewer in the longer window, and %s is less than %s: leave the latter out", long, short)
		}
	}
	return nil
}

// Off reports whether the rate is no limit.
func (r Rate) Off() bool { return r.Requests <= 0 || r.Window <= 0 }

// String returns the rate as ParseRates reads it.
func (r Rate) String() string {
	if r.Off() {
		return "off"
	}
	for _, u := range units {
		if u.window == r.Window {
			return strconv.FormatInt(r.Requests, 10) + "/" + u.name
		}
	}
	return strconv.FormatInt(r.Requests, 10) + "/" + r.Window.String()
}

// String returns the rates as ParseRates reads them.
func (r Rates) String() string {
	if len(r) == 0 {
		return "off"
	}
	parts := make([]string, len(r))
	for i, rate := range r {
		parts[i] = rate.String()
	}
	return strings.Join(parts, ", ")
}
