package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// shopManifest is of a model with text features, whose names and values would break
// out of a literal that is not quoted.
const shopManifest = `features:
  - name: "the buyer's \"text\" $(false) ` + "`" + `x` + "`" + `"
    input: text
    sanitize: [strip_html, trim, nfc, truncate: 40]
    example: " <b>it's</b> \"so\" \\ good\n$HOME %s "
  - {name: colour, input: colour, sanitize: [lower], enum: [red, blue], example: RED}
  - {name: price, input: price, min: 0, example: 12.5}
access: {roles: [admin, user]}
`

// installShop puts a model that answers with what it is given into a folder.
func installShop(t *testing.T, models string) {
	t.Helper()
	m := onnxtest.Model()
	m.Graph.Inputs, m.Graph.Outputs = nil, nil
	for name, d := range map[string]tensor.DType{"text": tensor.String, "colour": tensor.String, "price": tensor.Float32} {
		column := onnx.TensorOf(d, tensor.Dim{Size: -1, Name: "N"}, tensor.Dim{Size: 1})
		m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: name, Type: &column})
		m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: "seen_" + name, Type: &column})
		echo := onnxtest.Node("Identity", onnxtest.Names(name), onnxtest.Names("seen_"+name))
		echo.Name = name
		m.Graph.Nodes = append(m.Graph.Nodes, echo)
	}
	version := filepath.Join(models, "shop", "1")
	if err := os.MkdirAll(version, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{filepath.Join(version, "model.onnx"): onnxtest.Encode(m), filepath.Join(models, "shop", "model.yaml"): []byte(shopManifest)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCodeToPasteRuns takes the code that a model comes with and runs it as it is.
func TestCodeToPasteRuns(t *testing.T) {
	t.Parallel()
	models := t.TempDir()
	installShop(t, models)
	installModel(t, source(t, "models", "iris", "1", "model.onnx"), filepath.Join(models, "iris", "1"))
	iris, err := os.ReadFile(source(t, "models", "iris", "model.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(models, "iris", "model.yaml"), iris, 0o600); err != nil {
		t.Fatal(err)
	}
	s := begin(t, "ONNXGATE_MODELS_DIR="+models, "ONNXGATE_RATE_PREDICT=100/minute")
	token := adminToken(t, s)
	for model, want := range map[string][]string{
		"iris": {"prediction", "0", "label", "setosa"},
		"shop": {"so", "good", "red", "12.5"},
	} {
		code := codeOf(t, s, token, model)
		for language, run := range map[string]func(file string) []string{
			"curl": func(file string) []string { return []string{testkit.Tool(t, "bash", "bash"), file} },
			"python": func(file string) []string {
				return []string{testkit.Tool(t, "python3", "python3"), file}
			},
			"javascript": func(file string) []string {
				return []string{testkit.Tool(t, "node", "nodejs"), file}
			},
			"go": func(file string) []string { return []string{testkit.Tool(t, "go", "golang-go"), "run", file} },
		} {
			t.Run(model+" "+language, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "predict."+map[string]string{"curl": "sh", "python": "py", "javascript": "mjs", "go": "go"}[language])
				if err := os.WriteFile(file, []byte(code[language]), 0o600); err != nil {
					t.Fatal(err)
				}
				command := run(file)
				cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
				cmd.Dir = s.dir // where the certificate is data/tls/cert.pem
				cmd.Env = append(os.Environ(), "TOKEN="+token, "NO_PROXY=*", "GOFLAGS=", "GOTOOLCHAIN=local", "GO111MODULE=off", "PYTHONDONTWRITEBYTECODE=1")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s\n%s", err, out, code[language])
				}
				for _, part := range want {
					if !strings.Contains(string(out), part) {
						t.Errorf("%s lacks %q", out, part)
					}
				}
				refused := exec.CommandContext(t.Context(), command[0], command[1:]...)
				refused.Dir, refused.Env = s.dir, append(cmd.Env, "TOKEN=wrong")
				if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "401") && language != "curl" || !strings.Contains(string(out), "/problems/unauthenticated") {
					t.Errorf("with a wrong token: %v %s", err, out)
				}
			})
		}
	}
}

// codeOf asks for the code that a model comes with.
func codeOf(t *testing.T, s *server, token, model string) map[string]string {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/models/"+model, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var detail struct{ Examples map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&detail); err != nil || len(detail.Examples) != 4 {
		t.Fatal(fmt.Sprint(resp.Status, err, detail))
	}
	return detail.Examples
}
