package ops

import (
	"context"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// featureOps prepares features and renames results (ai.onnx.ml).
var featureOps = []Operator{
	{ML, "ZipMap", 1, one, one, parseZipMap},
	{ML, "ArrayFeatureExtractor", 1, two, one, parseArrayFeatureExtractor},
	{ML, "Scaler", 1, one, one, parseScaler},
	{ML, "Normalizer", 1, one, one, parseNormalizer},
}

// matrix returns the rows and columns of an input of the classical operators,
// [N, C]; one of rank 1 is a single row.
func matrix(shape tensor.Shape) (rows, columns int) {
	if len(shape) == 1 {
		return 1, shape[0]
	}
	return shape[0], shape[1]
}

// matrixFault is what an input gets that is no matrix.
func matrixFault(shape tensor.Shape) error {
	return shapeFault("rows of features are needed, [N, C] or [C]", shape)
}

// matrixType is matrixTypeOf input 0.
func (n *Node) matrixType() (rows, columns tensor.Dim) { return n.matrixTypeOf(0) }

// matrixTypeOf fails for an input of a rank that matrix does not take, and
// returns its rows and columns as far as they are known.
func (n *Node) matrixTypeOf(i int) (rows, columns tensor.Dim) {
	t := &n.In[i].Type
	switch {
	case !t.Ranked:
		return free, free
	case len(t.Dims) == 1:
		return tensor.Dim{Size: 1}, t.Dims[0]
	case len(t.Dims) == 2:
		return t.Dims[0], t.Dims[1]
	}
	n.Failf("input %d has %d axes; it takes 1 or 2", i, len(t.Dims))
	return free, free
}

// reader gives an input as floats of C, whatever the numbers are.
type reader[C floating] func(f *Frame) ([]C, error)

// floats returns how input i of n is read as floats of C. Other types are
// converted, into scratch memory.
func floats[C floating](n *Node, i int) reader[C] {
	return floatsOf[C](n, i, n.Elem(i, mlElem...))
}

// floatsOf is floats for an input whose type d, of those or half precision, has
// been checked.
func floatsOf[C floating](n *Node, i int, d tensor.DType) reader[C] {
	if d == tensor.DTypeOf[C]() {
		return func(f *Frame) ([]C, error) { return Input[C](f, i), nil }
	}
	s := n.NeedScratch()
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return converted[float32, C](i, s)
	case tensor.Float64:
		return converted[float64, C](i, s)
	case tensor.Int32:
		return converted[int32, C](i, s)
	case tensor.Half:
		return convertedBy(i, s, func(v tensor.Float16) C { return C(fromHalf(v)) })
	}
	return converted[int64, C](i, s)
}

func converted[S number, C floating](i, s int) reader[C] {
	return convertedBy(i, s, func(v S) C { return C(v) })
}

func convertedBy[S tensor.Element, C floating](i, s int, convert func(S) C) reader[C] {
	return func(f *Frame) ([]C, error) {
		src := Input[S](f, i)
		dst, err := Scratch[C](f, s, len(src))
		if err != nil {
			return nil, err
		}
		for k, v := range src {
			dst[k] = convert(v)
		}
		return dst, nil
	}
}

// parseScaler reads Scaler (ai.onnx.ml 1): (x - offset) * scale for each
// feature. The result is float32; doubles are computed as such before.
func parseScaler(n *Node) Kernel {
	s := scaler{offset: n.Floats("offset"), scale: n.Floats("scale")}
	d := n.Elem(0, mlElem...)
	if s.offset == nil {
		s.offset = []float32{0}
	}
	if s.scale == nil {
		s.scale = []float32{1}
	}
	s.width = max(len(s.offset), len(s.scale))
	for _, have := range []int{len(s.offset), len(s.scale)} {
		if have != s.width && have != 1 || have == 0 {
			n.Failf("offset has %d entries and scale has %d; each needs one for every feature, or one for all", len(s.offset), len(s.scale))
		}
	}
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = tensor.Float32
	n.SetOut(0, out)
	if s.width > 1 {
		if _, c := n.matrixType(); c.Size >= 0 && c.Size != s.width {
			n.Failf("it scales %d features, but its input has %d", s.width, c.Size)
		}
	}
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return scale[float32, float32](s)
	case tensor.Float64:
		return scale[float64, float64](s)
	case tensor.Int32:
		return scale[int32, float32](s)
	}
	return scale[int64, float32](s)
}

