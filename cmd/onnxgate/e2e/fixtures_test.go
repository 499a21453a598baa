package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// recording is what ONNX Runtime answered to the rows of a fixture.
type recording struct {
	Inputs []struct {
		Shape []int
		Data  []json.Number
	}
	Outputs []struct {
		Shape []int
		Data  []any
	}
}

// answered is one row's label, for a classifier, and its numbers: scores in the
// order of the classes, or the values of a regressor.
type answered struct {
	Label   any
	Numbers []float64
}

// deciders are the fixtures whose scores are decision values, which an answer
// does not call probabilities.
var deciders = []string{"linear_svc", "linear_svc_binary", "ridge_classifier"}

// TestExportedModelsAreServedAsTheyCome serves every model that scikit-learn
// exported for the fixtures, without a model.yaml, and compares the answers over
// HTTPS with those of ONNX Runtime.
func TestExportedModelsAreServedAsTheyCome(t *testing.T) {
	t.Parallel()
	fixtures, err := filepath.Glob(filepath.Join(repository, "testdata", "sklearn", "*.onnx"))
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures (%v)", err)
	}
	models := t.TempDir()
	for _, fixture := range fixtures {
		installModel(t, fixture, filepath.Join(models, fixtureName(fixture), "1"))
	}
	s := begin(t, "ONNXGATE_MODELS_DIR="+models)
	client := s.clientFor(t)
	t.Cleanup(client.CloseIdleConnections)
	token := adminToken(t, s)
	for _, fixture := range fixtures {
		t.Run(fixtureName(fixture), func(t *testing.T) {
			t.Parallel()
			rows, want := readRecording(t, strings.TrimSuffix(fixture, ".onnx")+".json")
			got := predictRows(t, s, client, token, fixtureName(fixture), rows)
			if diff := cmp.Diff(want, got, cmpopts.EquateApprox(scoreTolerance, scoreTolerance)); diff != "" {
				t.Errorf("the answers differ from those of ONNX Runtime (-want +got):\n%s", diff)
			}
		})
	}
}

func fixtureName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".onnx") }

func installModel(t *testing.T, file, version string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(version, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(version, "model.onnx"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readRecording returns the rows as JSON objects, with the names that columns
// have without a model.yaml, and the recorded answer to each.
func readRecording(t *testing.T, file string) (rows []map[string]json.Number, want []answered) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rec recording
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatal(err)
	}
	for values := range slices.Chunk(rec.Inputs[0].Data, rec.Inputs[0].Shape[1]) {
		row := map[string]json.Number{}
		for i, value := range values {
			row[fmt.Sprintf("X_%d", i)] = value
		}
		rows = append(rows, row)
	}
	numbers := rec.Outputs[len(rec.Outputs)-1]
	width := numbers.Shape[1]
	for i := range rows {
		var a answered
		if len(rec.Outputs) == 2 {
			a.Label = rec.Outputs[0].Data[i]
		}
		if !slices.Contains(deciders, fixtureName(strings.TrimSuffix(file, ".json"))) {
			a.Numbers = floats(t, numbers.Data[i*width:(i+1)*width])
		}
		want = append(want, a)
	}
	return rows, want
}

func floats(t *testing.T, values []any) []float64 {
	t.Helper()
	var out []float64
	for _, value := range values {
		number, ok := value.(float64)
		if !ok {
			t.Fatalf("%v is no number", value)
		}
		out = append(out, number)
	}
	return out
}

// predictRows asks for all rows at once.
func predictRows(t *testing.T, s *server, client *http.Client, token, model string, rows []map[string]json.Number) []answered {
	t.Helper()
	body, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/models/"+model+"/predict", bytes.NewReader(body))
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
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %s %.300s (%v)", model, resp.Status, text, err)
	}
	var got struct {
		Predictions []struct {
			Prediction    any
			Label         *string
			Probabilities map[string]any
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var all []answered
	for _, p := range got.Predictions {
		switch value := p.Prediction.(type) {
		case []any: // a regressor of several values
			all = append(all, answered{Numbers: floats(t, value)})
		default:
			if p.Label == nil {
				all = append(all, answered{Numbers: floats(t, []any{value})})
				continue
			}
			var scores []any
			for _, class := range slices.Sorted(maps.Keys(p.Probabilities)) {
				scores = append(scores, p.Probabilities[class])
			}
			all = append(all, answered{value, floats(t, scores)})
		}
	}
	return all
}
