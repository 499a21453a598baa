package exec_test

import (
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

func TestModelsAgreeWithONNXRuntime(t *testing.T) {
	for _, name := range modelNames(t) {
		t.Run(name, func(t *testing.T) {
			model, f := readModel(t, name)
			replay(t, model, &f)
		})
	}
}

func TestOperatorsAgreeWithONNXRuntime(t *testing.T) {
	cases := operatorCases(t)
	if len(cases) < 300 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i := range cases {
		t.Run(cases[i].Name, func(t *testing.T) { replay(t, cases[i].Model, &cases[i]) })
	}
}

// warm returns a program with its inputs, one row of the fixture, and outputs
// that have been used before.
func warm(tb testing.TB, name string, rows int) (p *exec.Program, in, out []*tensor.Tensor) {
	tb.Helper()
	model, f := readModel(tb, name)
	p, err := exec.Load(model, onnx.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	x := f.Inputs[0]
	width := x.Shape[1]
	data := make([]float32, rows*width)
	for i := range data {
		v, ok := x.Data[i%len(x.Data)].(interface{ Float64() (float64, error) })
		if !ok {
			continue // NaN
		}
		n, err := v.Float64()
		if err != nil {
			tb.Fatal(err)
		}
		data[i] = float32(n)
	}
	row, err := tensor.New(tensor.Shape{rows, width}, data)
	if err != nil {
		tb.Fatal(err)
	}
	in, out = []*tensor.Tensor{row}, make([]*tensor.Tensor, len(p.Outputs()))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	if err := p.Run(tb.Context(), in, out); err != nil {
		tb.Fatal(err)
	}
	return p, in, out
}

func TestWarmRowAllocatesNothing(t *testing.T) {
	for _, name := range []string{
		"forest", "forest_strings", "forest_regressor", "boosting", "logistic", "logistic_two_classes",
		"scaled_logistic_strings", "linear_two_targets", "normalized_forest", "lightgbm", "xgboost_regressor",
	} {
		t.Run(name, func(t *testing.T) {
			p, in, out := warm(t, name, 1)
			ctx := t.Context()
			got := testing.AllocsPerRun(100, func() {
				if err := p.Run(ctx, in, out); err != nil {
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		model string
		rows  int
	}{{"forest", 1}, {"forest", 1000}, {"logistic_two_classes", 1}, {"lightgbm", 1}} {
		b.Run(c.model+"/"+map[int]string{1: "row", 1000: "rows"}[c.rows], func(b *testing.B) {
			p, in, out := warm(b, c.model, c.rows)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Run(b.Context(), in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
