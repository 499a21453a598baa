package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/apikey"
)

// text returns a text member of an answer.
func (r *reply) text(tb testing.TB, member string) string {
	tb.Helper()
	s, _ := r.json(tb)[member].(string)
	return s
}

// K01: a key's text is in the answer that makes it, and nowhere else.
func keysAreManagedAndTheirTextIsShownOnce(t *testing.T, a *administration) {
	t.Helper()
	made := a.ask("admin", "POST", "/keys", `{"name":"scoring","roles":["user"],"scopes":["models:predict"],"models":["iris"],
		"addresses":["10.0.0.0/8"],"rate":"100/minute","expires":"90d"}`)
	id, text := made.text(t, "id"), made.text(t, "key")
	if made.StatusCode != http.StatusCreated || made.Header.Get("Location") != "/admin/v1/keys/"+id || made.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", made.StatusCode, made.Header, made.body)
	}
	if p, err := apikey.Whole(text); err != nil || p.ID != id {
		t.Errorf("%q: %v", text, err)
	}
	rotated := a.ask("admin", "POST", "/keys/"+id+"/rotate", `{"overlap":"0s"}`)
	again := rotated.text(t, "key")
	if rotated.StatusCode != http.StatusOK || again == text || rotated.text(t, "id") != id || rotated.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", rotated.StatusCode, rotated.body)
	}
	changed := a.ask("admin", "PATCH", "/keys/"+id, `{"roles":["owner"],"scopes":["models:read"],"addresses":[],"rate":"","quota":"soft:calls=8e3/day","expires":"","disabled":true}`)
	want := map[string]any{
		"id": id, "name": "scoring", "tenant": "default", "roles": []any{"owner"}, "scopes": []any{"models:read"}, "models": []any{"iris"},
		"addresses": []any{}, "rate": nil, "quota": "soft:calls=8000/day", "expires": nil, "disabled": true, "state": "disabled", "created_by": "admin", "last_used": nil,
	}
	got := changed.json(t)
	delete(got, "created")
	if diff := cmp.Diff(want, got); changed.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%d %s", changed.StatusCode, diff)
	}
	for _, answer := range []*reply{changed, a.ask("admin", "GET", "/keys/"+id, ""), a.ask("admin", "GET", "/keys?disabled=true", "")} {
		for _, secret := range []string{text, again, strings.TrimPrefix(again, "ogk_"+id+"_")} {
			if strings.Contains(answer.body, secret) || !strings.Contains(answer.body, id) {
				t.Errorf("%s", answer.body)
			}
		}
	}
	for _, want := range []int{204, 404} {
		if got := a.ask("admin", "DELETE", "/keys/"+id, ""); got.StatusCode != want {
			t.Errorf("%d %s, want %d", got.StatusCode, got.body, want)
		}
	}
	if diff := cmp.Diff([]string{
		"apikey.create " + id + " by admin", "apikey.rotate " + id + " by admin", "apikey.update " + id + " by admin", "apikey.revoke " + id + " by admin",
	}, a.changes.all); diff != "" {
		t.Error(diff)
	}
}

