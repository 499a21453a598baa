package ops

import (
	"onnxgate/internal/tensor"
)

// compareOps gives truth values, and chooses by them.
var compareOps = []Operator{
	{"", "Equal", 1, two, one, comparing(equalTo)},
	{"", "Less", 1, two, one, comparing(lessThan)},
	{"", "LessOrEqual", 12, two, one, comparing(atMost)},
	{"", "Greater", 1, two, one, comparing(moreThan)},
	{"", "GreaterOrEqual", 12, two, one, comparing(atLeast)},
	{"", "And", 1, two, one, logical(func(a, b bool) bool { return a && b })},
	{"", "Or", 1, two, one, logical(func(a, b bool) bool { return a || b })},
	{"", "Xor", 1, two, one, logical(func(a, b bool) bool { return a != b })},
	{"", "Not", 1, one, one, parseNot},
	{"", "Where", 9, span{3, 3}, one, parseWhere},
}

type comparison uint8

const (
	equalTo comparison = iota
	lessThan
	atMost
	moreThan
	atLeast
)

// comparing returns the parse function of Equal (ai.onnx 1, 7, 11, 13, 19),
// Less and Greater (1, 7, 9, 13), LessOrEqual and GreaterOrEqual (12, 16). NaN
// is neither equal to, nor less or greater than anything.
func comparing(op comparison) func(*Node) Kernel {
	return func(n *Node) Kernel {
		m := parseFit(n)
		d := sameElem(n, comparableElem(op, n.Version))
		if n.err != nil {
			return nil
		}
		n.SetOut(0, m.outType(n, tensor.Bool))
		switch d { //nolint:exhaustive // the other types are numbers
		case tensor.Bool:
			return binary(n, m, equalRow[bool])
		case tensor.String:
			return binary(n, m, equalRow[string])
		case tensor.Half:
			fn := halfComparisons[op]
			return binary(n, m, rowOf(func(a, b tensor.Float16) bool { return fn(fromHalf(a), fromHalf(b)) }))
		}
		return compareNumbers(n, m, d, op)
	}
}

// comparableElem returns the element types that a comparison takes.
func comparableElem(op comparison, version int64) []tensor.DType {
	switch {
	case op != equalTo && version < 9:
		return floatElem
	case op != equalTo:
		return numericElem
	case version < 11:
		return []tensor.DType{tensor.Bool, tensor.Int32, tensor.Int64}
	}
	return anyElem
}

func compareNumbers(n *Node, m fit, d tensor.DType, op comparison) Kernel {
	switch d {
	case tensor.Float32:
		return binary(n, m, compareRow[float32](op))
	case tensor.Float64:
		return binary(n, m, compareRow[float64](op))
	case tensor.Int8:
		return binary(n, m, compareRow[int8](op))
	case tensor.Int16:
		return binary(n, m, compareRow[int16](op))
	case tensor.Int32:
		return binary(n, m, compareRow[int32](op))
	case tensor.Int64:
		return binary(n, m, compareRow[int64](op))
	case tensor.Uint8:
		return binary(n, m, compareRow[uint8](op))
	case tensor.Uint16:
		return binary(n, m, compareRow[uint16](op))
	case tensor.Uint32:
		return binary(n, m, compareRow[uint32](op))
	case tensor.Uint64:
		return binary(n, m, compareRow[uint64](op))
	case tensor.Half, tensor.Bool, tensor.String, tensor.Undefined: // no numbers of Go
	}
	return nil
}

func compareRow[T number](op comparison) row[T, T, bool] {
	switch op {
	case lessThan:
		return lessRow[T]
	case atMost:
		return lessOrEqualRow[T]
	case moreThan:
		return func(dst []bool, a, b []T) bool { return lessRow(dst, b, a) }
	case atLeast:
		return func(dst []bool, a, b []T) bool { return lessOrEqualRow(dst, b, a) }
	case equalTo:
	}
	return equalRow[T]
}

func equalRow[T interface {
	number | bool | string
}](dst []bool, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] == b[i]
	}
	return true
}

func lessRow[T number](dst []bool, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] < b[i]
	}
	return true
}

func lessOrEqualRow[T number](dst []bool, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] <= b[i]
	}
	return true
}

var halfComparisons = [...]func(a, b float32) bool{
	equalTo:  func(a, b float32) bool { return a == b },
	lessThan: func(a, b float32) bool { return a < b },
	atMost:   func(a, b float32) bool { return a <= b },
	moreThan: func(a, b float32) bool { return a > b },
	atLeast:  func(a, b float32) bool { return a >= b },
}

// logical returns the parse function of And, Or and Xor (ai.onnx 1, 7).
func logical(fn func(a, b bool) bool) func(*Node) Kernel {
	return func(n *Node) Kernel {
		m := parseFit(n)
		d := sameElem(n, []tensor.DType{tensor.Bool})
		if n.err != nil {
			return nil
		}
		n.SetOut(0, m.outType(n, d))
		return binary(n, m, rowOf(fn))
	}
}

// parseNot reads Not (ai.onnx 1).
func parseNot(n *Node) Kernel {
	n.Elem(0, tensor.Bool)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, n.In[0].Type)
	return pointwise(func(dst, x []bool) {
		for i, v := range x {
			dst[i] = !v
		}
	})
}
