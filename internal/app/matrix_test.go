package app_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/sqlstore"
)

// matrixPassword is that of everybody in the matrix.
const matrixPassword = "lamp-violet-orbit-42"

// things are what the parameters of a path stand for: one that is the default
// tenant's, and one that nobody has. A route with another parameter fails the
// test until it is told of here.
type things map[string]struct{ foreign, absent string }

// matrix asks a running server everything that its two route tables hold, with
// credentials that it mints by the server's own key.
type matrix struct {
	*server

	key    ed25519.PrivateKey
	kid    string
	claims map[string]jwt.MapClaims // of a genuine token, by user
	keys   seeded
	things things
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	dir := t.TempDir()
	keys := seedMatrix(t, dir)
	// Not on loopback, where the metrics would be open.
	m := &matrix{server: start(t, dir, map[string]string{"ADMIN_ADDR": "0.0.0.0:0", "DOCS": "off", "PPROF": "on"}), claims: map[string]jwt.MapClaims{}, keys: keys}
	m.readKey(t)
	for _, user := range []string{"root", "boss", "weak"} {
		m.claims[user] = m.signIn(t, user)
	}
	m.things = things{
		"profile": {"heap", "nothing"}, "model": {"iris", "nothing"}, "version": {"1", "9"}, "tenant": {"default", "nothing"}, "user": {"victim", "nothing"},
		"key": {keys.id, "abcdefghijkl"}, "client": {keys.client, "ogc_nothing"},
	}
	return m
}

// seeded are API keys of the matrix.
type seeded struct {
	id, client                                              string // ids of the good key and of a client
	good, narrow, foreign, expired, revoked, unknown, wrong string
}

