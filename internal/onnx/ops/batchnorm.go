package ops

import (
	"context"
	"math"

	"onnxgate/internal/tensor"
)

// parseBatchNormalization reads BatchNormalization (ai.onnx 6, 7, 9, 14, 15) as it
// is in inference: (x - mean) / sqrt(var + epsilon) · scale + B by channel, the
// mean and the variance being inputs.
func parseBatchNormalization(n *Node) Kernel {
	n.Ignore("momentum")
	b := batchNorm{epsilon: float64(n.Float("epsilon", 1e-5))}
	if n.Version < 7 {
		if n.Int("is_test", 0) == 0 {
			n.Failf("attribute \"is_test\" is not set; export the model for inference")
		}
	}
	if n.Version < 9 {
		b.everyFeature = n.Int("spatial", 1) == 0
	}
	if n.Version >= 14 && n.Int("training_mode", 0) != 0 {
		n.Failf("attribute \"training_mode\" is set; export the model for inference")
	}
	d := b.types(n)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	for i := range n.In {
		if n.In[i].Type.Elem == tensor.Float64 {
			return batchKernel[float64](n, b, d)
		}
	}
	return batchKernel[float32](n, b, d)
}

type batchNorm struct {
	epsilon float64
	// everyFeature says that each element of a row has its own statistics,
	// which version 7 calls not spatial.
	everyFeature bool
}

// types checks which inputs agree: all before version 14; the statistics are of
// a type of their own from 14 on, and scale and B from 15 on.
func (batchNorm) types(n *Node) tensor.DType {
	pairs := [][2]int{{1, 0}, {2, 0}, {3, 0}, {4, 0}}
	switch {
	case n.Version >= 15:
		pairs = [][2]int{{2, 1}, {4, 3}}
	case n.Version >= 14:
		pairs = [][2]int{{1, 0}, {2, 0}, {4, 3}}
	}
	for i := range n.In {
		n.Elem(i, floatElem...)
	}
	for _, p := range pairs {
		if a, b := n.In[p[0]].Type.Elem, n.In[p[1]].Type.Elem; a != b {
			n.Failf("input %d is of %v, input %d of %v; they must agree", p[0], a, p[1], b)
		}
	}
	return n.In[0].Type.Elem
}

// channels returns how many channels an input has, and how many elements of one
// are adjacent. A single axis is rows of one channel.
func (b batchNorm) channels(shape tensor.Shape) (count, each int) {
	switch {
	case len(shape) < 2:
		return 1, 1
	case b.everyFeature:
		return product(shape[1:]), 1
	}
	return shape[1], product(shape[2:])
}

func batchKernel[C floating](n *Node, b batchNorm, d tensor.DType) Kernel {
	var scratch [5]int
	for i := range scratch {
		scratch[i] = n.NeedScratch()
	}
	out, factors := result[C]{output: 0, scratch: n.NeedScratch(), elem: d}, n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		count, each := b.channels(shape)
		var in [5][]C
		for i := range in {
			var err error
			if in[i], err = widened[C](ctx, f, i, scratch[i]); err != nil {
				return err
			}
			if i > 0 && len(in[i]) != count {
				return shapeFault("it needs one entry for each channel of the input", f.In(i).Shape())
			}
		}
		dst, err := out.open(f, shape)
		if err != nil || len(dst) == 0 {
			return err
		}
		by, err := Scratch[C](f, factors, count)
		if err != nil {
			return err
		}
		work := 0
		for c, v := range in[4] {
			by[c] = C(float64(in[1][c]) / math.Sqrt(float64(v)+b.epsilon))
			if err := watch(ctx, &work, 1); err != nil {
				return err
			}
		}
		if each == 1 {
			err = batchRows(ctx, dst, in[0], in[3], by, in[2])
		} else {
			err = batchPlanes(ctx, dst, in[0], each, [3][]C{in[3], by, in[2]})
		}
		if err != nil {
			return err
		}
		return out.close(ctx, f, dst)
	}
}

// batchRows normalizes rows that have an element of each channel.
func batchRows[C floating](ctx context.Context, dst, x, mean, by, bias []C) error {
	work := 0
	for at := 0; at < len(dst); at += len(by) {
		row := x[at:][:len(by)]
		y, m, b := dst[at:][:len(row)], mean[:len(row)], bias[:len(row)]
		factors := by[:len(row)]
		for c, v := range row {
			y[c] = (v-m[c])*factors[c] + b[c]
		}
		if err := watch(ctx, &work, len(by)); err != nil {
			return err
		}
	}
	return nil
}

// batchPlanes normalizes planes of adjacent elements of one channel.
func batchPlanes[C floating](ctx context.Context, dst, x []C, each int, by [3][]C) error {
	work, channels := 0, len(by[0])
	for plane := range len(dst) / each {
		c := plane % channels
		mean, factor, bias := by[0][c], by[1][c], by[2][c]
		at := plane * each
		err := inChunks(ctx, &work, x[at:at+each], func(part []C) {
			y := dst[at:][:len(part)]
			for k, v := range part {
				y[k] = (v-mean)*factor + bias
			}
			at += len(part)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
