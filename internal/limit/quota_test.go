package limit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/limit"
)

func TestQuotasAreRead(t *testing.T) {
	for text, want := range map[string][]limit.Quota{
		"off":             nil,
		"calls=10000/day": {{Unit: limit.UnitCalls, Per: limit.PerDay, Limit: 10_000}},
		" calls=10000/day, rows=1e6/month ": {
			{Unit: limit.UnitCalls, Per: limit.PerDay, Limit: 10_000}, {Unit: limit.UnitRows, Per: limit.PerMonth, Limit: 1_000_000},
		},
		"soft:calls=8000/day,calls=10000/day": {
			{Unit: limit.UnitCalls, Per: limit.PerDay, Limit: 8000, Soft: true}, {Unit: limit.UnitCalls, Per: limit.PerDay, Limit: 10_000},
		},
		"bytes=2.5e9/month,compute_ms=1/day": {
			{Unit: limit.UnitBytes, Per: limit.PerMonth, Limit: 2_500_000_000}, {Unit: limit.UnitCompute, Per: limit.PerDay, Limit: 1},
		},
		"bytes=1000000000000/day": {{Unit: limit.UnitBytes, Per: limit.PerDay, Limit: 1e12}},
	} {
		got, err := limit.ParseQuotas(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", text, err, diff)
		}
		again, err := limit.ParseQuotas(limit.FormatQuotas(got))
		if diff := cmp.Diff(want, again); want != nil && (diff != "" || err != nil) {
			t.Errorf("%q does not survive being written: %v %s", text, err, diff)
		}
	}
}

func TestWhatIsNoQuotaIsRefused(t *testing.T) {
	for _, text := range []string{
		"", ",", "calls", "calls=/day", "calls=5", "calls=5/", "calls=5/hour", "calls=5/Day", "call=5/day", "=5/day", "5/day",
		"calls=0/day", "calls=-5/day", "calls=+5/day", "calls=5.5/day", "calls=1e-3/day", "calls=0x10/day", "calls=1_000/day", "calls=inf/day", "calls=nan/day",
		"calls=1000000000001/day", "calls=1e400/day", "calls=5/day,", "calls=5/day,calls=6/day", "soft:calls=5/day,soft:calls=5/day",
		"hard:calls=5/day", "soft:", "soft:soft:calls=5/day", "calls=5/day;rows=5/day", "calls= 5/day", "calls=5/day/month", "Off", "off,calls=5/day",
	} {
		if got, err := limit.ParseQuotas(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestPeriodsAreThoseOfTheCalendarInUTC(t *testing.T) {
	zone := time.FixedZone("east", 5*3600)
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tc := range []struct {
		per            limit.Per
		at, start, end string
	}{
		{limit.PerDay, "2028-02-29T23:59:59Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
		{limit.PerDay, "2028-03-01T00:00:00Z", "2028-03-01T00:00:00Z", "2028-03-02T00:00:00Z"},
		{limit.PerMonth, "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{limit.PerMonth, "2027-12-31T12:00:00Z", "2027-12-01T00:00:00Z", "2028-01-01T00:00:00Z"},
	} {
		start, end := tc.per.Around(at(tc.at).In(zone))
		if !start.Equal(at(tc.start)) || !end.Equal(at(tc.end)) || start.Location() != time.UTC {
			t.Errorf("the %s of %s is from %s to %s", tc.per, tc.at, start, end)
		}
	}
}
