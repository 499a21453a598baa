package httpapi_test

import (
	"net/http"
	"testing"
)

func TestAPasswordIsChangedForThePresentOne(t *testing.T) {
	f := newAPI(t, nil).serve()
	for name, tc := range map[string]struct {
		token, body string
		status      int
	}{
		"the present one":     {"user", `{"current_password":"right","new_password":"a new one"}`, http.StatusOK},
		"a wrong one":         {"user", `{"current_password":"wrong","new_password":"a new one"}`, http.StatusForbidden},
		"one against a rule":  {"user", `{"current_password":"right","new_password":"short"}`, http.StatusUnprocessableEntity},
		"no present one":      {"user", `{"new_password":"a new one"}`, http.StatusUnprocessableEntity},
		"a further member":    {"user", `{"current_password":"right","new_password":"a","name":"root"}`, http.StatusUnprocessableEntity},
		"no token":            {"", `{"current_password":"right","new_password":"a new one"}`, http.StatusUnauthorized},
		"a body that is none": {"user", `current_password=right`, http.StatusBadRequest},
	} {
		got := f.do(request{method: "POST", path: "/account/password", token: tc.token, body: tc.body})
		if got.StatusCode != tc.status {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
}
