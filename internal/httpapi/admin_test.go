package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/sqlstore"
)

// callers are principals by their tokens.
type callers map[string]*identity.Principal

func (c callers) Authenticate(_ context.Context, presented authn.Credentials) (*identity.Principal, error) {
	if p, ok := c[presented.Bearer]; ok {
		return p, nil
	}
	return nil, fault.New(fault.Unauthenticated, "Authentication is required")
}

// recorder keeps who changed what.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) Record(_ context.Context, rec *audit.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, string(rec.Event)+" "+rec.Object+" by "+strings.TrimSpace(rec.Issuer+" "+rec.Actor))
	return nil
}

// administration is a running API on accounts in a real database: the tenants
// default and acme, each with an administrator and a user.
type administration struct {
	*fixture

	accounts *accounts.Service
	changes  *recorder
	oneModel string // the id of an API key for one model
}

const (
	goodPassword = "lamp-violet-orbit-42"
	nextPassword = "river stone candle 7"
)

// ownRoles are those of the operator.
var ownRoles = map[string][]string{
	"helpdesk":  {identity.UsersWrite, identity.ModelsRead, identity.ModelsPredict},
	"landlord":  {identity.TenantsWrite},
	"keymaker":  {identity.KeysWrite, identity.ModelsPredict},
	"stretched": {identity.MetricsRead},
}

