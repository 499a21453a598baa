package exec_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// call is a node with what it is given; nil for an input that is left out.
type call struct {
	node *onnx.Node
	in   []*tensor.Tensor
}

func calling(op string, in []*tensor.Tensor, attributes ...onnx.Attribute) call {
	n := Node(op, nil, Names("y"), attributes...)
	for i, x := range in {
		n.Inputs = append(n.Inputs, "")
		if x != nil {
			n.Inputs[i] = string(rune('a' + i))
		}
	}
	return call{n, in}
}

// outputs returns the call with so many outputs, all but the first without a name.
func (c call) outputs(n int) call {
	c.node.Outputs = append(c.node.Outputs, make([]string, n-1)...)
	return c
}

// model makes the call's inputs the model's: of no known shape, or constants.
func (c call) model(constant func(i int) bool, shaped bool) (m *onnx.Model, in []*tensor.Tensor) {
	m = Model(c.node)
	m.Opsets[0].Version = 24
	m.Graph.Inputs = nil
	for i, x := range c.in {
		switch {
		case x == nil:
		case constant(i):
			m.Graph.Initializers = append(m.Graph.Initializers, onnx.Initializer{Name: c.node.Inputs[i], Tensor: x})
		default:
			typ := onnx.UnrankedTensor(x.DType())
			if shaped {
				typ = onnx.TypeOf(x)
			}
			m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: c.node.Inputs[i], Type: &typ})
			in = append(in, x)
		}
	}
	return m, in
}

func wholes(v ...int64) *tensor.Tensor { return Tensor64("", tensor.Shape{len(v)}, v...).Tensor }

func array64(shape tensor.Shape, v ...int64) *tensor.Tensor { return Tensor64("", shape, v...).Tensor }

func inputs(x ...*tensor.Tensor) []*tensor.Tensor { return x }

// zeros are float32, or bytes when there are many.
func zeros(tb testing.TB, shape ...int) *tensor.Tensor {
	tb.Helper()
	n, err := tensor.Shape(shape).Elements()
	if err != nil {
		tb.Fatal(err)
	}
	return floats(tb, shape, make([]float32, n)...)
}

