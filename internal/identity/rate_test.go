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
	} {
		if got, err := identity.ParseRates(in); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, %v; want an error with %q", in, got, err, reason)
		}
	}
}
