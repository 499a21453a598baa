package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/clock"
	"onnxgate/internal/config"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/schema"
	"onnxgate/internal/testkit"
	"onnxgate/models"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childRotates)
	if dir == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := rotateAllTheTime(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const row = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

// server is a running server and a client that trusts it.
type server struct {
	*app.App
	dir    string
	log    *testkit.Buffer
	client *http.Client
	ended  bool
}

// load reads a configuration of the named settings, on ports of the system's
// choice.
func load(tb testing.TB, dir string, vars map[string]string) *config.Config {
	tb.Helper()
	cfg, err := loadAgain(tb, dir, vars)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// loadAgain is load of what may be wrong.
func loadAgain(tb testing.TB, dir string, vars map[string]string) (*config.Config, error) {
	tb.Helper()
	all := map[string]string{
		"ONNXGATE_DATA_DIR": dir, "ONNXGATE_ADDR": "127.0.0.1:0", "ONNXGATE_ADMIN_ADDR": "127.0.0.1:0", "ONNXGATE_GRPC_ADDR": "127.0.0.1:0",
		"ONNXGATE_RATE_TOKEN": "off", "ONNXGATE_RATE_PREDICT": "off",
	}
	for name, value := range vars {
		if !strings.HasPrefix(name, "OTEL_") {
			name = "ONNXGATE_" + name
		}
		all[name] = value
	}
	empty := filepath.Join(tb.TempDir(), "empty.env")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	return config.Load(config.Source{EnvFile: empty, Names: slices.Collect(maps.Keys(all)), Lookup: func(name string) (string, bool) { v, ok := all[name]; return v, ok }})
}

func start(tb testing.TB, dir string, vars map[string]string) *server {
	tb.Helper()
	return startBy(tb, clock.Config{}, dir, vars)
}

// startBy starts a server that goes by another clock.
func startBy(tb testing.TB, by clock.Config, dir string, vars map[string]string) *server {
	tb.Helper()
	s := &server{dir: dir, log: &testkit.Buffer{}}
	a, err := app.New(tb.Context(), load(tb, dir, vars), app.Options{Log: s.log, Version: "test", Clock: by})
	if err != nil {
		tb.Fatal(err)
	}
	a.Start(tb.Context())
	s.App = a
	pool := x509.NewCertPool()
	if _, file := a.Fingerprint(); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			tb.Fatalf("the certificate cannot be trusted: %v", err)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	s.client = &http.Client{Transport: transport}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		s.stop(tb)
	})
	return s
}

// stop ends the server, which must work, unless it has ended.
func (s *server) stop(tb testing.TB) {
	tb.Helper()
	if s.ended {
		return
	}
	s.ended = true
	if err := s.Stop(context.Background()); err != nil {
		tb.Errorf("Stop: %v", err)
	}
}

// call returns the status and the body of one request.
func (s *server) call(tb testing.TB, method, target, token, contentType, body string) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// password is that of the first administrator.
func (s *server) password(tb testing.TB) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "initial-admin-password"))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// token signs the administrator in.
func (s *server) token(tb testing.TB) string {
	tb.Helper()
	form := url.Values{"username": {"admin"}, "password": {s.password(tb)}}
	status, body := s.call(tb, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded", form.Encode())
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		tb.Fatalf("status %d, %v: %s", status, err, body)
	}
	return answer.AccessToken
}

// key returns an API key of the role admin, made as a command makes it.
func (s *server) key(tb testing.TB) string {
	tb.Helper()
	return s.keyOf(tb, accounts.NewKey{Name: "test", Roles: []string{"admin"}})
}

func (s *server) keyOf(tb testing.TB, add accounts.NewKey) string {
	tb.Helper()
	service, done, err := app.OpenAccounts(tb.Context(), load(tb, s.dir, nil))
	if err != nil {
		tb.Fatal(err)
	}
	_, key, err := service.CreateKey(tb.Context(), accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}, add)
	if err := errors.Join(err, done()); err != nil {
		tb.Fatal(err)
	}
	return key
}

func (s *server) predict(t *testing.T, token string) (int, string) {
	t.Helper()
	return s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", token, "application/json", row)
}

