package app_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	grpcstatus "google.golang.org/grpc/status"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
	"onnxgate/models"
)

// change writes to the server's database, as another process does.
func (s *server) change(t *testing.T, do func(tx *accounts.Tx) error) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(s.dir, "onnxgate.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Update(t.Context(), do), store.Close()); err != nil {
		t.Fatal(err)
	}
}

// show has the client's next connections show the certificate.
func (s *server) show(t *testing.T, cert tls.Certificate) {
	t.Helper()
	transport, ok := s.client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("another transport")
	}
	transport.CloseIdleConnections()
	transport.TLSClientConfig.Certificates = []tls.Certificate{cert}
}

// eventually waits for a status.
func (s *server) eventually(t *testing.T, what string, want int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%s: %d", what, want), func() bool {
		status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", "", "application/json", row)
		return status == want
	})
}

// clientAuthority returns an authority of client certificates, the settings of a
// server that asks for them, and what revokes some of them.
func clientAuthority(t *testing.T, mode string) (ca *testkit.CA, vars map[string]string, revoke func(...tls.Certificate)) {
	t.Helper()
	ca = testkit.NewCA(t, "clients")
	caFile, crlFile := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "crl.pem")
	testkit.WritePEM(t, caFile, ca)
	revoke = func(certs ...tls.Certificate) {
		t.Helper()
		if err := os.WriteFile(crlFile, ca.Revoke(t, time.Now().Add(time.Hour), certs...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	revoke()
	return ca, map[string]string{"CLIENT_CERT": mode, "CLIENT_CA_FILE": caFile, "CLIENT_CRL_FILE": crlFile}, revoke
}

func TestAClientCertificateIsACredential(t *testing.T) {
	dir := t.TempDir()
	ca, vars, revoke := clientAuthority(t, "request")
	s := start(t, dir, vars)
	predict := func(token string) int {
		t.Helper()
		status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", token, "application/json", row)
		return status
	}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	cert := ca.Issue(t, "spiffe://example.org/scoring")
	client := &accounts.Client{
		ID: "ogc_scoring", Name: "scoring", Tenant: "default", Roles: []string{"admin"}, Grants: []string{},
		Certificate: "uri:spiffe://example.org/scoring", Stamp: "one",
	}
	want("without a credential", predict(""), http.StatusUnauthorized)
	s.show(t, cert)
	want("a certificate that no client has", predict(""), http.StatusUnauthorized)
	s.change(t, func(tx *accounts.Tx) error { return tx.Clients.Insert(client) })
	s.eventually(t, "a client's", http.StatusOK)
	want("a bad token beside it", predict("x.y.z"), http.StatusUnauthorized)
	want("a good token beside it", predict(s.token(t)), http.StatusOK)
	client.Roles = []string{"user"}
	s.change(t, func(tx *accounts.Tx) error { return tx.Clients.Replace(client) })
	s.eventually(t, "another role, which the model does not let in", http.StatusForbidden)
	client.Roles, client.Disabled = []string{"admin"}, true
	s.change(t, func(tx *accounts.Tx) error { return tx.Clients.Replace(client) })
	s.eventually(t, "a disabled client", http.StatusUnauthorized)
	client.Disabled = false
	s.change(t, func(tx *accounts.Tx) error { return tx.Clients.Replace(client) })
	s.eventually(t, "an enabled one", http.StatusOK)
	s.show(t, ca.Issue(t, "spiffe://example.org/scoring/"))
	want("a name that is nearly a client's", predict(""), http.StatusUnauthorized)
	s.show(t, cert)
	want("on a new connection", predict(""), http.StatusOK)
	revoke(cert)
	s.Reload(t.Context(), func() (*config.Config, error) { return load(t, dir, vars), nil })
	want("revoked, on the open connection", predict(""), http.StatusUnauthorized)
}

// Where the certificate only guards the connection, the other credential is no
// better than it.
func TestARevokedCertificateEndsTheConnectionOfEveryCredential(t *testing.T) {
	dir := t.TempDir()
	ca, vars, revoke := clientAuthority(t, "require")
	s := start(t, dir, vars)
	cert := ca.Issue(t, "spiffe://example.org/scoring")
	s.show(t, cert)
	token, key := s.token(t), s.key(t)
	form := url.Values{"username": {"admin"}, "password": {s.password(t)}}.Encode()
	requests := map[string]func() int{
		"a token": func() int {
			status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", token, "application/json", row)
			return status
		},
		"a key": func() int {
			status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", key, "application/json", row)
			return status
		},
		"a password": func() int {
			status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded", form)
			return status
		},
	}
	for name, send := range requests {
		t.Run(name, func(t *testing.T) {
			revoke()
			s.Reload(t.Context(), func() (*config.Config, error) { return load(t, dir, vars), nil })
			s.show(t, cert)
			if status := send(); status != http.StatusOK {
				t.Fatalf("before: %d", status)
			}
			revoke(cert)
			s.Reload(t.Context(), func() (*config.Config, error) { return load(t, dir, vars), nil })
			if status := send(); status != http.StatusUnauthorized {
				t.Errorf("revoked, on the open connection: %d", status)
			}
		})
	}
}

func TestACertificateGetsAClientItsTokens(t *testing.T) {
	ca := testkit.NewCA(t, "clients")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	testkit.WritePEM(t, caFile, ca)
	s := start(t, t.TempDir(), map[string]string{"CLIENT_CERT": "request", "CLIENT_CA_FILE": caFile})
	service, done, err := app.OpenAccounts(t.Context(), load(t, s.dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	add := accounts.NewClient{Name: "scoring", Roles: []string{"admin"}, Certificate: "uri:spiffe://example.org/scoring"}
	by := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	client, _, err := service.AddClient(t.Context(), by, add)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.AddClient(t.Context(), by, add); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second client of the certificate: %v, want a conflict", err)
	}
	other, _, err := service.AddClient(t.Context(), by, accounts.NewClient{Name: "other", Roles: []string{"admin"}})
	if err := errors.Join(err, done()); err != nil {
		t.Fatal(err)
	}
	get := func(id string) (int, string) {
		t.Helper()
		return s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
			"grant_type=client_credentials&client_id="+id)
	}
	if status, body := get(client.ID); status != http.StatusUnauthorized {
		t.Errorf("without the certificate: %d %s", status, body)
	}
	s.show(t, ca.Issue(t, "spiffe://example.org/scoring"))
	status, body := get(client.ID)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &token); status != http.StatusOK || err != nil {
		t.Fatalf("with the certificate: %d %s", status, body)
	}
	if status, body := get(other.ID); status != http.StatusUnauthorized {
		t.Errorf("for another client: %d %s", status, body)
	}
	s.show(t, tls.Certificate{})
	if status, _ := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", token.AccessToken, "application/json", row); status != http.StatusOK {
		t.Errorf("its token predicts with %d", status)
	}
	s.show(t, ca.Issue(t, "spiffe://example.org/nobody"))
	if status, body := get(client.ID); status != http.StatusUnauthorized {
		t.Errorf("with somebody else's certificate: %d %s", status, body)
	}
}

