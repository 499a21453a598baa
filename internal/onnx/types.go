package onnx

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/tensor"
)

// Constructor is how a Type is built (the oneof of TypeProto).
type Constructor uint8

// The constructors.
const (
	NoType Constructor = iota
	TensorType
	SequenceType
	MapType
	OptionalType
	SparseTensorType
	OpaqueType
)

var constructorNames = [...]string{
	"undefined", "tensor", "seq", "map", "optional", "sparse_tensor", "opaque",
}

// Type is the type of a value (TypeProto).
type Type struct {
	Of Constructor
	// Elem is a tensor's element type, or a map's key type.
	Elem tensor.DType
	// Dims are a tensor's extents, as far as they are known. Ranked false means
	// that not even their number is.
	Dims   []tensor.Dim
	Ranked bool
	// Inner is the element of a sequence or optional, or the value of a map.
	Inner *Type
}

// TensorOf returns the type of a tensor with the given extents.
func TensorOf(elem tensor.DType, dims ...tensor.Dim) Type {
	return Type{Of: TensorType, Elem: elem, Dims: dims, Ranked: true}
}

// UnrankedTensor returns the type of a tensor whose shape is not known.
func UnrankedTensor(elem tensor.DType) Type {
	return Type{Of: TensorType, Elem: elem}
}

// SequenceOf returns the type of a sequence.
func SequenceOf(elem Type) Type { return Type{Of: SequenceType, Inner: &elem} }

// OptionalOf returns the type of an optional.
func OptionalOf(elem Type) Type { return Type{Of: OptionalType, Inner: &elem} }

// MapOf returns map(key, tensor(value)).
func MapOf(key, value tensor.DType) Type {
	v := UnrankedTensor(value)
	return Type{Of: MapType, Elem: key, Inner: &v}
}

// MapSequence returns seq(map(key, tensor(float))), the type of what ZipMap
// makes.
func MapSequence(key tensor.DType) Type {
	return SequenceOf(MapOf(key, tensor.Float32))
}

// IsMapSequence reports whether t is what ZipMap makes, and its key type.
func (t *Type) IsMapSequence() (tensor.DType, bool) {
	if t.Of != SequenceType || t.Inner == nil || t.Inner.Of != MapType {
		return tensor.Undefined, false
	}
	v := t.Inner.Inner
	if v == nil || v.Of != TensorType || v.Elem != tensor.Float32 {
		return tensor.Undefined, false
	}
	return t.Inner.Elem, true
}

// SameKind reports whether two types agree in everything but extents.
func (t *Type) SameKind(u *Type) bool {
	for t != nil && u != nil {
		if t.Of != u.Of || t.Elem != u.Elem {
			return false
		}
		t, u = t.Inner, u.Inner
	}
	return t == u
}

// SameShape reports whether the known extents of two tensor types can belong
// to one value.
func (t *Type) SameShape(u *Type) bool {
	if !t.Ranked || !u.Ranked {
		return true
	}
	if len(t.Dims) != len(u.Dims) {
		return false
	}
	for i, d := range t.Dims {
		if e := u.Dims[i]; d.Size >= 0 && e.Size >= 0 && d.Size != e.Size {
			return false
		}
	}
	return true
}

// String returns the type as ONNX documents write it, such as
// "tensor(float32)[N,4]" or "seq(map(int64,tensor(float32)))".
func (t *Type) String() string {
	switch {
	case t == nil || int(t.Of) >= len(constructorNames):
		return "undefined"
	case t.Of == MapType:
		return fmt.Sprintf("map(%v,%v)", t.Elem, t.Inner)
	case t.Inner != nil:
		return fmt.Sprintf("%s(%v)", constructorNames[t.Of], t.Inner)
	case !t.Ranked:
		return fmt.Sprintf("%s(%v)", constructorNames[t.Of], t.Elem)
	}
	return fmt.Sprintf("%s(%v)%s", constructorNames[t.Of], t.Elem, FormatDims(t.Dims))
}

// FormatDims returns extents such as "[N,4]"; an unnamed free one is "?".
// Of more axes than a model can have in earnest, it has the first.
func FormatDims(dims []tensor.Dim) string {
	parts := make([]string, min(len(dims), maxAxesShown))
	for i, d := range dims[:len(parts)] {
		switch {
		case d.Size >= 0:
			parts[i] = fmt.Sprint(d.Size)
		case d.Name != "":
			parts[i] = shorten(d.Name)
		default:
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ",") + cutAxes(len(dims)) + "]"
}

// FormatShape returns extents as they may stand in a message, such as "[3 4]":
// the first of them when they are many.
func FormatShape[I int | int64](shape []I) string {
	var b strings.Builder
	for i, n := range shape[:min(len(shape), maxAxesShown)] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(int64(n), 10))
	}
	return "[" + b.String() + cutAxes(len(shape)) + "]"
}

// maxAxesShown is how many extents go into a message.
const maxAxesShown = 16

// cutAxes returns what stands for the extents that are not shown.
func cutAxes(axes int) string {
	if axes <= maxAxesShown {
		return ""
	}
	return fmt.Sprintf("… %d axes", axes)
}

// maxShown is how much of a name from a file goes into a message, in bytes.
const maxShown = 60

// Quote returns a name from a file as it may stand in a message: quoted, and
// cut when it is long.
func Quote(name string) string { return fmt.Sprintf("%q", shorten(name)) }

func shorten(name string) string {
	if len(name) <= maxShown {
		return name
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}

// bare is Quote without the quotation marks.
func bare(name string) string {
	q := Quote(name)
	return q[1 : len(q)-1]
}

// Label returns how messages call node i: by its name when it has one, else by
// its place.
func (n *Node) Label(i int) string {
	op := bare(n.Op)
	if n.Domain != "" {
		op = bare(n.Domain) + "." + op
	}
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, op)
	}
	return fmt.Sprintf("node %s (%s)", Quote(n.Name), op)
}
