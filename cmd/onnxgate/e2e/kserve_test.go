package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kserveContainer is the container of deploy/kserve/serving-runtime.yaml.
type kserveContainer struct {
	Args           []string
	Env            []struct{ Name, Value string }
	ReadinessProbe struct {
		HTTPGet struct{ Path string } `yaml:"httpGet"`
	} `yaml:"readinessProbe"`
}

func readKServeContainer(t *testing.T) kserveContainer {
	t.Helper()
	data, err := os.ReadFile(source(t, "deploy", "kserve", "serving-runtime.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var runtime struct {
		Spec struct{ Containers []kserveContainer }
	}
	if err := yaml.Unmarshal(data, &runtime); err != nil || len(runtime.Spec.Containers) != 1 {
		t.Fatalf("%v: %+v", err, runtime)
	}
	return runtime.Spec.Containers[0]
}

// TestTheServingRuntimeServesWhatKServeMounts starts the server as the runtime
// says, with a flat folder, and asks it as KServe's tests of iris do.
func TestTheServingRuntimeServesWhatKServeMounts(t *testing.T) {
	t.Parallel()
	container := readKServeContainer(t)
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(s.run(t, "", "apikey", "generate")))
	s.keep(key)
	mounts := t.TempDir()
	model, err := os.ReadFile(source(t, "models", "iris", "1", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"models/model.onnx": string(model), "models/model.yaml": "access: {roles: [user]}\n",
		"secrets/jwt-secret": "9f2c7e51b8d04a36c1e97f5a20d8b64e73a5c0d1\n", "secrets/admin-password": userPassword + "\n", "secrets/api-key": key + "\n",
	} {
		file := filepath.Join(mounts, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill := strings.NewReplacer("{{.Name}}", "iris", "/mnt/models", filepath.Join(mounts, "models"), "/run/secrets/onnxgate", filepath.Join(mounts, "secrets"),
		"/data/onnxgate", filepath.Join(s.dir, "data"), "0.0.0.0:8080", s.addr, "0.0.0.0:9000", s.grpc)
	var settings []string
	for _, e := range container.Env {
		settings = append(settings, e.Name+"="+fill.Replace(e.Value))
	}
	s.command = append([]string{binary}, container.Args...)
	if err := s.start(context.WithoutCancel(t.Context()), settings...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if status, body := s.plain(t, container.ReadinessProbe.HTTPGet.Path, "", ""); status != http.StatusOK {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, body := s.plain(t, "/v2/models/iris/infer", "", irisRows); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d %s", status, body)
	}
	status, body := s.plain(t, "/v2/models/iris/infer", key, irisRows)
	var answer struct {
		Version string `json:"model_version"`
		Outputs []struct{ Data []float64 }
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.Version != "1" || len(answer.Outputs) == 0 ||
		len(answer.Outputs[0].Data) != 2 || answer.Outputs[0].Data[0] != 1 || answer.Outputs[0].Data[1] != 1 {
		t.Errorf("infer: %d %s (%v)", status, body, err)
	}
}

// plain asks for a path: with a body by POST, with a key as a bearer token.
func (s *server) plain(t *testing.T, path, key, body string) (int, []byte) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}
