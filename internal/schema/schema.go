// Package schema turns what a model's owner says about it (model.yaml) and
// what its graph says about itself into the model's request and response: a
// strict one-pass JSON decoder that fills the input tensors, the rules that
// each feature must keep, JSON Schemas of both sides, and an encoder of the
// outputs. All of that is compiled once, when the model is loaded.
//
// It owns the meaning of model.yaml. It must know no transport, no engine and
// no particular model.
package schema

import (
	"reflect"
	"slices"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/tensor"
)

// AdminRole is the role that may use a model whose manifest grants nothing.
const AdminRole = "admin"

// Feature is one member of a request row: a column of a graph input, or a
// whole nested array. In a manifest, Type, Input and the rules may be left
// out; a compiled schema has Type filled in from the graph, and the limits in
// the type's own terms: float64 for floating-point types, uint64 for uint64,
// int64 for every other integer.
type Feature struct {
	Name        string `json:"name" validate:"required,max=256"`
	Type        string `json:"type" validate:"omitempty,oneof=float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 string bool"`
	Unit        string `json:"unit,omitempty" validate:"max=64"`
	Description string `json:"description,omitempty" validate:"max=4096"`
	// Example is a value that keeps the rules; nil when none is given.
	Example any `json:"example,omitempty"`
	// The limits hold for a number, before it is rounded to the feature's
	// type, or for each number of a nested array; what float32 rounds to an
	// inclusive limit keeps it. Nil means none.
	Min          any   `json:"min,omitempty"`
	Max          any   `json:"max,omitempty"`
	ExclusiveMin any   `json:"exclusive_min,omitempty"`
	ExclusiveMax any   `json:"exclusive_max,omitempty"`
	Enum         []any `json:"enum,omitempty" validate:"max=10000"`
	// Pattern is an RE2 expression that must match somewhere in a string.
	Pattern string `json:"pattern,omitempty" validate:"max=4096"`
	// MaxLength is the greatest number of code points of a string; 0 means
	// that there is no limit. A compiled schema has one for each pattern, so that
	// no match takes long.
	MaxLength int `json:"max_length,omitempty" validate:"min=0"`
	// Sanitize says how a string is cleaned before it is held against the rules.
	Sanitize []Step `json:"sanitize,omitempty" validate:"max=16"`
	// Control says whether a string may hold control characters: all of C0 but
	// tab, line feed and carriage return, DEL, C1, and those that turn the
	// direction of text. Empty is ControlRefuse.
	Control Control `json:"control,omitempty" validate:"omitempty,oneof=allow refuse"`
	// Nullable lets null stand for NaN; only for floating-point types.
	Nullable bool `json:"nullable,omitempty"`
	// Input is the graph input that the feature belongs to. A compiled schema
	// names it only where there are several.
	Input string `json:"input,omitempty" validate:"max=1024"`
	// Shape holds the extents of a nested array, -1 where any is accepted.
	// Nil for a single value, and for an array of any shape.
	Shape []int `json:"shape,omitempty"`
	// Array says that the feature is a nested array.
	Array bool `json:"array,omitempty"`
	// Kind is "map", "sequence" or "optional" for a feature that is no tensor;
	// Type and the rules are then those of its elements.
	Kind string `json:"kind,omitempty"`
}

// Role is what an output means in a response.
type Role string

// The roles of an output.
const (
	// RoleLabel is a classifier's predicted class.
	RoleLabel Role = "label"
	// RoleScores is a classifier's score of each class.
	RoleScores Role = "scores"
	// RoleValue is anything else: a regressor's number, or one of several outputs.
	RoleValue Role = "value"
)

// Output is one output of the graph.
type Output struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Role Role   `json:"role"`
	// Targets are the names of its numbers for each row, where the manifest has them.
	Targets []string `json:"targets,omitempty"`
}

// Schema is a compiled request and response type. It is immutable and safe for
// concurrent use; each concurrent request has a Batch of its own.
type Schema struct {
	name, title, description string

	roles    []string
	features []Feature
	fields   []field // parallel to features
	inputs   []input
	specs    []tensor.Spec // of the graph's inputs, parallel to inputs
	byName   map[string]int
	folded   []string // names after fold, parallel to fields
	byFold   map[string]int
	oneRow   bool // the graph takes one row at a time
	declared bool // the manifest lists the features

	row      reflect.Type // struct with one member for each field that has rules
	validate *validator.Validate

	response response
	example  []byte
}

// Name returns the name that responses carry: that of the model's folder.
func (s *Schema) Name() string { return s.name }

// Title returns the name that the manifest gives, or else Name.
func (s *Schema) Title() string { return s.title }

// Description returns the manifest's description; it may be empty.
func (s *Schema) Description() string { return s.description }

// Roles returns the roles that may predict and read the contract.
func (s *Schema) Roles() []string { return slices.Clone(s.roles) }

// Features returns the members of a row, in column order.
func (s *Schema) Features() []Feature { return slices.Clone(s.features) }

// Labels returns the names of the classes in class order, or nil when the
// model is no classifier or does not say what its classes are.
func (s *Schema) Labels() []string {
	if len(s.response.classes) == 0 {
		return nil
	}
	names := make([]string, len(s.response.classes))
	for i, c := range s.response.classes {
		names[i] = c.name
	}
	return names
}

// Outputs returns the outputs of the graph, in its order.
func (s *Schema) Outputs() []Output { return slices.Clone(s.response.outputs) }

// Class returns the name of the class that a text stands for: its own name, or the
// model's own label; the text itself where there is none.
func (s *Schema) Class(text string) string {
	for i := range s.response.classes {
		if k := &s.response.classes[i]; k.name == text || k.ownText() == text {
			return k.name
		}
	}
	return text
}

// OneRow reports whether the graph takes one row at a time: no extent of some input
// counts rows.
func (s *Schema) OneRow() bool { return s.oneRow }

// Example returns one valid row as a JSON object, or nil when the manifest
// gives no example for a pattern that none could be derived from.
func (s *Schema) Example() []byte { return slices.Clone(s.example) }

// input is how rows become one graph input.
type input struct {
	name  string
	dtype tensor.DType
	// dims are the extents of one row of a nested array, -1 where free.
	dims []int
	// width is the number of columns of a matrix, 1 for a column.
	width int
	array bool
	// anyShape is a nested array whose rank the graph does not declare.
	anyShape bool
	// whole says that no extent of the graph input counts rows, so that the
	// feature is the whole tensor.
	whole bool
	// flat says that a column is [N] instead of [N, 1].
	flat bool
	// list describes a map, a sequence or an optional; nil for a tensor.
	list *tensor.Spec
	// screen is nil where elements are looked at one by one.
	screen screen
}
