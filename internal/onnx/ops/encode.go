package ops

import (
	"context"
	"fmt"
	"math"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// encodeOps replaces values by others, by a list of them (ai.onnx.ml).
var encodeOps = []Operator{
	{ML, "CategoryMapper", 1, one, one, parseCategoryMapper},
	{ML, "LabelEncoder", 1, one, one, parseLabelEncoderOfClasses},
	{ML, "LabelEncoder", 2, one, one, parseLabelEncoder},
	{ML, "OneHotEncoder", 1, one, one, parseOneHotEncoder},
}

// stringOrInt is what the first operators that encode take.
var stringOrInt = []tensor.DType{tensor.String, tensor.Int64}

// encoding replaces keys[i] by values[i], and what is no key by the last value,
// of which there is one more than keys.
type encoding struct {
	keys, values *tensor.Tensor
	// lastWins says which of equal keys counts.
	lastWins bool
	// nan says that a key that is NaN stands for every NaN.
	nan bool
}

// parseCategoryMapper reads CategoryMapper (ai.onnx.ml 1): strings become the
// integers at their places, or the other way round.
func parseCategoryMapper(n *Node) Kernel {
	return namesOrNumbers(n, n.Strings("cats_strings"), n.Ints("cats_int64s"))
}

// parseLabelEncoderOfClasses reads LabelEncoder (ai.onnx.ml 1): strings become
// their positions, or the other way round.
func parseLabelEncoderOfClasses(n *Node) Kernel {
	names := n.Strings("classes_strings")
	numbers := make([]int64, len(names))
	for i := range numbers {
		numbers[i] = int64(i)
	}
	return namesOrNumbers(n, names, numbers)
}

// namesOrNumbers encodes in the direction that the type of the input gives.
func namesOrNumbers(n *Node, names []string, numbers []int64) Kernel {
	name, number := n.String("default_string", "_Unused"), n.Int("default_int64", -1)
	d := n.Elem(0, stringOrInt...)
	if len(names) != len(numbers) {
		n.Failf("it has %d strings for %d integers; they must be as many", len(names), len(numbers))
	}
	if d == tensor.String {
		return encode(n, encoding{keys: list(n, names), values: list(n, append(slices.Clone(numbers), number)), lastWins: true})
	}
	return encode(n, encoding{keys: list(n, numbers), values: list(n, append(slices.Clone(names), name)), lastWins: true})
}

// list returns a tensor of one axis.
func list[T tensor.Element](n *Node, data []T) *tensor.Tensor {
	t, err := tensor.New(tensor.Shape{len(data)}, data)
	if err != nil {
		n.Failf("%v", err)
	}
	return t
}

// parseLabelEncoder reads LabelEncoder (ai.onnx.ml 2, 4). Of equal keys the
// last counts from version 4 on, which is also the first in which NaN is a key;
// before, the first one, as in ONNX Runtime.
func parseLabelEncoder(n *Node) Kernel {
	e := encoding{keys: n.listed("keys"), lastWins: n.Version >= 4, nan: n.Version >= 4}
	values := n.listed("values")
	if n.err != nil {
		return nil
	}
	if e.keys.Len() != values.Len() {
		n.Failf("it has %d keys for %d values; they must be as many", e.keys.Len(), values.Len())
	}
	e.values = withDefault(n, values)
	return encode(n, e)
}

// listed reads the one of the attributes that is there: name_strings,
// name_int64s, name_floats, or from version 4 on name_tensor.
func (n *Node) listed(name string) *tensor.Tensor {
	var found *tensor.Tensor
	forms := 0
	for _, form := range []string{"_strings", "_int64s", "_floats", "_tensor"} {
		if !n.Given(name+form) || form == "_tensor" && n.Version < 4 {
			continue
		}
		forms++
		switch form {
		case "_strings":
			found = list(n, n.Strings(name+form))
		case "_int64s":
			found = list(n, n.Ints(name+form))
		case "_floats":
			found = list(n, n.Floats(name+form))
		default:
			found = n.Tensor(name + form)
		}
	}
	if forms != 1 {
		n.Failf("it has %d attributes %q; it needs one of the forms for strings, integers, floats and tensors", forms, name+"_*")
	}
	return found
}

// withDefault returns values and after them the value of what is no key.
func withDefault(n *Node, values *tensor.Tensor) *tensor.Tensor {
	name, number, float := n.String("default_string", "_Unused"), n.Int("default_int64", -1), n.Float("default_float", float32(math.Copysign(0, -1)))
	var given *tensor.Tensor
	if n.Version >= 4 {
		given = n.Tensor("default_tensor")
	}
	if given != nil && (given.DType() != values.DType() || given.Len() != 1) {
		n.Failf("attribute \"default_tensor\" has %d elements of %v; it needs one of %v", given.Len(), given.DType(), values.DType())
		return values
	}
	switch values.DType() { //nolint:exhaustive // the others are refused
	case tensor.String:
		return extended(n, values, given, name)
	case tensor.Int64:
		return extended(n, values, given, number)
	case tensor.Int32:
		return extended(n, values, given, int32(-1))
	case tensor.Int16:
		return extended(n, values, given, int16(-1))
	case tensor.Float32:
		return extended(n, values, given, float)
	case tensor.Float64:
		return extended(n, values, given, math.Copysign(0, -1))
	}
	n.Failf("its values are of type %v; they must be strings, integers of 16, 32 or 64 bits, or floats of 32 or 64", values.DType())
	return values
}

func extended[T tensor.Element](n *Node, values, given *tensor.Tensor, fallback T) *tensor.Tensor {
	if given != nil {
		fallback = tensor.Of[T](given)[0]
	}
	return list(n, append(slices.Clone(tensor.Of[T](values)), fallback))
}

// encode returns the kernel of an encoding: one step finds the keys, the next
// writes the values.
func encode(n *Node, e encoding) Kernel {
	if n.err != nil {
		return nil
	}
	find := keyFinderOf(n, &e)
	if n.err != nil {
		return nil
	}
	out := n.In[0].Type
	out.Elem = e.values.DType()
	n.SetOut(0, out)
	write, scratch := pickerOf(e.values), n.NeedScratch()
	return func(ctx context.Context, f *Frame) error {
		at, err := Scratch[int32](f, scratch, f.In(0).Len())
		if err != nil {
			return err
		}
		if err := find(ctx, f, at); err != nil {
			return err
		}
		return write(f, f.In(0).Shape(), at)
	}
}

// keyFinder writes for each element of input 0 the position of the key that
// equals it, or how many keys there are.
type keyFinder func(ctx context.Context, f *Frame, at []int32) error

func keyFinderOf(n *Node, e *encoding) keyFinder {
	d := n.Elem(0, e.keys.DType())
	switch d { //nolint:exhaustive // the others are refused
	case tensor.String:
		return find[string](e)
	case tensor.Int64:
		return find[int64](e)
	case tensor.Int32:
		return find[int32](e)
	case tensor.Int16:
		return find[int16](e)
	case tensor.Float32:
		return find[float32](e)
	case tensor.Float64:
		return find[float64](e)
	}
	n.Failf("its keys are of type %v; they must be strings, integers of 16, 32 or 64 bits, or floats of 32 or 64", d)
	return nil
}

func find[K tensor.Element](e *encoding) keyFinder {
	keys := tensor.Of[K](e.keys)
	unknown := int32(len(keys)) //nolint:gosec // a file holds fewer
	nan, positions := unknown, make(map[K]int32, len(keys))
	for i, k := range keys {
		_, there := positions[k]
		switch {
		case k != k: // NaN, which no map finds again
			if e.nan {
				nan = int32(i)
			}
		case e.lastWins || !there:
			positions[k] = int32(i)
		}
	}
	return func(ctx context.Context, f *Frame, at []int32) error {
		for i, x := range Input[K](f, 0) {
			if err := poll(ctx, i); err != nil {
				return err
			}
			p, ok := positions[x]
			if !ok {
				p = unknown
				if x != x {
					p = nan
				}
			}
			at[i] = p
		}
		return nil
	}
}

// picker writes output 0 from the positions of its values.
type picker func(f *Frame, shape []int, at []int32) error

func pickerOf(values *tensor.Tensor) picker {
	switch values.DType() { //nolint:exhaustive // withDefault lets no other pass
	case tensor.String:
		return pickFrom[string](values)
	case tensor.Int64:
		return pickFrom[int64](values)
	case tensor.Int32:
		return pickFrom[int32](values)
	case tensor.Int16:
		return pickFrom[int16](values)
	case tensor.Float32:
		return pickFrom[float32](values)
	}
	return pickFrom[float64](values)
}

func pickFrom[T tensor.Element](values *tensor.Tensor) picker {
	list := tensor.Of[T](values)
	return func(f *Frame, shape []int, at []int32) error { return pick(f, 0, shape, list, at) }
}

// parseOneHotEncoder reads OneHotEncoder (ai.onnx.ml 1): each element becomes a
// row of zeros with a one at its category. Floats lose their fraction first.
func parseOneHotEncoder(n *Node) Kernel {
	strict := n.Int("zeros", 1) == 0
	names, numbers := n.Strings("cats_strings"), n.Ints("cats_int64s")
	d := n.Elem(0, append([]tensor.DType{tensor.String}, mlElem...)...)
	if (len(names) > 0) == (len(numbers) > 0) {
		n.Failf("it needs one of the attributes \"cats_int64s\" and \"cats_strings\", and not both")
	}
	if (d == tensor.String) != (len(names) > 0) {
		n.Failf("its input is of type %v, its categories are not", d)
	}
	if n.err != nil {
		return nil
	}
	width := max(len(names), len(numbers))
	out := n.In[0].Type
	out.Elem = tensor.Float32
	if out.Ranked {
		out.Dims = append(slices.Clone(out.Dims), tensor.Dim{Size: width})
	}
	n.SetOut(0, out)
	scratch := n.NeedScratch()
	category := categoryOf(d, positionsOf(names), positionsOf(numbers))
	return func(ctx context.Context, f *Frame) error {
		at, err := Scratch[int32](f, scratch, f.In(0).Len())
		if err != nil {
			return err
		}
		if err := category(ctx, f, at); err != nil {
			return err
		}
		return oneHot(ctx, f, at, width, strict)
	}
}

// oneHot writes output 0 from the categories of the elements, negative for
// one that has none.
func oneHot(ctx context.Context, f *Frame, at []int32, width int, strict bool) error {
	f.dims = append(append(f.dims[:0], f.In(0).Shape()...), width)
	dst, err := Output[float32](f, 0, f.dims...)
	if err != nil {
		return err
	}
	for i, p := range at {
		if err := poll(ctx, i); err != nil {
			return err
		}
		row := dst[i*width : (i+1)*width]
		clear(row)
		switch {
		case p >= 0:
			row[p] = 1
		case strict:
			return fault.Newf(fault.Content, "%s is in none of the %d categories of the model", placed(i, f.In(0).Shape()), width)
		}
	}
	return nil
}

// placed names an element of an input whose first axis are the rows of a request,
// which count from 0.
func placed(i int, shape tensor.Shape) string {
	if len(shape) == 0 {
		return "its input"
	}
	width := 1
	for _, n := range shape[1:] {
		width *= n
	}
	text := fmt.Sprintf("row %d of its input", i/width)
	if width > 1 {
		text = fmt.Sprintf("column %d of %s", i%width, text)
	}
	return text
}

// positionsOf returns where each category stands, the last of equal ones.
func positionsOf[K comparable](categories []K) map[K]int32 {
	positions := make(map[K]int32, len(categories))
	for i, c := range categories {
		positions[c] = int32(i)
	}
	return positions
}

func categoryOf(d tensor.DType, names map[string]int32, numbers map[int64]int32) keyFinder {
	switch d { //nolint:exhaustive // the parse function allows no other
	case tensor.String:
		return locate(names, func(x string) (string, bool) { return x, true })
	case tensor.Float32:
		return locate(numbers, truncated[float32])
	case tensor.Float64:
		return locate(numbers, truncated[float64])
	case tensor.Int32:
		return locate(numbers, func(x int32) (int64, bool) { return int64(x), true })
	}
	return locate(numbers, func(x int64) (int64, bool) { return x, true })
}

// truncated returns x without its fraction, and false when int64 does not
// hold it.
func truncated[F floating](x F) (int64, bool) {
	if x >= -(1<<63) && x < 1<<63 {
		return int64(x), true
	}
	return 0, false
}

// locate writes the position of each element of input 0, -1 when it has none.
func locate[T tensor.Element, K comparable](positions map[K]int32, key func(T) (K, bool)) keyFinder {
	return func(ctx context.Context, f *Frame, at []int32) error {
		for i, x := range Input[T](f, 0) {
			if err := poll(ctx, i); err != nil {
				return err
			}
			at[i] = -1
			if k, ok := key(x); ok {
				if p, ok := positions[k]; ok {
					at[i] = p
				}
			}
		}
		return nil
	}
}
