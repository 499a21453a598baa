package ops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// defined returns the element of a broadcast input that serves the index of a
// result, by the definition of broadcasting.
func defined(data []int64, own, shape tensor.Shape, behind, index int) int64 {
	at, step := 0, 1
	for k := 1; k <= len(shape); k++ {
		i := index % fromEnd(shape, k)
		index /= fromEnd(shape, k)
		if n := fromEnd(own, k-behind); n > 1 {
			at += i * step
			step *= n
		}
	}
	return data[at]
}

func numbered(shape tensor.Shape) *tensor.Tensor {
	var t tensor.Tensor
	for i, data := 0, tensor.Reset[int64](&t, shape...); i < len(data); i++ {
		data[i] = int64(i)
	}
	return &t
}

func frameOf(n *Node, in ...*tensor.Tensor) (*Frame, *tensor.Tensor) {
	out := new(tensor.Tensor)
	f := NewFrame(in, []*tensor.Tensor{out}, n.Scratches(), &Budget{Left: 1 << 30})
	return &f, out
}

func TestBroadcastingFollowsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	extents := []int{1, 1, 2, 3, 5, 40, 1100}
	for range 3000 {
		var result tensor.Shape
		for range r.IntN(6) {
			if e := extents[r.IntN(len(extents))]; product(result)*e < 1<<16 {
				result = append(result, e)
			}
		}
		a, b := repeatable(r, result), repeatable(r, result)
		x, y := numbered(a), numbered(b)
		n := &Node{}
		kernel := binary(n, fit{axis: -1}, func(dst, a, b []int64) bool {
			for i := range dst {
				dst[i] = a[i]<<32 | b[i]
			}
			return true
		})
		f, out := frameOf(n, x, y)
		if err := kernel(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		shape := out.Shape()
		for i, got := range tensor.Of[int64](out) {
			want := defined(tensor.Of[int64](x), a, shape, 0, i)<<32 | defined(tensor.Of[int64](y), b, shape, 0, i)
			if got != want {
				t.Fatalf("%v by %v: element %d is %d of a and %d of b, want %d and %d", a, b, i, got>>32, got&0xffff, want>>32, want&0xffff)
			}
		}
	}
}

// repeatable returns a shape that can be broadcast to the result's.
func repeatable(r *rand.Rand, result tensor.Shape) tensor.Shape {
	s := slices.Clone(result)[r.IntN(len(result)+1)/2:]
	for i := range s {
		if r.IntN(3) == 0 {
			s[i] = 1
		}
	}
	return s
}

