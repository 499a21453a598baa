package inference_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/inference"
	"onnxgate/internal/tensor"
)

// predictRows predicts so many rows at once.
func predictRows(t *testing.T, c *inference.Catalog, rows int) {
	t.Helper()
	call, err := c.Open(t.Context(), user, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	tensor.Reset[float32](call.Batch().Inputs[0], rows, 1)
	if err := call.Admit(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Predict(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestExecutionsAreCountedByTheirRows(t *testing.T) {
	c := newCatalog(t, inference.Config{FS: files("a/1/model.onnx", "m", "a/model.yaml", forUsers)})
	counts := func() map[string]uint64 {
		all, err := c.Statistics(t.Context(), user, "a", "")
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		counted := map[string]uint64{"all": all[0].Executions}
		for _, b := range all[0].Batches {
			if b.Input.Count != b.Infer.Count || b.Output.Count != b.Infer.Count {
				t.Errorf("of %d rows: %+v", b.Rows, b)
			}
			counted[fmt.Sprint(b.Rows)] = b.Infer.Count
		}
		return counted
	}
	for _, rows := range []int{1, 7, 1, 7, 7, 3} {
		predictRows(t, c, rows)
	}
	if diff := cmp.Diff(map[string]uint64{"all": 6, "1": 2, "3": 1, "7": 3}, counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for rows := range 200 {
		predictRows(t, c, rows+100)
	}
	got := counts()
	if len(got) > 2+64 || got["1"] != 2 || got["all"] != 206 {
		t.Errorf("after 200 other sizes: %d of them, %d of one row", len(got), got["1"])
	}
}