type scaler struct {
	offset, scale []float32
	width         int
}

// scale returns the kernel for inputs of S, computed in C.
func scale[S number, C floating](s scaler) Kernel {
	offset, factor := make([]C, s.width), make([]C, s.width)
	for i := range s.width {
		offset[i], factor[i] = C(s.offset[i%len(s.offset)]), C(s.scale[i%len(s.scale)])
	}
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if s.width > 1 && (len(shape) == 0 || len(shape) > 2 || shape[len(shape)-1] != s.width) {
			return fault.Newf(fault.Content, "an input of shape %s does not have the %d features that are scaled", onnx.FormatShape(shape), s.width)
		}
		dst, err := Output[float32](f, 0, shape...)
		if err != nil {
			return err
		}
		src := Input[S](f, 0)
		for row := 0; len(src) >= s.width && len(src) > 0; row++ {
			if err := poll(ctx, row); err != nil {
				return err
			}
			for k, o := range offset {
				dst[k] = float32((C(src[k]) - o) * factor[k])
			}
			src, dst = src[s.width:], dst[s.width:]
		}
		return nil
	}
}

// parseArrayFeatureExtractor reads ArrayFeatureExtractor (ai.onnx.ml 1): the
// columns of X that Y names.
func parseArrayFeatureExtractor(n *Node) Kernel {
	d := n.Elem(0, append([]tensor.DType{tensor.String}, mlElem...)...)
	columns, known := n.Ints64(1)
	if n.err != nil {
		return nil
	}
	count := free
	if known {
		count = tensor.Dim{Size: len(columns)}
	}
	in := &n.In[0].Type
	switch {
	case !in.Ranked:
		n.SetOut(0, onnx.UnrankedTensor(d))
	case len(in.Dims) == 0:
		n.Failf("input 0 is a scalar; it needs columns")
		return nil
	case len(in.Dims) == 1:
		n.SetOut(0, onnx.TensorOf(d, tensor.Dim{Size: 1}, count))
	default:
		n.SetOut(0, onnx.TensorOf(d, append(slices.Clone(in.Dims[:len(in.Dims)-1]), count)...))
	}
	n.Out[0].Decision = n.In[0].Decision // columns of what they were
	if in.Ranked && len(in.Dims) > 0 && known {
		if last := in.Dims[len(in.Dims)-1].Size; last >= 0 {
			for _, c := range columns[:min(len(columns), checkedEarly)] {
				if c < 0 || c >= int64(last) {
					n.Failf("it takes column %d of %d", c, last)
				}
			}
		}
	}
	return extract(movers[d])
}

func checkColumns(ctx context.Context, columns []int64, width int) error {
	for k, c := range columns {
		if err := poll(ctx, k); err != nil {
			return err
		}
		if c < 0 || c >= int64(width) {
			return fault.Newf(fault.Content, "column %d is out of range for %d columns", c, width)
		}
	}
	return nil
}

func extract(m mover) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape, columns := f.In(0).Shape(), Input[int64](f, 1)
		if len(shape) == 0 {
			return shapeFault("ArrayFeatureExtractor needs columns", shape)
		}
		width := shape[len(shape)-1]
		if err := checkColumns(ctx, columns, width); err != nil {
			return err
		}
		if len(shape) == 1 {
			f.dims = append(f.dims[:0], 1, len(columns))
		} else {
			f.dims = append(append(f.dims[:0], shape[:len(shape)-1]...), len(columns))
		}
		if err := m.output(f, 0, f.dims); err != nil || f.out[0].Len() == 0 {
			return err
		}
		rows := product(f.dims[:len(f.dims)-1])
		if len(columns) > chunk {
			return extractLong(ctx, f, m, rows, width, columns)
		}
		atOnce := max(1, chunk/len(columns))
		for row := 0; row < rows; row += atOnce {
			m.columns(f.out[0], f.In(0), columns, width, row, min(atOnce, rows-row))
			if row+atOnce < rows && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
}

// extractLong takes so many columns of each row that ctx is looked at in between.
func extractLong(ctx context.Context, f *Frame, m mover, rows, width int, columns []int64) error {
	for row := range rows {
		for at := 0; at < len(columns); at += chunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			m.pick(f.out[0], row*len(columns)+at, f.In(0), row*width, columns[at:min(at+chunk, len(columns))], 1)
		}
	}
	return nil
}
