package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
)

func clientsAreManagedAndTheirSecretIsShownOnce(t *testing.T, a *administration) {
	t.Helper()
	made := a.ask("admin", "POST", "/clients", `{"name":"Scoring","roles":["user"],"scopes":["models:predict"]}`)
	id, secret := made.text(t, "client_id"), made.text(t, "client_secret")
	if made.StatusCode != http.StatusCreated || made.Header.Get("Location") != "/admin/v1/clients/"+id || made.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", made.StatusCode, made.Header, made.body)
	}
	if _, err := a.accounts.VerifyClient(t.Context(), id, secret); err != nil {
		t.Error(err)
	}
	rotated := a.ask("admin", "POST", "/clients/"+id+"/rotate", "")
	again := rotated.text(t, "client_secret")
	if _, err := a.accounts.VerifyClient(t.Context(), id, again); rotated.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%d %s: %v", rotated.StatusCode, rotated.body, err)
	}
	if _, err := a.accounts.VerifyClient(t.Context(), id, secret); err == nil {
		t.Error("the former secret counts on without an overlap")
	}
	changed := a.ask("admin", "PATCH", "/clients/"+id, `{"name":"scoring 2","roles":["owner"],"grants":["client_credentials","refresh_token"],"disabled":true}`)
	want := map[string]any{
		"client_id": id, "name": "scoring 2", "tenant": "default", "roles": []any{"owner"}, "scopes": []any{"models:predict"},
		"grants": []any{"client_credentials", "refresh_token"}, "disabled": true, "state": "disabled", "certificate": nil, "created_by": "admin",
	}
	got := changed.json(t)
	delete(got, "created")
	delete(got, "updated")
	if diff := cmp.Diff(want, got); changed.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%d %s", changed.StatusCode, diff)
	}
	for _, answer := range []*reply{changed, a.ask("admin", "GET", "/clients/"+id, ""), a.ask("admin", "GET", "/clients?role=owner", "")} {
		if strings.Contains(answer.body, secret) || strings.Contains(answer.body, again) || !strings.Contains(answer.body, id) {
			t.Errorf("%s", answer.body)
		}
	}
	for _, tc := range []struct {
		token, method, path, body string
		want                      int
	}{
		{"keymaker", "POST", "/clients", `{"name":"x","roles":["owner"]}`, 403},
		{"keymaker", "POST", "/clients/" + id + "/rotate", `{}`, 403},
		{"keymaker", "PATCH", "/clients/" + id, `{"disabled":false}`, 403},
		{"keymaker", "DELETE", "/clients/" + id, "", 403},
		{"onemodel", "POST", "/clients", `{"name":"x","roles":["user"]}`, 403},
		{"boss", "GET", "/clients/" + id, "", 404},
		{"boss", "POST", "/clients/" + id + "/rotate", "{", 404},
		{"boss", "DELETE", "/clients/" + id, "", 404},
		{"admin", "POST", "/clients", `{"name":"x","roles":["user"],"grants":["implicit"]}`, 422},
		{"admin", "POST", "/clients", `{"name":"x","roles":["user"],"secret":"mine"}`, 422},
		{"admin", "POST", "/clients/" + id + "/rotate", `{"overlap":"-1h"}`, 422},
		{"admin", "POST", "/clients/" + id + "/rotate", `{"overlap":"91d"}`, 422},
		{"admin", "DELETE", "/clients/" + id, "", 204},
		{"admin", "DELETE", "/clients/" + id, "", 404},
	} {
		if got := a.ask(tc.token, tc.method, tc.path, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s %s %s %s: %d %s, want %d", tc.token, tc.method, tc.path, tc.body, got.StatusCode, got.body, tc.want)
		}
	}
}

func theCertificateAndTheScopesOfAClientAreTakenAway(t *testing.T, a *administration) {
	t.Helper()
	id := a.ask("admin", "POST", "/clients", `{"name":"a","roles":["user"],"scopes":["models:read"],"certificate":"dns:a.example"}`).text(t, "client_id")
	other := a.ask("admin", "POST", "/clients", `{"name":"b","roles":["user"]}`).text(t, "client_id")
	bound := func(name string) string {
		t.Helper()
		p, err := a.accounts.ClientByCertificate(t.Context(), []string{name})
		if err != nil {
			return ""
		}
		return p.Subject
	}
	if bound("dns:a.example") != id {
		t.Error("the certificate of a new client")
	}
	for _, tc := range []struct {
		id, body string
		want     int
	}{
		{other, `{"certificate":"dns:a.example"}`, 409},
		{id, `{"certificate":"a.example"}`, 422},
		{id, `{"scopes":[]}`, 422},
		{id, `{"roles":null}`, 422},
		{id, `{"certificate":"dns:b.example"}`, 200},
		{other, `{"certificate":"dns:a.example"}`, 200},
	} {
		if got := a.ask("admin", "PATCH", "/clients/"+tc.id, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.body, got.StatusCode, got.body, tc.want)
		}
	}
	if bound("dns:a.example") != other || bound("dns:b.example") != id {
		t.Error("the certificates did not change hands")
	}
	got := a.ask("admin", "PATCH", "/clients/"+id, `{"certificate":null,"scopes":null}`).json(t)
	if got["certificate"] != nil || got["scopes"] != nil || bound("dns:b.example") != "" {
		t.Errorf("%v", got)
	}
}

func tokensAreRevoked(t *testing.T, a *administration) {
	t.Helper()
	stamp := func(name string) string {
		t.Helper()
		_, stamp, err := a.accounts.VerifyPassword(t.Context(), name, goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		return stamp
	}
	stands := func(name, stamp, token string) bool {
		t.Helper()
		ok, err := a.accounts.TokenStands(t.Context(), name, stamp, "jti-"+token)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	alice, uma := stamp("alice"), stamp("uma")
	for _, tc := range []struct {
		token, body, fault string
		want               int
	}{
		{"boss", `{"token":"of-alice"}`, "#/token", 422},
		{"boss", `{"subject":"alice"}`, "#/subject", 422},
		{"boss", `{"subject":"nobody"}`, "#/subject", 422},
		{"admin", `{"token":"nonsense"}`, "#/token", 422},
		{"admin", `{"token":"of-alice","subject":"alice"}`, "#", 422},
		{"admin", `{}`, "#", 422},
		{"keymaker", `{"subject":"admin"}`, "", 403},
	} {
		got := a.ask(tc.token, "POST", "/revocations", tc.body)
		if got.StatusCode != tc.want || tc.fault != "" && got.faults(t)[tc.fault] == "" {
			t.Errorf("%s %s: %d %s, want %d", tc.token, tc.body, got.StatusCode, got.body, tc.want)
		}
	}
	if !stands("alice", alice, "of-alice") || !stands("uma", uma, "of-uma") {
		t.Error("a refused revocation ended a token")
	}
	for token, body := range map[string]string{"admin": `{"token":"of-alice"}`, "boss": `{"subject":"uma"}`} {
		if got := a.ask(token, "POST", "/revocations", body); got.StatusCode != http.StatusNoContent {
			t.Errorf("%s %s: %d %s", token, body, got.StatusCode, got.body)
		}
	}
	if stands("alice", alice, "of-alice") || !stands("alice", alice, "another") || stands("uma", uma, "another") {
		t.Error("one token of alice's and all of uma's must have ended")
	}
	if by := (accounts.Actor{Name: "x", Tenant: "acme"}); a.accounts.RevokeAll(t.Context(), by, "alice") == nil {
		t.Error("another tenant's")
	}
}