// What an index, an axis or an extent does wrong is one clear error: in a run,
// and when the model is loaded if everything is known then.
func TestIndicesThatDoNotFitAreRefused(t *testing.T) {
	x := zeros(t, 2, 3)
	nan := floats(t, tensor.Shape{}, float32(math.NaN()))
	far := int64(math.MaxInt64)
	for _, c := range []struct {
		name string
		call call
		want string
	}{
		{"an index beyond the end", calling("Gather", inputs(x, wholes(0, 2))), "index 2 is out of range for an axis of extent 2"},
		{"an index below the beginning", calling("Gather", inputs(x, wholes(-3))), "index -3 is out of range"},
		{"an index of nothing", calling("Gather", inputs(zeros(t, 0, 3), wholes(0))), "index 0 is out of range for an axis of extent 0"},
		{"an axis to gather on", calling("Gather", inputs(x, wholes(0)), Int("axis", 2)), "axis 2 is out of range"},
		{"an index of elements", calling("GatherElements", inputs(x, array64(tensor.Shape{1, 1}, 9))), "index 9 is out of range"},
		{"indices of another rank", calling("GatherElements", inputs(x, wholes(0))), "input"},
		{"indices beyond the data", calling("GatherElements", inputs(x, array64(tensor.Shape{1, 4}, 0, 0, 0, 0))), "reach beyond the data"},
		{"an index of a tuple", calling("GatherND", inputs(x, wholes(0, 3))), "index 3 is out of range"},
		{"tuples that are too long", calling("GatherND", inputs(x, wholes(0, 0, 0))), "longer than the data has axes"},
		{"a scalar for a tuple", calling("GatherND", inputs(x, array64(tensor.Shape{}, 0))), "axis of tuples"},
		{"a batch that differs", calling("GatherND", inputs(x, array64(tensor.Shape{3, 1}, 0, 0, 0)), Int("batch_dims", 1)), "differ in the batch"},
		{"a negative batch", calling("GatherND", inputs(x, wholes(0)), Int("batch_dims", -1)), "batch_dims"},
		{"a choice beyond the end", calling("Compress", inputs(x, bools(t, false, false, true)), Int("axis", 0)), "index 2 is out of range"},
		{"an index to change", calling("ScatterElements", inputs(x, array64(tensor.Shape{1, 1}, -3), zeros(t, 1, 1))), "index -3 is out of range"},
		{"updates of another shape", calling("ScatterElements", inputs(x, array64(tensor.Shape{1, 1}, 0), zeros(t, 1, 2))), "update for each index"},
		{"a reduction that is not known", calling("ScatterElements", inputs(x, array64(tensor.Shape{1, 1}, 0), zeros(t, 1, 1)), String("reduction", "sub")), `reduction "sub"`},
		{"a tuple to change", calling("ScatterND", inputs(x, array64(tensor.Shape{1, 2}, 0, 7), zeros(t, 1))), "index 7 is out of range"},
		{"updates for other tuples", calling("ScatterND", inputs(x, array64(tensor.Shape{1, 2}, 0, 0), zeros(t, 2))), "update for each tuple"},
		{"a step to write beyond the end", calling("TensorScatter", inputs(x, zeros(t, 2, 2), wholes(0, 2)), Int("axis", 1)), "index 2 is out of range"},
		{"the batch as steps", calling("TensorScatter", inputs(x, x), Int("axis", 0)), "axis 0"},

		{"a step of zero", calling("Slice", inputs(x, wholes(0), wholes(1), wholes(0), wholes(0))), "a step of 0"},
		{"an axis to slice twice", calling("Slice", inputs(x, wholes(0, 0), wholes(1, 1), wholes(0, -2))), "axis 0 is to be sliced twice"},
		{"an axis to slice", calling("Slice", inputs(x, wholes(0), wholes(1), wholes(-3))), "axis -3 is out of range"},
		{"starts without ends", calling("Slice", inputs(x, wholes(0, 0), wholes(1))), "differ in length"},
		{"too many starts", calling("Slice", inputs(x, wholes(0, 0, 0), wholes(1, 1, 1))), "3 axes are to be sliced of 2"},
		{"parts that are too large", calling("Split", inputs(x, wholes(far, far)), Int("axis", 1)).outputs(2), "do not make up the extent 3"},
		{"parts that are too small", calling("Split", inputs(x, wholes(1, 1)), Int("axis", 1)).outputs(2), "do not make up the extent 3"},
		{"a negative part", calling("Split", inputs(x, wholes(-1, 4)), Int("axis", 1)).outputs(2), "do not make up the extent 3"},
		{"parts of other outputs", calling("Split", inputs(x, wholes(1, 2)), Int("axis", 1)), "2 extents are given for 1 outputs"},
		{"more parts than elements", calling("Split", inputs(zeros(t, 5), nil), Int("num_outputs", 4)).outputs(4), "cannot be split into 4 parts"},
		{"a permutation that is none", calling("Transpose", inputs(x), Ints("perm", 0, 0)), "each axis once"},
		{"a permutation for other axes", calling("Transpose", inputs(x), Ints("perm", 0, 2, 1)), "perm"},
		{"channels that are no blocks", calling("DepthToSpace", inputs(zeros(t, 1, 3, 1, 1)), Int("blocksize", 2)), "whole blocks"},
		{"rows that are no blocks", calling("SpaceToDepth", inputs(zeros(t, 1, 1, 3, 2)), Int("blocksize", 2)), "whole blocks"},
		{"a sequence that is too long", calling("ReverseSequence", inputs(x, wholes(1, 3, 1))), "sequence 1 is to have 3 steps of 2"},
		{"lengths of another batch", calling("ReverseSequence", inputs(x, wholes(1, 1))), "2 lengths of sequences for a batch of 3"},
		{"an axis to add twice", calling("Unsqueeze", inputs(x, wholes(0, -4))), "named twice"},
		{"too many axes", calling("Unsqueeze", inputs(x, wholes(slices.Repeat([]int64{0}, 31)...))), "33 axes; at most 32"},
		{"an axis that is not one", calling("Squeeze", inputs(x, wholes(1))), "not of extent 1"},

		{"a shape to expand to", calling("Expand", inputs(x, wholes(4))), "cannot be expanded to"},
		{"a negative extent", calling("Expand", inputs(zeros(t, 1), wholes(-1))), "extents are 0 or more"},
		{"repeats of other axes", calling("Tile", inputs(x, wholes(2))), "1 numbers of repeats for 2 axes"},
		{"negative repeats", calling("Tile", inputs(x, wholes(1, -1))), "extents are 0 or more"},
		{"more removed than there is", calling("Pad", inputs(x, wholes(-1, 0, -2, 0))), "removed"},
		{"a reflection of nothing", calling("Pad", inputs(zeros(t, 0), wholes(1, 0)), String("mode", "reflect")), "without elements"},
		{"pads of other axes", calling("Pad", inputs(x, wholes(1, 1))), "2 axes need two each"},
		{"an axis to pad twice", calling("Pad", inputs(x, wholes(1, 1, 1, 1), nil, wholes(1, -1))), "axis 1 is to be padded twice"},
		{"two values to pad with", calling("Pad", inputs(x, wholes(1, 1, 1, 1), zeros(t, 2))), "one element"},
		{"pads beyond all numbers", calling("Pad", inputs(x, wholes(far, 0, 0, 0))), "cannot be added"},
		{"a negative extent of constants", calling("ConstantOfShape", inputs(wholes(2, -1))), "extents are 0 or more"},
		{"steps that stand still", calling("Range", inputs(array64(nil, 0), array64(nil, 1), array64(nil, 0))), "delta must not be 0"},
		{"steps that are no number", calling("Range", inputs(nan, nan, nan)), "finite numbers"},
		{"a start that is no scalar", calling("Range", inputs(wholes(1, 2), array64(nil, 1), array64(nil, 1))), "a scalar is needed"},
		{"no depth", calling("OneHot", inputs(wholes(0), wholes(0), wholes(0, 1))), "a depth of 0"},
		{"a depth that is no number", calling("OneHot", inputs(wholes(0), nan, wholes(0, 1))), "is out of range"},
		{"three values", calling("OneHot", inputs(wholes(0), wholes(2), wholes(0, 1, 2))), "the two of off and on"},
		{"a vector for a matrix", calling("Trilu", inputs(zeros(t, 3))), "needed"},
		{"more than there is", calling("TopK", inputs(x, wholes(4))).outputs(2), "the first 4 elements are asked for of an axis of extent 3"},
		{"fewer than none", calling("TopK", inputs(x, wholes(-1))).outputs(2), "the first -1 elements"},
		{"two numbers of elements", calling("TopK", inputs(x, wholes(1, 1))).outputs(2), "it must have one"},
		{"an axis to add up", calling("CumSum", inputs(x, array64(nil, 2))), "axis 2 is out of range"},
		{"boxes without corners", calling("NonMaxSuppression", inputs(zeros(t, 1, 2, 3), zeros(t, 1, 1, 2))), "[B, S, 4]"},
		{"scores of other boxes", calling("NonMaxSuppression", inputs(zeros(t, 1, 2, 4), zeros(t, 1, 1, 3))), "[B, C, S]"},
		{"an overlap above all", calling("NonMaxSuppression", inputs(zeros(t, 1, 2, 4), zeros(t, 1, 1, 2), nil, floats(t, nil, 2))), "from 0 to 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, known := range []struct {
				constant func(int) bool
				shaped   bool
			}{
				{func(int) bool { return false }, false},
				{func(i int) bool { return i > 0 }, false},
				{func(i int) bool { return i > 0 }, true},
				{func(int) bool { return true }, true},
			} {
				m, in := c.call.model(known.constant, known.shaped)
				p, err := exec.Load(Encode(m), onnx.Limits{})
				if err == nil {
					err = p.Run(t.Context(), in, results(1))
				}
				if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v: %v; want it to say %q", fault.KindOf(err), err, c.want)
				}
			}
		})
	}
}

