package identity

import (
	"cmp"
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

// ErrRows is of a text that names rows where the place says what is counted.
var ErrRows = errors.New(`must be without the word "rows", such as 5000/minute`)

// errNoLimit is ErrNoRate where rows may be counted, too.
var errNoLimit = fmt.Errorf(`%w; rates in rows say so: "100/minute, 5000 rows/minute"`, ErrNoRate)

// ParseRates reads "N/second", "N/minute", "N/hour" and "N/day", with commas
// between, or "off", which is no limit.
func ParseRates(s string) (Rates, error) {
	l, err := parseLimit(s)
	if err == nil && len(l.Rows) > 0 {
		err = ErrRows
	}
	return l.Requests, err
}

// Limit is what somebody may ask for. The zero value is no limit.
type Limit struct {
	// Requests are counted, and Rows, which are those of their batches.
	Requests, Rows Rates
}

// ParseLimit reads rates as ParseRates does, and with them those of rows: "100/minute,
// 5000 rows/minute".
func ParseLimit(s string) (Limit, error) {
	l, err := parseLimit(s)
	if errors.Is(err, ErrNoRate) {
		err = errNoLimit
	}
	return l, err
}

func parseLimit(s string) (l Limit, err error) {
	if strings.TrimSpace(s) == "off" {
		return Limit{}, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		into := &l.Requests
		number, window, _ := strings.Cut(strings.TrimSpace(part), "/")
		if n, isRows := strings.CutSuffix(number, rowsUnit); isRows {
			into, number = &l.Rows, n
		}
		rate, err := parseRate(number, window)
		if err != nil {
			return Limit{}, err
		}
		*into = append(*into, rate)
	}
	if err := cmp.Or(l.Requests.order(""), l.Rows.order(rowsUnit)); err != nil {
		return Limit{}, err
	}
	return l, nil
}

// rowsUnit stands behind the number of a rate of rows.
const rowsUnit = " rows"

func parseRate(number, window string) (Rate, error) {
	if number == "" || number[0] < '1' || number[0] > '9' {
		return Rate{}, ErrNoRate
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return Rate{}, ErrNoRate
	}
	if err != nil || n > MaxRequests {
		return Rate{}, fmt.Errorf("must be at most %d in a window", MaxRequests)
	}
	for _, u := range units {
		if u.name == window {
			return Rate{Requests: n, Window: u.window}, nil
		}
	}
	return Rate{}, ErrNoRate
}

// order sorts the rates of a unit. It refuses windows of one length, and a window that
// a shorter one makes pointless because it never fills it.
func (r Rates) order(unit string) error {
	slices.SortStableFunc(r, func(a, b Rate) int { return cmp.Compare(a.Window, b.Window) })
	for i := 1; i < len(r); i++ {
		short, long := r[i-1], r[i]
		if short.Window == long.Window {
			return fmt.Errorf("must have windows of different lengths, and %s and %s are alike", short.in(unit), long.in(unit))
		}
		if long.Requests < short.Requests {
			return fmt.Errorf("must admit no fewer in the longer window, and %s is less than %s: leave the latter out", long.in(unit), short.in(unit))
		}
	}
	return nil
}

// Off reports whether the rate is no limit.
func (r Rate) Off() bool { return r.Requests <= 0 || r.Window <= 0 }

// String returns the rate as ParseRates reads it.
func (r Rate) String() string { return r.in("") }

func (r Rate) in(unit string) string {
	if r.Off() {
		return "off"
	}
	window := r.Window.String()
	for _, u := range units {
		if u.window == r.Window {
			window = u.name
		}
	}
	return strconv.FormatInt(r.Requests, 10) + unit + "/" + window
}

// String returns the rates as ParseRates reads them.
func (r Rates) String() string { return Limit{Requests: r}.String() }

// Off reports whether it is no limit.
func (l Limit) Off() bool { return len(l.Requests)+len(l.Rows) == 0 }

// String returns the limit as ParseLimit reads it.
func (l Limit) String() string {
	var parts []string
	for _, r := range l.Requests {
		parts = append(parts, r.String())
	}
	for _, r := range l.Rows {
		parts = append(parts, r.in(rowsUnit))
	}
	return cmp.Or(strings.Join(parts, ", "), "off")
}
