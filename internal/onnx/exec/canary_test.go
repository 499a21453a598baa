package exec_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/onnx/onnxtest/drawn"
	"onnxgate/internal/tensor"
)

// sample is a model with inputs.
type sample struct {
	name  string
	model []byte
	in    []*tensor.Tensor
}

// mustRun are operators whose runs take memory of their own kind: bodies, lists,
// the layouts of trees, packed matrices, kernels of vectors.
var mustRun = []string{
	"If", "Loop", "Scan", "SequenceMap", "SequenceInsert", "SplitToSequence", "ConcatFromSequence", "Optional",
	"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble", "MatMul", "Gemm", "Einsum", "CDist",
	"SVMClassifier", "SVMRegressor", "LinearClassifier", "Softmax", "TopK", "TfIdfVectorizer", "StringSplit", "ZipMap",
}

// samples are the cases of all operators and models drawn at random.
func samples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	seen := map[string]bool{}
	for _, f := range operatorCases(t) {
		s := sample{name: f.Name, model: f.Model}
		m, err := decode.Model(f.Model, onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range newWiring(m).nodes {
			seen[n.Op] = true
		}
		for _, v := range m.Graph.Parameters() {
			k := slices.IndexFunc(f.Inputs, func(a array) bool { return a.Name == v.Name })
			s.in = append(s.in, f.Inputs[k].tensor(t))
		}
		all = append(all, s)
	}
	for seed := range uint64(300) {
		c := drawn.New(seed)
		all = append(all, sample{fmt.Sprint("drawn ", seed, " ", c.Family), onnxtest.Encode(c.Model), c.Inputs})
	}
	for _, op := range mustRun {
		if !seen[op] {
			t.Errorf("no case runs %s", op)
		}
	}
	return all
}

// The memory of two runs of one program has nothing in common but constants:
// bodies, lists and scratch memory included.
func TestTwoRunsShareNoMemory(t *testing.T) {
	for _, s := range samples(t) {
		p := load(t, s.model)
		one, other := results(len(p.Outputs())), results(len(p.Outputs()))
		common, err := exec.Apart(t.Context(), p, s.in, one, other)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		for _, place := range common[:min(len(common), 3)] {
			t.Errorf("%s: %s", s.name, place)
		}
	}
}

// What an earlier run has left in memory does not show in the next.
func TestSpoiledMemoryDoesNotShow(t *testing.T) {
	total := 0
	for _, s := range samples(t) {
		p := load(t, s.model)
		want, got := results(len(p.Outputs())), results(len(p.Outputs()))
		if err := p.Run(t.Context(), s.in, want); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		n, err := exec.Spoil(t.Context(), p, s.in, got)
		total += n
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		for i := range want {
			if diff := identical(want[i], got[i]); diff != "" {
				t.Errorf("%s: output %d: %s", s.name, i, diff)
			}
		}
	}
	if total < 100_000 {
		t.Errorf("only %d bytes were spoiled", total)
	}
}

// Runs of one program at the same time, on inputs of their own, give what each
// gives alone. The race detector sees what the answers do not show.
func TestRunsAtTheSameTimeAnswerEachForItself(t *testing.T) {
	const runs = 4
	for i, s := range samples(t) {
		alone, together := load(t, s.model), load(t, s.model)
		var group errgroup.Group
		start := make(chan struct{})
		for k := range runs {
			in := s.in
			if k > 0 {
				in = shuffledInputs(rand.New(rand.NewPCG(uint64(i), uint64(k))), s.in)
			}
			want := results(len(alone.Outputs()))
			failed := alone.Run(t.Context(), in, want)
			group.Go(func() error {
				<-start
				return again(t.Context(), together, in, want, failed)
			})
		}
		close(start)
		if err := group.Wait(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// again runs p twice and compares with what it gave alone, or that it failed.
func again(ctx context.Context, p *exec.Program, in, want []*tensor.Tensor, failed error) error {
	out := results(len(want))
	for range 2 {
		err := p.Run(ctx, in, out)
		if failed != nil && err != nil {
			continue
		}
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("not as alone: %w", err)
		}
		for i := range want {
			if diff := identical(want[i], out[i]); diff != "" {
				return fmt.Errorf("output %d: %s", i, diff)
			}
		}
	}
	return nil
}

// shuffledInputs are others of the same shapes, of the same elements.
func shuffledInputs(r *rand.Rand, in []*tensor.Tensor) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(in))
	for i, t := range in {
		out[i] = shuffledTensor(r, t)
	}
	return out
}

// Neither the memory around an input nor that behind an output changes, nor the
// input itself.
func TestRunsWriteToTheirOutputsAlone(t *testing.T) {
	for _, s := range samples(t) {
		p := load(t, s.model)
		in, fences := make([]*tensor.Tensor, len(s.in)), []*fence{}
		for i, x := range s.in {
			f := fenced(x)
			in[i] = f.inside
			fences = append(fences, f)
		}
		out := results(len(p.Outputs()))
		if err := p.Run(t.Context(), in, out); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		for i := range out { // now with room behind what is needed
			f := fenced(out[i])
			f.written = true
			out[i] = f.inside
			fences = append(fences, f)
		}
		if err := p.Run(t.Context(), in, out); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		for i, f := range fences {
			if diff := f.broken(); diff != "" {
				t.Errorf("%s: tensor %d: %s", s.name, i, diff)
			}
		}
	}
}
