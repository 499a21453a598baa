// Package tensor holds typed, dense, row-major arrays, and lists of them: what
// goes into a model and what comes out. Construction checks every bound; after
// it, an element count never disagrees with a shape.
package tensor

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// DType is an element type. The values are those of ONNX TensorProto.DataType.
type DType uint8

// The element types.
const (
	Undefined DType = 0
	Float32   DType = 1
	Uint8     DType = 2
	Int8      DType = 3
	Uint16    DType = 4
	Int16     DType = 5
	Int32     DType = 6
	Int64     DType = 7
	String    DType = 8
	Bool      DType = 9
	Half      DType = 10
	Float64   DType = 11
	Uint32    DType = 12
	Uint64    DType = 13
)

var dtypeNames = [...]string{
	"undefined", "float32", "uint8", "int8", "uint16", "int16", "int32",
	"int64", "string", "bool", "float16", "float64", "uint32", "uint64",
}

// Valid reports whether the type is one that a Tensor can hold.
func (d DType) Valid() bool { return d != Undefined && int(d) < len(dtypeNames) }

// String returns the type's name, such as "float32".
func (d DType) String() string {
	if int(d) < len(dtypeNames) {
		return dtypeNames[d]
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// sizes is the memory that one element takes in bytes, by type; of Undefined that
// of an entry of a list.
var sizes = [...]int{
	Undefined: 8, Float32: 4, Uint8: 1, Int8: 1, Uint16: 2, Int16: 2, Int32: 4, Int64: 8,
	String: 16, Bool: 1, Half: 2, Float64: 8, Uint32: 4, Uint64: 8,
}

// Size returns the bytes of memory that one element takes, of a text without its
// characters.
func (d DType) Size() int { return sizes[d] }

// Float16 is an IEEE 754 binary16 value, by its bits.
type Float16 uint16

// Element is the set of Go types that a tensor's elements can have.
type Element interface {
	float32 | float64 | uint8 | int8 | uint16 | int16 | int32 | int64 |
		uint32 | uint64 | string | bool | Float16
}

// DTypeOf returns the element type of T.
func DTypeOf[T Element]() DType {
	switch any(*new(T)).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case uint8:
		return Uint8
	case int8:
		return Int8
	case uint16:
		return Uint16
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case string:
		return String
	case bool:
		return Bool
	case Float16:
		return Half
	}
	return Undefined
}

// Shape is the extent of each dimension; the empty shape is a scalar.
type Shape []int

// MaxElements bounds what any one tensor may hold.
const MaxElements = 1 << 31

// ErrTooLarge is returned for a shape of more than MaxElements elements.
var ErrTooLarge = errors.New("tensor: too many elements")

// Elements returns the product of the extents. It fails on a negative extent
// and on a product above MaxElements.
func (s Shape) Elements() (int, error) {
	n, zero := uint64(1), false
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("tensor: negative extent %d", d)
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > MaxElements {
			return 0, ErrTooLarge
		}
		n = lo
	}
	if zero {
		return 0, nil
	}
	return int(n), nil
}

// Tensor is a dense array in row-major order. The zero value is an empty
// tensor of no type, ready for Reset.
type Tensor struct {
	dtype DType
	kind  Kind
	shape Shape
	data  any // a *[]T with T matching dtype, or a *[]*Tensor for a list
	room  int // elements that the memory of data has
}

// New returns a tensor over data, which it keeps. The length of data must be
// the number of elements of shape.
func New[T Element](shape Shape, data []T) (*Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return nil, err
	}
	if n != len(data) {
		return nil, fmt.Errorf("tensor: shape %v holds %d elements, not %d", shape, n, len(data))
	}
	return &Tensor{dtype: DTypeOf[T](), shape: slices.Clone(shape), data: &data, room: cap(data)}, nil
}

// Reset makes t a tensor of T with the given shape and returns its elements,
// whose values are unspecified: the caller writes all of them. Memory of an
// earlier use with the same type is used again when it is large enough, and
// replaced by at least a quarter more when it is not. It panics on a shape that
// Elements refuses: check shapes that come from outside first.
func Reset[T Element](t *Tensor, shape ...int) []T {
	n, err := Shape(shape).Elements()
	if err != nil {
		panic(err)
	}
	t.shape = append(t.shape[:0], shape...)
	p, ok := t.data.(*[]T)
	if !ok {
		p = new([]T)
		t.dtype, t.kind, t.data, t.room = DTypeOf[T](), KindTensor, p, 0
	}
	if c := cap(*p); c < n {
		// A loop whose state grows by a little in each pass would leave as much
		// behind in each.
		*p = make([]T, max(n, c+c/4))
		t.room = cap(*p)
	}
	*p = (*p)[:n]
	return *p
}

