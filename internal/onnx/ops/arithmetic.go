package ops

import (
	"math"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// arithmeticOps computes with two tensors, element by element, and gives
// elements of the same type.
var arithmeticOps = []Operator{
	{"", "Add", 1, two, one, arithmetic(add)},
	{"", "Sub", 1, two, one, arithmetic(sub)},
	{"", "Mul", 1, two, one, arithmetic(mul)},
	{"", "Div", 1, two, one, arithmetic(div)},
	{"", "Mod", 10, two, one, parseMod},
	{"", "PRelu", 1, two, one, parsePRelu},
	{"", "Pow", 1, two, one, parsePow},
}

// calculation is a function of two elements of one type that gives a third.
type calculation uint8

const (
	add calculation = iota
	sub
	mul
	div
	floorMod
	truncMod
	prelu
	lesser
	larger
)

// arithmetic returns the parse function of Add, Sub, Mul and Div (ai.onnx 1, 6,
// 7, 13, 14). Integers wrap around, and are divided towards zero.
func arithmetic(op calculation) func(*Node) Kernel {
	return func(n *Node) Kernel {
		allowed := numericElem
		switch {
		case n.Version < 6:
			allowed = floatElem
		case n.Version < 14:
			allowed = wideElem
		}
		m := parseFit(n)
		d := sameElem(n, allowed)
		if n.err != nil {
			return nil
		}
		n.SetOut(0, m.outType(n, d))
		n.over = m.keepsFirst(n)
		return calculate(n, m, d, op)
	}
}

// sameElem returns the element type of all inputs, which must be one of those
// allowed.
func sameElem(n *Node, allowed []tensor.DType) tensor.DType {
	d := n.Elem(0, allowed...)
	for i := 1; i < len(n.In); i++ {
		if e := n.Elem(i, allowed...); e != d {
			n.Failf("input %d is of %v, input 0 of %v; they must agree", i, e, d)
		}
	}
	return d
}

// parseMod reads Mod (ai.onnx 10, 13, 28). The result has the sign of the
// divisor, with fmod that of the dividend; floats demand fmod before 28.
func parseMod(n *Node) Kernel {
	op := floorMod
	switch fmod := n.Int("fmod", 0); fmod {
	case 0:
	case 1:
		op = truncMod
	default:
		n.Failf("attribute fmod is %d; it must be 0 or 1", fmod)
	}
	d := sameElem(n, numericElem)
	if op == floorMod && n.Version < 28 && slices.Contains(floatElem, d) {
		n.Failf("attribute fmod must be 1 for elements of type %v", d)
	}
	if n.err != nil {
		return nil
	}
	m := fit{axis: -1}
	n.SetOut(0, m.outType(n, d))
	return calculate(n, m, d, op)
}

// parsePRelu reads PRelu (ai.onnx 1, 6, 7, 9, 16). Before version 7 the slopes
// are those of axis 1.
func parsePRelu(n *Node) Kernel {
	allowed := floatElem
	if n.Version >= 9 {
		allowed = wideElem
	}
	m := fit{mode: toFirst, axis: -1}
	if n.Version < 7 {
		n.Ignore("consumed_inputs")
		m.axis = 1
	}
	d := sameElem(n, allowed)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, m.outType(n, d))
	return calculate(n, m, d, prelu)
}

// calculate returns the kernel that applies op to two inputs of type d.
func calculate(n *Node, m fit, d tensor.DType, op calculation) Kernel {
	switch d {
	case tensor.Float32:
		return binary(n, m, floatRow[float32](op))
	case tensor.Float64:
		return binary(n, m, floatRow[float64](op))
	case tensor.Half:
		return binary(n, m, halfRow(op))
	case tensor.Int8:
		return binary(n, m, intRow[int8](op))
	case tensor.Int16:
		return binary(n, m, intRow[int16](op))
	case tensor.Int32:
		return binary(n, m, intRow[int32](op))
	case tensor.Int64:
		return binary(n, m, intRow[int64](op))
	case tensor.Uint8:
		return binary(n, m, intRow[uint8](op))
	case tensor.Uint16:
		return binary(n, m, intRow[uint16](op))
	case tensor.Uint32:
		return binary(n, m, intRow[uint32](op))
	case tensor.Uint64:
		return binary(n, m, intRow[uint64](op))
	case tensor.Bool, tensor.String, tensor.Undefined: // no operator allows them
	}
	return nil
}

var errZero = fault.New(fault.Content, "an integer is divided by zero")

