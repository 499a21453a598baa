package identity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/identity"
)

func TestRatesAreReadAndWritten(t *testing.T) {
	minute := func(n int64) identity.Rates { return identity.Rates{{Requests: n, Window: time.Minute}} }
	for in, want := range map[string]identity.Rates{
		"5/minute":                  minute(5),
		"1/second":                  {{Requests: 1, Window: time.Second}},
		"1000/hour":                 {{Requests: 1000, Window: time.Hour}},
		"1000000000/day":            {{Requests: 1e9, Window: 24 * time.Hour}},
		"  10/minute ":              minute(10),
		"off":                       nil,
		"10/second, 200/minute":     {{Requests: 10, Window: time.Second}, {Requests: 200, Window: time.Minute}},
		"200/minute,10/second":      {{Requests: 10, Window: time.Second}, {Requests: 200, Window: time.Minute}},
		"1/second,1/minute,1/hour ": {{Requests: 1, Window: time.Second}, {Requests: 1, Window: time.Minute}, {Requests: 1, Window: time.Hour}},
	} {
		got, err := identity.ParseRates(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", in, err, diff)
		}
		if again, err := identity.ParseRates(got.String()); err != nil || !cmp.Equal(again, got) {
			t.Errorf("%q does not survive String and ParseRates: %v, %v", in, again, err)
		}
	}
}

func TestWhatIsNoRateIsRefused(t *testing.T) {
	for in, reason := range map[string]string{
		"": "must be a number", "0/minute": "must be a number", "-1/minute": "must be a number", "+1/minute": "must be a number",
		"05/minute": "must be a number", "5": "must be a number", "5/": "must be a number", "5/minutes": "must be a number",
		"5/Minute": "must be a number", "5-M": "must be a number", "5/minute/2": "must be a number", "1e3/minute": "must be",
		"Off": "must be a number", "off, 5/minute": "must be a number", "5/minute,": "must be a number",
		"1000000001/day": "at most 1000000000", "9999999999999999999999/day": "at most 1000000000",
		"5/minute, 9/minute": "5/minute and 9/minute are alike", "10/second, 9/minute": "9/minute is less than 10/second",
		"5 rows/minute": `must be without the word "rows"`, "5/minute, 9 rows/minute": `must be without the word "rows"`,
	} {
		if got, err := identity.ParseRates(in); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, %v; want an error with %q", in, got, err, reason)
		}
	}
}

func TestLimitsAreReadAndWritten(t *testing.T) {
	of := func(n int64, window time.Duration) identity.Rates {
		return identity.Rates{{Requests: n, Window: window}}
	}
	for in, want := range map[string]struct {
		limit identity.Limit
		text  string
	}{
		"100/minute":                   {identity.Limit{Requests: of(100, time.Minute)}, "100/minute"},
		"5000 rows/minute":             {identity.Limit{Rows: of(5000, time.Minute)}, "5000 rows/minute"},
		"100/minute, 5000 rows/minute": {identity.Limit{Requests: of(100, time.Minute), Rows: of(5000, time.Minute)}, "100/minute, 5000 rows/minute"},
		"9 rows/second,100/minute":     {identity.Limit{Requests: of(100, time.Minute), Rows: of(9, time.Second)}, "100/minute, 9 rows/second"},
		"90 rows/day,9 rows/hour, 10/second, 20/minute": {
			identity.Limit{Requests: append(of(10, time.Second), of(20, time.Minute)...), Rows: append(of(9, time.Hour), of(90, 24*time.Hour)...)},
			"10/second, 20/minute, 9 rows/hour, 90 rows/day",
		},
		" off ": {identity.Limit{}, "off"},
	} {
		got, err := identity.ParseLimit(in)
		if err != nil || !cmp.Equal(want.limit, got) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
		if got.String() != want.text || got.Off() != (want.text == "off") {
			t.Errorf("%q: %q, off %v", in, got, got.Off())
		}
		if again, err := identity.ParseLimit(got.String()); err != nil || !cmp.Equal(again, got) {
			t.Errorf("%q does not survive String and ParseLimit: %v, %v", in, again, err)
		}
	}
}

func TestWhatIsNoLimitIsRefused(t *testing.T) {
	for in, reason := range map[string]string{
		"": "must be a number", "0 rows/minute": "must be a number", "rows/minute": "must be a number", " rows/minute": "must be a number",
		"5000rows/minute": "must be a number", "5000  rows/minute": "must be a number", "5000 row/minute": "must be a number",
		"5000 Rows/minute": "must be a number", "5000 rows": "must be a number", "5000 rows/": "must be a number", "5000/minute rows": "must be a number",
		"rows=5000/minute": `rates in rows say so: "100/minute, 5000 rows/minute"`, "off, 5 rows/minute": "must be a number", "5 rows/minute, off": "must be a number",
		"5 calls/minute": "must be a number", "1000000001 rows/day": "at most 1000000000", "9999999999999999999999 rows/day": "at most 1000000000",
		"5 rows/minute, 9 rows/minute":   "5 rows/minute and 9 rows/minute are alike",
		"10 rows/second, 9 rows/minute":  "9 rows/minute is less than 10 rows/second",
		"1/minute, 1 rows/day, 2/minute": "1/minute and 2/minute are alike",
	} {
		if got, err := identity.ParseLimit(in); err == nil || !got.Off() || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, %v; want an error with %q", in, got, err, reason)
		}
	}
}
