package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"onnxgate/internal/testkit"
	"onnxgate/internal/testkit/forged"
)

// forgedTokens is how many are made from each issuer's.
const forgedTokens = 2000

// outside is an issuer that a server trusts. Beside the keys that it signs with it
// publishes some that are too weak for anybody.
type outside struct {
	*httptest.Server

	key  *forged.Key
	weak []*forged.Key
	hits atomic.Int64 // fetches of its keys
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	made := func(id string, private any) *forged.Key {
		key, err := forged.NewKey(id, private)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{key: made("k1", newKey(t)), weak: []*forged.Key{made("short", short), forged.SmallOrder("small")}}
	set := []forged.Object{o.key.JWK, made("k2", newKey(t)).JWK, o.weak[0].JWK, o.weak[1].JWK}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := map[string]any{"issuer": o.URL, "jwks_uri": o.URL + "/keys"}
		if r.URL.Path == "/keys" {
			o.hits.Add(1)
			document = map[string]any{"keys": set}
		}
		if err := json.NewEncoder(w).Encode(document); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// entry is the issuer's in the file of a server.
func (o *outside) entry(t *testing.T) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("  - {issuer: %s, audience: [%s], ca_file: %s, networks: [127.0.0.0/8], claims: {roles: [groups]}, roles: {ml-users: admin}}\n",
		o.URL, apiAudience, ca)
}

// askedFor fails if the keys were fetched more often than docs/outside-issuers.md says:
// at the start, for unknown keys once in 30 seconds, and every five minutes.
func (o *outside) askedFor(t *testing.T, since time.Time) {
	t.Helper()
	took := time.Since(since)
	if n, most := o.hits.Load(), 2+int64(took/(30*time.Second))+int64(took/(5*time.Minute)); n < 2 || n > most {
		t.Errorf("the keys were fetched %d times in %s, want from 2 to %d", n, took, most)
	}
}

// dissect returns what a token says.
func dissect(t *testing.T, token string) (header, claims forged.Object) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, into := range []*forged.Object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// ownKey is what the server signs with: the shared secret, or the key of that name in its
// data directory.
func (s *server) ownKey(t *testing.T, kid string) *forged.Key {
	t.Helper()
	var private any
	if _, secret, ok := strings.Cut(strings.Join(s.settings, "\n"), sharedSecret[:len("ONNXGATE_JWT_SECRET=")]); ok {
		secret, _, _ = strings.Cut(secret, "\n")
		private = []byte(secret)
	} else {
		data, err := os.ReadFile(filepath.Join(s.dir, "data", "keys", kid+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if private, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	key, err := forged.NewKey(kid, private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// endedTokens are a refresh token, and tokens that were good: one that was revoked, one
// of a disabled user, one of a disabled client, and one of a client whose tenant is gone.
func endedTokens(t *testing.T, s *server, client *http.Client) []string {
	t.Helper()
	granted := func(c serviceClient, form url.Values) (access, refresh string) {
		t.Helper()
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret)
		_, body, _ := s.ask(t, client, "", asked{http.MethodPost, s.url() + "/token", formMedia, form.Encode()})
		var answer struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.AccessToken == "" {
			t.Fatal(body)
		}
		if status, _ := predict(t, s, answer.AccessToken); status == http.StatusUnauthorized {
			t.Fatal("a token is refused that is good yet")
		}
		return answer.AccessToken, answer.RefreshToken
	}
	itself := url.Values{"grant_type": {"client_credentials"}}
	s.run(t, userPassword, "user", "add", "ada", "--role", "admin", "--password-stdin")
	app := s.createClient(t, "--role", "admin", "--grant", "client_credentials,password,refresh_token")
	ada, refresh := granted(app, url.Values{
		"grant_type": {"password"}, "username": {"ada"}, "password": {userPassword}, "scope": {"models:predict offline_access"},
	})
	s.run(t, "", "user", "disable", "ada")
	revoked, _ := granted(app, itself)
	form := url.Values{"token": {revoked}, "client_id": {app.ID}, "client_secret": {app.Secret}}
	if status, body, _ := s.ask(t, client, "", asked{http.MethodPost, s.url() + "/oauth/revoke", formMedia, form.Encode()}); status != http.StatusOK {
		t.Fatal(status, body)
	}
	disabled, _ := granted(app, itself)
	s.run(t, "", "client", "disable", app.ID)
	s.run(t, "", "tenant", "create", "gone")
	gone, _ := granted(s.createClient(t, "--role", "admin", "--tenant", "gone"), itself)
	s.run(t, "", "tenant", "delete", "gone")
	all := []string{ada, refresh, revoked, disabled, gone}
	if slices.Contains(all, "") {
		t.Fatalf("a token is missing: %q", all)
	}
	for _, token := range all {
		s.keep(token)
		within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, s, token) })
	}
	return all
}

// door is one place at which a credential is presented, and what a stranger is told
// there, without the id of the request.
type door struct {
	asked

	refusal string
}

// hunt sends forged tokens to a server.
type hunt struct {
	s           *server
	client      *http.Client
	predictions *door
	others      []*door
	infer       func(ctx context.Context, token string) error // over gRPC
	refusal     string                                        // there
	asker       serviceClient                                 // who asks about tokens
}

const formMedia = "application/x-www-form-urlencoded"

func newHunt(t *testing.T, s *server) *hunt {
	t.Helper()
	const media = "application/json"
	admin := s.scheme + "://" + s.admin
	h := &hunt{
		s: s, client: s.clientFor(t), asker: s.createClient(t, "--role", "admin"), infer: inferGRPC(t, s.grpc, trusted(t, s)),
		predictions: &door{asked: asked{http.MethodPost, s.url() + "/predict", media, iris}},
		others: []*door{
			{asked: asked{http.MethodPost, s.url() + "/v2/models/iris/infer", media, `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}`}},
			{asked: asked{http.MethodPost, s.url() + "/v1/models/iris:predict", media, `{"instances":[[5.1,3.5,1.4,0.2]]}`}},
			{asked: asked{http.MethodPost, s.url() + "/oauth/introspect", formMedia, "token=x"}},
			{asked: asked{http.MethodGet, admin + "/admin/v1/users", "", ""}},
			{asked: asked{http.MethodGet, admin + "/metrics", "", ""}},
		},
	}
	t.Cleanup(h.client.CloseIdleConnections)
	for _, d := range append(h.others, h.predictions) {
		var code int
		if code, d.refusal = h.present(t, d, "x.y.z"); code != http.StatusUnauthorized {
			t.Fatalf("%s: %d %s", d.url, code, d.refusal)
		}
	}
	h.refusal = h.infer(t.Context(), "x.y.z").Error()
	return h
}

// present returns the answer at a door, without the id of the request.
func (h *hunt) present(t *testing.T, d *door, token string) (int, string) {
	t.Helper()
	code, body, header := h.s.ask(t, h.client, token, d.asked)
	return code, header.Get("WWW-Authenticate") + "\n" + strings.ReplaceAll(body, header.Get("X-Request-Id"), "ID")
}

// sendable reports whether a token is the same when a header carries it, and whether it
// is one word there, as a credential is.
func sendable(token string) (sendable, word bool) {
	return strings.Trim(token, " ") == token && !strings.ContainsFunc(token, unicode.IsControl), !strings.ContainsAny(token, " ,")
}

// allows reports whether a token may be refused in these words: a stranger is always told
// the same; who was given a token is told that it has ended.
func allows(token forged.Token, stranger, told string) bool {
	const invalid = "The access token is not valid"
	return told == stranger || token.Known && (told == strings.ReplaceAll(stranger, invalid, "The access token has expired; get a new one") ||
		told == strings.ReplaceAll(stranger, invalid, "The access token is no longer valid; get a new one"))
}

// refuses fails unless every token is refused: as a credential for predictions, and some
// at every other door; and unless those that are asked about are not active, among them
// all that a header cannot carry.
func (h *hunt) refuses(t *testing.T, tokens []forged.Token) {
	t.Helper()
	const workers, sample = 4, 20
	var sending sync.WaitGroup
	for worker := range workers {
		sending.Go(func() {
			for i := worker; i < len(tokens); i += workers {
				some := i/workers%sample == 0
				ok, word := sendable(tokens[i].Text)
				if ok {
					h.refused(t, tokens[i], word, some)
				}
				if !ok || some {
					h.inactive(t, tokens[i])
				}
			}
		})
	}
	sending.Wait()
}

func (h *hunt) refused(t *testing.T, token forged.Token, word, everywhere bool) {
	t.Helper()
	doors := []*door{h.predictions}
	if everywhere {
		doors = append(doors, h.others...)
	}
	for _, d := range doors {
		code, told := h.present(t, d, token.Text)
		if code == http.StatusUnauthorized && allows(token, d.refusal, told) || !word && code == http.StatusBadRequest {
			continue
		}
		t.Errorf("%s of %.500s (%q): %d %s", d.url, token.Text, token.Ways, code, told)
	}
	if !everywhere {
		return
	}
	err := h.infer(t.Context(), token.Text)
	if code := status.Code(err); code == codes.Unauthenticated && allows(token, h.refusal, err.Error()) || !word && code == codes.InvalidArgument {
		return
	}
	t.Errorf("gRPC of %.500s (%q): %v", token.Text, token.Ways, err)
}

// inactive asks about a token.
func (h *hunt) inactive(t *testing.T, token forged.Token) {
	t.Helper()
	form := url.Values{"token": {token.Text}, "client_id": {h.asker.ID}, "client_secret": {h.asker.Secret}}
	code, body, _ := h.s.ask(t, h.client, "", asked{http.MethodPost, h.s.url() + "/oauth/introspect", formMedia, form.Encode()})
	if code != http.StatusOK || strings.TrimSpace(body) != `{"active":false}` {
		t.Errorf("introspection of %.500s (%q): %d %s", token.Text, token.Ways, code, body)
	}
}

// TestForgedTokensOpenNothing: 2,000 tokens that are made from the server's own, and as
// many from those of an outside issuer, are refused by a server that signs with keys of
// its own, and by one that signs with a shared secret, wherever they are presented, and
// make nobody be called.
func TestForgedTokensOpenNothing(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{"keys of its own": nil, "a shared secret": {sharedSecret}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			at, idp := testkit.NewCanary(t), newOutside(t)
			file := filepath.Join(t.TempDir(), "issuers.yaml")
			if err := os.WriteFile(file, []byte("issuers:\n"+idp.entry(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := newServer(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			// Everywhere, so that the metrics are shown to nobody without a credential.
			s.startFor(t, append(settings, "ONNXGATE_ISSUERS_FILE="+file, "ONNXGATE_ADMIN_ADDR="+everywhere(s.admin))...)
			h := newHunt(t, s)
			good := adminToken(t, s)
			header, claims := dissect(t, good)
			kid, _ := header["kid"].(string)
			key := s.ownKey(t, kid)
			own := forged.New(t, 1, forged.Genuine{
				Key: key, Header: header, Claims: claims, Own: true, Now: time.Now(), Slack: 10 * time.Minute,
				Rivals: []forged.Issuer{{Name: idp.URL, Key: idp.key}}, Others: endedTokens(t, s, h.client), At: "https://" + at.Addr(),
			})
			theirs := forged.New(t, 2, forged.Genuine{
				Key: idp.key, Header: forged.Object{"alg": "ES256", "typ": "at+jwt", "kid": idp.key.ID}, Claims: ordinaryClaims(idp.URL),
				Now: time.Now(), Slack: 10 * time.Minute,
				Rivals: []forged.Issuer{{Name: s.issuer(), Key: key}}, Weak: idp.weak, At: "https://" + at.Addr(),
			})
			for name, f := range map[string]*forged.Forger{"the server": own, "the outside issuer": theirs} {
				predicts(t, s, "a token of "+name, f.Accepted(), http.StatusOK)
				h.refuses(t, f.Make(forgedTokens))
				predicts(t, s, "another of "+name, f.Accepted(), http.StatusOK)
			}
			h.takesTokensInOneHeader(t, good)
			predicts(t, s, "the first one", good, http.StatusOK)
			at.Untouched(t)
			idp.askedFor(t, began)
		})
	}
}

// takesTokensInOneHeader presents a good token where none may stand.
func (h *hunt) takesTokensInOneHeader(t *testing.T, good string) {
	t.Helper()
	bearer := "Bearer " + good
	const media = "application/json"
	for name, tc := range map[string]struct {
		query, body string
		header      http.Header
		want        int
	}{
		"in the query":                   {query: "?access_token=" + good, body: iris, header: http.Header{"Content-Type": {media}}, want: 400},
		"in the query, and in its place": {query: "?access_token=" + good, body: iris, header: http.Header{"Content-Type": {media}, "Authorization": {bearer}}, want: 400},
		"in a form":                      {body: "access_token=" + good, header: http.Header{"Content-Type": {formMedia}}, want: 401},
		"in a cookie":                    {body: iris, header: http.Header{"Content-Type": {media}, "Cookie": {"access_token=" + good}}, want: 401},
		"as an API key":                  {body: iris, header: http.Header{"Content-Type": {media}, "X-Api-Key": {good}}, want: 401},
		"twice":                          {body: iris, header: http.Header{"Content-Type": {media}, "Authorization": {bearer, bearer}}, want: 400},
		"beside an API key":              {body: iris, header: http.Header{"Content-Type": {media}, "Authorization": {bearer}, "X-Api-Key": {"ogk_x"}}, want: 400},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.predictions.url+tc.query, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tc.header
		resp, err := h.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != tc.want {
			t.Errorf("a good token %s: %d, want %d", name, resp.StatusCode, tc.want)
		}
	}
}
