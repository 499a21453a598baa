package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

// startTimeout bounds how long a server may need until it is ready. It is a
// net against hanging tests, not a measure of speed.
const startTimeout = 30 * time.Second

// stopTimeout bounds how long a server may drain.
const stopTimeout = 30 * time.Second

// canaries are values that scripts put into features, names and passwords.
// None of them may ever be seen in a log, in the metrics or in an error.
var canaries = []string{"7.6543219", "canary"}

// server is one running process of the binary.
type server struct {
	dir      string // working directory; the data directory is dir/data
	addr     string // public listener, "127.0.0.1:port"
	admin    string // administration listener
	grpc     string // gRPC listener
	scheme   string
	cors     bool     // started with ONNXGATE_CORS_ORIGINS
	ca       string   // instead of the certificate that the server makes
	command  []string // what to run instead of the binary's serve
	settings []string // that it was started with
	cmd      *exec.Cmd
	log      *testkit.Buffer
	done     chan struct{} // closed when the process has ended
	err      error         // of Wait, valid after done

	mu      sync.Mutex
	secrets []string
}

// newServer prepares a server with data below dir on addresses of its own.
func newServer(dir string) (*server, error) {
	addr, err := testkit.FreeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := testkit.FreeAddr()
	if err != nil {
		return nil, err
	}
	grpc, err := testkit.FreeAddr()
	if err != nil {
		return nil, err
	}
	return &server{dir: dir, addr: addr, admin: admin, grpc: grpc, scheme: "https"}, nil
}

// environ is what the process sees: nothing of the caller's but what a program
// needs, so that a developer's own settings cannot change a test.
func (s *server) environ(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir(),
		"ONNXGATE_ADDR=" + s.addr, "ONNXGATE_ADMIN_ADDR=" + s.admin, "ONNXGATE_GRPC_ADDR=" + s.grpc,
	}, extra...)
}

// start runs the server with the settings NAME=VALUE on top of its own
// addresses, and returns when it is ready.
func (s *server) start(ctx context.Context, settings ...string) error {
	s.log, s.done, s.settings = &testkit.Buffer{}, make(chan struct{}), settings
	command := s.command
	if command == nil {
		command = []string{binary, "serve"}
	}
	s.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr, s.cmd.Stdout = s.dir, s.environ(settings...), s.log, s.log
	s.cors = slices.ContainsFunc(settings, func(v string) bool { return strings.HasPrefix(v, "ONNXGATE_CORS_ORIGINS=") })
	if slices.Contains(settings, "ONNXGATE_TLS=off") {
		s.scheme = "http"
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		s.err = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	return s.awaitReady(ctx)
}

func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		select {
		case <-s.done:
			return fmt.Errorf("the server ended: %w\n%s", s.err, s.log)
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready\n%s", s.log)
		case <-time.After(10 * time.Millisecond):
		}
		if s.ready(ctx) {
			return nil
		}
	}
}

