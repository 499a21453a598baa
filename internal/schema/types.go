package schema

import (
	"fmt"
	"math"
	"strconv"

	"onnxgate/internal/tensor"
)

// class is the family of element types that share a representation in JSON
// and in memory.
type class uint8

const (
	classFloat  class = iota // value.f
	classInt                 // value.i
	classUint                // value.u, for uint64 alone
	classString              // value.s
	classBool                // value.b
)

// value is one decoded element; the member that its class names is set.
type value struct {
	f    float64
	i    int64
	u    uint64
	s    string
	b    bool
	null bool // f is NaN
}

// typeInfo is what the rules need to know of an element type.
type typeInfo struct {
	class   class
	maximum float64 // greatest magnitude, for classFloat
	reach   float64 // greatest magnitude that is rounded to maximum, for classFloat
	lo, hi  int64   // range, for classInt
	words   string  // the JSON type, as "must be …" says it
	json    string  // the JSON type, as JSON Schema says it
	format  string  // the OpenAPI name of a number's format, if it has one
}

// types is indexed by element type; a type without words cannot be carried by
// a request.
var types = [...]typeInfo{
	tensor.Half:    {class: classFloat, maximum: 65504, reach: 0x1.ffdffffffffffp15, words: "a number", json: "number"},
	tensor.Float32: {class: classFloat, maximum: math.MaxFloat32, reach: 0x1.fffffefffffffp127, words: "a number", json: "number", format: "float"},
	tensor.Float64: {class: classFloat, maximum: math.MaxFloat64, reach: math.MaxFloat64, words: "a number", json: "number", format: "double"},
	tensor.Int8:    {class: classInt, lo: math.MinInt8, hi: math.MaxInt8, words: "an integer", json: "integer"},
	tensor.Int16:   {class: classInt, lo: math.MinInt16, hi: math.MaxInt16, words: "an integer", json: "integer"},
	tensor.Int32:   {class: classInt, lo: math.MinInt32, hi: math.MaxInt32, words: "an integer", json: "integer", format: "int32"},
	tensor.Int64:   {class: classInt, lo: math.MinInt64, hi: math.MaxInt64, words: "an integer", json: "integer", format: "int64"},
	tensor.Uint8:   {class: classInt, hi: math.MaxUint8, words: "an integer", json: "integer"},
	tensor.Uint16:  {class: classInt, hi: math.MaxUint16, words: "an integer", json: "integer"},
	tensor.Uint32:  {class: classInt, hi: math.MaxUint32, words: "an integer", json: "integer"},
	tensor.Uint64:  {class: classUint, words: "an integer", json: "integer"},
	tensor.String:  {class: classString, words: "a string", json: "string"},
	tensor.Bool:    {class: classBool, words: "true or false", json: "boolean"},
}

// typeOf returns what is known of an element type, and false for one that a
// request cannot carry.
func typeOf(d tensor.DType) (typeInfo, bool) {
	if int(d) >= len(types) || types[d].words == "" {
		return typeInfo{}, false
	}
	return types[d], true
}

// dtypeNamed is the inverse of DType.String; Undefined for an unknown name.
func dtypeNamed(name string) tensor.DType {
	for d := range types {
		if d := tensor.DType(d); d.String() == name {
			return d
		}
	}
	return tensor.Undefined
}

// typeRange says what the element type itself can hold.
func (f *field) typeRange() string {
	if f.info.class == classFloat {
		return "must be a number that " + f.Type + " can hold, at most " + strconv.FormatFloat(f.info.maximum, 'g', -1, 64) + " in magnitude"
	}
	if f.info.class == classUint {
		return "must be an integer from 0 to 18446744073709551615"
	}
	return fmt.Sprintf("must be an integer from %d to %d", f.info.lo, f.info.hi)
}

// coerce converts a scalar of the manifest to the field's type, and returns
// what is wrong when it cannot.
func (f *field) coerce(x any, v *value) string {
	switch f.info.class {
	case classFloat:
		switch x := x.(type) {
		case float64:
			v.f = x
		case int64:
			v.f = float64(x)
		case uint64:
			v.f = float64(x)
		default:
			return "must be a number"
		}
	case classInt, classUint:
		return f.coerceInt(x, v)
	case classString:
		s, ok := x.(string)
		if !ok {
			return "must be a text; quotes make it one"
		}
		v.s = s
	case classBool:
		b, ok := x.(bool)
		if !ok {
			return "must be true or false"
		}
		v.b = b
	}
	return ""
}

func (f *field) coerceInt(x any, v *value) string {
	switch x := x.(type) {
	case int64:
		if f.info.class == classInt {
			v.i = x
			return ""
		}
		if x >= 0 {
			v.u = uint64(x)
			return ""
		}
	case uint64:
		if f.info.class == classUint {
			v.u = x
			return ""
		}
	default:
		return "must be an integer"
	}
	return f.typeRange()
}

// typed is the inverse of coerce.
func (f *field) typed(v *value) any {
	switch f.info.class {
	case classFloat:
		return v.f
	case classInt:
		return v.i
	case classUint:
		return v.u
	case classString:
		return v.s
	case classBool:
	}
	return v.b
}

// format writes v as JSON does.
func (f *field) format(v *value) string {
	switch f.info.class {
	case classFloat:
		return string(appendFloat(nil, v.f, 64))
	case classInt:
		return strconv.FormatInt(v.i, 10)
	case classUint:
		return strconv.FormatUint(v.u, 10)
	case classString:
		return strconv.Quote(v.s)
	case classBool:
	}
	return strconv.FormatBool(v.b)
}
