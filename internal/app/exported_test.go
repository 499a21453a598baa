package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/app"
	"onnxgate/internal/schema"
)

func TestAPickleInTheModelsPlaceIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.onnx")
	_, err := app.NewEngines("", 1).LoadModel(file)
	if err == nil || strings.Contains(err.Error(), "Python") {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.pkl"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = app.NewEngines("", 1).LoadModel(file)
	if err == nil || !strings.Contains(err.Error(), "model.pkl is there, which only Python can read: export the model") {
		t.Errorf("beside a pickle: %v", err)
	}
}

// A server and `package` compile what `model check` looks at.
func TestALossyExportIsAWarningWhereverItIsLoaded(t *testing.T) {
	files, err := filepath.Glob("../onnx/exports/testdata/xgboost_classifier_softmax*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no export to look at: %v", err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := app.NewEngines("", 1).Compile(data, schema.EngineAuto)
	if err != nil || !strings.Contains(strings.Join(warnings, "\n"), "multi:softprob") {
		t.Errorf("%v, warnings %q", err, warnings)
	}
}