func TestServesAPredictionBehindAToken(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	if status, body := s.predict(t, ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, body)
	}
	const canary = "5.123456789" // no time and no id looks like it
	status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/predict", s.token(t), "application/json", strings.Replace(row, "5.1", canary, 1))
	if status != http.StatusOK || !strings.HasPrefix(body, `{"prediction":0,"label":"setosa",`) {
		t.Errorf("status %d: %s", status, body)
	}
	if status, body := s.call(t, http.MethodGet, "https://"+s.AdminAddr()+"/metrics", "", "", ""); status != http.StatusOK ||
		!strings.Contains(body, `onnxgate_predictions_total{model="iris",version="1"} 1`) {
		t.Errorf("metrics: %d, and the prediction is not counted", status)
	}
	s.stop(t)
	for _, secret := range []string{s.password(t), "sepal", canary} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, s.log)
		}
	}
	for _, want := range []string{`"msg":"exposed","routes":`, `"sha256_fingerprint":"`, `"password_file":"`, `"path":"/predict"`} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not show %s:\n%s", want, s.log)
		}
	}
}

func TestTokensAndCertificateOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, nil)
	token := first.token(t)
	fingerprint, _ := first.Fingerprint()
	first.stop(t)
	second := start(t, dir, nil)
	if status, body := second.predict(t, token); status != http.StatusOK {
		t.Errorf("after a restart: %d %s", status, body)
	}
	if again, _ := second.Fingerprint(); again != fingerprint {
		t.Error("another certificate after a restart")
	}
	if strings.Contains(second.log.String(), "first administrator") {
		t.Error("a second start made an administrator")
	}
}

func TestServersShareADataDirectory(t *testing.T) {
	dir := t.TempDir()
	servers := make([]*server, 3)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() { servers[i] = start(t, dir, nil) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	token := servers[0].token(t)
	for i, s := range servers {
		if status, body := s.predict(t, token); status != http.StatusOK {
			t.Errorf("server %d: %d %s", i, status, body)
		}
	}
}

// dial opens a connection that speaks HTTP/1.1.
func (s *server) dial(tb testing.TB) net.Conn {
	tb.Helper()
	transport, ok := s.client.Transport.(*http.Transport)
	if !ok {
		tb.Fatal("not a transport")
	}
	cfg := transport.TLSClientConfig.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(tb.Context(), "tcp", s.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

// open sends a request whose body is not complete, and returns its connection.
func (s *server) open(t *testing.T, token string) net.Conn {
	t.Helper()
	conn := s.dial(t)
	_, err := fmt.Fprintf(conn, "POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", token, len(row))
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body once the handler reads it.
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 100 ")) {
		t.Fatalf("%v: %q", err, line)
	}
	return conn
}

func TestAStopAnswersRequestsThatWereTaken(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	conn := s.open(t, s.token(t))
	defer conn.Close() //nolint:errcheck // nothing was written
	ended := make(chan error, 1)
	s.ended = true
	go func() { ended <- s.Stop(context.Background()) }()
	for { // until the listener is gone
		probe, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			break
		}
		_ = probe.Close()
	}
	if _, err := io.WriteString(conn, row); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		t.Errorf("%v: %q", err, answer)
	}
	if err := <-ended; err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestAStopDoesNotWaitBeyondItsDeadline(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	conn := s.open(t, s.token(t))
	defer conn.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.ended = true
	if err := s.Stop(ctx); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Stop: %v, want an error that says what was cut off", err)
	}
	if answer, err := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("an answer after the deadline: %q, %v", answer, err)
	}
}

func TestAStopDoesNotWaitForAReloadThatHangs(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	began, hang, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		s.Reload(t.Context(), func() (*config.Config, error) {
			close(began)
			<-hang
			return nil, errors.New("the file system does not answer")
		})
	}()
	<-began
	s.stop(t) // must return
	if !strings.Contains(s.log.String(), "stopping before a reload") {
		t.Errorf("the log does not say that a reload was left:\n%s", s.log)
	}
	close(hang)
	<-over
}

func TestAServerThatIsStoppedReloadsNothing(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	s.stop(t)
	s.Reload(t.Context(), func() (*config.Config, error) {
		t.Error("the configuration was read")
		return nil, errors.New("unused")
	})
}

