//go:build ort && cgo

package ort_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/onnx/onnxtest/drawn"
	"onnxgate/internal/onnx/ort"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// fewModels is how many models are drawn where MODELS does not say.
const fewModels = 400

// Models drawn at random answer as ONNX Runtime does: labels and integers are
// equal, labels of rows whose best scores are equal but for rounding aside,
// floats within 1e-5 absolute and relative, doubles within 1e-10.
//
// MODELS is how many are drawn (400), SEED the number of the first: a failure
// names the number of its model, which SEED=n MODELS=1 draws again. Numbers
// that have found something stand in testdata/seeds.txt and are drawn first; what
// they found is also among the cases of its operator, which outlive a change of
// what is drawn. With LAST=file the number goes there before each model, for when
// ONNX Runtime ends the process.
func TestDrawnModelsAnswerAsONNXRuntime(t *testing.T) {
	e := engine(t)
	first, count := uint64(testkit.Number(t, "SEED", 1)), uint64(testkit.Number(t, "MODELS", fewModels))
	sum := tally{families: map[string]int{}, refused: map[string]int{}}
	if count > 1 {
		for _, seed := range foundBefore(t) {
			sum.try(t, e, seed)
		}
	}
	for seed := first; seed < first+count && sum.failed < 40; seed++ {
		sum.try(t, e, seed)
		if seed%512 == 0 {
			runtime.GC() // which frees sessions, whose memory it does not see
		}
	}
	for reason, n := range sum.refused {
		t.Logf("%d: %s", n, reason)
	}
	t.Logf("in all: %v", &sum)
	if refused := uint64(sum.compared + sum.failed); count > 100 && refused < count*98/100 {
		t.Errorf("only %d of %d models were compared: ONNX Runtime has no kernels for the others", sum.compared, count)
	}
}

