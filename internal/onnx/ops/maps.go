package ops

import (
	"context"
	"strconv"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// mapOps makes rows of maps (ai.onnx.ml).
var mapOps = []Operator{
	{ML, "CastMap", 1, one, one, parseCastMap},
	{ML, "DictVectorizer", 1, one, one, parseDictVectorizer},
}

// parseDictVectorizer reads DictVectorizer (ai.onnx.ml 1): the values of a map
// become a row [1, C], each at the places that its key has in the vocabulary.
// Keys that the vocabulary does not have are passed over, as by ONNX Runtime.
func parseDictVectorizer(n *Node) Kernel {
	numbers, names := n.Ints("int64_vocabulary"), n.Strings("string_vocabulary")
	key, value := n.Map(0)
	if (len(numbers) > 0) == (len(names) > 0) || (len(names) > 0) != (key == tensor.String) {
		n.Failf("it needs \"int64_vocabulary\" for integers or \"string_vocabulary\" for strings, and not both; the keys of its input are of %v", key)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, onnx.TensorOf(value, tensor.Dim{Size: 1}, tensor.Dim{Size: max(len(numbers), len(names))}))
	switch value { //nolint:exhaustive // the others are refused
	case tensor.Float32:
		return rowOfMapAs[float32](numbers, names)
	case tensor.Float64:
		return rowOfMapAs[float64](numbers, names)
	case tensor.Int64:
		return rowOfMapAs[int64](numbers, names)
	case tensor.String:
		return rowOfMapAs[string](numbers, names)
	}
	n.Failf("the values of its input are of %v; they must be float32, float64, int64 or strings", value)
	return nil
}

func rowOfMapAs[V tensor.Element](numbers []int64, names []string) Kernel {
	if len(names) > 0 {
		return rowOfMap[string, V](names)
	}
	return rowOfMap[int64, V](numbers)
}

func rowOfMap[K int64 | string, V tensor.Element](vocabulary []K) Kernel {
	last := make(map[K]int32, len(vocabulary))
	before := make([]int32, len(vocabulary)) // where the same key stands before, or -1
	for i, k := range vocabulary {
		p, ok := last[k]
		if !ok {
			p = -1
		}
		before[i], last[k] = p, int32(i)
	}
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[V](f, 0, 1, len(vocabulary))
		if err != nil {
			return err
		}
		clear(dst)
		keys, values := Entries[K, V](f, 0)
		for i, k := range keys {
			if err := poll(ctx, i); err != nil {
				return err
			}
			p, ok := last[k]
			for ok && p >= 0 {
				dst[p] = values[i]
				p = before[p]
			}
		}
		return nil
	}
}

// parseCastMap reads CastMap (ai.onnx.ml 1): the values of a map become a row
// [1, C] in the order of their keys. In the sparse form a key is a place in the
// row, whose other places are zero.
func parseCastMap(n *Node) Kernel {
	c := castMap{length: n.Int("max_map", 1)}
	switch form := n.String("map_form", "DENSE"); form {
	case "DENSE":
	case "SPARSE":
		c.sparse = true
	default:
		n.Failf("attribute \"map_form\" is %s; it must be DENSE or SPARSE", onnx.Quote(form))
	}
	if c.sparse && (c.length < 1 || c.length > tensor.MaxElements) {
		n.Failf("attribute \"max_map\" is %d", c.length)
	}
	to := n.String("cast_to", "TO_FLOAT")
	key, value := n.Map(0)
	if key != tensor.Int64 || value != tensor.Float32 && value != tensor.String {
		n.Failf("its input is a map of %v to %v; it must be of int64 to float32 or strings", key, value)
	}
	if n.err != nil {
		return nil
	}
	c.order = n.NeedScratch()
	width := free
	if c.sparse {
		width.Size = int(c.length)
	}
	d := tensor.Float32
	switch to {
	case "TO_FLOAT":
	case "TO_INT64":
		d = tensor.Int64
	case "TO_STRING":
		d = tensor.String
	default:
		n.Failf("attribute \"cast_to\" is %s; it must be TO_FLOAT, TO_STRING or TO_INT64", onnx.Quote(to))
	}
	n.SetOut(0, onnx.TensorOf(d, tensor.Dim{Size: 1}, width))
	if value == tensor.String {
		return castMapFrom(c, d, func(v string) scalar { return scalar{kind: text, s: v} }, stringOf)
	}
	return castMapFrom(c, d, func(v float32) scalar { return scalar{kind: floatingPoint, f: float64(v)} }, fixedPoint)
}

