package exec_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// mutant returns one of the models with its bytes or its structure changed.
func mutant(r *rand.Rand, seeds [][]byte) []byte {
	data := slices.Clone(pick(r, seeds))
	if r.IntN(4) == 0 {
		return changedBytes(r, data, pick(r, seeds))
	}
	m, err := decode.Model(data, onnx.Limits{})
	if err != nil { // a node test of a type that is left to later
		return changedBytes(r, data, pick(r, seeds))
	}
	for range 1 + r.IntN(4) {
		changeModel(r, m)
	}
	return onnxtest.Encode(m)
}

func changedBytes(r *rand.Rand, data, other []byte) []byte {
	for range 1 + r.IntN(4) {
		if len(data) == 0 {
			return data
		}
		at, n := r.IntN(len(data)), 1+r.IntN(16)
		end := min(at+n, len(data))
		switch r.IntN(7) {
		case 0, 1:
			data[at] = byte(r.Uint32())
		case 2:
			data[at] ^= 1 << r.IntN(8)
		case 3:
			data = slices.Delete(data, at, end)
		case 4:
			data = slices.Insert(data, at, slices.Clone(data[at:end])...)
		case 5:
			from := r.IntN(len(other))
			data = slices.Insert(data, at, other[from:min(from+n, len(other))]...)
		case 6:
			for i := at; i < end; i++ {
				data[i] = 0xff
			}
		}
	}
	return data
}

// changeModel changes one thing of a model.
func changeModel(r *rand.Rand, m *onnx.Model) {
	w := newWiring(m)
	if len(w.nodes) == 0 {
		return
	}
	n, g := pick(r, w.nodes), pick(r, w.graphs)
	switch r.IntN(10) {
	case 0, 1:
		w.change(r)
	case 2, 3, 4:
		if len(n.Attributes) > 0 {
			changeAttribute(r, n, r.IntN(len(n.Attributes)))
		}
	case 5:
		n.Op = pick(r, ops.Operators()).Name
	case 6:
		for i := range g.Initializers {
			changeTensor(r, g.Initializers[i].Tensor)
		}
	case 7, 8:
		makeConstant(r, m.Graph)
	case 9:
		changeDeclared(r, m)
	}
}

func changeAttribute(r *rand.Rand, n *onnx.Node, k int) {
	a := &n.Attributes[k]
	switch a.Type { //nolint:exhaustive // the others are changed in their bytes
	case onnx.IntAttribute:
		a.Int = extreme(r)
	case onnx.FloatAttribute:
		a.Float = float32(extremeFloat(r))
	case onnx.StringAttribute:
		a.String = changedText(r, a.String)
	case onnx.TensorAttribute:
		if a.Tensor != nil {
			changeTensor(r, a.Tensor)
		}
	case onnx.IntsAttribute:
		a.Ints = changedList(r, a.Ints, extreme)
	case onnx.FloatsAttribute:
		a.Floats = changedList(r, a.Floats, func(r *rand.Rand) float32 { return float32(extremeFloat(r)) })
	case onnx.StringsAttribute:
		a.Strings = changedList(r, a.Strings, func(r *rand.Rand) string { return changedText(r, "") })
	default:
		n.Attributes = slices.Delete(n.Attributes, k, k+1)
	}
}

func changedList[T any](r *rand.Rand, list []T, value func(*rand.Rand) T) []T {
	if len(list) == 0 {
		return []T{value(r)}
	}
	at := r.IntN(len(list))
	switch r.IntN(5) {
	case 0:
		return slices.Delete(list, at, at+1)
	case 1:
		return append(list, list[at])
	case 2:
		return slices.Repeat(list, 1+r.IntN(20))
	}
	list[at] = value(r)
	return list
}

func changedText(r *rand.Rand, s string) string {
	odd := []string{"", "i,i->", "ij,jk,kl,lm,mn->in", "abcdefgh,abcdefgh->", "...", "(a*)*b", "[a-z]{1,999}", "\\p{L}+", "a|b|", "\x00", "é", "ſ", strings.Repeat("ab", 500)}
	if len(s) == 0 || r.IntN(2) == 0 {
		return pick(r, odd)
	}
	at := r.IntN(len(s))
	return s[:at] + pick(r, []string{s, ",", "*", "a", ".", "->"}) + s[at:]
}

// makeConstant gives an input of the graph a value, so that it is computed with
// while the model is loaded.
func makeConstant(r *rand.Rand, g *onnx.Graph) {
	if len(g.Inputs) == 0 {
		return
	}
	at := r.IntN(len(g.Inputs))
	v := g.Inputs[at]
	if v.Type == nil || v.Type.Of != onnx.TensorType || !v.Type.Elem.Valid() {
		return
	}
	spec := tensor.Spec{DType: v.Type.Elem, Ranked: v.Type.Ranked, Dims: v.Type.Dims}
	if t := randomTensor(r, &spec); t != nil {
		g.Initializers = append(g.Initializers, onnx.Initializer{Name: v.Name, Tensor: t})
		g.Inputs = slices.Delete(g.Inputs, at, at+1)
	}
}

// changeDeclared changes what is declared of inputs, and the version of the
// operators.
func changeDeclared(r *rand.Rand, m *onnx.Model) {
	for _, v := range m.Graph.Inputs {
		if v.Type == nil || v.Type.Of != onnx.TensorType {
			continue
		}
		switch r.IntN(5) {
		case 0:
			v.Type.Elem = pick(r, dtypes)
		case 1:
			v.Type.Ranked, v.Type.Dims = false, nil
		case 2:
			v.Type.Dims = append(v.Type.Dims, tensor.Dim{Size: r.IntN(4)})
		case 3:
			for i := range v.Type.Dims {
				v.Type.Dims[i].Size = r.IntN(5) - 1
			}
		}
	}
	if len(m.Opsets) > 0 && r.IntN(3) == 0 {
		m.Opsets[r.IntN(len(m.Opsets))].Version = 1 + r.Int64N(28)
	}
}

