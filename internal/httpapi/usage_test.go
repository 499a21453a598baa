package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheCallerSeesItsOwnUsage(t *testing.T) {
	f := newAPI(t, nil).serve()
	got := f.do(request{method: "GET", path: "/usage", token: "noscope"})
	const want = `{"tenant":"default","day":{"start":"2026-03-14T00:00:00Z","calls":1,"rows":2,"bytes":300,"compute_ms":4},` +
		`"month":{"start":"2026-03-14T00:00:00Z","calls":1,"rows":2,"bytes":300,"compute_ms":4},` +
		`"quota":[{"unit":"calls","per":"day","limit":5,"used":1,"hard":true}]}`
	if diff := cmp.Diff(want, strings.TrimSpace(got.body)); got.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%d %s", got.StatusCode, diff)
	}
	got = f.do(request{method: "GET", path: "/usage?from=2026-03-13&to=2026-03-14", token: "noscope"})
	const days = `{"tenant":"default","days":[{"start":"2026-03-13T00:00:00Z","calls":1,"rows":2,"bytes":300,"compute_ms":4},` +
		`{"start":"2026-03-14T00:00:00Z","calls":1,"rows":2,"bytes":300,"compute_ms":4}]}`
	if diff := cmp.Diff(days, strings.TrimSpace(got.body)); got.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%d %s", got.StatusCode, diff)
	}
	for path, want := range map[string]string{
		"/usage?to=2026-03-14":   "The parameter to is the last day of a range: send the first as from, too",
		"/usage?from=March":      "The parameter from must be a day such as 2030-01-31",
		"/usage?from=0001-01-01": "The parameter from must be a day such as 2030-01-31",
		"/usage?at=2026-03-14":   "; this path takes from, to",
	} {
		if got := f.do(request{method: "GET", path: path, token: "user"}); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	for path, want := range map[string]int{"/usage?tenant=acme": http.StatusBadRequest, "/usage/": http.StatusBadRequest} {
		if got := f.do(request{method: "GET", path: path, token: "user"}); got.StatusCode != want {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	if got := f.do(request{method: "GET", path: "/usage"}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a credential: %d", got.StatusCode)
	}
}

func usageOfTenantsIsForTheirAdministrators(t *testing.T, a *administration) {
	t.Helper()
	all := names(a.ask("admin", "GET", "/usage", ""), "usage", "tenant")
	if diff := cmp.Diff([]string{"acme", "default"}, all); diff != "" {
		t.Error(diff)
	}
	page := a.ask("admin", "GET", "/usage?limit=1&at=2026-10-31", "")
	if o := page.json(t); o["next"] != "acme" || !strings.Contains(page.body, `"start":"2026-10-31T00:00:00Z"`) {
		t.Errorf("%s", page.body)
	}
	for who, paths := range map[string]map[string][]string{
		"boss":  {"/usage": {"acme"}, "/usage?tenant=acme": {"acme"}, "/usage?tenant=default": nil},
		"admin": {"/usage?tenant=acme": {"acme"}, "/usage?tenant=nobody": nil, "/usage?after=acme": {"default"}},
	} {
		for path, want := range paths {
			if diff := cmp.Diff(want, names(a.ask(who, "GET", path, ""), "usage", "tenant")); diff != "" {
				t.Errorf("%s %s: %s", who, path, diff)
			}
		}
	}
	for path, want := range map[string]int{
		"/usage?at=today": 400, "/usage?limit=0": 400, "/usage?key=x": 400, "/usage?by=": 400, "/usage?by=person": 400,
		"/usage?from=2026-10-31&at=2026-10-31": 400, "/usage?to=2026-10-31": 400, "/usage?from=2026-10-31&limit=101": 400,
	} {
		if got := a.ask("admin", "GET", path, ""); got.StatusCode != want {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	if got := a.ask("user", "GET", "/usage", ""); got.StatusCode != http.StatusForbidden {
		t.Errorf("a user: %d", got.StatusCode)
	}
}

func usageComesAsATable(t *testing.T, a *administration) {
	t.Helper()
	table := func(query string) *reply {
		return a.doAt(a.admin, request{method: "GET", path: "/admin/v1/usage?" + query, token: "admin", header: http.Header{"Accept": {"text/csv"}}})
	}
	if got := a.ask("landlord", "POST", "/tenants", `{"name":"`+goneTenant+`"}`); got.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := table("limit=2&at=2026-10-31"); got.StatusCode != http.StatusOK || strings.Contains(got.body, goneTenant) || !strings.Contains(got.body, "\nacme,day,") {
		t.Errorf("beside one that is deleted meanwhile: %d %s", got.StatusCode, got.body)
	}
	if got := a.ask("landlord", "DELETE", "/tenants/"+goneTenant, ""); got.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	got := table("limit=1&at=2026-10-31")
	const want = "tenant,per,start,calls,rows,bytes,compute_ms\r\n" +
		"acme,day,2026-10-31T00:00:00Z,1,2,300,4\r\nacme,month,2026-10-31T00:00:00Z,1,2,300,4\r\n"
	if got.body != want || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("%d %s\n%s", got.StatusCode, got.Header, got.body)
	}
	if link := got.Header.Get("Link"); link != `</admin/v1/usage?after=acme&at=2026-10-31&limit=1>; rel="next"` {
		t.Errorf("Link: %s", link)
	}
	const days = "tenant,per,start,calls,rows,bytes,compute_ms\r\n" +
		"acme,day,2026-10-30T00:00:00Z,1,2,300,4\r\nacme,day,2026-10-31T00:00:00Z,1,2,300,4\r\n"
	if got := table("from=2026-10-30&limit=1&to=2026-10-31"); got.body != days || !strings.Contains(got.Header.Get("Link"), "from=2026-10-30&limit=1&to=2026-10-31") {
		t.Errorf("%d %s\n%s", got.StatusCode, got.Header, got.body)
	}
	page := a.ask("admin", "GET", "/usage?from=2026-10-31&tenant=acme", "")
	if !strings.Contains(page.body, `{"usage":[{"tenant":"acme","days":[{"start":"2026-10-31T00:00:00Z","calls":1,`) {
		t.Errorf("%s", page.body)
	}
}