func bools(tb testing.TB, v ...bool) *tensor.Tensor {
	tb.Helper()
	x, err := tensor.New(tensor.Shape{len(v)}, v)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// A value of a few bytes must not take more memory than a run may.
func TestSizesDecidedByValuesAreCharged(t *testing.T) {
	const huge = 1 << 30
	one := zeros(t, 1, 1)
	for _, c := range []call{
		calling("Expand", inputs(one, wholes(huge, huge))),
		calling("Expand", inputs(one, wholes(huge, 1))),
		calling("Tile", inputs(one, wholes(huge, huge))),
		calling("Pad", inputs(one, wholes(0, huge, 0, 0))),
		calling("Pad", inputs(one, wholes(huge, huge, huge, huge)), String("mode", "edge")),
		calling("ConstantOfShape", inputs(wholes(huge))),
		calling("ConstantOfShape", inputs(wholes(slices.Repeat([]int64{huge}, 32)...))),
		calling("Range", inputs(array64(nil, math.MinInt64), array64(nil, math.MaxInt64), array64(nil, 1))),
		calling("Range", inputs(floats(t, nil, 0), floats(t, nil, 1e30), floats(t, nil, 1e-30))),
		calling("OneHot", inputs(wholes(1, 2), wholes(huge), wholes(0, 1))),
		calling("Gather", inputs(zeros(t, 1, 1<<16), wholes(make([]int64, 1<<12)...))),
		calling("GatherND", inputs(zeros(t, 1<<16), array64(tensor.Shape{1 << 12, 0}))),
	} {
		t.Run(c.node.Op, func(t *testing.T) {
			m, in := c.model(func(int) bool { return false }, false)
			err := loadModel(t, m, onnx.Limits{}).Run(t.Context(), in, results(1))
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "more memory than one prediction may take") {
				t.Errorf("%v: %v", fault.KindOf(err), err)
			}
		})
	}
}

