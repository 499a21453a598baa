package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// schemathesis returns the tool.
func schemathesis(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(repository, ".cache", "schemathesis", "bin", "schemathesis")
	if _, err := os.Stat(tool); err != nil {
		testkit.Missing(t, "schemathesis is not installed; make test installs it, or: python3 -m venv .cache/schemathesis && "+
			".cache/schemathesis/bin/pip install -r scripts/schemathesis/requirements.txt")
	}
	return tool
}

// TestContractHoldsUnderGeneratedRequests lets schemathesis derive requests,
// good and bad, from the published contract and hold every answer against it.
func TestContractHoldsUnderGeneratedRequests(t *testing.T) {
	tool := schemathesis(t)
	t.Parallel()
	s := begin(t, "ONNXGATE_DOCS=on")
	examples := testkit.Number(t, "EXAMPLES", 30)
	if raceDetector {
		examples = 10 // the same code runs, at a tenth of its speed
	}
	cmd := exec.CommandContext(t.Context(), tool, "--config-file", source(t, "scripts", "schemathesis", "schemathesis.toml"),
		"run", s.url()+"/openapi.json", "--checks", "all", "--max-examples", strconv.Itoa(examples), "--workers", "1", "--no-color",
		"--tls-verify", s.cacert())
	cmd.Dir = t.TempDir() // what it writes stays there
	token := adminToken(t, s)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "NO_PROXY=*",
		"SCHEMATHESIS_HOOKS=" + source(t, "scripts", "schemathesis", "hooks.py"), "ADMIN_PASSWORD=" + initialPassword(t, s), "TOKEN=" + token,
		"CIPHERTEXT=" + sealedText(t, s, token),
		"PYTHONDONTWRITEBYTECODE=1",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	if cases := regexp.MustCompile(`(\d+) generated`).FindSubmatch(out); cases != nil {
		t.Logf("in all: %s generated requests", cases[1])
	}
}

// sealedText has the server seal a text, and returns its token.
func sealedText(t *testing.T, s *server, token string) string {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/encrypt", strings.NewReader(`{"plaintext":"text"}`))
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
	var answer struct{ Ciphertext string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Ciphertext == "" {
		t.Fatalf("POST /encrypt answered %s (%v)", resp.Status, err)
	}
	return answer.Ciphertext
}
