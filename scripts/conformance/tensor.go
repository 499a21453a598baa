package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sizes are the bytes of one element of every datatype (inference_rest.md,
// Tensor Data Types); those of BYTES vary.
var sizes = map[string]int{
	"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
	"FP16": 2, "FP32": 4, "FP64": 8, "BYTES": 0,
}

// datatypes are the names of sizes, in the order of the specification's table.
var datatypes = []string{"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"}

// tensor is a named tensor. Its values are, by datatype, bool, int64, uint64,
// float64 or string, flat and row-major.
type tensor struct {
	name, datatype string
	shape          []int64
	values         []any
}

// elements is how many elements a shape has.
func elements(shape []int64) int {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return int(n)
}

// sane says whether a shape that came from elsewhere is one: no dimension below 0,
// and no more elements than an answer has bytes.
func sane(shape []int64) bool {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > maxAnswer {
			return false
		}
		if n *= d; n > maxAnswer {
			return false
		}
	}
	return true
}

// example is the i-th value of a datatype that models are likely to take: small,
// positive, and for BYTES a number in digits.
func example(datatype string, i int) any {
	switch class(datatype) {
	case "bool":
		return i%2 == 0
	case "int":
		return int64(1 + i%10)
	case "uint":
		return uint64(1 + i%10) //nolint:gosec // i is an index, never negative
	case "float":
		return 1 + float64(i%8)/2
	default:
		return strconv.Itoa(1 + i%10)
	}
}

// extremes are values at the ends of what a datatype holds. All are exact in it.
func extremes(datatype string) []any {
	bits := 8 * sizes[datatype]
	switch class(datatype) {
	case "bool":
		return []any{true, false}
	case "int":
		return []any{int64(-1) << (bits - 1), int64(-1), int64(0), int64(math.MaxInt64) >> (64 - bits)}
	case "uint":
		return []any{uint64(0), uint64(1), uint64(math.MaxUint64) >> (64 - bits)}
	case "float":
		return map[string][]any{
			"FP16": {-65504.0, 0.0, math.Ldexp(1, -24), 65504.0},
			"FP32": {-math.MaxFloat32, 0.0, math.SmallestNonzeroFloat32, math.MaxFloat32},
			"FP64": {-math.MaxFloat64, 0.0, math.SmallestNonzeroFloat64, math.MaxFloat64},
		}[datatype]
	default:
		return []any{"", "0", `quote " and \ and /`, "ünïcödé ☃ 𝄞", "line\nend\ttab"}
	}
}

// class is the kind of Go value that a datatype's elements are.
func class(datatype string) string {
	switch datatype {
	case "BOOL":
		return "bool"
	case "INT8", "INT16", "INT32", "INT64":
		return "int"
	case "UINT8", "UINT16", "UINT32", "UINT64":
		return "uint"
	case "FP16", "FP32", "FP64":
		return "float"
	default:
		return "bytes"
	}
}

// flat is the tensor's data as JSON carries it in one dimension.
func (t tensor) flat() []any {
	out := make([]any, len(t.values))
	for i, v := range t.values {
		if f, ok := v.(float64); ok && t.datatype != "FP64" {
			v = float32(f) // the shortest digits that give this value again
		}
		out[i] = v
	}
	return out
}

// nested is the tensor's data as JSON carries it in all its dimensions.
func (t tensor) nested() any { return nest(t.flat(), t.shape) }

func nest(values []any, shape []int64) any {
	if len(shape) < 2 {
		return values
	}
	rows := make([]any, shape[0])
	for i, row := range slices.Collect(slices.Chunk(values, max(1, elements(shape[1:])))) {
		rows[i] = nest(row, shape[1:])
	}
	return rows
}

// row is one row of a tensor whose first dimension counts rows.
func (t tensor) row(i int) tensor {
	width := elements(t.shape[1:])
	t.shape = append([]int64{1}, t.shape[1:]...)
	t.values = t.values[i*width : (i+1)*width]
	return t
}

// raw is the tensor as bytes: little-endian, row-major; each element of BYTES
// behind its length in four bytes (extension_binary_data.md, Binary Tensor Request).
func (t tensor) raw() []byte {
	var b []byte
	for _, v := range t.values {
		b = appendElement(b, t.datatype, v)
	}
	return b
}

func appendElement(b []byte, datatype string, v any) []byte {
	var bits uint64
	switch v := v.(type) {
	case string:
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v))) //nolint:gosec // our own short texts
		return append(b, v...)
	case bool:
		if v {
			bits = 1
		}
	case int64:
		bits = uint64(v) //nolint:gosec // two's complement is what is sent
	case uint64:
		bits = v
	case float64:
		bits = floatBits(datatype, v)
	}
	whole := binary.LittleEndian.AppendUint64(nil, bits)
	return append(b, whole[:sizes[datatype]]...)
}

func floatBits(datatype string, v float64) uint64 {
	switch datatype {
	case "FP16":
		return uint64(half(v))
	case "FP32":
		return uint64(math.Float32bits(float32(v)))
	default:
		return math.Float64bits(v)
	}
}

