package app_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The zoo's part that is committed, with ONNX Runtime's answers.
const zoo = "../onnx/exec/testdata/zoo"

// serveZoo starts a server with models of the zoo, and returns it and a token.
func serveZoo(t *testing.T, names ...string) (*server, string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(zoo, name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(folder, name, "1"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "1", "model.onnx"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": folder})
	return s, s.token(t)
}

func (s *server) ask(t *testing.T, token, model, body string) (int, string) {
	t.Helper()
	return s.call(t, "POST", "https://"+s.Addr()+"/models/"+model+"/predict", token, "application/json", body)
}

func TestAMapIsServedAsAnObject(t *testing.T) {
	s, token := serveZoo(t, "dict_vectorizer")
	status, body := s.ask(t, token, "dict_vectorizer", `{"X":{"age":2.5,"colour":7,"other":1}}`)
	body = strings.TrimSpace(body)
	if want := `{"prediction":[2.5,7,0],"model":"dict_vectorizer","version":"1"}`; status != 200 || body != want {
		t.Errorf("%d %s\nwant %s", status, body, want)
	}
	status, body = s.ask(t, token, "dict_vectorizer", `{"X":{"age":"old"}}`)
	var problem struct {
		Errors []struct{ Pointer, Detail string }
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != 422 || len(problem.Errors) != 1 || problem.Errors[0].Pointer != "#/X/age" {
		t.Errorf("%d %s", status, body)
	}
}

// recordedAnswer is one input or output of the zoo.
type recordedAnswer struct {
	Type  string
	Shape []int
	Raw   []byte
	Items []recordedAnswer
}

// rows returns numbers as one list a row.
func (r *recordedAnswer) rows(t *testing.T) [][]float64 {
	t.Helper()
	rows := make([][]float64, r.Shape[0])
	for i := range rows {
		for k := range r.Shape[1] {
			at := i*r.Shape[1] + k
			switch r.Type {
			case "float32":
				rows[i] = append(rows[i], float64(math.Float32frombits(binary.LittleEndian.Uint32(r.Raw[4*at:]))))
			case "int64":
				rows[i] = append(rows[i], float64(binary.LittleEndian.Uint64(r.Raw[8*at:])))
			default:
				t.Fatalf("numbers of %s", r.Type)
			}
		}
	}
	return rows
}

func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) <= 1e-5 })
}

// Probabilities of several targets are a sequence: one tensor for each.
func TestASequenceIsServedAsAnArrayOfWhatEachElementHoldsOfTheRow(t *testing.T) {
	const model = "multi_output_of_marks"
	text, err := os.ReadFile(filepath.Join(zoo, model+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Inputs, Outputs []recordedAnswer }
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	given, labels := recorded.Inputs[0].rows(t), recorded.Outputs[0].rows(t)
	names := []string{"X_0", "X_1", "X_2", "X_3", "X_4", "X_5", "X_6", "X_7"}
	var asked []map[string]float64
	for _, values := range given {
		row := map[string]float64{}
		for k, v := range values {
			row[names[k]] = v
		}
		asked = append(asked, row)
	}
	request, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	s, token := serveZoo(t, model)
	status, body := s.ask(t, token, model, string(request))
	var answer struct {
		Predictions []struct {
			Outputs struct {
				Label         []float64
				Probabilities [][]float64
			}
		}
	}
	if err := json.NewDecoder(bytes.NewBufferString(body)).Decode(&answer); err != nil || status != 200 || len(answer.Predictions) != len(given) {
		t.Fatalf("%d %.300s: %v", status, body, err)
	}
	for i, p := range answer.Predictions {
		if !near(p.Outputs.Label, labels[i]) || len(p.Outputs.Probabilities) != len(recorded.Outputs[1].Items) {
			t.Fatalf("row %d: labels %v, want %v; %d targets", i, p.Outputs.Label, labels[i], len(p.Outputs.Probabilities))
		}
		for k := range recorded.Outputs[1].Items {
			if want := recorded.Outputs[1].Items[k].rows(t)[i]; !near(p.Outputs.Probabilities[k], want) {
				t.Errorf("row %d, target %d: %v, want %v", i, k, p.Outputs.Probabilities[k], want)
			}
		}
	}
}
