package schema

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Compile makes the request and response type of the model that is served as
// name, from its manifest (nil when it has none) and the graph's inputs and
// outputs. The error is a fault.Content that lists every reason, as
// "file:line: reason" where the manifest is at fault.
//
// An input [N, K] takes K features, an input [N, 1] or [N] one; any other input
// is one feature, a nested array. Without features in the manifest those of
// [N, K] are called <input>_0 to <input>_K-1, or are one array where there are
// more than 8,192, and the others as their input. A
// map is an object, a sequence an array, an optional its value or null; a model
// that takes one of them takes one row at a time.
func Compile(m *Manifest, name string, in, out []tensor.Spec) (*Schema, error) {
	return newCompiler(m, name, in).compile(out)
}

// CompileGraph is Compile without a manifest, for tools: since nobody has said
// which floating-point numbers may be missing, all may.
func CompileGraph(name string, in, out []tensor.Spec) (*Schema, error) {
	c := newCompiler(nil, name, in)
	c.nullable = true
	return c.compile(out)
}

func newCompiler(m *Manifest, name string, in []tensor.Spec) *compiler {
	c := &compiler{
		manifest: m,
		file:     name,
		in:       in,
		Schema:   &Schema{name: name, title: name, roles: []string{AdminRole}},
	}
	if m != nil {
		c.file, c.description = m.file, m.Description
		if m.Name != "" {
			c.title = m.Name
		}
		if m.Access != nil {
			c.roles = slices.Clone(m.Access.Roles)
		}
	}
	return c
}

func (c *compiler) compile(out []tensor.Spec) (*Schema, error) {
	c.compileInputs()
	c.compileOutputs(out)
	if err := c.err(); err != nil {
		return nil, err
	}
	for i := range c.inputs {
		c.inputs[i].screen = newScreen(c.columns(i))
	}
	if err := c.compileRow(); err != nil {
		return nil, err
	}
	c.compileExample()
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.Schema, nil
}

type compiler struct {
	*Schema
	manifest *Manifest
	file     string
	in       []tensor.Spec
	nullable bool // numbers of every feature may be missing
	problems []problem
}

func (c *compiler) report(line int, format string, args ...any) {
	c.problems = append(c.problems, problem{line, fmt.Sprintf(format, args...)})
}

func (c *compiler) err() error { return faultOf(c.file, c.problems) }

func (c *compiler) compileInputs() {
	if len(c.in) == 0 {
		c.report(0, "the graph has no input")
		return
	}
	var declared [][]int // indices of the manifest's features, for each input
	if c.manifest != nil && len(c.manifest.Features) > 0 {
		if declared = c.assign(); declared == nil {
			return
		}
		c.declared = true
	}
	var order []field
	for i, spec := range c.in {
		in, ok := c.input(spec, len(at(declared, i)))
		c.inputs, c.specs = append(c.inputs, in), append(c.specs, bound(spec, &in))
		switch {
		case !ok:
		case declared != nil:
			order = append(order, c.declaredFields(i, declared[i])...)
		default:
			order = append(order, c.graphFields(i)...)
		}
	}
	c.index(order)
}

func at(lists [][]int, i int) []int {
	if i < len(lists) {
		return lists[i]
	}
	return nil
}

// input classifies a graph input. declared is the number of features that the
// manifest has for it, which decides the width where the graph leaves it open.
func (c *compiler) input(spec tensor.Spec, declared int) (input, bool) {
	leaf := leafOf(&spec)
	in := input{name: spec.Name, dtype: leaf.DType, width: 1}
	if _, known := typeOf(leaf.DType); !known || leaf.Kind == tensor.KindMapSequence {
		c.report(0, "input %q: a request cannot carry its type", spec.Name)
		return in, false
	}
	if spec.Kind != tensor.KindTensor {
		in.list, in.whole, c.oneRow = &spec, true, true
		return in, true
	}
	for i, d := range spec.Dims {
		if d.Size == 0 || d.Size < -1 || d.Size > tensor.MaxElements {
			c.report(0, "input %q: extent %d of dimension %d cannot be filled", spec.Name, d.Size, i)
			return in, false
		}
	}
	if !spec.Ranked {
		in.array, in.anyShape, in.whole = true, true, true
		c.oneRow = true
		return in, true
	}
	row := spec.Dims
	if len(row) == 0 || row[0].Size > 1 {
		in.whole = true
	} else {
		row = row[1:]
	}
	if in.whole || spec.Dims[0].Size == 1 {
		c.oneRow = true
	}
	switch {
	case len(row) == 0:
		in.flat = true
	case len(row) == 1 && !in.whole && row[0].Size > 0 && row[0].Size <= mostColumns(declared):
		in.width = row[0].Size
	case len(row) == 1 && !in.whole && row[0].Size < 0 && declared > 0:
		in.width = declared
	default:
		in.array = true
		for _, d := range row {
			in.dims = append(in.dims, d.Size)
		}
	}
	return in, true
}