// copyModels makes a models directory with the shipped model.
func copyModels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, models.FS); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheAccessLogShowsServedProbesOnlyForDebugging(t *testing.T) {
	for level, want := range map[string]bool{"info": false, "debug": true} {
		t.Run(level, func(t *testing.T) {
			s := start(t, t.TempDir(), map[string]string{"LOG_LEVEL": level})
			for path, status := range map[string]int{"/readyz": 200, "/livez": 200, "/v2/health/ready": 200, "/readyz?x=1": 200, "/nothing": 404} {
				if got, body := s.call(t, http.MethodGet, "https://"+s.Addr()+path, "", "", ""); got != status {
					t.Errorf("%s: %d %s, want %d", path, got, body, status)
				}
			}
			s.stop(t)
			log := s.log.String()
			for _, path := range []string{"/readyz", "/livez", "/v2/health/ready"} {
				if got := strings.Contains(log, `"path":"`+path+`"`); got != want {
					t.Errorf("a line for %s: %t, want %t", path, got, want)
				}
			}
			if !strings.Contains(log, `"path":"/nothing"`) {
				t.Error("no line for a path that there is not")
			}
		})
	}
}

func TestAReloadTakesOverWhatCanChange(t *testing.T) {
	folder := copyModels(t)
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": folder})
	token := s.token(t)
	if err := os.Rename(filepath.Join(folder, "iris"), filepath.Join(folder, "flowers")); err != nil {
		t.Fatal(err)
	}
	s.Reload(t.Context(), func() (*config.Config, error) {
		return load(t, s.dir, map[string]string{
			"MODELS_DIR": folder, "RATE_PREDICT": "1/hour", "CORS_ORIGINS": "https://app.example", "LOG_LEVEL": "warn", "MAX_ROWS": "5",
		}), nil
	})
	status, body := s.predict(t, token)
	if status != http.StatusOK || !strings.Contains(body, `"model":"flowers"`) {
		t.Errorf("status %d: %s", status, body)
	}
	if status, _ := s.predict(t, token); status != http.StatusTooManyRequests {
		t.Errorf("status %d, want 429 under the new rate", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addr()+"/nothing", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://app.example")
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("Access-Control-Allow-Origin is %q", got)
	}
	s.stop(t)
	log := s.log.String()
	if !strings.Contains(log, `"msg":"setting needs a restart","setting":"ONNXGATE_MAX_ROWS"`) {
		t.Errorf("nothing says that the rows need a restart:\n%s", log)
	}
	if strings.Contains(log, `"path":"/nothing"`) {
		t.Error("an access line in spite of the level warn")
	}
}

func TestAReloadOfAConfigurationThatCannotBeRightChangesNothing(t *testing.T) {
	folder := copyModels(t)
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": folder})
	token := s.token(t)
	if err := os.Rename(filepath.Join(folder, "iris"), filepath.Join(folder, "flowers")); err != nil {
		t.Fatal(err)
	}
	s.Reload(t.Context(), func() (*config.Config, error) { return nil, errors.New("ONNXGATE_X: is no setting\nONNXGATE_Y: too") })
	if status, body := s.predict(t, token); status != http.StatusOK || !strings.Contains(body, `"model":"iris"`) {
		t.Errorf("status %d: %s", status, body)
	}
	for _, want := range []string{`"error":"ONNXGATE_X: is no setting"}`, `"error":"ONNXGATE_Y: too"}`} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log has no record of its own with %s:\n%s", want, s.log)
		}
	}
	if strings.Contains(s.log.String(), `"msg":"reloaded"`) {
		t.Errorf("the log says that it reloaded:\n%s", s.log)
	}
}

func TestAReloadSaysWhichModelsChanged(t *testing.T) {
	folder := copyModels(t)
	vars := map[string]string{"MODELS_DIR": folder}
	s := start(t, t.TempDir(), vars)
	token := s.token(t)
	if err := os.CopyFS(filepath.Join(folder, "flowers"), os.DirFS(filepath.Join(folder, "iris"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "iris", "1", "model.onnx"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Reload(t.Context(), func() (*config.Config, error) { return load(t, s.dir, vars), nil })
	status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/models/iris/predict", token, "application/json", row)
	if status != http.StatusOK {
		t.Errorf("the broken model does not go on as it was: %d %s", status, body)
	}
	for _, want := range []string{
		`"msg":"model not taken over","error":"model iris, version 1: `,
		`"msg":"reloaded","changed":[],"models_added":["flowers/1"],"models_kept":["iris/1"]}`,
		`"level":"WARN","msg":"POST /predict no longer has a model; choose one with ONNXGATE_DEFAULT_MODEL`,
	} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not show %s:\n%s", want, s.log)
		}
	}
}

func TestTheLogEndsWithStopped(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	s.predict(t, "")
	s.stop(t)
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, `"msg":"stopped"`) {
		t.Errorf("the last line is %s", last)
	}
}

