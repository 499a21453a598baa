package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// parseZipMap reads ZipMap (ai.onnx.ml 1). A sequence of maps travels as the
// tensor [N, C] that it was made of, with the keys of its columns beside it; so
// there is nothing to compute unless the extents have to be checked first.
func parseZipMap(n *Node) Kernel {
	if refuseZipMap(n); n.err != nil {
		return nil
	}
	keys := classLabels(n, "classlabels_int64s")
	n.Elem(0, tensor.Float32)
	if n.err != nil {
		return nil
	}
	in := &n.In[0].Type
	columns := keys.Len()
	known := in.Ranked && len(in.Dims) == 2 && in.Dims[1].Size >= 0
	if known && in.Dims[1].Size != columns {
		n.Failf("it names %d classes for %d columns", columns, in.Dims[1].Size)
	}
	if in.Ranked && (len(in.Dims) == 0 || len(in.Dims) > 2) {
		n.Failf("its input has %d axes; it takes 1 or 2", len(in.Dims))
	}
	if n.err != nil {
		return nil
	}
	out := onnx.MapSequence(keys.DType())
	if known {
		n.SetAlias()
	}
	out.Dims, out.Ranked = []tensor.Dim{free, {Size: columns}}, true
	if in.Ranked && len(in.Dims) == 2 {
		out.Dims[0] = in.Dims[0]
	}
	n.SetOut(0, out)
	n.Inherit()
	n.SetClasses(0, keys)
	return func(_ context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) == 0 || len(shape) > 2 || shape[len(shape)-1] != columns {
			return shapeFault("ZipMap needs a column for each class", shape)
		}
		rows, _ := matrix(shape)
		dst, err := Output[float32](f, 0, rows, columns)
		copy(dst, Input[float32](f, 0))
		return err
	}
}

// refuseZipMap refuses what skl2onnx is known to write and no engine runs, and
// says how to export it instead.
func refuseZipMap(n *Node) {
	const plain = `options={"zipmap": False}`
	switch {
	case len(n.Ints("classlabels_int64s")) == 0 && len(n.Strings("classlabels_strings")) == 0:
		n.Failf("it names no classes, as exports of several targets do not; export the model with %s", plain)
	case n.Has(0) && n.In[0].Type.Elem == tensor.Float64:
		n.Failf("input 0 has elements of type float64, and ZipMap takes float32 alone; export columns of float32 (df.astype(numpy.float32)), or with %s", plain)
	}
}

// MapList returns the kernel that makes a list of what ZipMap makes: a map of
// the keys for each row.
func MapList(keys *tensor.Tensor) Kernel {
	return func(ctx context.Context, f *Frame) error {
		x, columns := Input[float32](f, 0), keys.Len()
		rows := len(x) / max(1, columns)
		items, err := f.OutputList(0, tensor.KindSequence, rows)
		if err != nil {
			return err
		}
		for r := range items {
			if err := poll(ctx, r); err != nil {
				return err
			}
			values, dst, err := Item[float32](f, columns)
			if err != nil {
				return err
			}
			copy(dst, x[r*columns:])
			if items[r], err = f.blank(); err != nil {
				return err
			}
			tensor.ResetMap(items[r], keys, values)
		}
		return nil
	}
}

// classLabels returns the labels that a node gives: distinct integers, or
// strings in the attribute "classlabels_strings".
func classLabels(n *Node, ints string) *tensor.Tensor {
	const strings = "classlabels_strings"
	i, s := n.Ints(ints), n.Strings(strings)
	if (len(i) > 0) == (len(s) > 0) {
		n.Failf("it needs one of the attributes %q and %q, and not both", ints, strings)
		return nil
	}
	if len(i) > 0 {
		return distinct(n, i)
	}
	return distinct(n, s)
}

func distinct[T int64 | string](n *Node, labels []T) *tensor.Tensor {
	seen := make(map[T]bool, len(labels))
	for _, l := range labels {
		if seen[l] {
			n.Failf("a class label is there twice")
		}
		seen[l] = true
	}
	t, err := tensor.New(tensor.Shape{len(labels)}, labels)
	if err != nil {
		n.Failf("%v", err)
	}
	return t
}
