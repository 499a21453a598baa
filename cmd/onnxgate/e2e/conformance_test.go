package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// conformanceReport is what scripts/conformance writes as JSON.
type conformanceReport struct {
	Results []struct {
		Name, Level, Clause, Status, Expected, Got, Request string
	}
}

// notOurs are the cases that do not concern this server: it does not advertise the
// extension.
var notOurs = map[string]bool{"classification/top": true}

func TestServerConformsToTheOpenInferenceProtocol(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	goRun(t, "build", "-o", tools, "./scripts/conformance", "./scripts/conformance/models")
	models := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), filepath.Join(tools, "models"), models).CombinedOutput(); err != nil {
		t.Fatalf("models: %v\n%s", err, out)
	}
	s := begin(t, "ONNXGATE_MODELS_DIR="+models)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(adminToken(t, s)), 0o600); err != nil {
		t.Fatal(err)
	}
	suite := exec.CommandContext(t.Context(), filepath.Join(tools, "conformance"), s.url(), "--grpc", s.grpc, "--cacert", s.cacert(), "--token-file", token,
		"--model", "simple,iris,identity,identity_fp16", "--unload", "identity_fp16", "--format", "json")
	out, err := suite.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("conformance: %v\n%s", err, out)
	}
	var report conformanceReport
	if err := json.Unmarshal(out, &report); err != nil || len(report.Results) < 100 {
		t.Fatalf("%d results (%v)", len(report.Results), err)
	}
	for _, r := range report.Results {
		if r.Status != "pass" && (r.Status != "n/a" || !notOurs[r.Name]) {
			t.Errorf("%s (%s, %s): %s: %s\nexpected: %s\n%s", r.Name, r.Level, r.Clause, r.Status, r.Got, r.Expected, r.Request)
		}
	}
}

// goRun runs the go command on the source tree.
func goRun(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}