// foundBefore reads testdata/seeds.txt: a number and what it found in each line.
func foundBefore(t *testing.T) []uint64 {
	t.Helper()
	data, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for line := range strings.Lines(string(data)) {
		number, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number == "" || number == "#" {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

type tally struct {
	compared, failed, values, ties int
	families, refused              map[string]int
}

func (s *tally) String() string {
	var families []string
	for _, name := range slices.Sorted(maps.Keys(s.families)) {
		families = append(families, fmt.Sprintf("%d %s", s.families[name], name))
	}
	return fmt.Sprintf("%d models compared in %d values, %d labels of ties aside: %s", s.compared, s.values, s.ties, strings.Join(families, ", "))
}

// errNoKernel is of a model that ONNX Runtime has no kernel for.
var errNoKernel = errors.New("ONNX Runtime has no kernel")

func (s *tally) try(t *testing.T, e *ort.Engine, seed uint64) {
	t.Helper()
	c := drawn.New(seed)
	if name := os.Getenv("LAST"); name != "" {
		if err := os.WriteFile(name, fmt.Appendln(nil, seed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := s.compare(t.Context(), e, c)
	switch {
	case errors.Is(err, errNoKernel):
		s.refused[err.Error()]++
	case err != nil:
		s.failed++
		t.Errorf("model %d (%s): %v", seed, c.Family, err)
	default:
		s.compared++
		s.families[c.Family]++
	}
}

func (s *tally) compare(ctx context.Context, e *ort.Engine, c *drawn.Case) error {
	native, err := exec.Load(onnxtest.Encode(c.Model), onnx.Limits{})
	if err != nil {
		return fmt.Errorf("the native engine: %w", err)
	}
	model := c.Model
	if c.Runtime != nil {
		model = c.Runtime
	}
	library, err := e.Load(onnxtest.Encode(model), onnx.Limits{})
	if err != nil {
		return refusal(err)
	}
	want, got := outputs(native), outputs(native)
	if err := library.Run(ctx, c.Inputs, want); err != nil {
		return refusal(err)
	}
	for range 2 { // the second run finds used memory
		if err := native.Run(ctx, c.Inputs, got); err != nil {
			return fmt.Errorf("the native engine's run: %w", err)
		}
	}
	if err := s.outputs(c, native, want, got); err != nil || !c.Rows {
		return err
	}
	for row := range min(3, c.Inputs[0].Shape()[0]) {
		if err := s.row(ctx, c, native, want, row); err != nil {
			return fmt.Errorf("row %d alone: %w", row, err)
		}
	}
	return nil
}

func refusal(err error) error {
	if strings.Contains(err.Error(), "NOT_IMPLEMENTED") || strings.Contains(err.Error(), "implementation for") {
		_, name, _ := strings.Cut(err.Error(), "implementation for")
		name, _, _ = strings.Cut(name, " node with name")
		return fmt.Errorf("%w for%s", errNoKernel, name)
	}
	return fmt.Errorf("ONNX Runtime: %w", err)
}

func outputs(p *exec.Program) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(p.Outputs()))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out
}

// row runs one row, which may take other ways than many.
func (s *tally) row(ctx context.Context, c *drawn.Case, p *exec.Program, want []*tensor.Tensor, row int) error {
	in, part, out := make([]*tensor.Tensor, len(c.Inputs)), make([]*tensor.Tensor, len(want)), outputs(p)
	for i := range in {
		in[i] = rowOf(c.Inputs[i], row)
	}
	for i := range part {
		part[i] = rowOf(want[i], row)
	}
	if err := p.Run(ctx, in, out); err != nil {
		return err
	}
	return s.outputs(c, p, part, out)
}

func (s *tally) outputs(c *drawn.Case, p *exec.Program, want, got []*tensor.Tensor) error {
	var all []error
	for i, spec := range p.Outputs() {
		if c.Uncompared[spec.Name] {
			continue
		}
		var ties []bool
		if spec.Name == c.Labels {
			k := slices.IndexFunc(p.Outputs(), func(s tensor.Spec) bool { return s.Name == c.Scores })
			ties = tied(want[k])
		}
		if err := s.tensors(c, want[i], got[i], ties); err != nil {
			all = append(all, fmt.Errorf("output %s: %w", spec.Name, err))
		}
	}
	return errors.Join(all...)
}

func (s *tally) tensors(c *drawn.Case, want, got *tensor.Tensor, ties []bool) error {
	if want.DType() != got.DType() || !slices.Equal(want.Shape(), got.Shape()) {
		return fmt.Errorf("%v of %v, ONNX Runtime has %v of %v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	s.values += want.Len()
	for i := range want.Len() {
		w, g, tolerance := element(want, i), element(got, i), max(1e-5, c.Slack)
		if want.DType() == tensor.Float64 && !c.Coarse {
			tolerance = 1e-10
		}
		switch {
		case agree(w, g, tolerance):
		case i < len(ties) && ties[i]:
			s.ties++
		default:
			return fmt.Errorf("element %d of %v is %v, ONNX Runtime has %v", i, want.Shape(), g, w)
		}
	}
	return nil
}

func agree(w, g any, tolerance float64) bool {
	a, ok := w.(float64)
	if !ok {
		return w == g
	}
	b, _ := g.(float64)
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= tolerance*(1+math.Abs(a)) && !math.IsInf(a, 0)
}

// tied says of each row whether its best two scores are equal but for rounding.
func tied(scores *tensor.Tensor) []bool {
	ties := make([]bool, scores.Shape()[0])
	width := scores.Len() / max(len(ties), 1)
	for r := range ties {
		row := slices.Sorted(slices.Values(tensor.Of[float32](scores)[r*width : (r+1)*width]))
		if width > 1 {
			best, next := float64(row[width-1]), float64(row[width-2])
			ties[r] = math.Abs(best-next) <= 1e-6*max(1, math.Abs(best))
		}
	}
	return ties
}