// ending is a context that ends when it has been looked at some times.
type ending struct {
	context.Context

	looks int
}

func (e *ending) Err() error {
	if e.looks--; e.looks < 0 {
		return context.Canceled
	}
	return nil
}

// One node of much work is stopped within it, wherever it is.
func TestLongMovesAreStopped(t *testing.T) {
	x := zeros(t, 1<<10, 1<<10)
	flat := zeros(t, 1<<20)
	index := wholes(make([]int64, 1<<20)...)
	square := array64(tensor.Shape{1 << 10, 1 << 10}, make([]int64, 1<<20)...)
	scalar := array64(tensor.Shape{}, 0)
	for _, c := range []call{
		calling("Transpose", inputs(x)),
		calling("Reshape", inputs(x, wholes(-1))),
		calling("Concat", inputs(x, x), Int("axis", 0)),
		calling("Slice", inputs(x, wholes(-1), wholes(math.MinInt64), wholes(1), wholes(-1))),
		calling("Split", inputs(x), Int("num_outputs", 2)).outputs(2),
		calling("Expand", inputs(zeros(t, 1), wholes(1<<20))),
		calling("Tile", inputs(zeros(t, 2), wholes(1<<19))),
		calling("Pad", inputs(x, wholes(1, 1, 1, 1))),
		calling("Pad", inputs(zeros(t, 1, 1), wholes(1<<9, 1<<9, 1<<9, 1<<9)), String("mode", "wrap")),
		calling("Gather", inputs(flat, index)),
		calling("GatherElements", inputs(x, square)),
		calling("GatherND", inputs(flat, array64(tensor.Shape{1 << 20, 1}, make([]int64, 1<<20)...))),
		calling("Compress", inputs(flat, bools(t, make([]bool, 1<<20)...))),
		calling("ScatterElements", inputs(flat, index, flat), String("reduction", "add")),
		calling("ScatterND", inputs(flat, array64(tensor.Shape{1 << 20, 1}, make([]int64, 1<<20)...), flat)),
		calling("TensorScatter", inputs(x, x), Int("axis", 1)),
		calling("ConstantOfShape", inputs(wholes(1<<20))),
		calling("Range", inputs(scalar, array64(nil, 1<<20), array64(nil, 1))),
		calling("EyeLike", inputs(x)),
		calling("OneHot", inputs(index, wholes(2), wholes(0, 1))),
		calling("Trilu", inputs(x)),
		calling("NonZero", inputs(x)),
		calling("Unique", inputs(flat)),
		calling("Unique", inputs(x), Int("axis", 0)),
		calling("TopK", inputs(flat, wholes(1000))).outputs(2),
		calling("TopK", inputs(zeros(t, 1<<20, 1), wholes(1))).outputs(2),
		calling("CumSum", inputs(x, scalar)),
		calling("ReverseSequence", inputs(x, wholes(slices.Repeat([]int64{9}, 1<<10)...))),
		calling("NonMaxSuppression", inputs(zeros(t, 1, 1<<18, 4), zeros(t, 1, 1, 1<<18), wholes(9))),
	} {
		t.Run(c.node.Op, func(t *testing.T) {
			m, in := c.model(func(int) bool { return false }, false)
			p := loadModel(t, m, onnx.Limits{})
			for _, looks := range []int{0, 3} {
				err := p.Run(&ending{t.Context(), looks}, in, results(1))
				if fault.KindOf(err) != fault.Canceled {
					t.Errorf("after %d looks: %v", looks, err)
				}
			}
		})
	}
}

