package ops

import (
	"context"
	"math"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// imputeOps changes numbers one by one and puts columns together (ai.onnx.ml).
var imputeOps = []Operator{
	{ML, "Binarizer", 1, one, one, parseBinarizer},
	{ML, "FeatureVectorizer", 1, span{1, variadic}, one, parseFeatureVectorizer},
	{ML, "Imputer", 1, one, one, parseImputer},
}

// parseBinarizer reads Binarizer (ai.onnx.ml 1): 1 for what is greater than
// the threshold, else 0.
func parseBinarizer(n *Node) Kernel {
	threshold := n.Float("threshold", 0)
	d := n.Elem(0, mlElem...)
	n.SetOut(0, n.In[0].Type)
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return binarize[float32](threshold)
	case tensor.Float64:
		return binarize[float64](threshold)
	case tensor.Int32:
		return binarize[int32](threshold)
	}
	return binarize[int64](threshold)
}

func binarize[T number](threshold float32) Kernel {
	limit := float64(threshold)
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		for i, v := range Input[T](f, 0) {
			if err := poll(ctx, i); err != nil {
				return err
			}
			if float64(v) > limit {
				dst[i] = 1
			} else {
				dst[i] = 0
			}
		}
		return nil
	}
}

// parseImputer reads Imputer (ai.onnx.ml 1): what equals the replaced value,
// which may be NaN, becomes the imputed value of its column.
func parseImputer(n *Node) Kernel {
	floats, ints := n.Floats("imputed_value_floats"), n.Ints("imputed_value_int64s")
	float, integer := n.Float("replaced_value_float", 0), n.Int("replaced_value_int64", 0)
	d := n.Elem(0, mlElem...)
	fractions := d == tensor.Float32 || d == tensor.Float64
	width := max(len(floats), len(ints))
	if (len(floats) > 0) == (len(ints) > 0) || (len(floats) > 0) != fractions {
		n.Failf("it needs \"imputed_value_floats\" for floats or \"imputed_value_int64s\" for integers, and not both; its input is of %v", d)
	}
	if n.err != nil {
		return nil
	}
	t := &n.In[0].Type
	n.SetOut(0, *t)
	if t.Ranked && width > 1 {
		if k := len(t.Dims); k == 0 || t.Dims[k-1].Size >= 0 && t.Dims[k-1].Size != width {
			n.Failf("it has imputed values for %d columns, which is not what its input has", width)
		}
	}
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Float32:
		return impute(float, floats)
	case tensor.Float64:
		return impute(float64(float), narrowed[float64](n, floats))
	case tensor.Int32:
		if integer < math.MinInt32 || integer > math.MaxInt32 { // no element equals it
			n.SetAlias()
			return nil
		}
		return impute(int32(integer), narrowed[int32](n, ints))
	}
	return impute(integer, ints)
}

// narrowed returns numbers in the type of the input, which must hold them.
func narrowed[T, S number](n *Node, values []S) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
		if S(out[i]) != v && v == v {
			n.Failf("the imputed value %v does not fit its input", v)
		}
	}
	return out
}

func impute[T number](replaced T, values []T) Kernel {
	nan, width := replaced != replaced, len(values)
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if width > 1 && (len(shape) == 0 || shape[len(shape)-1] != width) {
			return fault.Newf(fault.Content, "an input of shape %s does not have the %d features that are imputed", onnx.FormatShape(shape), width)
		}
		dst, err := Output[T](f, 0, shape...)
		if err != nil {
			return err
		}
		src := Input[T](f, 0)
		if width == 1 {
			return inBlocks(ctx, len(dst), func(at, end int) error {
				imputeRow(dst[at:end], src[at:end], replaced, values[0])
				return nil
			})
		}
		for row := 0; len(src) > 0; row++ {
			if err := poll(ctx, row); err != nil {
				return err
			}
			for k, by := range values {
				v := src[k]
				if v == replaced || nan && v != v {
					v = by
				}
				dst[k] = v
			}
			src, dst = src[width:], dst[width:]
		}
		return nil
	}
}

// imputeRow puts one value in place of another, which may be NaN.
func imputeRow[T number](dst, src []T, replaced, by T) {
	copy(dst, src)
	for i, v := range dst {
		if v == replaced || v != v && replaced != replaced {
			dst[i] = by
		}
	}
}

// parseFeatureVectorizer reads FeatureVectorizer (ai.onnx.ml 1): the columns of
// all inputs side by side. inputdimensions says how many each gives: those that
// are missing are zero, and those beyond are dropped.
func parseFeatureVectorizer(n *Node) Kernel {
	widths := n.Ints("inputdimensions")
	if widths != nil && len(widths) != len(n.In) {
		n.Failf("inputdimensions has %d entries for %d inputs", len(widths), len(n.In))
	}
	v := vectorizer{widths: make([]int, len(n.In))}
	rows, total := free, 0
	for i := range n.In {
		v.read = append(v.read, floats[float32](n, i))
		v.widths[i] = -1
		if i < len(widths) {
			if widths[i] < 0 || widths[i] > tensor.MaxElements {
				n.Failf("inputdimensions says %d", widths[i])
				return nil
			}
			v.widths[i] = int(widths[i])
		}
		count, columns := n.matrixTypeOf(i)
		if v.widths[i] < 0 {
			v.widths[i] = columns.Size
		}
		if total >= 0 && v.widths[i] >= 0 {
			total += v.widths[i]
		} else {
			total = -1
		}
		if rows.Size < 0 {
			rows = count
		}
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: total}))
	return v.run
}

// vectorizer is a FeatureVectorizer. A width is negative where a run tells.
type vectorizer struct {
	read   []reader[float32]
	widths []int
}

func (v *vectorizer) run(ctx context.Context, f *Frame) error {
	rows, total := -1, 0
	for i, w := range v.widths {
		shape := f.In(i).Shape()
		if len(shape) != 1 && len(shape) != 2 {
			return matrixFault(shape)
		}
		count, columns := matrix(shape)
		if w < 0 {
			w = columns
		}
		total += w
		if rows >= 0 && count != rows {
			return fault.Newf(fault.Content, "input %d has %d rows and those before it %d; they must be as many", i, count, rows)
		}
		rows = count
	}
	dst, err := Output[float32](f, 0, rows, total)
	if err != nil {
		return err
	}
	first := 0
	for i, w := range v.widths {
		src, err := v.read[i](f)
		if err != nil {
			return err
		}
		_, columns := matrix(f.In(i).Shape())
		if w < 0 {
			w = columns
		}
		for r := range rows {
			if err := poll(ctx, r); err != nil {
				return err
			}
			to := dst[r*total+first:][:w]
			clear(to[copy(to, src[r*columns:(r+1)*columns]):])
		}
		first += w
	}
	return nil
}