func TestAnAddressOfIPv4IsThatAlone(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"ADDR": "0.0.0.0:0"})
	if !strings.HasPrefix(s.Addr(), "0.0.0.0:") { // [::] when IPv6 is open too
		t.Errorf("listens on %s", s.Addr())
	}
}

func TestTheOperatorIsWarnedOfRolesAndTenantsThatNobodyMade(t *testing.T) {
	folder := copyModels(t)
	vars := map[string]string{"MODELS_DIR": folder, "ROLES_FILE": filepath.Join(t.TempDir(), "roles.yaml")}
	manifest := func(access string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "iris", "model.yaml"), []byte("access: "+access), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(vars["ROLES_FILE"], []byte("reader: [models:read]"), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest(`{roles: [admin], share: ["*", default, acme], rules: [{allow: [predict], roles: [analyst, reader, user]}, {deny: [predict], roles: [analyst]}]}`)
	dir := t.TempDir()
	s := start(t, dir, vars)
	checked, err := app.Check(t.Context(), load(t, dir, vars))
	if err != nil {
		t.Fatal(err)
	}
	manifest(`{roles: [admin, typo]}`)
	s.Reload(t.Context(), func() (*config.Config, error) { return load(t, s.dir, vars), nil })
	log := strings.ReplaceAll(s.log.String(), `\"`, `"`)
	for text, times := range map[string]int{
		`its rules name the role "analyst", which is neither built in`: 1, `it is shared with the tenant "acme", which does not exist`: 1,
		`name the role "typo"`: 1, `name the role "reader"`: 0, `name the role "user"`: 0, `name the role "admin"`: 0, `tenant "*"`: 0, `tenant "default"`: 0,
	} {
		if n := strings.Count(log, text); n != times {
			t.Errorf("the log says %q %d times, want %d:\n%s", text, n, times, log)
		}
	}
	if got := strings.Join(checked.Warnings, "\n"); !strings.Contains(got, `model iris: its rules name the role "analyst"`) || !strings.Contains(got, `"acme"`) {
		t.Errorf("config check: %q", checked)
	}
}

func TestTheOperatorIsWarned(t *testing.T) {
	open, empty := t.TempDir(), t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"MODELS_DIR": empty}
	checked, err := app.Check(t.Context(), load(t, open, vars))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, open, vars)
	for _, want := range []string{"run chmod 700 " + open, "no model is served; put one at " + empty} {
		if !strings.Contains(s.log.String(), want) || !strings.Contains(strings.Join(checked.Warnings, "\n"), want) {
			t.Errorf("nothing says %q in %q or in\n%s", want, checked, s.log)
		}
	}
	if err := os.Chmod(open, 0o750); err != nil {
		t.Fatal(err)
	}
	if checked, err := app.Check(t.Context(), load(t, open, nil)); err != nil || len(checked.Warnings) > 0 {
		t.Errorf("without a reason: %q, %v", checked.Warnings, err)
	}
}

func TestTheOperatorIsWarnedOfKeysAndProxiesThatAreOpen(t *testing.T) {
	own := start(t, t.TempDir(), nil)
	_, certFile := own.Fingerprint()
	own.stop(t)
	keyFile := filepath.Join(filepath.Dir(certFile), "key.pem")
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	kek := filepath.Join(t.TempDir(), "kek")
	err := errors.Join(os.WriteFile(kek, []byte("q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo=\n"), 0o600), os.Chmod(kek, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "data")
	vars := map[string]string{"TLS_CERT_FILE": certFile, "TLS_KEY_FILE": keyFile, "KEK_FILE": kek, "TRUSTED_PROXIES": "0.0.0.0/0,10.0.0.0/8,::/0,fc00::/7"}
	s := start(t, private, vars)
	checked, err := app.Check(t.Context(), load(t, private, vars))
	if err != nil || len(checked.Warnings) != 4 {
		t.Errorf("warnings %q, %v; want four", checked, err)
	}
	for _, want := range []string{"chmod o= " + keyFile, "chmod o= " + kek, "holds 0.0.0.0/0: ", "holds ::/0: "} {
		if !strings.Contains(s.log.String(), want) || !strings.Contains(strings.Join(checked.Warnings, "\n"), want) {
			t.Errorf("nothing says %q in %q or in\n%s", want, checked, s.log)
		}
	}
}

func TestADataDirectoryThatOthersMayWriteToIsRefused(t *testing.T) {
	for _, folder := range []string{"", "keys", "tls"} {
		dir := t.TempDir()
		path := filepath.Join(dir, folder)
		if err := errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, 0o777)); err != nil {
			t.Fatal(err)
		}
		cfg := load(t, dir, nil)
		want := "run chmod 700 " + path
		if _, err := app.Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check = %v, want %q", err, want)
		}
		a, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
		if err == nil {
			t.Fatalf("started on %s: %v", path, a.Close())
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
		if _, _, err := app.OpenAccounts(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenAccounts = %v, want %q", err, want)
		}
	}
}