// mostColumns is how many columns of an input may be features, of which the
// manifest names some.
func mostColumns(declared int) int {
	if declared > 1 {
		return maxFeatures
	}
	return maxColumns
}

// bound returns the spec of an input with the number of columns that its features
// make, where the graph leaves that open.
func bound(spec tensor.Spec, in *input) tensor.Spec {
	if !in.array && !in.whole && !in.flat && len(spec.Dims) == 2 {
		spec.Dims = []tensor.Dim{spec.Dims[0], {Size: in.width, Name: spec.Dims[1].Name}}
	}
	return spec
}

// assign sorts the manifest's features by graph input: the one they name, the
// one of their own name, or the only one.
func (c *compiler) assign() [][]int {
	declared := make([][]int, len(c.in))
	before := len(c.problems)
	for i, f := range c.manifest.Features {
		path := fmt.Sprintf("Features[%d]", i)
		name := f.Input
		if name == "" {
			name = f.Name
		}
		in := slices.IndexFunc(c.in, func(s tensor.Spec) bool { return s.Name == name })
		if in < 0 && f.Input == "" && len(c.in) == 1 {
			in = 0
		}
		switch {
		case in >= 0:
			declared[in] = append(declared[in], i)
		case f.Input != "":
			c.report(c.manifest.line(path+".Input"), "feature %q: the graph has no input %q; it has %s", f.Name, f.Input, c.inputNames())
		default:
			c.report(c.manifest.line(path), "feature %q: say which input it belongs to; the graph has %s", f.Name, c.inputNames())
		}
	}
	for i, list := range declared {
		if len(list) == 0 && len(c.problems) == before {
			c.report(c.manifest.line("Features"), "no feature belongs to the graph's input %q", c.in[i].Name)
		}
	}
	if len(c.problems) > before {
		return nil
	}
	return declared
}

func (c *compiler) inputNames() string {
	var names []string
	for _, s := range c.in[:min(len(c.in), 20)] {
		names = append(names, strconv.Quote(s.Name))
	}
	return strings.Join(names, ", ")
}

// declaredFields compiles the manifest's features of one input.
func (c *compiler) declaredFields(i int, features []int) []field {
	in := c.inputs[i]
	if len(features) != in.width {
		c.report(c.manifest.line("Features"), "input %q takes %s, but %s given",
			in.name, count(in.width, "feature"), count(len(features), "is", "are"))
		return nil
	}
	fields := make([]field, 0, len(features))
	for column, k := range features {
		f := c.manifest.Features[k]
		path := fmt.Sprintf("Features[%d]", k)
		if f.Type != "" && f.Type != in.dtype.String() {
			c.report(c.manifest.line(path+".Type"), "feature %q: type is %s, but the graph's input %q is %s", f.Name, f.Type, in.name, in.dtype)
			continue
		}
		compiled, problems := c.field(f, i, column)
		c.problems = append(c.problems, c.manifest.located(path, problems)...)
		fields = append(fields, compiled)
	}
	return fields
}

// graphFields makes the features of an input that no manifest describes.
func (c *compiler) graphFields(i int) []field {
	in := c.inputs[i]
	fields := make([]field, in.width)
	for column := range fields {
		name := in.name
		if in.width > 1 {
			name += "_" + strconv.Itoa(column)
		}
		fields[column], _ = c.field(Feature{Name: name}, i, column)
	}
	return fields
}

