package ops

import (
	"cmp"
	"context"

	"onnxgate/internal/tensor"
)

// mover holds what operators that only move elements need of an element type,
// so that each is written once. Elements are named by their place in memory;
// a block is so many that lie next to each other.
type mover struct {
	// output gives output i of the frame a shape.
	output func(f *Frame, i int, shape []int) error
	// copy copies n elements between tensors of the type.
	copy func(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int)
	// clear sets n elements to zero, false or the empty string.
	clear func(dst *tensor.Tensor, to, n int)
	// reset charges for a tensor outside the frame and gives it a shape.
	reset func(f *Frame, t *tensor.Tensor, shape []int) error
	// extend puts src behind the last element of dst's first axis, and charges for
	// what the memory of dst grows by.
	extend func(f *Frame, dst, src *tensor.Tensor) error
	// walk copies along the axes of v, which it rearranges.
	walk func(ctx context.Context, dst, src *tensor.Tensor, v *view) error
	// pick copies blocks of src next to each other; places counts them from
	// the element from on.
	pick func(dst *tensor.Tensor, to int, src *tensor.Tensor, from int, places []int64, block int)
	// columns copies columns of n rows of src, which are width elements long, from a row
	// on to the same rows of dst.
	columns func(dst, src *tensor.Tensor, columns []int64, width, row, n int)
	// put copies blocks of src, which are step elements apart, to dst at places,
	// which counts elements.
	put func(dst *tensor.Tensor, places []int64, src *tensor.Tensor, from, step, block int)
	// nonzero returns how many elements from from up to end are not zero, and
	// writes where they are to places unless that is nil.
	nonzero func(src *tensor.Tensor, from, end int, places []int64) int
	// compare orders two elements of a tensor; NaN comes last.
	compare func(x *tensor.Tensor, i, j int) int
	// sort fills places with the places of all elements in order; see sortPlaces.
	sort func(ctx context.Context, x *tensor.Tensor, places, spare []int64) error
}

var movers = [...]mover{
	tensor.Float32: orderedMover[float32](), tensor.Float64: orderedMover[float64](),
	tensor.Int8: orderedMover[int8](), tensor.Int16: orderedMover[int16](), tensor.Int32: orderedMover[int32](), tensor.Int64: orderedMover[int64](),
	tensor.Uint8: orderedMover[uint8](), tensor.Uint16: orderedMover[uint16](), tensor.Uint32: orderedMover[uint32](), tensor.Uint64: orderedMover[uint64](),
	tensor.String: orderedMover[string](),
	tensor.Bool: moverOf(func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return 1
		}
		return -1
	}),
	tensor.Half: halfMover(),
}

func halfMover() mover {
	m := moverOf(func(a, b tensor.Float16) int { return nanLast(fromHalf(a), fromHalf(b)) })
	m.nonzero = func(src *tensor.Tensor, from, end int, places []int64) int {
		n := 0
		for i, h := range tensor.Of[tensor.Float16](src)[from:end] {
			if h<<1 == 0 { // -0 is zero, too
				continue
			}
			if places != nil {
				places[n] = int64(from + i)
			}
			n++
		}
		return n
	}
	return m
}

func orderedMover[T interface {
	tensor.Element
	cmp.Ordered
}]() mover {
	return moverOf(nanLast[T])
}

// nanLast compares like cmp.Compare, for which NaN comes first.
func nanLast[T cmp.Ordered](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return -cmp.Compare(a, b) // one of them is NaN
}

func moverOf[T tensor.Element](compare func(a, b T) int) mover {
	return mover{
		output: func(f *Frame, i int, shape []int) error {
			_, err := Output[T](f, i, shape...)
			return err
		},
		copy: func(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int) {
			copy(tensor.Of[T](dst)[to:to+n], tensor.Of[T](src)[from:from+n])
		},
		clear: func(dst *tensor.Tensor, to, n int) { clear(tensor.Of[T](dst)[to : to+n]) },
		reset: func(f *Frame, t *tensor.Tensor, shape []int) error {
			err := f.charge(tensor.DTypeOf[T](), shape)
			if err == nil {
				reset[T](f, t, shape...)
			}
			return err
		},
		extend: func(f *Frame, dst, src *tensor.Tensor) error {
			if err := f.chargeGrowth(dst, src.Len()); err != nil {
				return err
			}
			before := dst.Memory()
			err := tensor.Extend(dst, tensor.Of[T](src))
			f.budget.Size += dst.Memory() - before
			return err
		},
		walk: func(ctx context.Context, dst, src *tensor.Tensor, v *view) error {
			return walkView(ctx, tensor.Of[T](dst), tensor.Of[T](src), v)
		},
		pick: func(dst *tensor.Tensor, to int, src *tensor.Tensor, from int, places []int64, block int) {
			gatherBlocks(tensor.Of[T](dst)[to:], tensor.Of[T](src)[from:], places, block)
		},
		columns: func(dst, src *tensor.Tensor, columns []int64, width, row, n int) {
			takeColumns(tensor.Of[T](dst)[row*len(columns):], tensor.Of[T](src)[row*width:], columns, width, n)
		},
		put: func(dst *tensor.Tensor, places []int64, src *tensor.Tensor, from, step, block int) {
			d, s := tensor.Of[T](dst), tensor.Of[T](src)
			for i, p := range places {
				copy(d[p:int(p)+block], s[from+i*step:])
			}
		},
		nonzero: func(src *tensor.Tensor, from, end int, places []int64) int {
			return nonzero(tensor.Of[T](src)[from:end], from, places)
		},
		compare: func(x *tensor.Tensor, i, j int) int {
			v := tensor.Of[T](x)
			return compare(v[i], v[j])
		},
		sort: func(ctx context.Context, x *tensor.Tensor, places, spare []int64) error {
			v := tensor.Of[T](x)
			return sortPlaces(ctx, places, spare, 1, func(a, b int64) int { return compare(v[a], v[b]) })
		},
	}
}

// nonzero is mover.nonzero for elements of which the first is at from.
func nonzero[T comparable](src []T, from int, places []int64) int {
	n := 0
	var zero T
	for i, v := range src {
		if v == zero {
			continue
		}
		if places != nil {
			places[n] = int64(from + i)
		}
		n++
	}
	return n
}

func takeColumns[T any](dst, src []T, columns []int64, width, rows int) {
	if len(columns) == 1 {
		dst = dst[:rows]
		at := int(columns[0])
		for r := range dst {
			dst[r] = src[at]
			at += width
		}
		return
	}
	for range rows {
		row, to := src[:width], dst[:len(columns)]
		for k, c := range columns {
			to[k] = row[c]
		}
		src, dst = src[width:], dst[len(columns):]
	}
}

func gatherBlocks[T any](dst, src []T, places []int64, block int) {
	if block == 1 {
		for i, p := range places {
			dst[i] = src[p]
		}
		return
	}
	for i, p := range places {
		copy(dst[i*block:(i+1)*block], src[int(p)*block:])
	}
}

// The element types that operators take, as ONNX's schemas group them.
var (
	anyElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Bool, tensor.String,
	}
	numericElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64,
	}
	// wideElem is what arithmetic took before version 14.
	wideElem = []tensor.DType{
		tensor.Float32, tensor.Float64, tensor.Half, tensor.Int32, tensor.Int64, tensor.Uint32, tensor.Uint64,
	}
	floatElem = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Half}
	// mlElem is what the operators of ai.onnx.ml take.
	mlElem = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int32, tensor.Int64}
)

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

type floating interface{ float32 | float64 }

type number interface{ integer | floating }
