package ops

import (
	"fmt"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/crew"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// Value is what is known at compile time about an input or output of a node.
type Value struct {
	// Type is onnx.NoType for an optional input that is left out.
	Type onnx.Type
	// Const is the value when it is the same for every run, else nil.
	Const *tensor.Tensor
	// Keys names the columns of a sequence of maps; see tensor.Spec.
	Keys *tensor.Tensor
	// Decision says that this is known to be no probability; see tensor.Spec.
	Decision bool
	// Items is how many elements a sequence has, 0 where that is not known.
	Items int
	// Extents are the elements of a scalar or vector of int64 that is not Const
	// but made of extents, some of which are known; else nil.
	Extents []Extent
}

// Node is what a parse function reads and fills in.
type Node struct {
	// Version is the operator-set version that the model imports for the
	// operator's domain.
	Version int64
	// In are the inputs, as many as the model gives.
	In []Value
	// Outs is how many outputs the model names.
	Outs int
	// Out are the outputs: as many as the parse function sets.
	Out []Value
	// Trees is what the tree ensembles of the model share, or nil.
	Trees *tree.Budget
	// Compile compiles a subgraph of the node; see Body.
	Compile func(g *onnx.Graph, in []Value) (*Body, error)
	// Packing is how many bytes the model's constant matrices may still be
	// packed into, or nil for none.
	Packing *Budget
	// Patterns is what the regular expressions of the model share, or nil.
	Patterns *Patterns
	// Crew has the threads that a long kernel may use beside its own, or nil.
	Crew *crew.Crew

	attributes []onnx.Attribute
	read       []bool
	scratch    int
	alias      bool
	over       bool
	lists      []int
	err        error
}

// NewNode returns the node for a parse function.
func NewNode(n *onnx.Node, version int64, in []Value) *Node {
	return &Node{Version: version, In: in, attributes: n.Attributes, read: make([]bool, len(n.Attributes))}
}

// Scratches returns how many scratch tensors the kernel's Frame needs.
func (n *Node) Scratches() int { return n.scratch }

// Lists returns the inputs that were read as sequences: those that are the maps
// of a ZipMap have to be made lists first.
func (n *Node) Lists() []int { return n.lists }

// IsAlias reports whether output 0 is input 0 under another name or type, and
// nothing has to be computed.
func (n *Node) IsAlias() bool { return n.alias }

// Overwrites reports whether the kernel may write output 0 over input 0, which has its
// shape and elements of its type.
func (n *Node) Overwrites() bool { return n.over }

// Failf remembers what is wrong with the node, when nothing else is yet.
func (n *Node) Failf(format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf(format, args...)
	}
}

// Has reports whether input i is given.
func (n *Node) Has(i int) bool { return i < len(n.In) && n.In[i].Type.Of != onnx.NoType }

// Elem returns the element type of input i, which must be a tensor of one of
// the allowed types.
func (n *Node) Elem(i int, allowed ...tensor.DType) tensor.DType {
	if !n.Has(i) {
		n.Failf("input %d is missing", i)
		return tensor.Undefined
	}
	t := &n.In[i].Type
	if t.Of != onnx.TensorType {
		n.Failf("input %d is a %v; it must be a tensor", i, t)
		return tensor.Undefined
	}
	if !slices.Contains(allowed, t.Elem) {
		n.Failf("input %d has elements of type %v; allowed are %v", i, t.Elem, allowed)
	}
	return t.Elem
}

// Map returns the types of the keys and of the values of input i, which must
// be a map whose values are numbers or strings.
func (n *Node) Map(i int) (key, value tensor.DType) {
	t := n.input(i, onnx.MapType, "a map")
	if t == nil || t.Inner == nil || t.Inner.Of != onnx.TensorType {
		n.Failf("input %d is not a map of numbers or strings", i)
		return tensor.Undefined, tensor.Undefined
	}
	return t.Elem, t.Inner.Elem
}

// Sequence returns the type of the elements of input i, which must be a
// sequence.
func (n *Node) Sequence(i int) onnx.Type {
	n.lists = append(n.lists, i)
	t := n.input(i, onnx.SequenceType, "a sequence")
	if t == nil || t.Inner == nil {
		n.Failf("input %d is a sequence of nothing", i)
		return onnx.Type{}
	}
	return *t.Inner
}

// input returns the type of input i when it is of the constructor, else nil.
func (n *Node) input(i int, of onnx.Constructor, what string) *onnx.Type {
	if !n.Has(i) {
		n.Failf("input %d is missing", i)
		return nil
	}
	if t := &n.In[i].Type; t.Of == of {
		return t
	}
	n.Failf("input %d is a %v; it must be %s", i, &n.In[i].Type, what)
	return nil
}

