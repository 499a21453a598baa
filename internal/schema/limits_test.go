package schema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
)

func TestLimitsAreRead(t *testing.T) {
	m, err := schema.Parse("model.yaml", []byte("limits: {rate: '10/second, 100/minute', rows: 10000/minute, concurrency: 8}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &schema.Limits{
		Rates:       identity.Rates{{Requests: 10, Window: time.Second}, {Requests: 100, Window: time.Minute}},
		Rows:        identity.Rates{{Requests: 10000, Window: time.Minute}},
		Concurrency: 8,
	}
	if diff := cmp.Diff(want, m.LimitsOf()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"limits: {rate: off}", "limits:\n  rate: off\n  rows: 5/day\n"} {
		m, err := schema.Parse("model.yaml", []byte(text))
		if err != nil || m.LimitsOf().Rates != nil {
			t.Errorf("%s: %+v, %v; want no rate", text, m.LimitsOf(), err)
		}
	}
}

func TestLimitsThatCannotHoldAreRefusedByLine(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {}":                                         "model.yaml:1: limits is empty",
		"limits: 5/minute":                                   "model.yaml:1: limits must be a mapping",
		"limits:\n  rate: 5":                                 `model.yaml:2: rate must be a text such as 100/minute, not "5"`,
		"limits:\n  rate: 5/fortnight":                       `model.yaml:2: rate must be a number from 1, a slash`,
		"limits:\n  rate: true":                              `model.yaml:2: rate must be a number from 1, a slash`,
		"limits:\n  rows: 10/second, 5/minute":               "model.yaml:2: rows must admit no fewer in the longer window",
		"limits:\n  rows: 5 rows/minute":                     `model.yaml:2: rows must be without the word "rows", such as 5000/minute, not`,
		"limits:\n  rate: 9/hour, 5 rows/minute":             "model.yaml:2: rate counts requests; for rows, write rows: 5000/minute beside it, not",
		"limits:\n  rows: [5/minute]":                        "model.yaml:2: rows must be a text such as 100/minute, not a list",
		"limits:\n  concurrency: 0":                          "model.yaml:2: concurrency must be an integer of at least 1",
		"limits:\n  concurrency: 10001":                      "model.yaml:2: concurrency must be at most 10000",
		"limits:\n  rate: 5/minute\n  rates: 5/minute":       `model.yaml:3: unknown key "rates" in limits; did you mean "rate"?`,
		"limits:\n  rate: 5/minute\n  rate: 6/minute":        `model.yaml:3: key "rate" appears twice`,
		"limits:\n  rate: 5/minute\nlimits:\n  rows: 5/hour": "appears twice",
	} {
		if _, err := schema.Parse("model.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