func (s *server) ready(ctx context.Context) bool {
	client, err := s.client()
	if err != nil {
		return false // the certificate is not made yet
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (s *server) url() string { return s.scheme + "://" + s.addr }

// cacert is the certificate that clients trust.
func (s *server) cacert() string {
	if s.ca != "" {
		return s.ca
	}
	return filepath.Join(s.dir, "data", "tls", "cert.pem")
}

// tlsConfig trusts the server's certificate and nothing else.
func (s *server) tlsConfig() (*tls.Config, error) {
	pem, err := os.ReadFile(s.cacert())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("cert.pem holds no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func (s *server) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: nil, ForceAttemptHTTP2: true}
	if s.scheme == "https" {
		config, err := s.tlsConfig()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = config
	}
	return &http.Client{Transport: transport, Timeout: startTimeout}, nil
}

// clientFor is client for a test. The caller closes its idle connections.
func (s *server) clientFor(tb testing.TB) *http.Client {
	tb.Helper()
	client, err := s.client()
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// stop ends the server and checks that its metrics and its log say nothing they must
// not say.
func (s *server) stop() error {
	shown := s.checkMetrics()
	if err := s.end(); err != nil || s.log == nil {
		return err
	}
	return errors.Join(shown, s.checkLog())
}

// terminate ends a server whose output is more than a log.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// end stops the process as an orchestrator does, which it must leave in order.
func (s *server) end() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("the server did not end after SIGTERM\n%s", s.log)
	}
	s.cmd = nil
	if s.err != nil {
		return fmt.Errorf("after SIGTERM the server ended with %w\n%s", s.err, s.log)
	}
	return nil
}

// hangup asks for a reload.
func (s *server) hangup(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// awaitLog waits until the log shows the text behind the given length.
func (s *server) awaitLog(t *testing.T, behind int, text string) {
	t.Helper()
	for deadline := time.Now().Add(rawTimeout); !strings.Contains(s.log.String()[behind:], text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has no %s:\n%s", text, s.log)
		}
	}
}

// keep registers a secret that the log must never show.
func (s *server) keep(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret != "" {
		s.secrets = append(s.secrets, secret)
	}
}

// shows returns a secret or one of the values that the text shows, or nothing.
func (s *server) shows(text string, values ...string) string {
	if password, err := os.ReadFile(filepath.Join(s.dir, "data", "initial-admin-password")); err == nil {
		s.keep(strings.TrimSpace(string(password)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range slices.Concat(values, s.secrets) {
		if strings.Contains(text, secret) {
			return secret
		}
	}
	return ""
}

// checkMetrics looks for secrets and feature values in the metrics of a server that
// still runs and shows them.
func (s *server) checkMetrics() error {
	client, err := s.client()
	if err != nil || s.cmd == nil {
		return nil // it never came up
	}
	defer client.CloseIdleConnections()
	client.Timeout = rawTimeout
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.scheme+"://"+s.admin+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil // it has ended, or has no such listener
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if secret := s.shows(string(text), canaries...); secret != "" {
		return fmt.Errorf("the metrics show %q", secret)
	}
	return nil
}

// checkLog looks for secrets and feature values in the log, and for lines that
// are not one JSON object: the format when standard error is no terminal.
func (s *server) checkLog() error {
	text := s.log.String()
	if secret := s.shows(text, canaries...); secret != "" {
		return fmt.Errorf("the log shows %q", secret)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkStore(); err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			return fmt.Errorf("the log line %q is no JSON object: %w", line, err)
		}
	}
	return nil
}

// checkStore looks for secrets in the files of the database.
func (s *server) checkStore() error {
	files, err := filepath.Glob(filepath.Join(s.dir, "data", "onnxgate.db*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, secret := range s.secrets {
			if strings.Contains(string(data), secret) {
				return fmt.Errorf("%s holds %q", file, secret)
			}
		}
	}
	return nil
}

// ratesOff are the settings of tests that rates would only stand in the way of.
var ratesOff = []string{"ONNXGATE_RATE_TOKEN=off", "ONNXGATE_RATE_PREDICT=off"}

// begin starts a server without rates, unless settings name them, for a Go
// test and stops it when the test ends.
func begin(t *testing.T, settings ...string) *server {
	t.Helper()
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.startFor(t, settings...)
	return s
}

// startFor starts the server as begin does.
func (s *server) startFor(t *testing.T, settings ...string) {
	t.Helper()
	if err := s.start(context.WithoutCancel(t.Context()), slices.Concat(ratesOff, settings)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// initialPassword is what the first start made for the administrator.
func initialPassword(tb testing.TB, s *server) string {
	tb.Helper()
	password, err := os.ReadFile(filepath.Join(s.dir, "data", "initial-admin-password"))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(password))
}

// adminToken asks the token endpoint for a token of the administrator.
func adminToken(tb testing.TB, s *server) string {
	tb.Helper()
	return passwordToken(tb, s, "admin", initialPassword(tb, s))
}

// passwordToken asks the token endpoint for a token of a user.
func passwordToken(tb testing.TB, s *server, user, password string) string {
	tb.Helper()
	client := s.clientFor(tb)
	defer client.CloseIdleConnections()
	resp, err := client.PostForm(s.url()+"/token", map[string][]string{
		"grant_type": {"password"}, "username": {user}, "password": {password},
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		tb.Fatalf("POST /token answered %s (%v)", resp.Status, err)
	}
	s.keep(answer.AccessToken)
	return answer.AccessToken
}

// iris is a row of the embedded model, and its label is setosa.
const iris = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

// predictOnce asks for a prediction and checks it.
func predictOnce(t *testing.T, s *server, token string) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/predict", strings.NewReader(iris))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"label":"setosa"`) {
		t.Errorf("POST /predict answered %s %s (%v)", resp.Status, body, err)
	}
}