func (c *compiler) field(f Feature, i, column int) (field, []ruleProblem) {
	in := c.inputs[i]
	f.Input = ""
	if len(c.in) > 1 {
		f.Input = in.name
	}
	if info, _ := typeOf(in.dtype); c.nullable && info.class == classFloat {
		f.Nullable = true
	}
	form := formScalar
	switch {
	case in.array:
		form = formArray
		f.Shape = in.dims
	case in.list != nil:
		form = formList
		f.Kind = in.list.Kind.String()
	}
	compiled, problems := compileField(f, in.dtype, form)
	compiled.in, compiled.column = i, column
	return compiled, problems
}

// index makes the tables by which a request finds its features.
func (c *compiler) index(fields []field) {
	c.byName, c.byFold = make(map[string]int, len(fields)), make(map[string]int, len(fields))
	for i := range fields {
		name := fields[i].Name
		if other, taken := c.byName[name]; taken {
			c.report(0, "inputs %q and %q both make a feature %q; a manifest gives them names",
				c.inputs[fields[other].in].name, c.inputs[fields[i].in].name, name)
			continue
		}
		c.byName[name] = i
		c.folded = append(c.folded, fold(name))
		if _, taken := c.byFold[c.folded[i]]; !taken {
			c.byFold[c.folded[i]] = i
		}
		c.features = append(c.features, fields[i].Feature)
	}
	c.fields = fields
}

// compileRow makes the struct of one row: a member for each feature that has
// rules, with the rules as its validate tag. Members are called by the
// feature's index, as a feature may have any name.
func (c *compiler) compileRow() error {
	var members []reflect.StructField
	for i := range c.fields {
		f := &c.fields[i]
		tag := f.tag(i)
		if tag == "" || f.Array || f.Kind != "" {
			continue
		}
		f.member = len(members)
		members = append(members, reflect.StructField{
			Name: memberPrefix + strconv.Itoa(i),
			Type: f.memberType(),
			Tag:  reflect.StructTag("validate:" + strconv.Quote(tag)),
		})
	}
	if len(members) == 0 {
		return nil
	}
	c.row = reflect.StructOf(members)
	c.validate = validator.New(validator.WithRequiredStructEnabled())
	return c.registerRules()
}

const memberPrefix = "F"

func (f *field) memberType() reflect.Type {
	var t reflect.Type
	switch f.info.class {
	case classFloat:
		t = reflect.TypeFor[float64]()
	case classInt:
		t = reflect.TypeFor[int64]()
	case classUint:
		t = reflect.TypeFor[uint64]()
	case classString:
		t = reflect.TypeFor[string]()
	case classBool:
		t = reflect.TypeFor[bool]()
	}
	if f.Nullable {
		t = reflect.PointerTo(t)
	}
	return t
}

// registerRules gives package validator the rules that it does not have: an
// enum of any type, and RE2 patterns. Their parameter is the feature's index.
func (c *compiler) registerRules() error {
	fields := c.fields
	rule := func(check func(*field, reflect.Value) bool) validator.Func {
		return func(fl validator.FieldLevel) bool {
			i, err := strconv.Atoi(fl.Param())
			return err == nil && i < len(fields) && check(&fields[i], fl.Field())
		}
	}
	err := c.validate.RegisterValidation("enum", rule(func(f *field, x reflect.Value) bool {
		switch f.info.class {
		case classFloat:
			return f.floats[f.held(x.Float())]
		case classInt:
			return f.ints[x.Int()]
		case classUint:
			return f.uints[x.Uint()]
		case classString, classBool:
		}
		_, ok := f.strings[x.String()]
		return ok
	}))
	if err == nil {
		pattern := rule(func(f *field, x reflect.Value) bool { return f.pattern.MatchString(x.String()) })
		err = c.validate.RegisterValidationCtx("pattern", func(ctx context.Context, fl validator.FieldLevel) bool {
			return ctx.Err() != nil || pattern(fl) // who validates looks at ctx, too
		})
	}
	if err != nil {
		return fault.Wrap(fault.Internal, "", err)
	}
	return nil
}

// count writes "1 feature" or "4 features"; with a plural of its own, "1 is"
// or "4 are".
func count(n int, singular string, plural ...string) string {
	switch {
	case n == 1:
		return "1 " + singular
	case len(plural) > 0:
		return strconv.Itoa(n) + " " + plural[0]
	default:
		return strconv.Itoa(n) + " " + singular + "s"
	}
}
