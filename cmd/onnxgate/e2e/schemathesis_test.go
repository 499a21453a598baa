package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestContractHoldsUnderGeneratedRequests lets schemathesis derive requests,
// good and bad, from the published contract and hold every answer against it.
func TestContractHoldsUnderGeneratedRequests(t *testing.T) {
	tool := filepath.Join(repository, ".cache", "schemathesis", "bin", "schemathesis")
	if _, err := os.Stat(tool); err != nil {
		missing(t, "schemathesis is not installed; make test installs it, or: python3 -m venv .cache/schemathesis && "+
			".cache/schemathesis/bin/pip install -r scripts/schemathesis/requirements.txt")
	}
	t.Parallel()
	s := begin(t, "ONNXGATE_DOCS=on")
	examples := "200"
	if raceDetector {
		examples = "20" // the same code runs, at a tenth of its speed
	}
	cmd := exec.CommandContext(t.Context(), tool, "--config-file", source(t, "scripts", "schemathesis", "schemathesis.toml"),
		"run", s.url()+"/openapi.json", "--checks", "all", "--max-examples", examples, "--workers", "1", "--no-color",
		"--tls-verify", s.cacert())
	cmd.Dir = t.TempDir() // what it writes stays there
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "NO_PROXY=*",
		"SCHEMATHESIS_HOOKS=" + source(t, "scripts", "schemathesis", "hooks.py"), "ADMIN_PASSWORD=" + initialPassword(t, s), "TOKEN=" + adminToken(t, s),
		"PYTHONDONTWRITEBYTECODE=1",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
