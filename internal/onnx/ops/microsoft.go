package ops

import (
	"context"
	"math"
	"math/bits"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// microsoftOps is ONNX Runtime's own operators that scikit-learn's exporter
// uses (com.microsoft).
var microsoftOps = []Operator{
	{Microsoft, "Tokenizer", 1, one, one, parseTokenizer},
	{Microsoft, "MurmurHash3", 1, one, one, parseMurmurHash3},
	{Microsoft, "CDist", 1, two, one, parseCDist},
}

// parseMurmurHash3 reads MurmurHash3 (com.microsoft 1): the 32-bit hash of the
// bytes of each element, as uint32, or as int32 when positive is 0.
func parseMurmurHash3(n *Node) Kernel {
	seed := uint32(n.Int("seed", 0)) //nolint:gosec // the low bits are what it is seeded with
	positive := n.Int("positive", 1)
	if positive != 0 && positive != 1 {
		n.Failf("attribute \"positive\" is %d; it must be 0 or 1", positive)
	}
	d := n.Elem(0, tensor.Int32, tensor.Uint32, tensor.Int64, tensor.Uint64, tensor.Float32, tensor.Float64, tensor.String)
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = tensor.Uint32
	if positive == 0 {
		out.Elem = tensor.Int32
		n.SetOut(0, out)
		return hashKernel(d, seed, func(h uint32) int32 { return int32(h) }) //nolint:gosec // the same bits
	}
	n.SetOut(0, out)
	return hashKernel(d, seed, func(h uint32) uint32 { return h })
}

func hashKernel[D tensor.Element](d tensor.DType, seed uint32, as func(uint32) D) Kernel {
	word := func(v uint32) D { return as(murmur32(v, seed)) }
	long := func(v uint64) D { return as(murmur64(v, seed)) }
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.Int32:
		return mapped(func(v int32) D { return word(uint32(v)) }) //nolint:gosec // the same bits
	case tensor.Uint32:
		return mapped(word)
	case tensor.Int64:
		return mapped(func(v int64) D { return long(uint64(v)) }) //nolint:gosec // the same bits
	case tensor.Uint64:
		return mapped(long)
	case tensor.Float32:
		return mapped(func(v float32) D { return word(math.Float32bits(v)) })
	case tensor.Float64:
		return mapped(func(v float64) D { return long(math.Float64bits(v)) })
	}
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[D](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		p := poller{}
		for i, v := range Input[string](f, 0) {
			if err := p.text(ctx, v); err != nil {
				return err
			}
			dst[i] = as(murmurText(v, seed))
		}
		return nil
	}
}

// mapped returns the kernel that computes each element by itself.
func mapped[S, D tensor.Element](of func(S) D) Kernel {
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[D](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		for i, v := range Input[S](f, 0) {
			if err := poll(ctx, i); err != nil {
				return err
			}
			dst[i] = of(v)
		}
		return nil
	}
}

// The steps of MurmurHash3 x86_32, of Austin Appleby.

func murmurScramble(k uint32) uint32 {
	return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593
}

func murmurMix(h, k uint32) uint32 {
	return bits.RotateLeft32(h^murmurScramble(k), 13)*5 + 0xe6546b64
}