// Ints64 returns the value of input i, which must be a tensor of int64, when
// it is known at compile time; else nil and false.
func (n *Node) Ints64(i int) ([]int64, bool) {
	n.Elem(i, tensor.Int64)
	if !n.Has(i) || n.In[i].Const == nil {
		return nil, false
	}
	return tensor.Of[int64](n.In[i].Const), true
}

// SetOut sets the type of output i.
func (n *Node) SetOut(i int, t onnx.Type) {
	for len(n.Out) <= i {
		n.Out = append(n.Out, Value{})
	}
	n.Out[i].Type = t
}

// SetClasses says that output i has to do with classes: it holds their labels,
// or a column for each.
func (n *Node) SetClasses(i int, labels *tensor.Tensor) { n.Out[i].Keys = labels }

// Inherit gives output 0 what is known about the meaning of input 0.
func (n *Node) Inherit() { n.Out[0].Keys, n.Out[0].Decision = n.In[0].Keys, n.In[0].Decision }

// SetAlias says that output 0 is input 0.
func (n *Node) SetAlias() {
	n.alias = true
	n.SetOut(0, n.In[0].Type)
	n.Out[0].Const = n.In[0].Const
	n.Out[0].Extents = n.In[0].Extents
	n.Inherit()
}

// NeedScratch asks for a scratch tensor and returns its index for Scratch.
func (n *Node) NeedScratch() int {
	n.scratch++
	return n.scratch - 1
}

// attribute returns the named attribute, nil when it is left out or of another
// type than the schema demands.
func (n *Node) attribute(name string, typ onnx.AttributeType) *onnx.Attribute {
	for i := range n.attributes {
		a := &n.attributes[i]
		if a.Name != name {
			continue
		}
		n.read[i] = true
		if a.Type != typ || a.Ref != "" {
			n.Failf("attribute %q is of type %v; it must be of type %v", name, a.Type, typ)
			return nil
		}
		return a
	}
	return nil
}

// Given reports whether the attribute is there.
func (n *Node) Given(name string) bool {
	return slices.ContainsFunc(n.attributes, func(a onnx.Attribute) bool { return a.Name == name })
}

// Need fails when the attribute is not there.
func (n *Node) Need(name string) {
	if !n.Given(name) {
		n.Failf("attribute %q is missing", name)
	}
}

// Ignore accepts an attribute that has no effect on the result.
func (n *Node) Ignore(names ...string) {
	for i := range n.attributes {
		if slices.Contains(names, n.attributes[i].Name) {
			n.read[i] = true
		}
	}
}

// Int returns an attribute, or fallback when it is left out.
func (n *Node) Int(name string, fallback int64) int64 {
	if a := n.attribute(name, onnx.IntAttribute); a != nil {
		return a.Int
	}
	return fallback
}

// Float returns an attribute, or fallback when it is left out.
func (n *Node) Float(name string, fallback float32) float32 {
	if a := n.attribute(name, onnx.FloatAttribute); a != nil {
		return a.Float
	}
	return fallback
}

// String returns an attribute, or fallback when it is left out.
func (n *Node) String(name, fallback string) string {
	if a := n.attribute(name, onnx.StringAttribute); a != nil {
		return a.String
	}
	return fallback
}

// Ints returns an attribute, or nil when it is left out.
func (n *Node) Ints(name string) []int64 {
	if a := n.attribute(name, onnx.IntsAttribute); a != nil {
		return a.Ints
	}
	return nil
}

// Floats returns an attribute, or nil when it is left out.
func (n *Node) Floats(name string) []float32 {
	if a := n.attribute(name, onnx.FloatsAttribute); a != nil {
		return a.Floats
	}
	return nil
}

// Strings returns an attribute, or nil when it is left out.
func (n *Node) Strings(name string) []string {
	if a := n.attribute(name, onnx.StringsAttribute); a != nil {
		return a.Strings
	}
	return nil
}

// Tensor returns an attribute, or nil when it is left out.
func (n *Node) Tensor(name string) *tensor.Tensor {
	if a := n.attribute(name, onnx.TensorAttribute); a != nil {
		return a.Tensor
	}
	return nil
}

// finish returns the first thing that was wrong, an attribute that nobody read
// among them.
func (n *Node) finish() error {
	if n.err != nil {
		return n.err
	}
	for i, read := range n.read {
		if !read {
			return fmt.Errorf("attribute %s is not defined for this operator in version %d of its operator set",
				onnx.Quote(n.attributes[i].Name), n.Version)
		}
	}
	return nil
}
