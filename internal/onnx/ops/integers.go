package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

var (
	int64Elem = []tensor.DType{tensor.Int64}
	indexElem = []tensor.DType{tensor.Int32, tensor.Int64}
)

// integers is an input that is read as int64 whatever numbers it holds:
// indices, axes, extents.
type integers struct {
	given bool
	// fixed is the value when known is true.
	fixed []int64
	known bool

	input, scratch int
	convert        func(dst []int64, src *tensor.Tensor)
}

// integersOf returns how input i of n is read. One that is left out is not
// given.
func integersOf(n *Node, i int, allowed []tensor.DType) integers {
	if !n.Has(i) {
		return integers{}
	}
	d := n.Elem(i, allowed...)
	if n.err != nil {
		return integers{}
	}
	x := integers{given: true, input: i, convert: toInt64[d]}
	c := n.In[i].Const
	switch {
	case c == nil && d != tensor.Int64:
		x.scratch = n.NeedScratch()
	case c != nil && d == tensor.Int64:
		x.known, x.fixed = true, tensor.Of[int64](c)
	case c != nil && c.Len() <= maxRank: // a longer one is not extents, and converted in each run
		x.known, x.fixed = true, make([]int64, c.Len())
		x.convert(x.fixed, c)
	case c != nil:
		x.scratch = n.NeedScratch()
	}
	return x
}

// fixedIntegers is an attribute in the place of an input.
func fixedIntegers(v []int64) integers { return integers{given: true, known: true, fixed: v} }

// of returns the value in a run, nil when the input is left out.
func (x *integers) of(f *Frame) ([]int64, error) {
	if x.known || !x.given {
		return x.fixed, nil
	}
	src := f.In(x.input)
	if src.DType() == tensor.Int64 {
		return tensor.Of[int64](src), nil
	}
	dst, err := Scratch[int64](f, x.scratch, src.Len())
	if err != nil {
		return nil, err
	}
	x.convert(dst, src)
	return dst, nil
}

// one returns the value of an input that holds a single number, 0 when it is
// left out.
func (x *integers) one(f *Frame, what string) (int64, error) {
	if !x.given {
		return 0, nil
	}
	v, err := x.of(f)
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fault.Newf(fault.Content, "%s has %d elements; it must have one", what, len(v))
	}
	return v[0], nil
}

// oneKnown returns the single number when it is known at compile time.
func (x *integers) oneKnown() (int64, bool) {
	if !x.known || len(x.fixed) != 1 {
		return 0, false
	}
	return x.fixed[0], true
}

// count returns how many numbers there are, or -1.
func (x *integers) count(n *Node) int {
	if x.known {
		return len(x.fixed)
	}
	if !x.given {
		return -1
	}
	if t := &n.In[x.input].Type; t.Ranked && len(t.Dims) == 1 {
		return t.Dims[0].Size
	}
	return -1
}

// toInt64 are the conversions to int64. Floats lose their fraction; NaN and
// what is too large become the least number.
var toInt64 = [...]func(dst []int64, src *tensor.Tensor){
	tensor.Float32: realsToInt64[float32], tensor.Float64: realsToInt64[float64],
	tensor.Int8: wholesToInt64[int8], tensor.Int16: wholesToInt64[int16], tensor.Int32: wholesToInt64[int32], tensor.Int64: wholesToInt64[int64],
	tensor.Uint8: wholesToInt64[uint8], tensor.Uint16: wholesToInt64[uint16], tensor.Uint32: wholesToInt64[uint32], tensor.Uint64: wholesToInt64[uint64],
	tensor.Half: func(dst []int64, src *tensor.Tensor) {
		for i, v := range tensor.Of[tensor.Float16](src) {
			dst[i] = fromReal[int64](float64(fromHalf(v)))
		}
	},
}

func realsToInt64[T interface {
	floating
	tensor.Element
}](dst []int64, src *tensor.Tensor) {
	for i, v := range tensor.Of[T](src) {
		dst[i] = fromReal[int64](float64(v))
	}
}

func wholesToInt64[T integer](dst []int64, src *tensor.Tensor) {
	for i, v := range tensor.Of[T](src) {
		dst[i] = int64(v)
	}
}

// indices are an input of indices along an axis; negative ones count from its
// end.
type indices struct {
	integers
	wrapped int // scratch for indices without negative ones
}

func indicesOf(n *Node, i int, allowed []tensor.DType) indices {
	x := indices{integers: integersOf(n, i, allowed)}
	x.wrapped = n.NeedScratch()
	return x
}

// within returns the indices along an axis of the given extent, all of them 0
// or more.
func (x *indices) within(ctx context.Context, f *Frame, extent int) ([]int64, error) {
	v, err := x.of(f)
	if err != nil {
		return nil, err
	}
	fits := true
	err = pieces(ctx, len(v), func(at, size int) {
		for _, p := range v[at : at+size] {
			fits = fits && uint64(p) < uint64(extent) //nolint:gosec // a negative one is larger, too
		}
	})
	if err != nil || fits {
		return v, err
	}
	return x.wrap(ctx, f, v, extent)
}

func (x *indices) wrap(ctx context.Context, f *Frame, v []int64, extent int) ([]int64, error) {
	dst, err := Scratch[int64](f, x.wrapped, len(v))
	if err != nil {
		return nil, err
	}
	for i, p := range v {
		if err := poll(ctx, i); err != nil {
			return nil, err
		}
		at := axisIn(p, extent)
		if at < 0 {
			return nil, indexFault(p, extent)
		}
		dst[i] = int64(at)
	}
	return dst, nil
}

func indexFault(index int64, extent int) error {
	return fault.Newf(fault.Content, "index %d is out of range for an axis of extent %d", index, extent)
}

// axisFault is the error of an axis that a run finds to be out of range.
func axisFault(axis int64, rank int) error {
	return fault.Newf(fault.Content, "axis %d is out of range for %d axes", axis, rank)
}

// axisOf returns the axis that a names of the type t, -1 when the rank is not
// known. It fails when there is no such axis.
func (n *Node) axisOf(a int64, t *onnx.Type) int {
	if !t.Ranked {
		return -1
	}
	k := axisIn(a, len(t.Dims))
	if k < 0 {
		n.Failf("axis %d is out of range for %d axes", a, len(t.Dims))
	}
	return k
}

// rankFault refuses results of more axes than values may have.
func rankFault(rank int) error {
	if rank <= maxRank {
		return nil
	}
	return fault.Newf(fault.Content, "the result has %d axes; at most %d are allowed", rank, maxRank)
}

// checkedEarly is how many constant indices of a node are checked when the model
// is loaded: many nodes may share one list. A run checks them all.
const checkedEarly = 1 << 10