func newAdministration(t *testing.T, database sqlstore.Config) *administration {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &administration{changes: &recorder{}}
	a.accounts, err = accounts.New(accounts.Config{
		Store: store, Params: accounts.Params{Memory: 64, Time: 1, Threads: 1}, Audit: a.changes, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.seed(t)
	roles, err := authz.NewRoles(ownRoles)
	if err != nil {
		t.Fatal(err)
	}
	a.fixture = newAPI(t, func(c *httpapi.Config) {
		c.Accounts, c.Roles, c.Authenticator = a.accounts, roles, everybody(roles, a.oneModel)
	}).serve()
	return a
}

func (a *administration) seed(t *testing.T) {
	t.Helper()
	by := accounts.Actor{Name: "seed", Tenant: accounts.AnyTenant}
	if _, err := a.accounts.AddTenant(t.Context(), by, accounts.NewTenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	for _, add := range []accounts.NewUser{
		{Name: "admin", Roles: []string{"admin"}},
		{Name: "alice", Roles: []string{"user"}},
		{Name: "helen", Roles: []string{"helpdesk"}},
		{Name: "kim", Roles: []string{"keymaker"}},
		{Name: "lord", Roles: []string{"landlord"}},
		{Name: "boss@acme", Roles: []string{"admin"}, Tenant: "acme"},
		{Name: "uma", Roles: []string{"user", "analyst"}, Tenant: "acme"},
	} {
		add.Password = goodPassword
		if _, _, err := a.accounts.Add(t.Context(), by, add); err != nil {
			t.Fatal(err)
		}
	}
	key, _, err := a.accounts.CreateKey(t.Context(), by, accounts.NewKey{Name: "one model", Roles: []string{"admin"}, Models: []string{"iris"}})
	if err != nil {
		t.Fatal(err)
	}
	a.oneModel = key.ID
	a.changes.all = nil
}

func everybody(roles authz.Roles, oneModelKey string) callers {
	who := func(tenant, name string, words ...string) *identity.Principal {
		return &identity.Principal{Subject: name, Tenant: tenant, Roles: words, Scopes: roles.Of(tenant, words), Method: identity.Bearer}
	}
	narrow := who("default", "admin", "admin")
	narrow.Scopes = []string{identity.UsersWrite}
	outside := who("default", "f81d4fae", "admin")
	outside.Issuer, outside.Method = "https://idp.example", identity.Outside
	oneModel := who("default", identity.KeySubject+oneModelKey, "admin")
	oneModel.Models, oneModel.Method = []string{"iris"}, identity.APIKey
	return callers{
		"admin": who("default", "admin", "admin"), "user": who("default", "alice", "user"), "helen": who("default", "helen", "helpdesk"),
		"landlord": who("default", "lord", "landlord"), "keymaker": who("default", "kim", "keymaker"), "boss": who("acme", "boss@acme", "admin"),
		"narrow": narrow, "outside": outside, "onemodel": oneModel,
	}
}

// ask sends a request to the administration listener.
func (a *administration) ask(token, method, path, body string) *reply {
	a.t.Helper()
	return a.doAt(a.admin, request{method: method, path: "/admin/v1" + path, token: token, body: body})
}

func names(r *reply, kind, member string) []string {
	var all []string
	var page map[string]any
	if err := json.Unmarshal([]byte(r.body), &page); err != nil {
		return []string{err.Error()}
	}
	list, _ := page[kind].([]any)
	for _, item := range list {
		o, _ := item.(map[string]any)
		name, _ := o[member].(string)
		all = append(all, name)
	}
	return all
}

func usersAreManaged(t *testing.T, a *administration) {
	t.Helper()
	got := a.ask("admin", "POST", "/users", `{"name":"Bob","password":"`+goodPassword+`","roles":["user","analyst"]}`)
	if got.StatusCode != http.StatusCreated || got.Header.Get("Location") != "/admin/v1/users/bob" || strings.Contains(got.body, goodPassword) {
		t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
	}
	want := map[string]any{"name": "bob", "tenant": "default", "roles": []any{"user", "analyst"}, "disabled": false, "state": "enabled"}
	see := func(got *reply) {
		t.Helper()
		o := got.json(t)
		delete(o, "created")
		delete(o, "updated")
		if diff := cmp.Diff(want, o); got.StatusCode >= 300 || diff != "" {
			t.Errorf("%d %s\n%s", got.StatusCode, got.body, diff)
		}
	}
	see(got)
	see(a.ask("admin", "GET", "/users/bob", ""))
	want["roles"], want["disabled"], want["state"] = []any{"owner"}, true, "disabled"
	see(a.ask("admin", "PATCH", "/users/bob", `{"roles":["owner"],"disabled":true,"password":"`+nextPassword+`"}`))
	want["disabled"], want["state"] = false, "enabled"
	see(a.ask("admin", "PATCH", "/users/bob", `{"disabled":false}`))
	if _, _, err := a.accounts.VerifyPassword(t.Context(), "bob", nextPassword); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if got := a.ask("admin", "DELETE", "/users/bob", ""); got.StatusCode != http.StatusNoContent || got.body != "" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := a.ask("admin", "GET", "/users/bob", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	wantChanges := []string{"user.add bob by admin", "user.update bob by admin", "user.update bob by admin", "user.delete bob by admin"}
	if diff := cmp.Diff(wantChanges, a.changes.all); diff != "" {
		t.Errorf("one record for each change:\n%s", diff)
	}
}

func tenantsAreManaged(t *testing.T, a *administration) {
	t.Helper()
	got := a.ask("landlord", "POST", "/tenants", `{"name":"globex","addresses":["10.1.2.3/8","192.0.2.1"]}`)
	if got.StatusCode != http.StatusCreated || got.Header.Get("Location") != "/admin/v1/tenants/globex" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if diff := cmp.Diff([]any{"10.0.0.0/8", "192.0.2.1/32"}, got.json(t)["addresses"]); diff != "" {
		t.Error(diff)
	}
	got = a.ask("landlord", "PATCH", "/tenants/globex", `{"addresses":[],"disabled":true}`)
	if o := got.json(t); got.StatusCode != http.StatusOK || o["disabled"] != true || !cmp.Equal(o["addresses"], []any{}) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	got = a.ask("landlord", "PATCH", "/tenants/globex", `{"rate":"100/minute","quota":"calls=1e4/day,soft:calls=8000/day"}`)
	if o := got.json(t); got.StatusCode != http.StatusOK || o["rate"] != "100/minute" || o["quota"] != "calls=10000/day,soft:calls=8000/day" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	got = a.ask("landlord", "PATCH", "/tenants/globex", `{"rate":null}`)
	if o := got.json(t); got.StatusCode != http.StatusOK || o["rate"] != nil || o["quota"] != "calls=10000/day,soft:calls=8000/day" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	got = a.ask("landlord", "PATCH", "/tenants/globex", `{"addresses":["192.0.2.0/24"]}`)
	if o := got.json(t); !cmp.Equal(o["addresses"], []any{"192.0.2.0/24"}) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	got = a.ask("landlord", "PATCH", "/tenants/globex", `{"addresses":null}`)
	if o := got.json(t); got.StatusCode != http.StatusOK || !cmp.Equal(o["addresses"], []any{}) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := a.ask("landlord", "PATCH", "/tenants/globex", `{"quota":"calls=5/hour"}`); got.StatusCode != http.StatusUnprocessableEntity || got.faults(t)["#/quota"] == "" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := names(a.ask("landlord", "GET", "/tenants?disabled=true", ""), "tenants", "name"); !slices.Equal(got, []string{"globex"}) {
		t.Errorf("%v", got)
	}
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/tenants", `{"name":"globex"}`, 409},
		{"PATCH", "/tenants/default", `{"disabled":true}`, 409},
		{"DELETE", "/tenants/default", "", 409},
		{"PATCH", "/tenants/default", `{"addresses":["192.0.2.0/24"]}`, 409},
		{"PATCH", "/tenants/default", `{"addresses":["192.0.2.0/24","127.0.0.0/8","::1"]}`, 200},
		{"PATCH", "/tenants/acme", `{"addresses":["192.0.2.0/24"]}`, 200},
		{"DELETE", "/tenants/globex", "", 204},
		{"DELETE", "/tenants/globex", "", 404},
		{"PATCH", "/tenants/globex", `{}`, 404},
		{"POST", "/tenants", `{"name":"Globex"}`, 422},
	} {
		if got := a.ask("landlord", tc.method, tc.path, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s %s %s: %d %s, want %d", tc.method, tc.path, tc.body, got.StatusCode, got.body, tc.want)
		}
	}
}

// Z03: what is another tenant's is not there, in the same bytes.
func anotherTenantsThingsAreNotThere(t *testing.T, a *administration) {
	t.Helper()
	anonymous := func(got *reply, name string) string {
		id, _ := got.json(t)["request_id"].(string)
		return fmt.Sprint(got.StatusCode) + strings.NewReplacer(id, "", name, "NAME").Replace(got.body)
	}
	for _, tc := range []struct{ method, body string }{
		{"GET", ""},
		{"DELETE", ""},
		{"PATCH", `{"disabled":true}`},
		{"PATCH", `{"password":"` + nextPassword + `"}`},
		{"PATCH", `{"roles":["nobodys"],"x":1}`},
		{"PATCH", `{`},
	} {
		foreign, absent := a.ask("boss", tc.method, "/users/alice", tc.body), a.ask("boss", tc.method, "/users/nobody", tc.body)
		if f, n := anonymous(foreign, "alice"), anonymous(absent, "nobody"); foreign.StatusCode != http.StatusNotFound || f != n {
			t.Errorf("%s %s:\n%s\n%s", tc.method, tc.body, f, n)
		}
	}
	for _, tenant := range []string{"default", "nowhere"} {
		got := a.ask("boss", "POST", "/users", `{"name":"bob","password":"`+goodPassword+`","roles":["user"],"tenant":"`+tenant+`"}`)
		if got.StatusCode != http.StatusUnprocessableEntity || got.faults(t)["#/tenant"] != "there is no tenant "+tenant {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
		if got := a.ask("boss", "GET", "/users?tenant="+tenant, ""); got.StatusCode != http.StatusOK || len(names(got, "users", "name")) > 0 {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
	if got := names(a.ask("boss", "GET", "/users", ""), "users", "name"); !slices.Equal(got, []string{"boss@acme", "uma"}) {
		t.Errorf("%v", got)
	}
	got := a.ask("boss", "POST", "/users", `{"name":"ben","password":"`+goodPassword+`","roles":["user"]}`)
	if got.StatusCode != http.StatusCreated || got.json(t)["tenant"] != "acme" {
		t.Errorf("%d %s; want a user of the caller's own tenant", got.StatusCode, got.body)
	}
	if got := a.ask("boss", "GET", "/tenants", ""); got.StatusCode != http.StatusForbidden {
		t.Errorf("tenants for a tenant: %d", got.StatusCode)
	}
	if got := a.ask("admin", "PATCH", "/users/boss@acme", `{"disabled":true}`); got.StatusCode != http.StatusOK {
		t.Errorf("the default tenant acts on every tenant: %d %s", got.StatusCode, got.body)
	}
}

// Nobody comes by a right that they do not hold, whatever they add or change.
func nobodyGivesOrTakesOverWhatTheyDoNotHold(t *testing.T, a *administration) {
	t.Helper()
	add := func(name, role string) string {
		return `{"name":"` + name + `","password":"` + goodPassword + `","roles":["` + role + `"]}`
	}
	for _, tc := range []struct {
		name, token, method, path, body string
		want                            int
	}{
		{"a role with less", "helen", "POST", "/users", add("new-1", "user"), 201},
		{"one's own role", "helen", "POST", "/users", add("new-2", "helpdesk"), 201},
		{"in another tenant", "helen", "POST", "/users", `{"name":"new-3","tenant":"acme","password":"` + goodPassword + `","roles":["user"]}`, 201},
		{"a role with more", "helen", "POST", "/users", add("new-4", "owner"), 403},
		{"the administrator's", "helen", "POST", "/users", add("new-4", "admin"), 403},
		{"one role of two", "helen", "POST", "/users", `{"name":"new-4","password":"` + goodPassword + `","roles":["user","admin"]}`, 403},
		{"the administrator's of a tenant", "helen", "POST", "/users", `{"name":"new-4","tenant":"acme","password":"` + goodPassword + `","roles":["admin"]}`, 403},
		{"a word of the models' rules", "helen", "POST", "/users", add("new-4", "analyst"), 403},
		{"a word, by an administrator", "admin", "POST", "/users", add("new-5", "analyst"), 201},
		{"a role without effect in a tenant", "helen", "POST", "/users", `{"name":"new-6","tenant":"acme","password":"` + goodPassword + `","roles":["stretched"]}`, 403},
		{"raising oneself", "helen", "PATCH", "/users/helen", `{"roles":["helpdesk","admin"]}`, 403},
		{"raising another", "helen", "PATCH", "/users/alice", `{"roles":["user","owner"]}`, 403},
		{"an administrator's password", "helen", "PATCH", "/users/admin", `{"password":"` + nextPassword + `"}`, 403},
		{"an administrator, lowered", "helen", "PATCH", "/users/admin", `{"roles":["user"]}`, 403},
		{"an administrator, disabled", "helen", "PATCH", "/users/admin", `{"disabled":true}`, 403},
		{"an administrator, deleted", "helen", "DELETE", "/users/admin", "", 403},
		{"a tenant's administrator", "helen", "DELETE", "/users/boss@acme", "", 403},
		{"somebody with a word", "helen", "PATCH", "/users/uma", `{"disabled":true}`, 403},
		{"a lesser one", "helen", "PATCH", "/users/alice", `{"disabled":true}`, 200},
		{"a scope of an administrator's token", "narrow", "POST", "/users", add("new-7", "user"), 403},
		{"a scope, over an administrator", "narrow", "PATCH", "/users/admin", `{"password":"` + nextPassword + `"}`, 403},
		{"a key for one model", "onemodel", "POST", "/users", add("new-8", "user"), 403},
		{"an administrator of a tenant", "boss", "POST", "/users", add("new-9", "admin"), 201},
		{"and a word", "boss", "PATCH", "/users/uma", `{"roles":["analyst","tester"]}`, 200},
		{"without the permission", "user", "POST", "/users", add("new-10", "user"), 403},
		{"another permission", "landlord", "GET", "/users", "", 403},
	} {
		if got := a.ask(tc.token, tc.method, tc.path, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, got.StatusCode, got.body, tc.want)
		}
	}
	if u, err := a.accounts.User(t.Context(), accounts.AnyTenant, "admin"); err != nil || u.Disabled || !slices.Equal(u.Roles, []string{"admin"}) {
		t.Errorf("%+v %v", u, err)
	}
}

func theLastAdministratorStays(t *testing.T, a *administration) {
	t.Helper()
	for _, tc := range []struct{ method, body string }{{"DELETE", ""}, {"PATCH", `{"disabled":true}`}, {"PATCH", `{"roles":["user"]}`}} {
		if got := a.ask("admin", tc.method, "/users/admin", tc.body); got.StatusCode != http.StatusConflict {
			t.Errorf("%s %s: %d %s", tc.method, tc.body, got.StatusCode, got.body)
		}
	}
}

// A07: whoever changes their own password knows the current one.
func onesOwnPasswordIsChangedWithTheCurrentOne(t *testing.T, a *administration) {
	t.Helper()
	for _, tc := range []struct {
		token, user, body string
		want              int
	}{
		{"admin", "admin", `{"password":"` + nextPassword + `"}`, 422},
		{"admin", "admin", `{"password":"` + nextPassword + `","current_password":"` + nextPassword + `"}`, 422},
		{"admin", "admin", `{"password":"` + nextPassword + `","current_password":"` + goodPassword + `"}`, 200},
		{"admin", "alice", `{"password":"` + nextPassword + `"}`, 200},
		{"outside", "alice", `{"password":"` + goodPassword + `"}`, 200},
	} {
		got := a.ask(tc.token, "PATCH", "/users/"+tc.user, tc.body)
		if got.StatusCode != tc.want || tc.want == 422 && got.faults(t)["#/current_password"] == "" {
			t.Errorf("%s: %d %s, want %d", tc.body, got.StatusCode, got.body, tc.want)
		}
	}
	want := []string{"user.update admin by admin", "user.update alice by admin", "user.update alice by https://idp.example f81d4fae"}
	if diff := cmp.Diff(want, a.changes.all); diff != "" {
		t.Error(diff)
	}
}

// Z04: no member that is not asked for is taken.
func bodiesOfAdministrationAreReadStrictly(t *testing.T, a *administration) {
	t.Helper()
	long := strings.Repeat("a", 70)
	for name, tc := range map[string]struct {
		method, path, body string
		faults             map[string]string
	}{
		"unknown": {"POST", "/users", `{"name":"bob","password":"` + goodPassword + `","roles":["user"],"is_admin":true,"created":"x"}`, map[string]string{
			"#/is_admin": "is not known here", "#/created": "is not known here",
		}},
		"another case": {"PATCH", "/users/alice", `{"Roles":["admin"]}`, map[string]string{"#/Roles": `is not known here; did you mean "roles"?`}},
		"the tenant of a user stays": {"PATCH", "/users/alice", `{"tenant":"acme","name":"x"}`, map[string]string{
			"#/tenant": "is not known here", "#/name": "is not known here",
		}},
		"null":      {"PATCH", "/users/alice", `{"roles":null}`, map[string]string{"#/roles": "must be an array of 1 to 32 roles"}},
		"no roles":  {"PATCH", "/users/alice", `{"roles":[]}`, map[string]string{"#/roles": "must be an array of 1 to 32 roles"}},
		"a text":    {"PATCH", "/users/alice", `{"roles":"admin"}`, map[string]string{"#/roles": "must be an array of 1 to 32 roles"}},
		"no truth":  {"PATCH", "/users/alice", `{"disabled":"true"}`, map[string]string{"#/disabled": "must be true or false"}},
		"nothing":   {"PATCH", "/users/alice", `{}`, map[string]string{"#": "must name what to change: password, current_password, roles, disabled"}},
		"a role":    {"PATCH", "/users/alice", `{"roles":["user","Admin "]}`, map[string]string{"#/roles/1": "a role is a word of 1 to 64 characters of a-z, 0-9, _ and - that begins with a letter"}},
		"many":      {"POST", "/users", `{"name":"` + long + `","tenant":"*","roles":[]}`, map[string]string{"#/name": "a user name has 1 to 64 characters of a-z, 0-9 and . _ @ - and begins with a letter or a digit", "#/password": "is required", "#/roles": "must be an array of 1 to 32 roles", "#/tenant": "a tenant has 1 to 63 characters of a-z, 0-9 and - and begins with a letter or a digit"}},
		"weak":      {"POST", "/users", `{"name":"bob","password":"short","roles":["user"]}`, map[string]string{"#/password": "the password has 5 characters; at least 15 are needed; this makes a good one: openssl rand -base64 24"}},
		"a network": {"POST", "/tenants", `{"name":"x","addresses":["10.0.0.0/8","10.0.0.0/33"]}`, map[string]string{"#/addresses/1": "10.0.0.0/33 is neither an address nor a network such as 10.0.0.0/8"}},
		"a tenant":  {"POST", "/users", `{"name":"bob","password":"` + goodPassword + `","roles":["user"],"tenant":"nowhere"}`, map[string]string{"#/tenant": "there is no tenant nowhere; make it with `onnxgate tenant create nowhere`"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.ask("admin", tc.method, tc.path, tc.body)
			if diff := cmp.Diff(tc.faults, got.faults(t)); got.StatusCode != http.StatusUnprocessableEntity || diff != "" {
				t.Errorf("%d %s\n%s", got.StatusCode, got.body, diff)
			}
		})
	}
	for name, body := range map[string]string{"twice": `{"disabled":true,"disabled":false}`, "cut": `{"disabled":true`, "behind": `{"disabled":true} {}`} {
		if got := a.ask("admin", "PATCH", "/users/alice", body); got.slug(t) != "invalid-syntax" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	if u, err := a.accounts.User(t.Context(), accounts.AnyTenant, "alice"); err != nil || u.Disabled || u.Tenant != "default" {
		t.Errorf("%+v %v; want no change", u, err)
	}
	if len(a.changes.all) > 0 {
		t.Errorf("%v", a.changes.all)
	}
}

func listsHavePagesAndFilters(t *testing.T, a *administration) {
	t.Helper()
	by := accounts.Actor{Name: "seed", Tenant: accounts.AnyTenant}
	for i := range 12 {
		role := []string{"user", "owner"}[i%2]
		if _, _, err := a.accounts.Add(t.Context(), by, accounts.NewUser{Name: fmt.Sprintf("u%02d", i), Password: goodPassword, Roles: []string{role}, Tenant: "acme"}); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(query string) (all []string, pages int) {
		t.Helper()
		for after := ""; ; pages++ {
			got := a.ask("admin", "GET", "/users?"+query+after, "")
			if got.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", got.StatusCode, got.body)
			}
			all = append(all, names(got, "users", "name")...)
			next, more := got.json(t)["next"].(string)
			if !more {
				return all, pages + 1
			}
			after = "&after=" + next
		}
	}
	odd := []string{"u01", "u03", "u05", "u07", "u09", "u11"}
	for query, want := range map[string]struct {
		all   []string
		pages int
	}{
		"role=owner&limit=2":                {odd, 3},
		"role=owner&limit=6":                {odd, 1},
		"role=owner&limit=5":                {odd, 2},
		"tenant=acme&role=owner&limit=500":  {odd, 1},
		"tenant=default&role=owner&limit=1": {nil, 1},
		"role=admin&limit=1":                {[]string{"admin", "boss@acme"}, 2},
		"disabled=true":                     {nil, 1},
		"tenant=default&disabled=false":     {[]string{"admin", "alice", "helen", "kim", "lord"}, 1},
		"tenant=nowhere":                    {nil, 1},
	} {
		all, pages := walk(query)
		if diff := cmp.Diff(want.all, all); diff != "" || pages != want.pages {
			t.Errorf("%s: %d pages, want %d\n%s", query, pages, want.pages, diff)
		}
	}
	for query, detail := range map[string]string{
		"page=2": "Unknown parameter", "limit=0": "from 1 to 500", "limit=501": "from 1 to 500", "limit=x": "from 1 to 500",
		"limit=1&limit=2": "twice", "disabled=yes": "true or false", "role=": "must have a value", "after=" + strings.Repeat("a", 300): "must have a value",
		"Tenant=acme": "Unknown parameter", "%zz": "NAME=VALUE", "a;b": "NAME=VALUE",
	} {
		if got := a.ask("admin", "GET", "/users?"+query, ""); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, detail) {
			t.Errorf("%s: %d %s, want %q", query, got.StatusCode, got.body, detail)
		}
	}
	for _, path := range []string{"/users/alice?x=1", "/tenants/acme?force=true"} {
		if got := a.ask("admin", "DELETE", path, ""); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

// W04: no page of another site changes anything, whatever its browser adds.
func pagesOfOtherSitesChangeNothing(t *testing.T, a *administration) {
	t.Helper()
	for name, tc := range map[string]struct {
		header http.Header
		host   string
		want   int
	}{
		"another site":            {http.Header{"Sec-Fetch-Site": {"cross-site"}}, "", 403},
		"a site beside":           {http.Header{"Sec-Fetch-Site": {"same-site"}}, "", 403},
		"an old browser":          {http.Header{"Origin": {"https://evil.example"}}, "", 403},
		"a sandbox":               {http.Header{"Origin": {"null"}}, "", 403},
		"a form in disguise":      {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"text/plain"}}, "", 403},
		"a rebound name":          {nil, "evil.example", 421},
		"no browser":              {nil, "", 422},
		"a page of this listener": {http.Header{"Sec-Fetch-Site": {"same-origin"}}, "", 422},
	} {
		got := a.doAt(a.admin, request{method: "POST", path: "/admin/v1/users", token: "admin", body: `{}`, header: tc.header, host: tc.host})
		if got.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", name, got.StatusCode, got.body, tc.want)
		}
		for header := range got.Header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: %s", name, header)
			}
		}
	}
}

func theContractOfAdministrationIsWholeAndHolds(t *testing.T, a *administration) {
	t.Helper()
	got := a.ask("user", "GET", "/openapi.json", "")
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	doc := got.json(t)
	checkWhole(t, doc)
	for _, tc := range []struct{ method, path, body, schema string }{
		{"POST", "/users", `{"name":"bob","password":"` + goodPassword + `","roles":["user"]}`, "User"},
		{"GET", "/users/bob", "", "User"},
		{"PATCH", "/users/bob", `{"disabled":true}`, "User"},
		{"POST", "/tenants", `{"name":"globex","addresses":["::1"]}`, "Tenant"},
		{"GET", "/users/none", "", "Problem"},
		{"POST", "/keys", `{"name":"x","roles":["user"],"expires":"90d"}`, "SecretKey"},
		{"GET", "/models/iris/policy", "", "Policy"},
		{"POST", "/models/iris/policy/test", `{"principal":{}}`, "Decision"},
	} {
		answer := a.ask("admin", tc.method, tc.path, tc.body)
		if err := compileAt(t, doc, "#/components/schemas/"+tc.schema).Validate(answer.json(t)); err != nil {
			t.Errorf("%s %s: %s: %v", tc.method, tc.path, answer.body, err)
		}
	}
	if got := a.ask("", "GET", "/openapi.json", ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.StatusCode)
	}
}

func policiesAreShownAndTested(t *testing.T, a *administration) {
	t.Helper()
	got := a.ask("admin", "GET", "/models/iris/policy", "")
	want := map[string]any{
		"model": "iris", "version": "2", "tenant": "default", "roles": []any{"admin"}, "rules": []any{}, "require": []any{}, "share": []any{},
	}
	if diff := cmp.Diff(want, got.json(t)); got.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%d %s", got.StatusCode, diff)
	}
	for body, want := range map[string]string{
		`{"principal":{"subject":"x","roles":["user","admin"]}}`:                          `{"allow":true,"rule":0,"reason":"rule 0 (roles) allows predict to \"x\", who holds the role admin"}`,
		`{"principal":{"roles":["admin"]},"action":"write"}`:                              `{"allow":false,"rule":null,"reason":"no rule allows write to \"\""}`,
		`{"principal":{"subject":"x","tenant":"acme","roles":["admin"]},"action":"read"}`: `{"allow":false,"rule":null,"reason":"the tenant acme does not see the model"}`,
	} {
		if got := a.ask("admin", "POST", "/models/iris/policy/test", body); got.StatusCode != http.StatusOK || got.body != want+"\n" {
			t.Errorf("%s: %d %s, want %s", body, got.StatusCode, got.body, want)
		}
	}
	const question = `{"principal":{}}`
	for _, tc := range []struct {
		token, path, body string
		want              int
	}{
		{"user", "/models/iris/policy/test", question, 403},
		{"boss", "/models/iris/policy/test", question, 404},
		{"boss", "/models/iris/policy/test?tenant=default", question, 404},
		{"boss", "/models/iris/policy/test?tenant=nowhere", "{", 404},
		{"admin", "/models/iris/policy/test?tenant=acme", question, 404},
		{"admin", "/models/iris/policy/test?tenant=default", question, 200},
		{"admin", "/models/iris/policy/test?version=1", question, 400},
		{"admin", "/models/none/policy/test", "{", 404},
		{"onemodel", "/models/iris/policy/test", question, 200},
		{"onemodel", "/models/none/policy/test", question, 403},
	} {
		if got := a.ask(tc.token, "POST", tc.path, tc.body); got.StatusCode != tc.want {
			t.Errorf("%s %s %s: %d %s, want %d", tc.token, tc.path, tc.body, got.StatusCode, got.body, tc.want)
		}
	}
	got = a.ask("admin", "POST", "/models/iris/policy/test", `{"principal":{"role":"x","roles":["A"],"address":"home","claims":[]},"action":"fly"}`)
	if diff := cmp.Diff(map[string]string{
		"#/principal/role":    `is not known here`,
		"#/principal/roles/0": "a role is a word of 1 to 64 characters of a-z, 0-9, _ and - that begins with a letter",
		"#/principal/address": "must be an IP address", "#/principal/claims": "must be an object", "#/action": "must be predict, read or write",
	}, got.faults(t)); diff != "" {
		t.Error(diff)
	}
}