// half is the IEEE 754 binary16 of a value that it holds exactly.
func half(v float64) uint16 {
	var sign uint16
	if math.Signbit(v) {
		sign, v = 0x8000, -v
	}
	if v < math.Ldexp(1, -14) {
		return sign | uint16(math.Ldexp(v, 24))
	}
	fraction, exponent := math.Frexp(v)                                            // v = fraction × 2^exponent, fraction in [½, 1)
	return sign | uint16(exponent+14)<<10 | uint16(math.Ldexp(fraction, 11))&0x3ff //nolint:gosec // 1 to 30: the value is one that FP16 holds
}

func fromHalf(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&0x1f), float64(h&0x3ff)
	if h&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	default:
		return sign * math.Ldexp(1024+fraction, exponent-25)
	}
}

// parseRaw reads the elements of a shape out of exactly b.
func parseRaw(datatype string, shape []int64, b []byte) ([]any, error) {
	n, size := elements(shape), sizes[datatype]
	if datatype != "BYTES" && len(b) != n*size {
		return nil, fmt.Errorf("%d bytes for shape %v of %s, which takes %d", len(b), shape, datatype, n*size)
	}
	values := make([]any, 0, min(n, len(b)))
	for range n {
		if datatype == "BYTES" {
			if len(b) < 4 || int64(len(b)-4) < int64(binary.LittleEndian.Uint32(b)) {
				return nil, fmt.Errorf("BYTES data that end inside element %d", len(values))
			}
			size = 4 + int(binary.LittleEndian.Uint32(b))
		}
		v, err := element(datatype, b[:size])
		if err != nil {
			return nil, err
		}
		values, b = append(values, v), b[size:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last element", len(b))
	}
	return values, nil
}

func element(datatype string, b []byte) (any, error) {
	if datatype == "BYTES" {
		return string(b[4:]), nil
	}
	bits := binary.LittleEndian.Uint64(append(slices.Clone(b), make([]byte, 8-len(b))...))
	switch class(datatype) {
	case "bool":
		if bits > 1 {
			return nil, fmt.Errorf("the byte %d as an element of BOOL", bits)
		}
		return bits == 1, nil
	case "int":
		shift := 64 - 8*len(b)
		return int64(bits<<shift) >> shift, nil //nolint:gosec // two's complement is what came
	case "uint":
		return bits, nil
	}
	switch datatype {
	case "FP16":
		return fromHalf(uint16(bits)), nil //nolint:gosec // two bytes were read
	case "FP32":
		return float64(math.Float32frombits(uint32(bits))), nil //nolint:gosec // four bytes were read
	default:
		return math.Float64frombits(bits), nil
	}
}

// parseJSON reads JSON data, nested or flat, as elements of a datatype.
func parseJSON(datatype string, data jsontext.Value) ([]any, error) {
	var items []jsontext.Value
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("data that are no array: %.60s", data)
	}
	values := []any{}
	for _, item := range items {
		if item.Kind() == '[' {
			inner, err := parseJSON(datatype, item)
			if err != nil {
				return nil, err
			}
			values = append(values, inner...)
			continue
		}
		v, err := scalar(datatype, item)
		if err != nil {
			return nil, fmt.Errorf("the element %.60s in data of %s", item, datatype)
		}
		values = append(values, v)
	}
	return values, nil
}

// scalar reads one JSON value as an element, and refuses what the datatype does
// not hold.
func scalar(datatype string, item jsontext.Value) (any, error) {
	bits := 8 * sizes[datatype]
	switch class(datatype) {
	case "bool":
		var v bool
		err := json.Unmarshal(item, &v)
		return v, err
	case "int":
		return strconv.ParseInt(string(item), 10, bits)
	case "uint":
		return strconv.ParseUint(string(item), 10, bits)
	case "float":
		return strconv.ParseFloat(string(item), max(bits, 32))
	default:
		var s string
		err := json.Unmarshal(item, &s)
		return s, err
	}
}

// differ says where two tensors are not the same; floating-point values may
// differ by the relative tolerance.
func differ(got, want tensor, tolerance float64) error {
	if got.datatype != want.datatype {
		return fmt.Errorf("%s as %s, not %s", want.name, got.datatype, want.datatype)
	}
	if !slices.Equal(got.shape, want.shape) {
		return fmt.Errorf("%s with shape %v, not %v", want.name, got.shape, want.shape)
	}
	for i := range want.values {
		if !near(got.values[i], want.values[i], tolerance) {
			return fmt.Errorf("%s[%d] = %v, not %v", want.name, i, got.values[i], want.values[i])
		}
	}
	return nil
}

func near(got, want any, tolerance float64) bool {
	g, isFloat := got.(float64)
	w, both := want.(float64)
	if !isFloat || !both {
		return got == want
	}
	return g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= tolerance*max(1, math.Abs(w))
}