func TestOldBroadcastingBeginsAtItsAxis(t *testing.T) {
	shape := tensor.Shape{2, 3, 4, 5}
	for axis, own := range []tensor.Shape{{2, 3}, {3, 4}, {4, 5}} {
		x, y := numbered(shape), numbered(own)
		n := &Node{}
		kernel := binary(n, fit{mode: toFirst, axis: int64(axis)}, func(dst, _, b []int64) bool {
			copy(dst, b)
			return true
		})
		f, out := frameOf(n, x, y)
		if err := kernel(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		for i, got := range tensor.Of[int64](out) {
			if want := defined(tensor.Of[int64](y), own, shape, 2-axis, i); got != want {
				t.Fatalf("axis %d: element %d is %d, want %d", axis, i, got, want)
			}
		}
	}
}

func TestInputsThatDoNotFitAreRefused(t *testing.T) {
	last := fit{axis: -1}
	for _, c := range []struct {
		m    fit
		a, b tensor.Shape
	}{
		{last, tensor.Shape{2}, tensor.Shape{3}},
		{last, tensor.Shape{0}, tensor.Shape{2}},
		{fit{mode: alike, axis: -1}, tensor.Shape{2, 1}, tensor.Shape{2}},
		{fit{mode: toFirst, axis: -1}, tensor.Shape{1}, tensor.Shape{3}},
		{fit{mode: toFirst, axis: -1}, tensor.Shape{3}, tensor.Shape{1, 3}},
		{fit{mode: toFirst, axis: 1}, tensor.Shape{2, 3}, tensor.Shape{2}},
		{fit{mode: toFirst, axis: 2}, tensor.Shape{2, 3}, tensor.Shape{3}},
		{fit{mode: toFirst, axis: 1 << 62}, tensor.Shape{2, 3}, tensor.Shape{3}},
	} {
		n := &Node{}
		f, _ := frameOf(n, numbered(c.a), numbered(c.b))
		if shape, err := c.m.shape(f); err == nil {
			t.Errorf("%v by %v at axis %d gives %v", c.a, c.b, c.m.axis, shape)
		}
	}
}

func TestALongComputationEndsWithItsContext(t *testing.T) {
	n := &Node{}
	ctx, cancel := context.WithCancel(t.Context())
	pieces := 0
	kernel := binary(n, fit{axis: -1}, func(_, _, _ []int64) bool {
		pieces++
		cancel()
		return true
	})
	f, _ := frameOf(n, numbered(tensor.Shape{100, 1000}), numbered(tensor.Shape{}))
	if err := kernel(ctx, f); !errors.Is(err, context.Canceled) || pieces != 1 {
		t.Errorf("after %d pieces: %v", pieces, err)
	}
}

// A kernel that is warm takes no memory, whatever it repeats.
func TestAWarmKernelAllocatesNothing(t *testing.T) {
	for label, kernel := range benchmarked(t) {
		if n := testing.AllocsPerRun(10, kernel); n != 0 {
			t.Errorf("%s: %v allocations", label, n)
		}
	}
}

func BenchmarkBroadcast(b *testing.B) {
	kernels := benchmarked(b)
	for _, label := range slices.Sorted(maps(kernels)) {
		b.Run(label, func(b *testing.B) {
			for b.Loop() {
				kernels[label]()
			}
		})
	}
}

func maps[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// benchmarked returns warm kernels by what they do.
func benchmarked(tb testing.TB) map[string]func() {
	tb.Helper()
	out := map[string]func(){}
	for _, rows := range []int{1, 1000} {
		for _, columns := range []int{3, 50} {
			whole := tensor.Shape{rows, columns}
			for label, b := range map[string]tensor.Shape{"same": whole, "row": {columns}, "column": {rows, 1}, "scalar": {1}} {
				for op, parse := range map[string]func(*Node) Kernel{"Mul": arithmetic(mul), "Pow": parsePow} {
					kernel := compiled(tb, parse, whole, b)
					out[fmt.Sprintf("%s %dx%d by %s", op, rows, columns, label)] = kernel
				}
			}
			for op, parse := range map[string]func(*Node) Kernel{"Relu": parseRelu, "Sigmoid": function(sigmoid), "Softmax": lanewise(softmaxLane, softmaxSingle)} {
				out[fmt.Sprintf("%s %dx%d", op, rows, columns)] = compiled(tb, parse, whole)
			}
		}
	}
	return out
}

// compiled returns a warm kernel over float32 of the given shapes.
func compiled(tb testing.TB, parse func(*Node) Kernel, shapes ...tensor.Shape) func() {
	tb.Helper()
	in := make([]*tensor.Tensor, len(shapes))
	values := make([]Value, len(shapes))
	for i, s := range shapes {
		in[i] = new(tensor.Tensor)
		for k, data := 0, tensor.Reset[float32](in[i], s...); k < len(data); k++ {
			data[k] = float32(k%17) - 8
		}
		values[i].Type = onnx.TypeOf(in[i])
	}
	n := NewNode(&onnx.Node{}, 13, values)
	kernel := parse(n)
	if err := n.finish(); err != nil {
		tb.Fatal(err)
	}
	f, _ := frameOf(n, in...)
	run := func() {
		f.budget.Left = 1 << 30
		if err := kernel(context.Background(), f); err != nil {
			tb.Fatal(err)
		}
	}
	run()
	return run
}