func TestWarmMovesAllocateNothing(t *testing.T) {
	for _, family := range []string{"move", "index", "select"} {
		var cases []fixture
		readJSON(t, "testdata/operators/"+family+".json", &cases)
		for _, c := range cases {
			p, err := exec.Load(c.Model, onnx.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			in := make([]*tensor.Tensor, 0, len(c.Inputs))
			for i := range c.Inputs {
				in = append(in, c.Inputs[i].tensor(t))
			}
			out, ctx := results(len(p.Outputs())), t.Context()
			got := testing.AllocsPerRun(3, func() {
				if err := p.Run(ctx, in, out); err != nil {
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%s: %v allocations", c.Name, got)
			}
		}
	}
}

func TestGatherOfNothingKeepsItsOtherAxesAndType(t *testing.T) {
	for _, c := range []struct {
		x, indices *tensor.Tensor
		want       tensor.Shape
	}{
		{zeros(t, 2, 3), wholes(), tensor.Shape{0, 3}},
		{zeros(t, 2), wholes(), tensor.Shape{0}},
		{array64(tensor.Shape{2, 3}, 1, 2, 3, 4, 5, 6), wholes(), tensor.Shape{0, 3}},
		{wholes(1, 2), wholes(), tensor.Shape{0}},
		{wholes(1, 2), array64(tensor.Shape{0, 2}), tensor.Shape{0, 2}},
	} {
		m, in := calling("Gather", inputs(c.x, c.indices)).model(func(i int) bool { return i == 1 }, true)
		out := results(1)
		if err := loadModel(t, m, onnx.Limits{}).Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
		if out[0].DType() != c.x.DType() || !slices.Equal(out[0].Shape(), c.want) {
			t.Errorf("of %v%v it makes %v%v, want %v", c.x.DType(), c.x.Shape(), out[0].DType(), out[0].Shape(), c.want)
		}
	}
}

// ONNX Runtime compares such indices as floats; the specification casts them.
func TestOneHotCastsIndicesToIntegers(t *testing.T) {
	c := calling("OneHot", inputs(floats(t, tensor.Shape{3}, 1.9, -0.5, float32(math.NaN())), wholes(2), wholes(0, 1)))
	m, in := c.model(func(int) bool { return false }, true)
	out := results(1)
	if err := loadModel(t, m, onnx.Limits{}).Run(t.Context(), in, out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{0, 1, 1, 0, 0, 0}, tensor.Of[int64](out[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTopKPutsNaNAboveAllNumbers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := floats(t, tensor.Shape{5}, 1, nan, inf, nan, -inf)
	for _, c := range []struct {
		largest int64
		want    []int64
	}{{1, []int64{1, 3, 2, 0, 4}}, {0, []int64{4, 0, 2, 1, 3}}} {
		node := calling("TopK", inputs(x, wholes(5)), Int("largest", c.largest))
		node.node.Outputs = Names("v", "y")
		m, in := node.model(func(i int) bool { return i > 0 }, true)
		out := results(1)
		if err := loadModel(t, m, onnx.Limits{}).Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, tensor.Of[int64](out[0])); diff != "" {
			t.Errorf("largest %d (-want +got):\n%s", c.largest, diff)
		}
	}
}

// What exporters compute from a shape is known as far as the shape is.
func TestExtentsAreKnownThroughTheirComputation(t *testing.T) {
	shaped := func(last *onnx.Node) *onnx.Model {
		m := Model(
			Node("Shape", Names("x"), Names("shape")),
			Node("Gather", Names("shape", "first"), Names("rows")),
			Node("Slice", Names("shape", "second", "third"), Names("columns")),
			Node("Unsqueeze", Names("rows", "axis"), Names("row")),
			Node("Concat", Names("row", "columns", "one"), Names("new"), Int("axis", 0)),
			last,
		)
		m.Graph.Initializers = []onnx.Initializer{
			Tensor64("first", tensor.Shape{}, 0), Tensor64("second", tensor.Shape{1}, 1), Tensor64("third", tensor.Shape{1}, 2),
			Tensor64("axis", tensor.Shape{1}, 0), Tensor64("one", tensor.Shape{1}, 1),
		}
		return m
	}
	x := floats(t, tensor.Shape{3, 2}, 1, 2, 3, 4, 5, 6)
	for _, c := range []struct {
		last *onnx.Node
		want string
	}{
		{Node("Reshape", Names("x", "new"), Names("y")), "[N,2,1]"},
		{Node("ConstantOfShape", Names("new"), Names("y")), "[N,2,1]"},
		{Node("ConstantOfShape", Names("columns"), Names("y")), "[2]"},
		{Node("Expand", Names("columns", "new"), Names("y")), "[N,2,1]"},
		{Node("Identity", Names("columns"), Names("y")), "[1]"},
	} {
		p := loadModel(t, shaped(c.last), onnx.Limits{})
		if got := onnx.FormatDims(p.Outputs()[0].Dims); got != c.want {
			t.Errorf("%s makes %s, want %s", c.last.Op, got, c.want)
		}
		out := results(1)
		if err := p.Run(t.Context(), inputs(x), out); err != nil || !fits(p.Outputs()[0].Dims, out[0].Shape()) {
			t.Errorf("%s makes %v: %v", c.last.Op, out[0].Shape(), err)
		}
	}
}
