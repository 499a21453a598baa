package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// clipOps keeps elements within bounds.
var clipOps = []Operator{
	{"", "Clip", 1, one, one, parseClipAttributes},
	{"", "Clip", 11, span{1, 3}, one, parseClip},
}

// maxHalf is the largest finite binary16.
const maxHalf = 65504

// parseClipAttributes reads Clip (ai.onnx 1, 6), whose bounds are attributes.
func parseClipAttributes(n *Node) Kernel {
	low := float64(n.Float("min", -math.MaxFloat32))
	high := float64(n.Float("max", math.MaxFloat32))
	return apply(n, floatElem, func(x float64) float64 { return min(max(x, low), high) })
}

// parseClip reads Clip (ai.onnx 11, 12, 13), whose bounds are inputs: the
// least and the largest finite number where they are left out. Where they
// contradict each other the upper one holds.
func parseClip(n *Node) Kernel {
	allowed := floatElem
	if n.Version >= 12 {
		allowed = numericElem
	}
	d := unaryElem(n, allowed)
	for i := 1; i < len(n.In); i++ {
		if !n.Has(i) {
			continue
		}
		if e := n.Elem(i, allowed...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
		if t := &n.In[i].Type; t.Ranked && len(t.Dims) > 1 {
			n.Failf("input %d has shape %s; it must be one number", i, onnx.FormatDims(t.Dims))
		}
	}
	if n.err != nil {
		return nil
	}
	switch d {
	case tensor.Float32:
		return clip[float32](-math.MaxFloat32, math.MaxFloat32, clipRow)
	case tensor.Float64:
		return clip[float64](-math.MaxFloat64, math.MaxFloat64, clipRow)
	case tensor.Half:
		return clip(toHalf(-maxHalf), toHalf(maxHalf), clipHalves)
	case tensor.Int8:
		return clip(math.MinInt8, math.MaxInt8, clipRow[int8])
	case tensor.Int16:
		return clip(math.MinInt16, math.MaxInt16, clipRow[int16])
	case tensor.Int32:
		return clip(math.MinInt32, math.MaxInt32, clipRow[int32])
	case tensor.Int64:
		return clip(math.MinInt64, math.MaxInt64, clipRow[int64])
	case tensor.Uint8:
		return clip(0, math.MaxUint8, clipRow[uint8])
	case tensor.Uint16:
		return clip(0, math.MaxUint16, clipRow[uint16])
	case tensor.Uint32:
		return clip(0, math.MaxUint32, clipRow[uint32])
	case tensor.Uint64:
		return clip(0, math.MaxUint64, clipRow[uint64])
	case tensor.Bool, tensor.String, tensor.Undefined: // not allowed above
	}
	return nil
}

// clip returns the kernel; low and high are the bounds that are left out.
func clip[T tensor.Element](low, high T, fn func(dst, x []T, low, high T)) Kernel {
	return func(ctx context.Context, f *Frame) error {
		low, high := low, high
		if err := bound(f, 1, &low); err != nil {
			return err
		}
		if err := bound(f, 2, &high); err != nil {
			return err
		}
		x := Input[T](f, 0)
		dst, err := Output[T](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		return inBlocks(ctx, len(dst), func(at, end int) error {
			fn(dst[at:end], x[at:end], low, high)
			return nil
		})
	}
}

// bound replaces v by the number that input i is, when it is given.
func bound[T tensor.Element](f *Frame, i int, v *T) error {
	t := f.In(i)
	if t == nil {
		return nil
	}
	if t.Len() != 1 {
		return shapeFault("a bound must be one number", t.Shape())
	}
	*v = tensor.Of[T](t)[0]
	return nil
}

func clipRow[T number](dst, x []T, low, high T) {
	for i, v := range x {
		dst[i] = min(max(v, low), high)
	}
}

func clipHalves(dst, x []tensor.Float16, low, high tensor.Float16) {
	l, h := fromHalf(low), fromHalf(high)
	for i, v := range x {
		dst[i] = toHalf(min(max(fromHalf(v), l), h))
	}
}