func floatRow[T floating](op calculation) row[T, T, T] {
	switch op {
	case floorMod:
		return rowOf(func(a, b T) T { return T(floorRemainder(float64(a), float64(b))) })
	case truncMod:
		return rowOf(func(a, b T) T { return T(math.Mod(float64(a), float64(b))) })
	case add, sub, mul, div, prelu, lesser, larger:
	}
	return numberRow[T](op)
}

func intRow[T integer](op calculation) row[T, T, T] {
	switch op {
	case div:
		return func(dst, a, b []T) bool { return !slices.Contains(b, 0) && divRow(dst, a, b) }
	case floorMod:
		remainder := rowOf(floorIntRemainder[T])
		return func(dst, a, b []T) bool { return !slices.Contains(b, 0) && remainder(dst, a, b) }
	case truncMod:
		remainder := rowOf(func(a, b T) T { return a % b })
		return func(dst, a, b []T) bool { return !slices.Contains(b, 0) && remainder(dst, a, b) }
	case add, sub, mul, prelu, lesser, larger:
	}
	return numberRow[T](op)
}

// numberRow is what needs no distinction between integers and floats.
func numberRow[T number](op calculation) row[T, T, T] {
	switch op {
	case add:
		return addRow[T]
	case sub:
		return subRow[T]
	case mul:
		return mulRow[T]
	case div:
		return divRow[T]
	case lesser:
		return minRow[T]
	case larger:
		return maxRow[T]
	case prelu:
		return preluRow[T]
	case floorMod, truncMod: // in floatRow and intRow
	}
	return nil
}

// singles computes float32 by vector instructions, and reports whether they are.
func singles[T number](op linalg.Operation, dst, a, b []T) bool {
	to, ok := any(dst).([]float32)
	x, _ := any(a).([]float32)
	y, _ := any(b).([]float32)
	if ok {
		linalg.Apply(op, to, x[:len(to)], y[:len(to)])
	}
	return ok
}

func addRow[T number](dst, a, b []T) bool {
	if singles(linalg.Add, dst, a, b) {
		return true
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return true
}

func subRow[T number](dst, a, b []T) bool {
	if singles(linalg.Subtract, dst, a, b) {
		return true
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
	return true
}

func mulRow[T number](dst, a, b []T) bool {
	if singles(linalg.Multiply, dst, a, b) {
		return true
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
	return true
}

func divRow[T number](dst, a, b []T) bool {
	if singles(linalg.Divide, dst, a, b) {
		return true
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
	return true
}

// minRow and maxRow give NaN where either element is.
func minRow[T number](dst, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
	return true
}

func maxRow[T number](dst, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
	return true
}

func preluRow[T number](dst, x, slope []T) bool {
	x, slope = x[:len(dst)], slope[:len(dst)]
	for i := range dst {
		v := x[i]
		if v < 0 {
			v *= slope[i]
		}
		dst[i] = v
	}
	return true
}

// rowOf makes a row of a function of two elements.
func rowOf[A, B, D any](fn func(A, B) D) row[A, B, D] {
	return func(dst []D, a []A, b []B) bool {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = fn(a[i], b[i])
		}
		return true
	}
}

// halfRow computes in float32 and rounds each result, as ONNX Runtime does.
func halfRow(op calculation) row[tensor.Float16, tensor.Float16, tensor.Float16] {
	fn := halfFunctions[op]
	return rowOf(func(a, b tensor.Float16) tensor.Float16 { return toHalf(fn(fromHalf(a), fromHalf(b))) })
}

var halfFunctions = [...]func(a, b float32) float32{
	add:      func(a, b float32) float32 { return a + b },
	sub:      func(a, b float32) float32 { return a - b },
	mul:      func(a, b float32) float32 { return a * b },
	div:      func(a, b float32) float32 { return a / b },
	floorMod: func(a, b float32) float32 { return float32(floorRemainder(float64(a), float64(b))) },
	truncMod: func(a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) },
	lesser:   func(a, b float32) float32 { return min(a, b) },
	larger:   func(a, b float32) float32 { return max(a, b) },
	prelu: func(x, slope float32) float32 {
		if x < 0 {
			return x * slope
		}
		return x
	},
}

// floorRemainder returns the remainder of a by b that has the sign of b.
func floorRemainder(a, b float64) float64 {
	r := math.Mod(a, b)
	switch {
	case r == 0:
		return math.Copysign(0, b)
	case r < 0 != (b < 0):
		return r + b
	}
	return r
}

// floorIntRemainder is floorRemainder for integers; b is not 0.
func floorIntRemainder[T integer](a, b T) T {
	r := a % b
	if r != 0 && r < 0 != (b < 0) {
		r += b
	}
	return r
}