// One list says what has to be private: a start, doctor and config check agree on it.
func TestASecretOfOurOwnThatOthersMayReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil).stop(t)
	cfg := load(t, dir, nil)
	keys, err := filepath.Glob(filepath.Join(dir, "keys", "*.pem"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no signing key: %v", err)
	}
	for _, path := range append(keys, filepath.Join(dir, "tls", "key.pem"), filepath.Join(dir, "kek"), filepath.Join(dir, "onnxgate.db")) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			want := "run chmod 600 " + path
			a, refused := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
			if refused == nil {
				t.Fatalf("started: %v", a.Close())
			}
			_, checked := app.Check(t.Context(), cfg)
			doctor := app.Doctor{Now: time.Now, Free: plenty}
			found, _ := doctor.Diagnose(t.Context(), cfg)
			for what, text := range map[string]string{"a start": refused.Error(), "config check": fmt.Sprint(checked), "doctor": fmt.Sprint(found)} {
				if !strings.Contains(text, want) {
					t.Errorf("%s says %q, want %q", what, text, want)
				}
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := app.Check(t.Context(), cfg); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

// A volume of Kubernetes with an fsGroup has mode 2770, and its files 0660.
func TestAVolumeOfAGroupWorks(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil).stop(t)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		mode := fs.FileMode(0o660)
		if entry.IsDir() {
			mode = 0o770 | fs.ModeSetgid
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked, err := app.Check(t.Context(), load(t, dir, nil)); err != nil || len(checked.Warnings) > 0 {
		t.Errorf("warnings %q, %v", checked.Warnings, err)
	}
	start(t, dir, nil)
}

func TestACheckThatIsCutShortSaysSo(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil).stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Check(ctx, load(t, dir, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was canceled", err)
	}
}

func TestAModelThatIsNoRegularFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "model.onnx")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/zero", pipe} {
		if _, err := app.NewEngines("", 1).LoadModel(file); err == nil || !strings.Contains(err.Error(), file+": not a regular file") {
			t.Errorf("LoadModel = %v, want a refusal", err)
		}
	}
	model := filepath.Join(copyModels(t), "iris", "1", "model.onnx")
	manifest := filepath.Join(filepath.Dir(model), "model.yaml")
	if err := syscall.Mkfifo(manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.NewEngines("", 1).LoadModel(model); err == nil || !strings.Contains(err.Error(), manifest+": not a regular file") {
		t.Errorf("LoadModel = %v, want a refusal of its manifest", err)
	}
}

func TestAStartThatCannotWorkNamesEveryReason(t *testing.T) {
	folder := copyModels(t)
	bad := filepath.Join(folder, "iris", "1", "model.onnx")
	missing := filepath.Join(t.TempDir(), "missing.pem")
	if err := os.WriteFile(bad, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	weak := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(weak, []byte("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, t.TempDir(), map[string]string{
		"MODELS_DIR": folder, "TLS_CERT_FILE": missing, "TLS_KEY_FILE": missing, "ADMIN_PASSWORD_FILE": weak, "KEK_FILE": weak,
	})
	_, checked := app.Check(t.Context(), cfg)
	if files, err := os.ReadDir(cfg.DataDir); err != nil || len(files) > 0 {
		t.Errorf("Check left %v, %v", files, err)
	}
	_, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
	if err == nil || checked == nil {
		t.Fatalf("started, or was said to: %v, %v", err, checked)
	}
	for _, want := range []string{"iris", "ONNXGATE_TLS_CERT_FILE, ONNXGATE_TLS_KEY_FILE: open " + missing, "ONNXGATE_ADMIN_PASSWORD_FILE: ", "key-encryption key " + weak} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
		if !strings.Contains(checked.Error(), want) {
			t.Errorf("Check's error %q does not name %s", checked, want)
		}
	}
}