func extreme(r *rand.Rand) int64 {
	return pick(r, []int64{
		0, 1, -1, 2, -2, 3, 4, 5, 7, -8, 16, 100, 127, 255, 1000, 1 << 15, 1<<16 + 1, 1 << 20, 1 << 24, 1 << 28, 1<<31 - 1, 1 << 31, -1 << 31, 1 << 32, 1 << 40,
		1<<62 + 1, math.MaxInt64, math.MinInt64, math.MinInt64 + 1,
	})
}

func extremeFloat(r *rand.Rand) float64 {
	return pick(r, []float64{
		0, 1, -1, 0.5, 1e-40, 1e-320, 1e10, -1e30, 1e300, 3e38, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 255.5, 1 << 31, 1 << 63,
	})
}

var dtypes = []tensor.DType{
	tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
	tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Bool, tensor.String,
}

// changeTensor changes some elements.
func changeTensor(r *rand.Rand, t *tensor.Tensor) {
	for range min(1+r.IntN(3), t.Len()) {
		fillTensor(r, t, r.IntN(t.Len()))
	}
}

// fillTensor sets element i.
func fillTensor(r *rand.Rand, t *tensor.Tensor, i int) {
	n, x := extreme(r), extremeFloat(r)
	if r.IntN(2) == 0 {
		n, x = r.Int64N(5)-1, r.NormFloat64()
	}
	switch t.DType() {
	case tensor.Float32:
		tensor.Of[float32](t)[i] = float32(x)
	case tensor.Float64:
		tensor.Of[float64](t)[i] = x
	case tensor.Half:
		tensor.Of[tensor.Float16](t)[i] = tensor.Float16(n)
	case tensor.Int8:
		tensor.Of[int8](t)[i] = int8(n)
	case tensor.Int16:
		tensor.Of[int16](t)[i] = int16(n)
	case tensor.Int32:
		tensor.Of[int32](t)[i] = int32(n)
	case tensor.Int64:
		tensor.Of[int64](t)[i] = n
	case tensor.Uint8:
		tensor.Of[uint8](t)[i] = uint8(n)
	case tensor.Uint16:
		tensor.Of[uint16](t)[i] = uint16(n)
	case tensor.Uint32:
		tensor.Of[uint32](t)[i] = uint32(n)
	case tensor.Uint64:
		tensor.Of[uint64](t)[i] = uint64(n)
	case tensor.Bool:
		tensor.Of[bool](t)[i] = n%2 == 0
	case tensor.String:
		tensor.Of[string](t)[i] = pick(r, []string{"", "a", "b c", "aé", "1", "-1e999", "nan", "x,y", strings.Repeat("word ", 100)})
	case tensor.Undefined:
	}
}

// randomValue makes a small value that fits s, nil when none is small.
func randomValue(tb testing.TB, r *rand.Rand, s *tensor.Spec) *tensor.Tensor {
	tb.Helper()
	switch s.Kind {
	case tensor.KindSequence, tensor.KindOptional:
		elem := randomValue(tb, r, s.Elem)
		if s.Kind == tensor.KindOptional || elem == nil {
			return tensor.NewOptional(elem)
		}
		return tensor.NewSequence(slices.Repeat([]*tensor.Tensor{elem}, r.IntN(4))...)
	case tensor.KindMap:
		return nil
	case tensor.KindTensor, tensor.KindMapSequence:
	}
	return randomTensor(r, s)
}

func randomTensor(r *rand.Rand, s *tensor.Spec) *tensor.Tensor {
	shape := tensor.Shape{2, 3}
	if s.Ranked {
		shape = shape[:0]
		for _, d := range s.Dims {
			if d.Size < 0 {
				d.Size = pick(r, []int{0, 1, 2, 3, 5})
			}
			shape = append(shape, d.Size)
		}
	}
	if n, err := shape.Elements(); err != nil || n > 1<<16 {
		return nil
	}
	t := blankTensor(s.DType, shape)
	for i := range t.Len() {
		fillTensor(r, t, i)
	}
	return t
}

// blankTensor returns a tensor of an element type that is valid.
func blankTensor(d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	t := &tensor.Tensor{}
	switch d {
	case tensor.Float32:
		tensor.Reset[float32](t, shape...)
	case tensor.Float64:
		tensor.Reset[float64](t, shape...)
	case tensor.Half:
		tensor.Reset[tensor.Float16](t, shape...)
	case tensor.Int8:
		tensor.Reset[int8](t, shape...)
	case tensor.Int16:
		tensor.Reset[int16](t, shape...)
	case tensor.Int32:
		tensor.Reset[int32](t, shape...)
	case tensor.Int64:
		tensor.Reset[int64](t, shape...)
	case tensor.Uint8:
		tensor.Reset[uint8](t, shape...)
	case tensor.Uint16:
		tensor.Reset[uint16](t, shape...)
	case tensor.Uint32:
		tensor.Reset[uint32](t, shape...)
	case tensor.Uint64:
		tensor.Reset[uint64](t, shape...)
	case tensor.Bool:
		tensor.Reset[bool](t, shape...)
	case tensor.String:
		tensor.Reset[string](t, shape...)
	case tensor.Undefined:
	}
	return t
}