// seedMatrix makes two tenants with an administrator and keys each.
func seedMatrix(t *testing.T, dir string) (keys seeded) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(dir, "onnxgate.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	now := time.Now()
	service, err := accounts.New(accounts.Config{Store: store, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	by := accounts.Actor{Name: "seed", Tenant: accounts.AnyTenant}
	if _, err := service.AddTenant(t.Context(), by, accounts.NewTenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	for _, add := range []accounts.NewUser{
		{Name: "root", Roles: []string{"admin"}},
		{Name: "victim", Roles: []string{"user"}},
		{Name: "weak", Roles: []string{"nobody"}},
		{Name: "boss", Roles: []string{"admin"}, Tenant: "acme"},
	} {
		add.Password = matrixPassword
		if _, _, err := service.Add(t.Context(), by, add); err != nil {
			t.Fatal(err)
		}
	}
	key := func(add accounts.NewKey) (id, text string) {
		t.Helper()
		add.Name, add.Roles = "key", []string{"admin"}
		made, text, err := service.CreateKey(t.Context(), by, add)
		if err != nil {
			t.Fatal(err)
		}
		return made.ID, text
	}
	keys.id, keys.good = key(accounts.NewKey{})
	_, keys.narrow = key(accounts.NewKey{Scopes: []string{identity.AuditRead}})
	_, keys.foreign = key(accounts.NewKey{Tenant: "acme"})
	client, _, err := service.AddClient(t.Context(), by, accounts.NewClient{Name: "client", Roles: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	keys.client = client.ID
	id, text := key(accounts.NewKey{})
	keys.revoked = text
	if err := service.RevokeKey(t.Context(), by, id); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-2 * time.Hour)
	_, keys.expired = key(accounts.NewKey{ExpiresAt: now.Add(time.Hour)})
	if keys.unknown, err = apikey.New(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if keys.wrong, err = apikey.WithID(rand.Reader, keys.id); err != nil {
		t.Fatal(err)
	}
	return keys
}

func (m *matrix) readKey(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, "keys", "*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v; want one key", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		t.Fatalf("%T %v; want an Ed25519 key", key, err)
	}
	m.key, m.kid = private, strings.TrimSuffix(filepath.Base(files[0]), ".pem")
}

// signIn returns the claims of a token that the server gave.
func (m *matrix) signIn(t *testing.T, user string) jwt.MapClaims {
	t.Helper()
	status, body := m.call(t, http.MethodPost, "https://"+m.Addr()+"/token", "", "application/x-www-form-urlencoded",
		"grant_type=password&username="+user+"&password="+matrixPassword)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v %s", status, err, body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.AccessToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.MapClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// mint returns a token of the user with other claims, signed as the server does.
func (m *matrix) mint(t *testing.T, user string, other jwt.MapClaims) string {
	t.Helper()
	claims := maps.Clone(m.claims[user])
	maps.Copy(claims, other)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["typ"], token.Header["kid"] = "at+jwt", m.kid
	signed, err := token.SignedString(m.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// answer is what the matrix looks at.
type answer struct {
	status    int
	challenge string
	body      string
}

// parameter is one of a pattern.
var parameter = regexp.MustCompile(`\{([a-z]+)\}`)

// ask sends the least request to a route: with no more than an empty object for
// a body, so that nothing is made.
func (m *matrix) ask(t *testing.T, addr string, r *httpapi.Route, foreign bool, header http.Header) answer {
	t.Helper()
	path := parameter.ReplaceAllStringFunc(r.Pattern, func(p string) string {
		thing, ok := m.things[strings.Trim(p, "{}")]
		if !ok {
			t.Fatalf("%s: tell the matrix what %s stands for", r.Pattern, p)
		}
		if foreign {
			return thing.foreign
		}
		return thing.absent
	})
	body := ""
	if r.MaxBody > 0 {
		body = "{}"
	}
	req, err := http.NewRequestWithContext(t.Context(), r.Method, "https://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := m.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(data)}
}

// anonymous is an answer without what differs between two requests for two
// things that are not there.
func (a answer) anonymous(m *matrix) string {
	text := regexp.MustCompile(`"request_id":"[0-9a-f]+"`).ReplaceAllString(a.body, "")
	for _, thing := range m.things {
		text = regexp.MustCompile(`\b(`+thing.foreign+`|`+thing.absent+`)\b`).ReplaceAllString(text, "NAME")
	}
	return fmt.Sprint(a.status, " ", a.challenge, " ", text)
}

func apiKey(text string) http.Header { return http.Header{"X-Api-Key": {text}} }

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// otherScope is a permission that is not the route's.
func otherScope(r *httpapi.Route) string {
	all := authz.Permissions()
	return all[slices.IndexFunc(all, func(p string) bool { return p != r.Permission })]
}

// refusedCredentials are those that no route takes, by what is wrong with them.
func (m *matrix) refusedCredentials(t *testing.T) map[string]http.Header {
	t.Helper()
	past := time.Now().Add(-time.Hour).Unix()
	good := m.mint(t, "root", nil)
	return map[string]http.Header{
		"none":              {},
		"malformed":         bearer("not.a.token"),
		"cut":               bearer(good[:len(good)-1]),
		"another signature": bearer(good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)),
		"expired":           bearer(m.mint(t, "root", jwt.MapClaims{"exp": past, "iat": past - 60})),
		"wrong audience":    bearer(m.mint(t, "root", jwt.MapClaims{"aud": "https://other.example"})),
		"wrong issuer":      bearer(m.mint(t, "root", jwt.MapClaims{"iss": "https://other.example"})),
		"of nobody":         bearer(m.mint(t, "root", jwt.MapClaims{"sub": "nobody"})),
		"of another tenant": bearer(m.mint(t, "root", jwt.MapClaims{"tenant": "nowhere"})),
		"empty":             {"Authorization": {"Bearer "}},
		"of another scheme": {"Authorization": {"Digest abc"}},
		"malformed key":     apiKey("ogk_nonsense"),
		"mistyped key":      apiKey(m.keys.good[:len(m.keys.good)-1] + "_"),
		"unknown key":       apiKey(m.keys.unknown),
		"wrong secret":      apiKey(m.keys.wrong),
		"expired key":       apiKey(m.keys.expired),
		"revoked key":       apiKey(m.keys.revoked),
		"key in its place":  bearer(m.keys.revoked),
	}
}

// Every route of both listeners, with every kind of credential. A new route is
// here as soon as it is in a table.
func TestEveryRouteWithEveryKindOfCredential(t *testing.T) {
	m := newMatrix(t)
	_, port, _ := strings.Cut(m.AdminAddr()[strings.LastIndexByte(m.AdminAddr(), ']')+1:], ":")
	options := httpapi.RouteOptions{MaxBody: 1 << 20, Profiles: true}
	refused := m.refusedCredentials(t)
	asked := 0
	for _, l := range []struct {
		name, addr string
		routes     []httpapi.Route
	}{
		{"public", m.Addr(), httpapi.PublicRoutes(options)},
		{"administration", "127.0.0.1:" + port, httpapi.AdminRoutes(options)},
	} {
		for i := range l.routes {
			r := &l.routes[i]
			t.Run(l.name+" "+r.Method+" "+r.Pattern, func(t *testing.T) {
				if r.Auth == httpapi.Public {
					m.checkOpen(t, l.addr, r, refused)
					return
				}
				asked++
				m.checkRefused(t, l.addr, r, refused)
				m.checkRights(t, l.addr, r)
				m.checkOtherTenant(t, l.addr, r)
			})
		}
	}
	if asked < 10 {
		t.Errorf("%d routes ask for a credential", asked)
	}
}

// checkOpen holds an open route to ignoring credentials, good and bad.
func (m *matrix) checkOpen(t *testing.T, addr string, r *httpapi.Route, refused map[string]http.Header) {
	t.Helper()
	want := m.ask(t, addr, r, false, nil).status
	for name, header := range refused {
		if r.Errors == httpapi.OAuth && header.Get("Authorization") == "Digest abc" {
			continue // there a client authenticates by Basic or not at all
		}
		if got := m.ask(t, addr, r, false, header); got.status != want {
			t.Errorf("%s: %d %s, want %d as without one", name, got.status, got.body, want)
		}
	}
}

func (m *matrix) checkRefused(t *testing.T, addr string, r *httpapi.Route, refused map[string]http.Header) {
	t.Helper()
	for name, header := range refused {
		got := m.ask(t, addr, r, true, header)
		if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.challenge, "Bearer") {
			t.Errorf("%s: %d %q %s, want 401", name, got.status, got.challenge, got.body)
		}
	}
}

// checkRights asks with a genuine token of too little scope, of too weak a role,
// and with all rights.
func (m *matrix) checkRights(t *testing.T, addr string, r *httpapi.Route) {
	t.Helper()
	if r.Permission != "" {
		got := m.ask(t, addr, r, true, bearer(m.mint(t, "root", jwt.MapClaims{"scope": otherScope(r)})))
		if got.status != http.StatusForbidden || !strings.Contains(got.challenge, `scope="`+r.Permission+`"`) {
			t.Errorf("too little scope: %d %q %s, want 403", got.status, got.challenge, got.body)
		}
		if got := m.ask(t, addr, r, true, bearer(m.mint(t, "weak", jwt.MapClaims{"scope": r.Permission}))); got.status != http.StatusForbidden {
			t.Errorf("too weak a role: %d %s, want 403", got.status, got.body)
		}
	}
	if got := m.ask(t, addr, r, true, apiKey(m.keys.narrow)); r.Permission != "" && r.Permission != identity.AuditRead && got.status != http.StatusForbidden {
		t.Errorf("a key of too little scope: %d %s, want 403", got.status, got.body)
	}
	for name, header := range map[string]http.Header{"token": bearer(m.mint(t, "root", nil)), "key": apiKey(m.keys.good)} {
		if got := m.ask(t, addr, r, false, header); got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status >= 500 {
			t.Errorf("right %s: %d %s", name, got.status, got.body)
		}
	}
}

// checkOtherTenant asks as the administrator of another tenant: what is not its
// own is answered as what is not there, and in no answer.
func (m *matrix) checkOtherTenant(t *testing.T, addr string, r *httpapi.Route) {
	t.Helper()
	for kind, header := range map[string]http.Header{"token": bearer(m.mint(t, "boss", nil)), "key": apiKey(m.keys.foreign)} {
		foreign, absent := m.ask(t, addr, r, true, header), m.ask(t, addr, r, false, header)
		grows := r.Look == audit.AuditRead // by each request, this one among them
		if f, a := foreign.anonymous(m), absent.anonymous(m); f != a && !grows {
			t.Errorf("%s: what is there is answered by\n%s\nand what is not by\n%s", kind, f, a)
		}
		// A model of another tenant's is no hindrance to one of that name of one's own.
		makes := r.Method == http.MethodPut && strings.HasSuffix(r.Pattern, "/versions/{version}")
		if makes && foreign.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: the name of another tenant's model: %d %s, want 415", kind, foreign.status, foreign.body)
		}
		if !makes && parameter.MatchString(r.Pattern) && foreign.status != http.StatusNotFound && foreign.status != http.StatusForbidden {
			t.Errorf("%s: another tenant's: %d %s, want 404", kind, foreign.status, foreign.body)
		}
		for _, name := range []string{`"victim"`, `"root"`, `"iris"`, `"id":"` + m.keys.id} {
			if strings.Contains(foreign.body, name) {
				t.Errorf("%s: the answer shows %s of another tenant", kind, name)
			}
		}
	}
}
