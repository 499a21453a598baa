package limit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit is what a quota counts.
type Unit uint8

// The units.
const (
	// UnitCalls is of predictions that were answered.
	UnitCalls Unit = iota
	// UnitRows is of the rows of their input.
	UnitRows
	// UnitBytes is of the bytes of their input.
	UnitBytes
	// UnitCompute is of the time that the engine worked for them, in nanoseconds
	// wherever it is counted and in milliseconds wherever it is told.
	UnitCompute
	// Units is how many there are.
	Units
)

// unitNames are the words of quotas and of usage. Read only.
var unitNames = [Units]string{"calls", "rows", "bytes", "compute_ms"}

// String returns the unit's word, such as "compute_ms".
func (u Unit) String() string { return unitNames[u] }

// Scale is how much of what is counted makes one of what is told.
func (u Unit) Scale() int64 {
	if u == UnitCompute {
		return int64(time.Millisecond)
	}
	return 1
}

// Per is a period of the calendar, in UTC.
type Per uint8

// The periods.
const (
	PerDay Per = iota
	PerMonth
	// Periods is how many there are.
	Periods
)

// perNames are the words of quotas and of usage. Read only.
var perNames = [Periods]string{"day", "month"}

// String returns the period's word, such as "day".
func (p Per) String() string { return perNames[p] }

// Around returns the first moment of the period that at is in, and the first one
// behind it.
func (p Per) Around(at time.Time) (start, end time.Time) {
	year, month, day := at.UTC().Date()
	if p == PerMonth {
		start = time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, 0)
	}
	start = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 0, 1)
}

// Quota is how much may be used in one period of the calendar.
type Quota struct {
	Unit Unit
	Per  Per
	// Limit is in what is told of the unit, such as milliseconds.
	Limit int64
	// Soft quotas only warn.
	Soft bool
}

// String returns the quota as ParseQuotas reads it.
func (q Quota) String() string {
	soft := ""
	if q.Soft {
		soft = softPrefix
	}
	return soft + q.Unit.String() + "=" + strconv.FormatInt(q.Limit, 10) + "/" + q.Per.String()
}

const (
	softPrefix = "soft:"
	// maxQuota keeps what is counted below 2⁶³, nanoseconds too.
	maxQuota = int64(1e12)
	// maxQuotas is one of each kind.
	maxQuotas = int(Units) * int(Periods) * 2
)

var errQuota = errors.New(`must be like calls=10000/day,rows=1e6/month: "calls", "rows", "bytes" or "compute_ms", a number, and "day" or "month"; "soft:" before one only warns; or "off"`)

// ParseQuotas reads quotas with commas between, such as
// "calls=10000/day,soft:calls=8000/day"; none from "off".
func ParseQuotas(text string) ([]Quota, error) {
	text = strings.TrimSpace(text)
	if text == "off" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxQuotas {
		return nil, fmt.Errorf("has %d quotas where at most %d differ: it %w", len(parts), maxQuotas, errQuota)
	}
	var all []Quota
	for _, part := range parts {
		q, err := parseQuota(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(r Quota) bool { return r.Unit == q.Unit && r.Per == q.Per && r.Soft == q.Soft }) {
			return nil, fmt.Errorf("says twice what %s are allowed in a %s", q.Unit, q.Per)
		}
		all = append(all, q)
	}
	return all, nil
}

// FormatQuotas returns the quotas as ParseQuotas reads them; empty for none.
func FormatQuotas(quotas []Quota) string {
	parts := make([]string, len(quotas))
	for i, q := range quotas {
		parts[i] = q.String()
	}
	return strings.Join(parts, ",")
}

func parseQuota(text string) (q Quota, err error) {
	text, q.Soft = strings.CutPrefix(text, softPrefix)
	unit, amount, ok := strings.Cut(text, "=")
	number, per, also := strings.Cut(amount, "/")
	u, p := slices.Index(unitNames[:], unit), slices.Index(perNames[:], per)
	if !ok || !also || u < 0 || p < 0 {
		return q, errQuota
	}
	q.Unit, q.Per = Unit(u), Per(p) //nolint:gosec // places in tables of a few
	q.Limit, err = parseAmount(number)
	return q, err
}

// parseAmount reads a whole number from 1, also as 1e6 or 2.5e6.
func parseAmount(text string) (int64, error) {
	if text == "" || text[0] < '0' || text[0] > '9' || strings.Trim(text, "0123456789.e") != "" {
		return 0, errQuota
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || f != math.Trunc(f) {
		return 0, errQuota
	}
	if f < 1 || f > float64(maxQuota) {
		return 0, fmt.Errorf("must have numbers from 1 to %d", maxQuota)
	}
	return int64(f), nil
}