// Extend puts another element behind the last of t's first axis: a tensor of
// the extents of t without that axis. Memory grows ahead of the need, to Room
// elements, so that many calls cost little more than one of Reset.
func Extend[T Element](t *Tensor, element []T) error {
	p, ok := t.data.(*[]T)
	if !ok || len(t.shape) == 0 {
		return fmt.Errorf("tensor: a tensor of %v and shape %v is not extended by %v", t.dtype, t.shape, DTypeOf[T]())
	}
	n, err := t.shape[1:].Elements()
	if err != nil || n != len(element) || t.shape[0] >= MaxElements || len(*p)+n > MaxElements {
		return fmt.Errorf("tensor: shape %v is not extended by %d elements", t.shape, len(element))
	}
	if cap(*p) < len(*p)+n {
		*p = append(make([]T, 0, Room(t.shape[0]+1)*n), *p...)
		t.room = cap(*p)
	}
	*p = append(*p, element...)
	t.shape[0]++
	return nil
}

// Room is for how many elements Extend makes memory when there are n of them:
// the next power of two.
func Room(n int) int {
	if n < 2 {
		return n
	}
	return 1 << bits.Len(uint(n-1))
}

// Of returns the elements of t, or nil when t is not of type T. The slice is
// t's own memory.
func Of[T Element](t *Tensor) []T {
	if p, ok := t.data.(*[]T); ok {
		return *p
	}
	return nil
}

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the extents. The caller must not change them.
func (t *Tensor) Shape() Shape { return t.shape }

// Len returns the number of elements, of a list too, or of a map's entries.
func (t *Tensor) Len() int {
	n, err := t.shape.Elements()
	if err != nil || t.data == nil {
		return 0
	}
	return n
}

// Memory returns the bytes of the memory that t keeps, used or not: for a list
// without that of its elements, and without the characters of texts.
func (t *Tensor) Memory() int { return t.room * t.dtype.Size() }

// Kind is the ONNX type constructor of a model's input or output.
type Kind uint8

// The kinds.
const (
	// KindTensor is tensor(T).
	KindTensor Kind = iota
	// KindMapSequence is seq(map(K, float)), what ZipMap makes. It travels as
	// a float32 tensor [N, C]; Spec.Keys names the columns.
	KindMapSequence
	// KindSequence is seq(E): Spec.Elem describes an element.
	KindSequence
	// KindOptional is optional(E): Spec.Elem describes the value.
	KindOptional
	// KindMap is map(K, V): Spec.Key is the type of the keys, Spec.DType that of
	// the values.
	KindMap
)

var kindNames = [...]string{"tensor", "sequence of maps", "sequence", "optional", "map"}

// String returns the kind in words, such as "sequence".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Dim is one declared extent.
type Dim struct {
	// Size is the extent, or -1 where any is accepted.
	Size int
	// Name is the symbolic name of a free extent, such as "batch"; may be empty.
	Name string
}

// Spec describes one input or output of a model.
type Spec struct {
	Name string
	Kind Kind
	// DType is Undefined for a sequence and an optional.
	DType DType
	// Key is the type of a map's keys, int64 or string.
	Key DType
	// Elem describes what a sequence or an optional holds, without a name.
	Elem *Spec
	// Items is how many elements a sequence has, 0 where that is not known.
	Items int
	// Dims are the declared extents; nil with Ranked false means any rank.
	Dims   []Dim
	Ranked bool
	// Keys names the columns of a KindMapSequence: a one-dimensional tensor of
	// int64 or string. A tensor that a classifier makes has its class labels:
	// of the columns where it holds scores, of the elements where it holds
	// labels; outputs of one classifier share them. Else nil.
	Keys *Tensor
	// Decision says that the elements are decision values, as of a linear
	// classifier, or distances: known not to be probabilities.
	Decision bool
	// Constant says that the value does not depend on the inputs, and so is of no
	// row, as the list of the class labels that some exporters add.
	Constant bool
}

// Shape returns a shape that fits a ranked s: with so many rows where the first
// extent is free, and with 1 for the others that are.
func (s *Spec) Shape(rows int) Shape {
	shape := make(Shape, len(s.Dims))
	for i, d := range s.Dims {
		switch {
		case d.Size >= 0:
			shape[i] = d.Size
		case i == 0:
			shape[i] = rows
		default:
			shape[i] = 1
		}
	}
	return shape
}

// Fits reports whether a tensor of the shape may stand where s describes it.
func (s *Spec) Fits(shape Shape) bool {
	return !s.Ranked || slices.EqualFunc(s.Dims, shape, func(d Dim, n int) bool { return d.Size < 0 || d.Size == n })
}
