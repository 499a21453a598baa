package app_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/app"
	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Every model of the zoo has a contract by its graph alone, whose example row
// it answers, as JSON and as a table.
func TestTheZooIsServedAsJSON(t *testing.T) {
	engines := app.NewEngines("", 1)
	served := 0
	for _, folder := range []string{zoo, cmp.Or(os.Getenv("ZOO_DIR"), "../../.cache/zoo")} {
		files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			m, err := engines.LoadModel(file)
			if err != nil {
				t.Error(err)
				continue
			}
			batch := m.Schema.NewBatch()
			if err := m.Schema.Decode(t.Context(), batch, m.Schema.Example(), 1); err != nil {
				t.Errorf("%s: %s: %v", file, m.Schema.Example(), err)
				continue
			}
			outputs := make([]*tensor.Tensor, len(m.Program.Outputs()))
			for i := range outputs {
				outputs[i] = new(tensor.Tensor)
			}
			err = m.Program.Run(t.Context(), batch.Inputs, outputs)
			if fault.KindOf(err) == fault.Content && strings.Contains(err.Error(), "categories of the model") {
				continue // a word that was made up, and that an encoder does not know
			}
			if err != nil {
				t.Errorf("%s: %s: %v", file, m.Schema.Example(), err)
				continue
			}
			if slices.ContainsFunc(m.Doubts(), func(text string) bool { return strings.Contains(text, "adds the votes of all rows") }) {
				continue // as many answers as it has members, whatever it is asked
			}
			if _, err := m.Schema.AppendResponse(nil, batch, outputs, "1"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if _, err := m.Schema.AppendTable(nil, batch, outputs); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			served++
		}
	}
	if served < 40 {
		t.Errorf("%d models", served)
	}
}