// fixedPoint writes a float with six decimals, as ONNX Runtime's CastMap does.
func fixedPoint(v *scalar) (string, error) {
	return strconv.FormatFloat(v.f, 'f', 6, 64), nil
}

// castMap is a CastMap. order is the scratch tensor of the order of the keys.
type castMap struct {
	sparse bool
	length int64
	order  int
}

func castMapFrom[S tensor.Element](c castMap, to tensor.DType, read func(S) scalar, toText func(*scalar) (string, error)) Kernel {
	switch to { //nolint:exhaustive // there are no others
	case tensor.Int64:
		return castMapTo(c, read, intOf[int64], 0)
	case tensor.String:
		return castMapTo(c, read, toText, "0.f") // so does ONNX Runtime fill
	}
	return castMapTo(c, read, floatOf[float32], 0)
}

func castMapTo[S, D tensor.Element](c castMap, read func(S) scalar, conv func(*scalar) (D, error), fill D) Kernel {
	return func(ctx context.Context, f *Frame) error {
		keys, values := Entries[int64, S](f, 0)
		places, err := c.places(ctx, f, keys)
		if err != nil {
			return err
		}
		length := len(keys)
		if c.sparse {
			length = int(c.length)
		}
		dst, err := Output[D](f, 0, 1, length)
		if err != nil {
			return err
		}
		if c.sparse {
			for i := range dst {
				dst[i] = fill
			}
		}
		for place, i := range places {
			if err := poll(ctx, place); err != nil {
				return err
			}
			if c.sparse {
				place = int(keys[i])
			}
			s := read(values[i])
			if dst[place], err = conv(&s); err != nil {
				return fault.Newf(fault.Content, "the value of key %d: %v", keys[i], err)
			}
		}
		return nil
	}
}

// places returns the entries in the order of their keys, which in the sparse
// form must be places of the row.
func (c castMap) places(ctx context.Context, f *Frame, keys []int64) ([]int32, error) {
	order, err := Scratch[int32](f, c.order, len(keys))
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if err := poll(ctx, i); err != nil {
			return nil, err
		}
		if c.sparse && (k < 0 || k >= c.length) {
			return nil, fault.Newf(fault.Content, "the key %d is out of range: the model takes 0 to %d", k, c.length-1)
		}
		order[i] = int32(i)
	}
	if c.sparse {
		return order, nil
	}
	return order, sortByKey(ctx, order, keys)
}

// sortByKey puts order into the order of the keys: as a heap, which unlike
// package slices can be left halfway.
func sortByKey(ctx context.Context, order []int32, keys []int64) error {
	n := len(order)
	for i := n/2 - 1; i >= 0; i-- {
		if err := poll(ctx, i); err != nil {
			return err
		}
		sink(order, keys, i)
	}
	for n > 1 {
		n--
		if err := poll(ctx, n); err != nil {
			return err
		}
		order[0], order[n] = order[n], order[0]
		sink(order[:n], keys, 0)
	}
	return nil
}

// sink moves entry i of a heap below those with greater keys.
func sink(heap []int32, keys []int64, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && keys[heap[child+1]] > keys[heap[child]] {
			child++
		}
		if keys[heap[i]] >= keys[heap[child]] {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