func aNarrowingOfAKeyIsTakenAway(t *testing.T, a *administration) {
	t.Helper()
	id := a.ask("admin", "POST", "/keys", `{"name":"k","roles":["user"],"scopes":["models:read"],"models":["iris"],"addresses":["10.0.0.0/8"],
		"rate":"1/minute","expires":"1d"}`).text(t, "id")
	narrowed := a.ask("onemodel", "POST", "/keys", `{"name":"k","roles":["user"],"models":["iris"]}`).text(t, "id")
	if got := a.ask("onemodel", "PATCH", "/keys/"+narrowed, `{"models":null}`); got.StatusCode != http.StatusForbidden {
		t.Errorf("a key for all models, by one for one: %d %s", got.StatusCode, got.body)
	}
	got := a.ask("admin", "PATCH", "/keys/"+id, `{"scopes":null,"models":null,"addresses":null,"rate":null,"expires":null}`).json(t)
	want := map[string]any{"scopes": nil, "models": nil, "addresses": []any{}, "rate": nil, "quota": nil, "expires": nil}
	for name := range got {
		if _, ok := want[name]; !ok {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A key is a way to come by rights, as a user is.
func nobodyMakesOrTakesOverAKeyThatCanDoMore(t *testing.T, a *administration) {
	t.Helper()
	admins := a.ask("admin", "POST", "/keys", `{"name":"all","roles":["admin"]}`).text(t, "id")
	wide := a.ask("admin", "POST", "/keys", `{"name":"wide","roles":["user"]}`).text(t, "id")
	iris := a.ask("admin", "POST", "/keys", `{"name":"iris","roles":["user"],"models":["iris"]}`).text(t, "id")
	acmes := a.ask("boss", "POST", "/keys", `{"name":"acme's","roles":["user"]}`)
	if acmes.slug(t) != "invalid-content" || acmes.faults(t)["#/name"] == "" {
		t.Errorf("a bad name: %d %s", acmes.StatusCode, acmes.body)
	}
	own := a.ask("keymaker", "POST", "/keys", `{"name":"own","roles":["keymaker"]}`).text(t, "id")
	for _, tc := range []struct {
		name, token, method, path, body string
		want                            int
	}{
		{"more", "keymaker", "POST", "/keys", `{"name":"x","roles":["owner"]}`, 403},
		{"more, narrowed to less", "keymaker", "POST", "/keys", `{"name":"x","roles":["admin"],"scopes":["models:predict"]}`, 403},
		{"the secret of a stronger one", "keymaker", "POST", "/keys/" + admins + "/rotate", `{}`, 403},
		{"a stronger one, ended", "keymaker", "DELETE", "/keys/" + admins, "", 403},
		{"its own, raised", "keymaker", "PATCH", "/keys/" + own, `{"roles":["keymaker","admin"]}`, 403},
		{"its own", "keymaker", "PATCH", "/keys/" + own, `{"rate":"1/minute"}`, 200},
		{"a key for one model, widened", "onemodel", "PATCH", "/keys/" + iris, `{"models":["iris","wine"]}`, 403},
		{"a key for all, by one for one model", "onemodel", "POST", "/keys/" + wide + "/rotate", `{}`, 403},
		{"a key for the same model", "onemodel", "POST", "/keys/" + iris + "/rotate", "", 200},
		{"in another tenant", "boss", "POST", "/keys/" + wide + "/rotate", `{}`, 404},
		{"of another tenant", "boss", "POST", "/keys", `{"name":"x","roles":["user"],"tenant":"default"}`, 422},
		{"without the permission", "helen", "GET", "/keys", "", 403},
	} {
		if got := a.ask(tc.token, tc.method, tc.path, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, got.StatusCode, got.body, tc.want)
		}
	}
}

func whatAKeyMayNotBeIsPointedAt(t *testing.T, a *administration) {
	t.Helper()
	got := a.ask("admin", "POST", "/keys", `{"name":"x","roles":["user"],"scopes":["models:fly"],"models":[],"expires":"soon","hash":"0","created_by":"me"}`)
	want := map[string]string{
		"#/scopes/0": "must be one of models:read, models:predict, models:write, users:write, keys:write, tenants:write, audit:read, metrics:read, debug:read, crypto:use",
		"#/models":   "must be an array of 1 to 256 models; leave it out for all models",
		"#/expires":  "must be a time such as 2030-01-31T00:00:00Z, or how long from now, such as 90d",
		"#/hash":     "is not known here", "#/created_by": "is not known here",
	}
	if diff := cmp.Diff(want, got.faults(t)); got.StatusCode != http.StatusUnprocessableEntity || diff != "" {
		t.Errorf("%d %s", got.StatusCode, diff)
	}
	for body, pointer := range map[string]string{
		`{"name":"x","roles":["user"],"rate":"often"}`:                   "#/rate",
		`{"name":"x","roles":["user"],"models":["../x"]}`:                "#/models",
		`{"name":"x","roles":["user"],"expires":"2001-01-01T00:00:00Z"}`: "#/expires",
		`{"name":"x","roles":["user"],"expires":"0001-01-01T00:00:00Z"}`: "#/expires",
		// In UTC it is the year 10000, which no answer could tell.
		`{"name":"x","roles":["user"],"expires":"9999-12-31T23:59:59-12:00"}`: "#/expires",
		`{"name":"x","roles":["user"],"addresses":["::ffff:10.1.2.3"]}`:       "#/addresses/0",
		`{"name":" x","roles":["user"]}`:                                      "#/name",
	} {
		if got := a.ask("admin", "POST", "/keys", body); got.StatusCode != http.StatusUnprocessableEntity || got.faults(t)[pointer] == "" {
			t.Errorf("%s: %d %s", body, got.StatusCode, got.body)
		}
	}
}