func TestACertificateIsALayerWhereAModelRequiresIt(t *testing.T) {
	dir, folder, ca := t.TempDir(), t.TempDir(), testkit.NewCA(t, "clients")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	testkit.WritePEM(t, caFile, ca)
	copyModel(t, filepath.Join(folder, "iris"), "access: {roles: [admin], require: [bearer, certificate]}\n")
	s := start(t, dir, map[string]string{"CLIENT_CERT": "request", "CLIENT_CA_FILE": caFile, "MODELS_DIR": folder})
	insert := func(id, uri, tenant string, roles ...string) {
		t.Helper()
		s.change(t, func(tx *accounts.Tx) error {
			return tx.Clients.Insert(&accounts.Client{
				ID: id, Name: id, Tenant: tenant, Roles: roles, Grants: []string{}, Certificate: "uri:" + uri, Stamp: "one",
			})
		})
	}
	if err := addTenant(t, s, "acme"); err != nil {
		t.Fatal(err)
	}
	insert("ogc_good", "spiffe://example.org/good", "default", "admin")
	insert("ogc_weak", "spiffe://example.org/weak", "default", "user")
	insert("ogc_other", "spiffe://example.org/other", "acme", "admin")
	token := s.token(t)
	for name, tc := range map[string]struct {
		uri, token string
		want       int
	}{
		"both":                            {"spiffe://example.org/good", token, http.StatusOK},
		"the token alone":                 {"", token, http.StatusUnauthorized},
		"the certificate alone":           {"spiffe://example.org/good", "", http.StatusUnauthorized},
		"a client that may not":           {"spiffe://example.org/weak", token, http.StatusForbidden},
		"a client of another tenant":      {"spiffe://example.org/other", token, http.StatusUnauthorized},
		"a certificate that nobody has":   {"spiffe://example.org/nobody", token, http.StatusUnauthorized},
		"a bad token and the certificate": {"spiffe://example.org/good", "x.y.z", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			var own []tls.Certificate
			if tc.uri == "" {
				s.show(t, tls.Certificate{})
			} else {
				own = []tls.Certificate{ca.Issue(t, tc.uri)}
				s.show(t, own[0])
			}
			ctx := t.Context()
			if tc.token != "" {
				ctx = withToken(ctx, tc.token)
			}
			if _, err := s.dialGRPC(t, own...).ModelInfer(ctx, flowers(false, 5.1, 3.5, 1.4, .2)); wordOfCode[grpcstatus.Code(err)] != wordOfStatus[tc.want] {
				t.Errorf("gRPC: %v, want %s", err, wordOfStatus[tc.want])
			}
			status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", tc.token, "application/json", graphRow)
			if status != tc.want {
				t.Errorf("%d %s, want %d", status, body, tc.want)
			}
		})
	}
}

// graphRow is a row of iris by the names of the graph.
const graphRow = `{"X_0":5.1,"X_1":3.5,"X_2":1.4,"X_3":0.2}`

// copyModel writes the shipped model into a folder, with a manifest.
func copyModel(t *testing.T, dir, manifest string) {
	t.Helper()
	data, err := models.FS.ReadFile("iris/1/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "1"), 0o700),
		os.WriteFile(filepath.Join(dir, "1", "model.onnx"), data, 0o600),
		os.WriteFile(filepath.Join(dir, "model.yaml"), []byte(manifest), 0o600),
	); err != nil {
		t.Fatal(err)
	}
}

// addTenant adds a tenant, as another process does.
func addTenant(t *testing.T, s *server, tenant string) error {
	t.Helper()
	service, done, err := app.OpenAccounts(t.Context(), load(t, s.dir, nil))
	if err != nil {
		return err
	}
	_, err = service.AddTenant(t.Context(), accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}, accounts.NewTenant{Name: tenant})
	return errors.Join(err, done())
}
