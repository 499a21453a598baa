package e2e

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// browse runs one scenario of scripts/browser/drive.cjs and decodes what it saw.
func browse(t *testing.T, s *server, scenario string, options map[string]any, seen any) {
	t.Helper()
	node := testkit.Tool(t, "node", "nodejs")
	if out, err := exec.CommandContext(t.Context(), node, "--eval",
		"process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)").CombinedOutput(); err != nil {
		testkit.Missing(t, fmt.Sprintf("node is older than version 20 (%v) %s", err, out))
	}
	modules := filepath.Join(repository, ".cache", "browser", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); err != nil {
		testkit.Missing(t, "playwright-core is not installed; make test installs it")
	}
	options["chromium"] = chromium(t)
	options["profile"] = t.TempDir()
	options["spki"] = spki(t, s)
	options["api"] = s.url()
	options["password"] = initialPassword(t, s)
	arg, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, source(t, "scripts", "browser", "drive.cjs"), scenario, string(arg))
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_PATH=" + modules, "HOME=" + home, "XDG_RUNTIME_DIR=" + home}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", scenario, err, stderr.Bytes(), out)
	}
	if err := json.Unmarshal(out, seen); err != nil {
		t.Fatalf("%s: %v\n%s", scenario, err, out)
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "google-chrome"} { // as in scripts/setup.sh
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testkit.Missing(t, "chromium is not installed; on Debian: apt-get install --no-install-recommends chromium")
	return ""
}

// spki is the SHA-256 of the server's public key, by which Chromium can be told
// to trust this one certificate.
func spki(t *testing.T, s *server) string {
	t.Helper()
	data, err := os.ReadFile(s.cacert())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("cert.pem holds no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestDocumentationPredictsInBrowser follows a newcomer through the pages.
func TestDocumentationPredictsInBrowser(t *testing.T) {
	t.Parallel()
	s := begin(t, "ONNXGATE_DOCS=on")
	var seen struct {
		Errors, Foreign, Violations []string
		Status, Response            string
		Code, First                 map[string]string
		Cookies                     []any
	}
	browse(t, s, "docs", map[string]any{}, &seen)
	for language, part := range map[string]string{
		"curl": "curl -sS", "python": "urllib.request.Request", "javascript": `import("node:https")`, "go": "package main",
	} {
		if code := seen.Code[language]; !strings.Contains(code, part) || !strings.Contains(code, "/models/iris/predict") {
			t.Errorf("the code in %s is %q", language, code)
		}
	}
	for tag, path := range map[string]string{"token": "/token", "predict": "/predict", "models": "/models"} {
		if seen.First[tag] != path {
			t.Errorf("the first route of %q is %q", tag, seen.First[tag])
		}
	}
	if seen.Status != "200" || !strings.Contains(seen.Response, "setosa") {
		t.Errorf("Try it out answered %s %s", seen.Status, seen.Response)
	}
	for what, list := range map[string][]string{
		"console errors": seen.Errors, "requests elsewhere": seen.Foreign, "violations of the policy": seen.Violations,
	} {
		if len(list) > 0 {
			t.Errorf("%s: %q", what, list)
		}
	}
	if len(seen.Cookies) > 0 {
		t.Errorf("cookies: %v", seen.Cookies)
	}
}

// TestWebPageOfListedOriginPredicts calls the API as a web application of
// another origin does, and from an origin that is not listed.
func TestWebPageOfListedOriginPredicts(t *testing.T) {
	t.Parallel()
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><title>app</title>`)
	}))
	defer pages.Close()
	_, port, err := net.SplitHostPort(pages.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, "ONNXGATE_CORS_ORIGINS="+pages.URL, "ONNXGATE_RATE_PREDICT=2/hour", "ONNXGATE_RATE_TOKEN=20/hour")

	type visit struct {
		Error   string
		Token   int
		Answers []struct {
			Status  int
			Headers map[string]string
			Body    string
		}
	}
	var seen struct {
		Listed, Unlisted visit
		Cookies          []any
	}
	browse(t, s, "cors", map[string]any{
		"listed": pages.URL, "unlisted": "http://localhost:" + port, "row": iris, "calls": 3,
	}, &seen)

	if seen.Listed.Error != "" || seen.Listed.Token != http.StatusOK || len(seen.Listed.Answers) != 3 {
		t.Fatalf("the listed origin saw %+v", seen.Listed)
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		got := seen.Listed.Answers[i]
		if got.Status != want {
			t.Errorf("call %d answered %d %s, want %d", i, got.Status, got.Body, want)
		}
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "X-Request-Id"} {
			if got.Headers[name] == "" {
				t.Errorf("call %d: the page cannot read %s", i, name)
			}
		}
	}
	if body := seen.Listed.Answers[0].Body; !strings.Contains(body, `"label":"setosa"`) {
		t.Errorf("the prediction is %s", body)
	}
	if seen.Listed.Answers[2].Headers["Retry-After"] == "" {
		t.Error("the page cannot read Retry-After")
	}
	if !strings.Contains(seen.Unlisted.Error, "Failed to fetch") {
		t.Errorf("the unlisted origin saw %+v", seen.Unlisted)
	}
	if len(seen.Cookies) > 0 {
		t.Errorf("cookies: %v", seen.Cookies)
	}
}
