package exec_test

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

// fuzzLimits keep a run of the fuzzer small: what is tested is that they hold.
var fuzzLimits = onnx.Limits{Bytes: 1 << 20, Nodes: 1000, Elements: 1 << 16, AttributeLength: 1 << 14, RunMemory: 1 << 20}

// seedModels are the whole models and, at a stride, the operators' cases.
func seedModels(f *testing.F) [][]byte {
	f.Helper()
	var seeds [][]byte
	for _, name := range modelNames(f) {
		if data, _ := readModel(f, name); len(data) < 4<<10 { // small seeds: the fuzzer's time goes with their size
			seeds = append(seeds, data)
		}
	}
	cases := operatorCases(f)
	for i := 0; i < len(cases); i += 7 {
		seeds = append(seeds, cases[i].Model)
	}
	if len(seeds) < 50 {
		f.Fatalf("only %d seeds", len(seeds))
	}
	return seeds
}

// FuzzRun changes bytes of valid models and then loads and runs them on inputs
// made for their specification. Whatever comes of it is a result or a
// classified error; never a panic, which Run and Load would report as Internal.
func FuzzRun(f *testing.F) {
	for _, seed := range seedModels(f) {
		f.Add(seed, []byte{}, []byte{1, 2, 3, 4})
		f.Add(seed, []byte{200, 0, 7, 90, 1, 0}, []byte{0xff, 0xff, 0xff, 0x7f, 0, 0})
	}
	for _, c := range hostile() {
		if len(c.data) < 1<<12 {
			f.Add(c.data, []byte{}, []byte{0})
		}
	}
	f.Fuzz(func(t *testing.T, model, edits, input []byte) {
		data := append([]byte(nil), model...)
		for ; len(edits) >= 3 && len(data) > 0; edits = edits[3:] {
			data[int(binary.LittleEndian.Uint16(edits))%len(data)] = edits[2]
		}
		p, err := exec.Load(data, fuzzLimits)
		if err != nil {
			if fault.KindOf(err) != fault.Content || fault.As(err).Msg == "" {
				t.Fatalf("%v: %v", fault.KindOf(err), err)
			}
			return
		}
		runFuzzed(t, p, hinted(t, data), input)
	})
}

// hinted returns the outputs whose extents the file declares: where only a run
// knows better, these are hints, which may be wrong.
func hinted(t *testing.T, data []byte) map[string]bool {
	t.Helper()
	m, err := decode.Model(data, fuzzLimits)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, v := range m.Graph.Outputs {
		declared[v.Name] = v.Type != nil && v.Type.Ranked
	}
	return declared
}

func runFuzzed(t *testing.T, p *exec.Program, hinted map[string]bool, input []byte) {
	t.Helper()
	in := make([]*tensor.Tensor, len(p.Inputs()))
	for i := range p.Inputs() {
		if in[i] = fuzzTensor(t, &p.Inputs()[i], input); in[i] == nil {
			return
		}
	}
	// A loop may ask for any number of passes: its run ends with the deadline.
	const deadline, grace = 200 * time.Millisecond, 5 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, start := results(len(p.Outputs())), time.Now()
	err := p.Run(ctx, in, out)
	if kind := fault.KindOf(err); err != nil && kind != fault.Content && kind != fault.Timeout {
		t.Fatalf("%v: %v", kind, err)
	}
	if took := time.Since(start); took > deadline+grace {
		t.Fatalf("a run of %v with a deadline of %v", took, deadline)
	}
	if err != nil {
		return
	}
	for i, s := range p.Outputs() {
		if out[i].DType() != s.DType || s.Ranked && !hinted[s.Name] && !fits(s.Dims, out[i].Shape()) {
			t.Fatalf("output %s is %v of %v, which its specification %v %s does not allow",
				s.Name, out[i].Shape(), out[i].DType(), s.DType, onnx.FormatDims(s.Dims))
		}
	}
}

// fuzzTensor makes a small tensor that fits s, nil when none is small.
func fuzzTensor(t *testing.T, s *tensor.Spec, input []byte) *tensor.Tensor {
	t.Helper()
	switch s.Kind {
	case tensor.KindSequence, tensor.KindOptional:
		elem := fuzzTensor(t, s.Elem, input)
		if s.Kind == tensor.KindOptional || elem == nil {
			return tensor.NewOptional(elem)
		}
		return tensor.NewSequence(slices.Repeat([]*tensor.Tensor{elem}, len(input)%4)...)
	case tensor.KindMap:
		return nil
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	shape := tensor.Shape{2, 3}
	if s.Ranked {
		shape = shape[:0]
		for _, d := range s.Dims {
			n := d.Size
			if n < 0 {
				n = 2
			}
			shape = append(shape, n)
		}
	}
	n, err := shape.Elements()
	if err != nil || n > 1<<12 {
		return nil
	}
	at := func(i int) byte {
		if len(input) == 0 {
			return 0
		}
		return input[i%len(input)]
	}
	a := array{Shape: shape, Data: make([]any, n)}
	for i := range a.Data {
		a.Data[i] = i
	}
	index := func(v any) int { i, _ := v.(int); return i }
	switch s.DType { //nolint:exhaustive // the kernels of the other types are these by another name
	case tensor.Float32:
		return build(t, &a, func(v any) float32 {
			i := index(v)
			return math.Float32frombits(binary.LittleEndian.Uint32([]byte{at(i), at(i + 1), at(i + 2), at(i + 3)}))
		})
	case tensor.Float64:
		return build(t, &a, func(v any) float64 { return float64(at(index(v))) - 100 })
	case tensor.Int64:
		return build(t, &a, func(v any) int64 { return int64(int8(at(index(v)))) })
	case tensor.Int32:
		return build(t, &a, func(v any) int32 { return int32(int8(at(index(v)))) })
	case tensor.String:
		return build(t, &a, func(v any) string { return string(rune(at(index(v)))) })
	case tensor.Bool:
		return build(t, &a, func(v any) bool { return at(index(v))&1 == 1 })
	default:
		return nil
	}
}
