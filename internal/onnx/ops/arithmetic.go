package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// arithmeticOps computes with two tensors, element by element.
var arithmeticOps = []Operator{
	{"", "Add", 7, two, one, parseAdd},
	{"", "Sub", 7, two, one, parseSub},
	{"", "Mul", 7, two, one, parseMul},
	{"", "Div", 7, two, one, parseDiv},
}

type arithmetic uint8

const (
	add arithmetic = iota
	sub
	mul
	div
)

// parseAdd reads Add (ai.onnx 7, 14).
func parseAdd(n *Node) Kernel { return parseArithmetic(n, add) }

// parseSub reads Sub (ai.onnx 7, 14).
func parseSub(n *Node) Kernel { return parseArithmetic(n, sub) }

// parseMul reads Mul (ai.onnx 7, 14).
func parseMul(n *Node) Kernel { return parseArithmetic(n, mul) }

// parseDiv reads Div (ai.onnx 7, 14). Integers are divided towards zero.
func parseDiv(n *Node) Kernel { return parseArithmetic(n, div) }

func parseArithmetic(n *Node, op arithmetic) Kernel {
	allowed := wideElem
	if n.Version >= 14 {
		allowed = numericElem
	}
	d := n.Elem(0, allowed...)
	if e := n.Elem(1, allowed...); e != d {
		n.Failf("input 1 is of %v, input 0 of %v; they must agree", e, d)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, broadcastTypes(n, d))
	switch d {
	case tensor.Float32:
		return binary(floatRow[float32](op))
	case tensor.Float64:
		return binary(floatRow[float64](op))
	case tensor.Half:
		return binary(halfRow(floatRow[float32](op)))
	case tensor.Int8:
		return binary(intRow[int8](op))
	case tensor.Int16:
		return binary(intRow[int16](op))
	case tensor.Int32:
		return binary(intRow[int32](op))
	case tensor.Int64:
		return binary(intRow[int64](op))
	case tensor.Uint8:
		return binary(intRow[uint8](op))
	case tensor.Uint16:
		return binary(intRow[uint16](op))
	case tensor.Uint32:
		return binary(intRow[uint32](op))
	case tensor.Uint64:
		return binary(intRow[uint64](op))
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

// broadcastTypes returns the type of the result of two inputs by ONNX's
// multidirectional broadcasting, as far as it is known.
func broadcastTypes(n *Node, d tensor.DType) onnx.Type {
	a, b := &n.In[0].Type, &n.In[1].Type
	if !a.Ranked || !b.Ranked {
		return onnx.UnrankedTensor(d)
	}
	rank := max(len(a.Dims), len(b.Dims))
	dims := make([]tensor.Dim, rank)
	for k := range rank {
		x, y := dimFromEnd(a.Dims, rank-k), dimFromEnd(b.Dims, rank-k)
		switch {
		case x.Size == 1:
			dims[k] = y
		case y.Size == 1 || x == y:
			dims[k] = x
		case x.Size >= 0 && y.Size >= 0:
			n.Failf("shapes %s and %s cannot be broadcast to each other", onnx.FormatDims(a.Dims), onnx.FormatDims(b.Dims))
		case x.Size > 1:
			dims[k] = x
		case y.Size > 1:
			dims[k] = y
		default:
			dims[k] = free
		}
	}
	return onnx.TensorOf(d, dims...)
}

// dimFromEnd returns the k-th extent from the end, 1 where there is none.
func dimFromEnd(dims []tensor.Dim, k int) tensor.Dim {
	if k > len(dims) {
		return tensor.Dim{Size: 1}
	}
	return dims[len(dims)-k]
}

func fromEnd(shape tensor.Shape, k int) int {
	if k > len(shape) {
		return 1
	}
	return shape[len(shape)-k]
}

// row computes one run of elements: a and b each have as many as dst, or one
// that serves for all. It reports false for a division of integers by zero.
type row[T any] func(dst, a, b []T) bool

var errZero = fault.New(fault.Content, "an integer is divided by zero")

// binary returns the kernel that applies op over two broadcast inputs.
func binary[T tensor.Element](op row[T]) Kernel {
	return func(ctx context.Context, f *Frame) error {
		a, b := Input[T](f, 0), Input[T](f, 1)
		sa, sb := f.In(0).Shape(), f.In(1).Shape()
		shape, ok := broadcast(f.dims[:0], sa, sb)
		if !ok {
			return shapeFault("it cannot be broadcast to the other input's shape", sa)
		}
		f.dims = shape
		dst, err := Output[T](f, 0, shape...)
		if err != nil || len(dst) == 0 {
			return err
		}
		if len(a) == len(dst) && len(b) == len(dst) || len(b) == 1 && len(a) == len(dst) || len(a) == 1 && len(b) == len(dst) {
			return whole(ctx, op, dst, a, b)
		}
		return rows(ctx, op, dst, operand[T]{a, sa}, operand[T]{b, sb}, shape)
	}
}

// chunk is how many elements are computed between two looks at ctx.
const chunk = 1 << 16

// whole computes everything as one row, chunk by chunk.
func whole[T any](ctx context.Context, op row[T], dst, a, b []T) error {
	for at := 0; at < len(dst); at += chunk {
		end := min(at+chunk, len(dst))
		if !op(dst[at:end], part(a, at, end), part(b, at, end)) {
			return errZero
		}
		if end < len(dst) && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func part[T any](x []T, at, end int) []T {
	if len(x) == 1 {
		return x
	}
	return x[at:end]
}

// broadcast appends the shape of the result, and reports whether there is one.
func broadcast(dst []int, a, b tensor.Shape) ([]int, bool) {
	for k := max(len(a), len(b)); k > 0; k-- {
		x, y := fromEnd(a, k), fromEnd(b, k)
		switch {
		case x == 1:
			x = y
		case y != 1 && x != y:
			return dst, false
		}
		dst = append(dst, x)
	}
	return dst, true
}

type operand[T any] struct {
	data  []T
	shape tensor.Shape
}

// offset returns where the row begins that serves the outer index of the
// result, counted over all axes but the last.
func (o operand[T]) offset(outer int, shape []int) int {
	at, stride := 0, fromEnd(o.shape, 1)
	for k := 2; k <= len(shape); k++ {
		extent := shape[len(shape)-k]
		i := outer % extent
		outer /= extent
		if n := fromEnd(o.shape, k); n > 1 {
			at += i * stride
			stride *= n
		}
	}
	return at
}

func (o operand[T]) row(outer int, shape []int) []T {
	at := o.offset(outer, shape)
	return o.data[at : at+fromEnd(o.shape, 1)]
}

// rows computes the last axis row by row.
func rows[T any](ctx context.Context, op row[T], dst []T, a, b operand[T], shape []int) error {
	width := shape[len(shape)-1]
	for outer := range len(dst) / width {
		if err := poll(ctx, outer); err != nil {
			return err
		}
		if !op(dst[outer*width:(outer+1)*width], a.row(outer, shape), b.row(outer, shape)) {
			return errZero
		}
	}
	return nil
}

func floatRow[T floating](op arithmetic) row[T] {
	switch op {
	case add:
		return addRow[T]
	case sub:
		return subRow[T]
	case mul:
		return mulRow[T]
	case div:
	}
	return divRow[T]
}

func intRow[T integer](op arithmetic) row[T] {
	switch op {
	case add:
		return addRow[T]
	case sub:
		return subRow[T]
	case mul:
		return mulRow[T]
	case div:
	}
	return func(dst, a, b []T) bool {
		return !slices.Contains(b, 0) && divRow(dst, a, b)
	}
}

func addRow[T number](dst, a, b []T) bool {
	switch {
	case len(b) == 1:
		for i := range dst {
			dst[i] = a[i%len(a)] + b[0]
		}
	case len(a) == 1:
		return addRow(dst, b, a)
	default:
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	}
	return true
}

func mulRow[T number](dst, a, b []T) bool {
	switch {
	case len(b) == 1:
		for i := range dst {
			dst[i] = a[i%len(a)] * b[0]
		}
	case len(a) == 1:
		return mulRow(dst, b, a)
	default:
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	}
	return true
}

func subRow[T number](dst, a, b []T) bool {
	switch {
	case len(b) == 1:
		for i := range dst {
			dst[i] = a[i%len(a)] - b[0]
		}
	case len(a) == 1:
		for i := range dst {
			dst[i] = a[0] - b[i]
		}
	default:
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	}
	return true
}

func divRow[T number](dst, a, b []T) bool {
	switch {
	case len(b) == 1:
		for i := range dst {
			dst[i] = a[i%len(a)] / b[0]
		}
	case len(a) == 1:
		for i := range dst {
			dst[i] = a[0] / b[i]
		}
	default:
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	}
	return true
}

// halfRow computes in float32 and rounds each result, as ONNX Runtime does.
func halfRow(op row[float32]) row[tensor.Float16] {
	return func(dst, a, b []tensor.Float16) bool {
		for i := range dst {
			x := [1]float32{fromHalf(a[i%len(a)])}
			y := [1]float32{fromHalf(b[i%len(b)])}
			var z [1]float32
			op(z[:], x[:], y[:])
			dst[i] = toHalf(z[0])
		}
		return true
	}
}
