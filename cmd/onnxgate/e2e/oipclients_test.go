package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// pythonOf returns the interpreter of .cache/NAME, where make test has put the
// packages of scripts/oip/requirements-NAME.txt.
func pythonOf(t *testing.T, name string) string {
	t.Helper()
	python := filepath.Join(repository, ".cache", name, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		testkit.Missing(t, name+" is not installed; make test installs it, or: python3 -m venv .cache/"+name+
			" && .cache/"+name+"/bin/pip install -r scripts/oip/requirements-"+name+".txt")
	}
	return python
}

// oipServer starts a server with the models that the clients' own examples ask
// for, and iris, and returns how to reach it, for scripts/oip.
func oipServer(t *testing.T) (*server, string) {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{filepath.Dir(source(t, "models", "models.go")), filepath.Join(repository, "testdata", "protocol")} {
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	s := begin(t, "ONNXGATE_MODELS_DIR="+dir)
	var key struct{ ID, Key string }
	if err := json.Unmarshal(s.run(t, "", "apikey", "create", "clients", "--role", "admin", "--json"), &key); err != nil {
		t.Fatal(err)
	}
	s.keep(key.Key)
	how, err := json.Marshal(map[string]string{
		"http": s.addr, "grpc": s.grpc, "ca": s.cacert(), "token": adminToken(t, s), "id": key.ID, "key": key.Key,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, string(how)
}

// pythonEnv is what the clients see: no proxy and no configuration of the
// caller's, and nothing that they would write into the repository.
func pythonEnv(t *testing.T, extra ...string) []string {
	t.Helper()
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*", "no_proxy=*"}, extra...)
}

// runCases runs a script of scripts/oip, each of whose cases is a test. atLeast
// is how many there are, so that none can get lost.
func runCases(t *testing.T, python, script, how string, atLeast int) {
	t.Helper()
	source(t, "scripts", "oip", "cases.py")
	source(t, "scripts", "oip", "exchange.py")
	cmd := exec.CommandContext(t.Context(), python, source(t, "scripts", "oip", script), how)
	cmd.Env = pythonEnv(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, stderr.Bytes())
	}
	var cases map[string]*string
	if err := json.Unmarshal(out, &cases); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	if len(cases) < atLeast {
		t.Errorf("%s ran %d cases, not %d", script, len(cases), atLeast)
	}
	for name, failed := range cases {
		t.Run(name, func(t *testing.T) {
			if failed != nil {
				t.Error(*failed)
			}
		})
	}
}

// TestTritonsClientsWork has the exchanges of Triton's own examples.
func TestTritonsClientsWork(t *testing.T) { //nolint:tparallel // the cases share a server, in turn
	python := pythonOf(t, "mlserver")
	t.Parallel()
	_, how := oipServer(t)
	t.Run("http", func(t *testing.T) { runCases(t, python, "triton_http.py", how, 21) })
	t.Run("grpc", func(t *testing.T) { runCases(t, python, "triton_grpc.py", how, 23) })
}

// TestKServesClientsWork has the rows and the answers of KServe's own tests.
func TestKServesClientsWork(t *testing.T) { //nolint:tparallel // the cases share a server, in turn
	python := pythonOf(t, "kserve")
	t.Parallel()
	_, how := oipServer(t)
	runCases(t, python, "kserve_clients.py", how, 15)
}

func TestMLServersTypesValidateTheAnswers(t *testing.T) { //nolint:tparallel // the cases share a server, in turn
	python := pythonOf(t, "mlserver")
	t.Parallel()
	_, how := oipServer(t)
	runCases(t, python, "mlserver_types.py", how, 7)
}

// irisRows is what KServe's tests of iris ask, whose answer is 1 for both rows.
// The client gives each request an id of its own.
const irisRows = `{"inputs":[{"name":"input-0","shape":[2,4],"datatype":"FP32","data":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}]}` + "\n"

func TestMLServersBatchClientWorks(t *testing.T) { //nolint:tparallel // the cases share a server, in turn
	python := pythonOf(t, "mlserver")
	t.Parallel()
	s, _ := oipServer(t)
	token := adminToken(t, s)
	for name, flags := range map[string][]string{"json": nil, "binary, in batches": {"--binary-data", "--batch-size", "3"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
			if err := os.WriteFile(in, []byte(strings.Repeat(irisRows, 10)), 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{
				"infer", "--url", s.addr, "--model-name", "iris", "--input-data-path", in, "--output-data-path", out,
				"--use-ssl", "--request-headers", "Authorization: Bearer " + token,
			}, flags...)
			cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(python), "mlserver"), args...)
			cmd.Env = pythonEnv(t, "SSL_CERT_FILE="+s.cacert())
			said, err := cmd.CombinedOutput()
			answers, readErr := os.ReadFile(out)
			if err := errors.Join(err, readErr); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			if n := strings.Count(string(answers), `"name":"output_label","shape":[2,1],"datatype":"INT64","parameters":{},"data":[1,1]`); n != 10 {
				t.Errorf("%d of 10 answers are right:\n%s\n%s", n, answers, said)
			}
		})
	}
}

// TestMLServersDocumentHolds has schemathesis derive requests from the document
// of the protocol that MLServer ships, and hold every answer against it.
func TestMLServersDocumentHolds(t *testing.T) {
	python, tool := pythonOf(t, "mlserver"), schemathesis(t)
	t.Parallel()
	s, _ := oipServer(t)
	dir := t.TempDir()
	row := `"shape":[1,16],"datatype":"INT32","data":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]`
	document, err := exec.CommandContext(t.Context(), python, source(t, "scripts", "oip", "dataplane.py"), "simple", "1",
		`{"id":"7","inputs":[{"name":"INPUT0",`+row+`},{"name":"INPUT1",`+row+`}],"outputs":[{"name":"OUTPUT0"}]}`).Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "dataplane.json")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, "--config-file", source(t, "scripts", "schemathesis", "schemathesis.toml"),
		"run", file, "--url", s.url(), "--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--workers", "1", "--no-color",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
		"--tls-verify", s.cacert(), "--header", "Authorization: Bearer "+adminToken(t, s))
	cmd.Dir, cmd.Env = dir, pythonEnv(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
