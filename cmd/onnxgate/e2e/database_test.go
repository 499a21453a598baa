package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"onnxgate/internal/testkit"
)

const (
	databaseURL = "ONNXGATE_DATABASE_URL"
	// sharedSecret has servers accept each other's tokens.
	sharedSecret = "ONNXGATE_JWT_SECRET=q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo="
	// someSlack is how much later than promised a busy machine may be.
	someSlack = 10 * time.Second
)

// TestScriptsOnPostgreSQL runs the scripts about accounts on the other database.
func TestScriptsOnPostgreSQL(t *testing.T) {
	testkit.Tool(t, "curl", "curl")
	database := testkit.StartPostgres(t)
	var files []string
	for _, name := range []string{"users", "token", "restart", "secrecy"} {
		files = append(files, filepath.Join("testdata", "script", name+".txtar"))
	}
	t.Run("scripts", func(t *testing.T) { // which run beside each other, and end before the database does
		testscript.Run(t, scripts(testscript.Params{Files: files, Setup: func(env *testscript.Env) error {
			env.Setenv(databaseURL, database.Database(t))
			return setup(env)
		}}))
	})
}

// ask returns the status, and how long to wait, of one request.
func ask(t *testing.T, s *server, path, token, contentType, body string) (status int, wait string) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

func login(t *testing.T, s *server) (status int, wait string) {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {initialPassword(t, s)}}
	return ask(t, s, "/token", "", "application/x-www-form-urlencoded", form.Encode())
}

func predict(t *testing.T, s *server, token string) (status int, wait string) {
	t.Helper()
	return ask(t, s, "/predict", token, "application/json", iris)
}

// within repeats an attempt until it gives the status, and returns what else it
// said.
func within(t *testing.T, limit time.Duration, want int, try func() (int, string)) string {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		status, wait := try()
		if status == want {
			return wait
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d after %v, want %d", status, limit, want)
		}
	}
}

// TestAnOutageOfTheDatabaseIsBorneForAWhile: who is known goes on, who has to be
// looked up is told to wait, and in the end nobody is served; then the server
// recovers by itself.
func TestAnOutageOfTheDatabaseIsBorneForAWhile(t *testing.T) {
	const maxAge = 4 * time.Second
	database := testkit.StartPostgres(t)
	where := databaseURL + "=" + database.Database(t)
	s := begin(t, "ONNXGATE_REVOCATION_MAX_AGE="+maxAge.String(), where)
	token := adminToken(t, s)
	if status, _ := predict(t, s, token); status != http.StatusOK {
		t.Fatalf("before the outage: %d", status)
	}
	database.Stop(t)
	began := time.Now()
	if status, _ := predict(t, s, token); status != http.StatusOK {
		t.Errorf("a known token at the beginning of an outage: %d", status)
	}
	if status, wait := login(t, s); status != http.StatusServiceUnavailable || wait == "" {
		t.Errorf("a login: %d, Retry-After %q, want 503", status, wait)
	}
	awaitReadiness(t, s, "degraded")
	doctor := exec.CommandContext(t.Context(), binary, "doctor")
	doctor.Dir, doctor.Env = s.dir, s.environ(where)
	if out, err := doctor.CombinedOutput(); err == nil || !strings.Contains(string(out), "server-degraded") || !strings.Contains(string(out), "database-unreachable") {
		t.Errorf("onnxgate doctor: %v\n%s", err, out)
	}
	wait := within(t, maxAge+someSlack, http.StatusServiceUnavailable, func() (int, string) { return predict(t, s, token) })
	if lasted := time.Since(began); wait == "" || lasted < maxAge/2 {
		t.Errorf("a known token was refused after %v with Retry-After %q", lasted, wait)
	}
	awaitReadiness(t, s, "degraded") // no other server could do better
	database.Start(t)
	within(t, someSlack, http.StatusOK, func() (int, string) { return predict(t, s, token) })
	within(t, someSlack, http.StatusOK, func() (int, string) { return login(t, s) })
	awaitReadiness(t, s, "ok")
}

// awaitReadiness waits until both listeners say 200 and that state, and the inference
// protocols that they are ready, as they do all the time.
func awaitReadiness(t *testing.T, s *server, state string) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	ask := func(at string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s (%v)", at, resp.Status, body, err)
		}
		return string(body)
	}
	want := `{"status":"` + state + `"}` + "\n"
	testkit.Eventually(t, "the server is "+state, func() bool {
		return ask(s.url()+"/readyz") == want && ask(s.scheme+"://"+s.admin+"/readyz") == want
	})
	if body := ask(s.url() + "/livez"); body != `{"status":"ok"}`+"\n" {
		t.Errorf("/livez: %s", body)
	}
	ask(s.url() + "/v2/health/ready")
}

// runWith runs a command of the binary on the data of a server.
func runWith(tb testing.TB, s *server, env []string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.environ(env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("onnxgate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestServersShareOneDatabase: what is changed through one, or by a command, is
// in force at the other within a second.
func TestServersShareOneDatabase(t *testing.T) {
	where := databaseURL + "=" + testkit.StartPostgres(t).Database(t)
	settings := []string{where, sharedSecret, "ONNXGATE_ISSUER=https://gate.example"}
	first, second := begin(t, settings...), begin(t, settings...)
	token := adminToken(t, first)
	for _, s := range []*server{first, second} {
		if status, _ := predict(t, s, token); status != http.StatusOK {
			t.Fatalf("a token of the first server: %d", status)
		}
	}
	runWith(t, second, []string{where}, "user", "role", "admin", "--role", "admin,auditor")
	for _, s := range []*server{first, second} {
		within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, s, token) })
	}
	if out := runWith(t, second, []string{where}, "db", "status"); !strings.Contains(out, "up to date") || !strings.Contains(out, "postgres") {
		t.Errorf("db status: %s", out)
	}
}