func TestADataDirectoryThatCannotBeMadeIsFoundOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"of the kernel": "/proc/x/y", "a file": file, "below a file": filepath.Join(file, "x")} {
		cfg := load(t, dir, nil)
		_, checked := app.Check(t.Context(), cfg)
		a, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
		if err == nil {
			t.Errorf("%s: started: %v", name, a.Close())
		}
		if checked == nil || !strings.Contains(checked.Error(), "ONNXGATE_DATA_DIR") || err == nil || checked.Error() != err.Error() {
			t.Errorf("%s: Check says %v, the start %v", name, checked, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	if _, err := app.Check(t.Context(), load(t, dir, nil)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(dir))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Check left a folder: %v", err)
	}
}

func TestAddressesThatAreTakenAreNamedBeforeAnythingIsWritten(t *testing.T) {
	var taken [3]string
	for i := range taken {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // nothing was written
		taken[i] = l.Addr().String()
	}
	dir := filepath.Join(t.TempDir(), "data")
	cfg := load(t, dir, map[string]string{"ADDR": taken[0], "ADMIN_ADDR": taken[1], "GRPC_ADDR": taken[2]})
	_, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
	if err == nil {
		t.Fatal("started")
	}
	for _, want := range []string{taken[0], "ONNXGATE_ADDR", taken[1], "ONNXGATE_ADMIN_ADDR", taken[2], "ONNXGATE_GRPC_ADDR"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory was made: %v", err)
	}
}

// A request whose body is read once it has waited for its rate has as long again for that.
func TestTheLongestWaitForARateLeavesTimeForTheBody(t *testing.T) {
	cfg, server := load(t, "data", map[string]string{"THROTTLE": "5s"}), httpapi.NewServer(nil, nil, slog.DiscardHandler)
	if server.ReadTimeout < 2*cfg.Throttle {
		t.Errorf("a wait of %v, and %v for the header and the body", cfg.Throttle, server.ReadTimeout)
	}
}

func TestExposureSaysWhoMayDoWhatFromWhere(t *testing.T) {
	find := func(vars map[string]string, route string) app.Exposed {
		for _, e := range app.Exposure(load(t, "data", vars)) {
			if e.Route == route {
				return e
			}
		}
		return app.Exposed{}
	}
	for name, tc := range map[string]struct {
		vars map[string]string
		want app.Exposed
	}{
		"predict": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "POST /predict", Who: "token: permission models:predict, a role of the model", From: "this machine (127.0.0.1:0)", Limit: "10/minute per address (shared)"},
		},
		"token, public": {
			map[string]string{"ADDR": "0.0.0.0:8443", "RATE_TOKEN": "5/minute"},
			app.Exposed{Route: "POST /token", Who: "everybody", From: "any host that reaches 0.0.0.0:8443", Limit: "5/minute per address"},
		},
		"plain HTTP":      {map[string]string{"TLS": "off"}, app.Exposed{Route: "GET /livez", Who: "everybody", From: "this machine (127.0.0.1:0), unencrypted", Limit: "none"}},
		"contract closed": {nil, app.Exposed{Route: "GET /openapi.json", Who: "token", From: "this machine (127.0.0.1:0)", Limit: "none"}},
		"contract open":   {map[string]string{"DOCS": "on"}, app.Exposed{Route: "GET /openapi.json", Who: "everybody", From: "this machine (127.0.0.1:0)", Limit: "none"}},
		"docs closed":     {nil, app.Exposed{}},
		"metrics":         {nil, app.Exposed{Route: "GET /metrics", Who: "everybody", From: "this machine (127.0.0.1:0)", Limit: "none"}},
		"metrics, public": {
			map[string]string{"ADMIN_ADDR": "[::]:9"},
			app.Exposed{Route: "GET /metrics", Who: "token: permission metrics:read", From: "any host that reaches [::]:9", Limit: "none"},
		},
		"gRPC": {
			map[string]string{"RATE_PREDICT": "10/minute", "GRPC_ADDR": "0.0.0.0:8445"},
			app.Exposed{Route: "gRPC inference.GRPCInferenceService/ModelInfer", Who: "token: permission models:predict, a role of the model", From: "any host that reaches 0.0.0.0:8445", Limit: "10/minute per address (shared)"},
		},
		"predict, off": {
			map[string]string{"RATE_PREDICT": "off"},
			app.Exposed{Route: "POST /predict", Who: "token: permission models:predict, a role of the model", From: "this machine (127.0.0.1:0)", Limit: "none"},
		},
		"predict, in rows": {
			map[string]string{"RATE_PREDICT": "10/minute, 500 rows/minute", "RATE_PREDICT_PER": "principal"},
			app.Exposed{Route: "POST /predict", Who: "token: permission models:predict, a role of the model", From: "this machine (127.0.0.1:0)", Limit: "10/minute, 500 rows/minute per principal (shared)"},
		},
		"sealing, which has no rows": {
			map[string]string{"RATE_PREDICT": "10/minute, 500 rows/minute", "RATE_PREDICT_PER": "principal"},
			app.Exposed{Route: "POST /encrypt", Who: "token: permission crypto:use", From: "this machine (127.0.0.1:0)", Limit: "10/minute per principal (shared)"},
		},
		"sealing, beside a rate in rows alone": {
			map[string]string{"RATE_PREDICT": "500 rows/minute", "RATE_PREDICT_PER": "principal"},
			app.Exposed{Route: "POST /encrypt", Who: "token: permission crypto:use", From: "this machine (127.0.0.1:0)", Limit: "none"},
		},
		"a list of the administration": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "GET /admin/v1/users", Who: "token: permission users:write", From: "this machine (127.0.0.1:0)", Limit: "600 times that of predictions per principal"},
		},
		"a change": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "POST /admin/v1/users", Who: "token: permission users:write", From: "this machine (127.0.0.1:0)", Limit: "none"},
		},
		"the index": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "POST /v2/repository/index", Who: "token: permission models:write", From: "this machine (127.0.0.1:0)", Limit: "600 times that of predictions per principal"},
		},
		"metadata over gRPC": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "gRPC inference.GRPCInferenceService/ModelMetadata", Who: "token: permission models:read, a role of the model", From: "this machine (127.0.0.1:0)", Limit: "600 times that of predictions per principal"},
		},
		"the index over gRPC": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "gRPC inference.model_repository.ModelRepositoryService/RepositoryIndex", Who: "token: permission models:write", From: "this machine (127.0.0.1:0)", Limit: "600 times that of predictions per principal"},
		},
		"a change over gRPC": {
			map[string]string{"RATE_PREDICT": "10/minute"},
			app.Exposed{Route: "gRPC inference.GRPCInferenceService/RepositoryModelLoad", Who: "token: permission models:write", From: "this machine (127.0.0.1:0)", Limit: "none"},
		},
		"reflection closed": {nil, app.Exposed{}},
		"no gRPC":           {map[string]string{"GRPC_ADDR": "off"}, app.Exposed{}},
		"no admin":          {map[string]string{"ADMIN_ADDR": "off"}, app.Exposed{}},
	} {
		t.Run(name, func(t *testing.T) {
			route := tc.want.Route
			if route == "" {
				route = map[string]string{
					"docs closed": "GET /docs", "no admin": "GET /metrics", "no gRPC": "gRPC grpc.health.v1.Health/Check",
					"reflection closed": "gRPC grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
				}[name]
			}
			if got := find(tc.vars, route); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestAnEngineThatIsNotThereIsRefused(t *testing.T) {
	model, err := os.ReadFile("../../models/iris/1/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	engines, want := app.NewEngines("/no/such/library", 1), "make build-ort"
	if app.HasORT {
		want = "ONNXGATE_ORT_LIBRARY"
	}
	if _, _, err := engines.Compile(model, schema.EngineORT); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("ort: %v", err)
	}
	for _, engine := range []schema.Engine{"", schema.EngineAuto, schema.EngineNative} {
		if _, _, err := engines.Compile(model, engine); err != nil {
			t.Errorf("%q: %v", engine, err)
		}
	}
}
