package app_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/sqlstore"
	"onnxgate/internal/testkit"
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

// eventually waits for a status at most a second, which is the longest that a
// change may take to be in force.
func (s *server) eventually(t *testing.T, what string, want int) {
	t.Helper()
	status := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if status, _ = s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", "", "application/json", row); status == want {
			return
		}
	}
	t.Errorf("%s: %d, want %d", what, status, want)
}

func TestAClientCertificateIsACredential(t *testing.T) {
	dir, ca := t.TempDir(), testkit.NewCA(t, "clients")
	caFile, crlFile := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "crl.pem")
	testkit.WritePEM(t, caFile, ca)
	revoke := func(certs ...tls.Certificate) {
		t.Helper()
		if err := os.WriteFile(crlFile, ca.Revoke(t, time.Now().Add(time.Hour), certs...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	revoke()
	vars := map[string]string{"CLIENT_CERT": "request", "CLIENT_CA_FILE": caFile, "CLIENT_CRL_FILE": crlFile}
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
