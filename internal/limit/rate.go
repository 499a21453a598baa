package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	limiter "github.com/ulule/limiter/v3"
)

// MaxRequests bounds the number in a rate.
const MaxRequests = 1_000_000_000

// Rate is a number of requests in a window of time. The zero value is no
// limit.
type Rate struct {
	// Requests is how many are admitted in one window; 0 is no limit.
	Requests int64
	// Window is how long one window lasts.
	Window time.Duration
}

var units = []struct {
	name   string
	window time.Duration
}{
	{"second", time.Second},
	{"minute", time.Minute},
	{"hour", time.Hour},
	{"day", 24 * time.Hour},
}

var errRate = errors.New(`must be a number from 1, a slash, and "second", "minute", "hour" or "day", such as 10/minute; or "off"`)

// ParseRate reads "N/second", "N/minute", "N/hour", "N/day" or "off".
func ParseRate(s string) (Rate, error) {
	s = strings.TrimSpace(s)
	if s == "off" {
		return Rate{}, nil
	}
	number, unit, ok := strings.Cut(s, "/")
	if !ok || number == "" || number[0] < '1' || number[0] > '9' {
		return Rate{}, errRate
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > MaxRequests {
		return Rate{}, fmt.Errorf("must be at most %d in a window: %w", MaxRequests, errRate)
	}
	for _, u := range units {
		if u.name == unit {
			return Rate{Requests: n, Window: u.window}, nil
		}
	}
	return Rate{}, errRate
}

// Off reports whether the rate is no limit.
func (r Rate) Off() bool { return r.Requests <= 0 || r.Window <= 0 }

// String returns the rate as ParseRate reads it.
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

func (r Rate) ulule() limiter.Rate {
	return limiter.Rate{Formatted: r.String(), Period: r.Window, Limit: r.Requests}
}
