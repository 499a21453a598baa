package ops

import (
	"context"
	"math"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// normalizationOps gives parts of a tensor mean 0 and variance 1, or length 1.
var normalizationOps = []Operator{
	{"", "BatchNormalization", 6, span{5, 5}, one, parseBatchNormalization},
	{"", "LayerNormalization", 17, span{2, 3}, span{1, 3}, parseLayerNormalization},
	{"", "RMSNormalization", 23, two, one, parseRMSNormalization},
	{"", "InstanceNormalization", 6, span{3, 3}, one, parseInstanceNormalization},
	{"", "GroupNormalization", 18, span{3, 3}, one, parseGroupNormalization},
	{"", "LpNormalization", 1, one, one, parseLpNormalization},
	{"", "MeanVarianceNormalization", 9, one, one, parseMeanVarianceNormalization},
}

// blocks is a normalization of adjacent elements, block by block:
// (x - mean) / sqrt(variance + epsilon) · scale + bias.
type blocks struct {
	epsilon float64
	raw     bool // the mean is taken to be 0
	// size returns how many elements a block has.
	size func(shape tensor.Shape) (int, error)
	// affine returns two shapes, of which the input's elements have the first
	// and those of scale or bias, input i, the second: it is broadcast to the
	// first.
	affine func(f *Frame, i int) (view, own []int, err error)
	// axis is where blocks begin; from there on the mean has extents of 1.
	axis int64
}

// parseLayerNormalization reads LayerNormalization (ai.onnx 17). Doubles are
// computed as such whatever stash_type says.
func parseLayerNormalization(n *Node) Kernel {
	d := sameFloats(n)
	b := trailing(n)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	stat := onnx.UnrankedTensor(tensor.Float32)
	if t := &n.In[0].Type; t.Ranked {
		stat = onnx.TensorOf(tensor.Float32, freeDims(len(t.Dims))...)
		for k := range stat.Dims {
			if stat.Dims[k] = t.Dims[k]; k >= axisIn(b.axis, len(t.Dims)) {
				stat.Dims[k] = tensor.Dim{Size: 1}
			}
		}
	}
	n.SetOut(1, stat)
	n.SetOut(2, stat)
	return b.kernel(n, d)
}

// parseRMSNormalization reads RMSNormalization (ai.onnx 23). Doubles are
// computed as such whatever stash_type says; the result is of scale's type.
func parseRMSNormalization(n *Node) Kernel {
	d, v := n.Elem(0, floatElem...), n.Elem(1, floatElem...)
	b := trailing(n)
	b.raw = true
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = v
	n.SetOut(0, out)
	return b.kernel(n, d)
}

// sameFloats checks that all inputs that are given are of one floating type,
// and returns it.
func sameFloats(n *Node) tensor.DType {
	d := n.Elem(0, floatElem...)
	for i := 1; i < len(n.In); i++ {
		if i > 1 && !n.Has(i) {
			continue
		}
		if e := n.Elem(i, floatElem...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
	}
	return d
}

// trailing reads what LayerNormalization and RMSNormalization share: a block is
// all axes from axis on, and scale and bias are broadcast.
func trailing(n *Node) *blocks {
	b := &blocks{axis: n.Int("axis", -1), epsilon: float64(n.Float("epsilon", 1e-5)), affine: broadcastTo}
	stashType(n)
	if t := &n.In[0].Type; t.Ranked && axisIn(b.axis, len(t.Dims)) < 0 {
		n.Failf("axis %d is out of range for %d axes", b.axis, len(t.Dims))
	}
	b.size = func(shape tensor.Shape) (int, error) {
		k := axisIn(b.axis, len(shape))
		if k < 0 {
			return 0, shapeFault("it has no such axis to normalize from", shape)
		}
		return product(shape[k:]), nil
	}
	return b
}

// broadcastTo is the affine of scales that are broadcast to the input.
func broadcastTo(f *Frame, i int) (view, own []int, err error) {
	view, own = f.In(0).Shape(), f.In(i).Shape()
	for k := 1; k <= len(own); k++ {
		if have := fromEnd(own, k); k > len(view) || have != 1 && have != fromEnd(view, k) {
			return nil, nil, shapeFault("it cannot be broadcast to the input that is normalized", own)
		}
	}
	return view, own, nil
}

func stashType(n *Node) {
	if s := n.Int("stash_type", 1); s != int64(tensor.Float32) {
		n.Failf("attribute \"stash_type\" is %d; only 1 (float32) is supported", s)
	}
}

// parseInstanceNormalization reads InstanceNormalization (ai.onnx 6, 22).
func parseInstanceNormalization(n *Node) Kernel { return parseChannels(n, 0, false) }

// parseGroupNormalization reads GroupNormalization (ai.onnx 18, 21). Scale and
// bias have an entry for each group in version 18, for each channel from 21 on.
func parseGroupNormalization(n *Node) Kernel {
	n.Need("num_groups")
	groups := n.Int("num_groups", 1)
	if groups < 1 || groups > tensor.MaxElements {
		n.Failf("attribute \"num_groups\" is %d; it must be 1 or more", groups)
	}
	if n.Version >= 21 {
		stashType(n)
	}
	return parseChannels(n, int(groups), n.Version < 21)
}

// parseChannels reads a normalization of groups of channels, which are axis 1;
// with 0 groups each channel is one. Scale and bias have an entry for each
// channel, or for each group.
func parseChannels(n *Node, groups int, byGroup bool) Kernel {
	d := sameFloats(n)
	if t := &n.In[0].Type; t.Ranked && len(t.Dims) < 2 {
		n.Failf("an input of shape %s has no channels", onnx.FormatDims(t.Dims))
	}
	b := &blocks{epsilon: float64(n.Float("epsilon", 1e-5))}
	if n.err != nil {
		return nil
	}
	b.size = func(shape tensor.Shape) (int, error) {
		switch {
		case len(shape) < 2:
			return 0, shapeFault("it has no channels", shape)
		case groups == 0:
			return product(shape[2:]), nil
		case shape[1]%groups != 0:
			return 0, shapeFault("its channels do not make as many groups as num_groups says", shape)
		}
		return shape[1] / groups * product(shape[2:]), nil
	}
	b.affine = func(f *Frame, i int) (view, own []int, err error) {
		shape := f.In(0).Shape()
		entries, each := shape[1], product(shape[2:])
		if byGroup {
			entries, each = groups, entries/groups*each
		}
		if s := f.In(i).Shape(); len(s) != 1 || s[0] != entries {
			return nil, nil, shapeFault("scale and bias need one entry for each channel or group", s)
		}
		f.dims = append(f.dims[:0], shape[0], entries, each, entries, 1)
		return f.dims[:3], f.dims[3:], nil
	}
	n.SetOut(0, n.In[0].Type)
	return b.kernel(n, d)
}

// kernel computes float64 as such, all else in float32.
func (b *blocks) kernel(n *Node, d tensor.DType) Kernel {
	if d == tensor.Float64 || n.Out[0].Type.Elem == tensor.Float64 {
		return blockKernel[float64](n, b)
	}
	return blockKernel[float32](n, b)
}

func blockKernel[C floating](n *Node, b *blocks) Kernel {
	x, entries := n.NeedScratch(), [4]int{n.NeedScratch(), n.NeedScratch(), n.NeedScratch(), n.NeedScratch()}
	out := result[C]{output: 0, scratch: n.NeedScratch(), elem: n.Out[0].Type.Elem}
	statistics := len(n.Out) > 1
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		size, err := b.size(shape)
		if err != nil {
			return err
		}
		src, err := widened[C](ctx, f, 0, x)
		if err != nil {
			return err
		}
		dst, err := out.open(f, shape)
		if err != nil {
			return err
		}
		var mean, inverse []float32
		if statistics {
			if mean, inverse, err = b.openStatistics(f); err != nil {
				return err
			}
		}
		if len(dst) == 0 {
			fillWith(mean, float32(math.NaN())) // of nothing
			fillWith(inverse, float32(math.NaN()))
			return nil
		}
		if err := standardize(ctx, b, dst, src, size, mean, inverse); err != nil {
			return err
		}
		if err := scaleAndShift(ctx, f, b, dst, entries); err != nil {
			return err
		}
		return out.close(ctx, f, dst)
	}
}

// scaleAndShift multiplies by input 1 and adds input 2, where it is given.
func scaleAndShift[C floating](ctx context.Context, f *Frame, b *blocks, dst []C, scratch [4]int) error {
	for i, op := range [...]row[C, C, C]{mulRow[C], addRow[C]} {
		if f.In(i+1) == nil {
			continue
		}
		view, own, err := b.affine(f, i+1)
		if err != nil {
			return err
		}
		by, err := widened[C](ctx, f, i+1, scratch[i])
		if err != nil {
			return err
		}
		if err := changeBy(ctx, f, scratch[i+2], dst, view, by, own, op); err != nil {
			return err
		}
	}
	return nil
}

// openStatistics gives the mean and the inverse deviation their shape.
func (b *blocks) openStatistics(f *Frame) (mean, inverse []float32, err error) {
	f.dims = append(f.dims[:0], f.In(0).Shape()...)
	for k := axisIn(b.axis, len(f.dims)); k < len(f.dims); k++ {
		f.dims[k] = 1
	}
	if mean, err = Output[float32](f, 1, f.dims...); err != nil {
		return nil, nil, err
	}
	inverse, err = Output[float32](f, 2, f.dims...)
	return mean, inverse, err
}

// standardize gives each block mean 0 and variance 1; mean and inverse, where
// they are not nil, get what it had.
func standardize[C floating](ctx context.Context, b *blocks, dst, src []C, size int, mean, inverse []float32) error {
	work := 0
	for i := range len(dst) / size {
		x, y := src[i*size:(i+1)*size], dst[i*size:(i+1)*size]
		center := 0.0
		if !b.raw {
			sum := 0.0
			if err := inChunks(ctx, &work, x, func(part []C) { sum += linalg.Sum[float64](part) }); err != nil {
				return err
			}
			center = sum / float64(size)
		}
		squares := 0.0
		if err := inChunks(ctx, &work, x, func(part []C) { squares += spread(part, center) }); err != nil {
			return err
		}
		by := 1 / math.Sqrt(squares/float64(size)+b.epsilon)
		at := 0
		if err := inChunks(ctx, &work, x, func(part []C) {
			to := y[at:][:len(part)]
			for k, v := range part {
				to[k] = C((float64(v) - center) * by)
			}
			at += len(part)
		}); err != nil {
			return err
		}
		if mean != nil {
			mean[i], inverse[i] = float32(center), float32(by)
		}
	}
	return nil
}

// spread returns the sum of the squared distances to center.
func spread[C floating](x []C, center float64) float64 {
	var a, b, c, d float64 // strands, so that one addition does not wait for the last
	for ; len(x) >= 4; x = x[4:] {
		p, q, r, s := float64(x[0])-center, float64(x[1])-center, float64(x[2])-center, float64(x[3])-center
		a += p * p
		b += q * q
		c += r * r
		d += s * s
	}
	for _, v := range x {
		p := float64(v) - center
		a += p * p
	}
	return a + b + (c + d)
}

func inChunks[T any](ctx context.Context, work *int, x []T, take func([]T)) error {
	for len(x) > chunk {
		take(x[:chunk])
		x = x[chunk:]
		if err := watch(ctx, work, chunk); err != nil {
			return err
		}
	}
	take(x)
	return watch(ctx, work, len(x))
}

// changeBy changes dst, of shape view, by op, with the elements of by, whose
// shape own is broadcast to view. What is repeated is put in a scratch tensor.
func changeBy[C tensor.Element](
	ctx context.Context, f *Frame, scratch int, dst []C, view []int, by []C, own []int, op row[C, C, C],
) error {
	if len(dst) == 0 {
		return nil
	}
	f.stretched = f.stretched[:0]
	var factors stretch[C]
	if err := factors.open(f, scratch, by, own, view, 0); err != nil {
		return err
	}
	return inBlocks(ctx, len(dst), func(at, end int) error {
		op(dst[at:end], dst[at:end], factors.next(end-at))
		return nil
	})
}
