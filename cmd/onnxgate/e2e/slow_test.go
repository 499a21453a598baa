package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// holder is somebody with a credential and a request whose body stays away until
// finish.
type holder struct {
	t       *testing.T
	w       io.Writer
	r       *bufio.Reader
	missing string
}

// hold sends the head of a request and the first bytes of its body.
func hold(t *testing.T, s *server, path, credential, body string) *holder {
	t.Helper()
	conn := dialRaw(t, s, "http/1.1")
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, credential, len(body))
	if _, err := io.WriteString(conn, head+body[:5]); err != nil {
		t.Fatal(err)
	}
	return &holder{t: t, w: conn, r: bufio.NewReader(conn), missing: body[5:]}
}

// finish sends the rest and returns the status of the answer.
func (h *holder) finish() int {
	h.t.Helper()
	if _, err := io.WriteString(h.w, h.missing); err != nil {
		h.t.Fatal(err)
	}
	a, err := receive(h.r)
	if err != nil {
		h.t.Fatal(err)
	}
	return a.status
}

// TestABodyThatIsHeldBackKeepsNoRights begins requests, takes the rights of some
// who sent them, and lets the bodies arrive after that.
func TestABodyThatIsHeldBackKeepsNoRights(t *testing.T) {
	t.Parallel()
	s := begin(t)
	s.run(t, "", "tenant", "create", "acme")
	add := func(name string, args ...string) string {
		s.run(t, userPassword, append([]string{"user", "add", name, "--role", "admin", "--password-stdin"}, args...)...)
		return passwordToken(t, s, name, userPassword)
	}
	disabled, deleted, demoted, staying, tenants := add("dora"), add("dean"), add("rose"), add("stan"), add("tess", "--tenant", "acme")
	var key struct{ ID, Key string }
	if err := json.Unmarshal(s.run(t, "", "apikey", "create", "app", "--role", "admin", "--json"), &key); err != nil {
		t.Fatal(err)
	}
	s.keep(key.Key)

	const text = `{"plaintext":"held back"}`
	type held struct {
		*holder

		want int
	}
	all := map[string]held{
		"a disabled user predicts":          {hold(t, s, "/predict", disabled, iris), http.StatusUnauthorized},
		"a disabled user seals":             {hold(t, s, "/encrypt", disabled, text), http.StatusUnauthorized},
		"a disabled user changes passwords": {hold(t, s, "/account/password", disabled, `{"current_password":"a","new_password":"b"}`), http.StatusUnauthorized},
		"a deleted user predicts":           {hold(t, s, "/predict", deleted, iris), http.StatusUnauthorized},
		"a revoked key predicts":            {hold(t, s, "/predict", key.Key, iris), http.StatusUnauthorized},
		"a revoked key seals":               {hold(t, s, "/encrypt", key.Key, text), http.StatusUnauthorized},
		"a deleted tenant's user seals":     {hold(t, s, "/encrypt", tenants, text), http.StatusUnauthorized},
		"a deleted tenant's user opens":     {hold(t, s, "/decrypt", tenants, `{"ciphertext":"gAAAAA"}`), http.StatusUnauthorized},
		"a user of another role predicts":   {hold(t, s, "/predict", demoted, iris), http.StatusUnauthorized},
		"a user predicts":                   {hold(t, s, "/predict", staying, iris), http.StatusOK},
	}
	for _, args := range []string{"user disable dora", "user delete dean", "user role rose --role auditor", "apikey revoke " + key.ID, "tenant delete acme"} {
		s.run(t, "", strings.Fields(args)...)
	}
	time.Sleep(time.Second) // until the server knows
	for name, h := range all {
		if got := h.finish(); got != h.want {
			t.Errorf("%s: %d, want %d", name, got, h.want)
		}
	}
}