func murmurFinish(h, length uint32) uint32 {
	h ^= length
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

func murmur32(v, seed uint32) uint32 { return murmurFinish(murmurMix(seed, v), 4) }

func murmur64(v uint64, seed uint32) uint32 {
	low, high := uint32(v), uint32(v>>32) //nolint:gosec // its two halves
	return murmurFinish(murmurMix(murmurMix(seed, low), high), 8)
}

func murmurText(s string, seed uint32) uint32 {
	h, rest := seed, s
	for ; len(rest) >= 4; rest = rest[4:] {
		h = murmurMix(h, littleEndian(rest[:4]))
	}
	if rest != "" {
		h ^= murmurScramble(littleEndian(rest))
	}
	return murmurFinish(h, uint32(len(s))) //nolint:gosec // bounded by maxText
}

// littleEndian is the number of up to four bytes.
func littleEndian(s string) (v uint32) {
	for i := range len(s) {
		v |= uint32(s[i]) << (8 * i)
	}
	return v
}

// parseCDist reads CDist (com.microsoft 1): the distance of each row of A,
// [M, K], to each of B, [N, K]; [M, N].
func parseCDist(n *Node) Kernel {
	metric := n.String("metric", "sqeuclidean")
	if metric != "euclidean" && metric != "sqeuclidean" {
		n.Failf("attribute \"metric\" is %s; supported are euclidean and sqeuclidean", onnx.Quote(metric))
	}
	d := n.Elem(0, tensor.Float32, tensor.Float64)
	if e := n.Elem(1, tensor.Float32, tensor.Float64); e != d {
		n.Failf("input 1 is of %v, input 0 of %v; they must agree", e, d)
	}
	if n.err != nil {
		return nil
	}
	a, b := n.table(0), n.table(1)
	if a[1].Size >= 0 && b[1].Size >= 0 && a[1].Size != b[1].Size {
		n.Failf("its inputs have rows of %d and of %d features; they must agree", a[1].Size, b[1].Size)
	}
	n.SetOut(0, onnx.TensorOf(d, a[0], b[0]))
	if d == tensor.Float32 {
		if k := distancesToConstant(n, metric == "euclidean"); k != nil {
			return k
		}
		return distances[float32](metric == "euclidean")
	}
	return distances[float64](metric == "euclidean")
}

// table returns the rows and columns of input i as far as they are known, and
// fails when it cannot have them.
func (n *Node) table(i int) [2]tensor.Dim {
	t := &n.In[i].Type
	switch {
	case !t.Ranked:
		return [2]tensor.Dim{free, free}
	case len(t.Dims) == 2:
		return [2]tensor.Dim{t.Dims[0], t.Dims[1]}
	}
	n.Failf("input %d is a %v; it needs rows and columns", i, t)
	return [2]tensor.Dim{free, free}
}

// distancesToConstant returns the kernel for rows of input 1 that are constant, nil
// when they are not or the model's budget does not last for them in the order in
// which they are compared.
func distancesToConstant(n *Node, root bool) Kernel {
	b := n.In[1].Const
	if b == nil || len(b.Shape()) != 2 || b.Len() == 0 || n.In[0].Const != nil {
		return nil
	}
	const side = 8 // vectors are compared that many side by side
	bytes := (b.Len() + side*b.Shape()[1]) * tensor.Float32.Size()
	if n.Packing == nil || n.Packing.Left < bytes {
		return nil
	}
	n.Packing.Left -= bytes
	kind := linalg.Squared
	if root {
		kind = linalg.Euclidean
	}
	c := newLikeness(n, linalg.NewVectors(linalg.Kernel{Kind: kind}, tensor.Of[float32](b), b.Shape()[0]))
	return func(ctx context.Context, f *Frame) error {
		rows, columns, err := distanceShape(f)
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, rows, columns)
		if err != nil {
			return err
		}
		return c.each(ctx, f, rows, func(r int, values []float32) error {
			copy(dst[r*columns:(r+1)*columns], values)
			return nil
		})
	}
}

// distanceShape returns the extents of the result.
func distanceShape(f *Frame) (rows, columns int, err error) {
	a, b := f.In(0).Shape(), f.In(1).Shape()
	if len(a) != 2 || len(b) != 2 || a[1] != b[1] {
		return 0, 0, fault.Newf(fault.Content, "inputs of shapes %s and %s do not have rows of the same features",
			onnx.FormatShape(a), onnx.FormatShape(b))
	}
	return a[0], b[0], nil
}

func distances[T floating](root bool) Kernel {
	return func(ctx context.Context, f *Frame) error {
		rows, columns, err := distanceShape(f)
		if err != nil {
			return err
		}
		dst, err := Output[T](f, 0, rows, columns)
		if err != nil {
			return err
		}
		a, b, width, work := Input[T](f, 0), Input[T](f, 1), f.In(0).Shape()[1], 0
		for ; len(dst) > 0; a, dst = a[width:], dst[columns:] {
			for k := range columns {
				if work += width + 1; work > chunk {
					if work = 0; ctx.Err() != nil {
						return ctx.Err()
					}
				}
				dst[k] = linalg.SquaredDistance(a[:width], b[k*width:(k+1)*width])
				if root {
					dst[k] = T(math.Sqrt(float64(dst[k])))
				}
			}
		}
		return nil
	}
}
