package schema

import (
	"regexp"
	"slices"
	"strings"

	"onnxgate/internal/tensor"
)

// object is a JSON Schema under construction.
type object = map[string]any

const dialect = "https://json-schema.org/draft/2020-12/schema"

// RowSchema returns the JSON Schema (draft 2020-12) of one row. It accepts what
// Decode accepts, but that Decode rounds numbers before it compares them, to float64
// and at a limit to what the tensor holds, that a pattern beyond what RE2 and ECMA-262 write
// alike stands under "x-re2-pattern", and that it does not clean texts nor look
// for what turns their direction. The caller may change the map.
func (s *Schema) RowSchema() map[string]any {
	properties, required := object{}, make([]string, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		required[i] = f.Name
		properties[f.Name] = f.schema(&s.inputs[f.in])
	}
	row := object{
		"$schema": dialect, "title": s.title, "type": "object",
		"properties": properties, "required": required, "additionalProperties": false,
	}
	if s.description != "" {
		row["description"] = s.description
	}
	return row
}

func (f *field) schema(in *input) object {
	o := f.elementSchema()
	switch {
	case in.list != nil:
		o = listSchema(in.list, o)
	case in.anyShape:
		o = anyArray()
	case f.Array:
		o = arraySchema(o, f.Shape)
	}
	text := f.Description
	if text != "" && f.Unit != "" {
		text += " (" + f.Unit + ")"
	}
	if text = strings.TrimSpace(text + f.cleaning()); text != "" {
		o["description"] = text
	}
	if f.Unit != "" {
		o["x-unit"] = f.Unit
	}
	if f.Example != nil {
		o["examples"] = []any{f.Example}
	}
	return o
}

// cleaning says how texts are cleaned, as a sentence behind another.
func (f *field) cleaning() string {
	if len(f.Sanitize) == 0 {
		return ""
	}
	words := make([]string, len(f.Sanitize))
	for i, s := range f.Sanitize {
		words[i] = s.String()
	}
	sentence := "Cleaned before it is checked: " + strings.Join(words, ", ") + "."
	if strings.HasSuffix(f.Description, ".") || f.Description == "" {
		return " " + sentence
	}
	return ". " + sentence
}

// anyArray is a nested array whose rank is not declared.
func anyArray() object { return object{"type": "array", "minItems": 1} }

func arraySchema(element object, shape []int) object {
	o := element
	for _, n := range slices.Backward(shape) {
		outer := object{"type": "array", "items": o, "minItems": 1}
		if n >= 0 {
			outer["minItems"], outer["maxItems"] = n, n
		}
		o = outer
	}
	return o
}

func (f *field) elementSchema() object {
	o := object{"type": f.info.json}
	if f.info.format != "" {
		o["format"] = f.info.format
	}
	switch f.info.class {
	case classFloat:
		f.floatRange(o)
	case classInt:
		o["minimum"], o["maximum"] = f.ilo, f.ihi
	case classUint:
		o["minimum"], o["maximum"] = f.ulo, f.uhi
	case classString:
		f.textRules(o)
	case classBool:
	}
	if len(f.Enum) > 0 && len(f.Sanitize) == 0 {
		o["enum"] = append([]any(nil), f.Enum...)
	}
	if f.Nullable {
		o["type"] = []string{f.info.json, "null"}
		if len(f.Enum) > 0 {
			o["enum"] = append(append([]any(nil), f.Enum...), nil)
		}
	}
	return o
}

// floatRange writes the limits as the manifest has them, and those of the type
// where they are narrower, with what is rounded to them. Those of float64 are the reader's own.
func (f *field) floatRange(o object) {
	bound := f.info.reach
	switch lo, exclusive := limitOf(f.Min, f.ExclusiveMin); {
	case lo != nil && *lo >= -bound && exclusive:
		o["exclusiveMinimum"] = *lo
	case lo != nil && *lo >= -bound:
		o["minimum"] = *lo
	case f.dtype != tensor.Float64:
		o["minimum"] = -bound
	}
	switch hi, exclusive := limitOf(f.Max, f.ExclusiveMax); {
	case hi != nil && *hi <= bound && exclusive:
		o["exclusiveMaximum"] = *hi
	case hi != nil && *hi <= bound:
		o["maximum"] = *hi
	case f.dtype != tensor.Float64:
		o["maximum"] = bound
	}
}

func limitOf(closed, open any) (limit *float64, exclusive bool) {
	if x, ok := closed.(float64); ok {
		return &x, false
	}
	if x, ok := open.(float64); ok {
		return &x, true
	}
	return nil, false
}

// foreign finds what RE2 writes differently from ECMA-262: flags and named
// groups, \A, \z, \Q…\E, \C, \a, Unicode classes, \x{…} and POSIX classes.
var foreign = regexp.MustCompile(`\(\?[^:]|\\[AzQECapP]|\\x\{|\[\[:|:\]\]`)

// textRules writes the rules of a text. Those of one that is cleaned first are for
// what it then is, and no validator's business: they stand under "x-sanitized".
func (f *field) textRules(o object) {
	if !f.cleaner.control {
		o["not"] = object{"pattern": controlPattern}
	}
	if len(f.Sanitize) > 0 {
		rules := object{}
		if len(f.Enum) > 0 {
			rules["enum"] = append([]any(nil), f.Enum...)
		}
		o["x-sanitize"], o["x-sanitized"] = slices.Clone(f.Sanitize), rules
		o = rules
	}
	if f.MaxLength > 0 {
		o["maxLength"] = f.MaxLength
	}
	switch {
	case f.Pattern == "":
	case foreign.MatchString(f.Pattern):
		o["x-re2-pattern"] = f.Pattern
	default:
		o["pattern"] = f.Pattern
	}
}

// ResponseSchema returns the JSON Schema (draft 2020-12) of an answer: to one
// row, or to an array of them. The caller may change the map.
func (s *Schema) ResponseSchema() map[string]any {
	return object{
		"$schema": dialect,
		"title":   s.title + " prediction",
		"oneOf":   []any{s.answer(s.response.rowSchema()), s.answer(s.arrayAnswer())},
	}
}

// members is the properties of an object and which of them are required, in
// the order of an answer.
type members struct {
	properties object
	required   []string
}

func (m *members) add(name string, schema any) {
	if m.properties == nil {
		m.properties = object{}
	}
	m.properties[name] = schema
	m.required = append(m.required, name)
}

func (m *members) object() object {
	return object{"type": "object", "properties": m.properties, "required": m.required, "additionalProperties": false}
}

// answer adds what every answer carries.
func (s *Schema) answer(m members) object {
	m.add("model", object{"type": "string", "const": s.name})
	m.add("version", object{"type": "string"})
	m.properties["warnings"] = object{"type": "array", "items": object{"type": "string"}}
	return m.object()
}

func (s *Schema) arrayAnswer() members {
	var m members
	row := s.response.rowSchema()
	m.add("predictions", object{"type": "array", "items": row.object(), "minItems": 1})
	return m
}

// rowSchema describes the answer to one row.
func (r *response) rowSchema() members {
	var m members
	switch r.form {
	case formClass:
		prediction := "integer"
		if r.label >= 0 && r.specs[r.label].DType == tensor.String || len(r.classes) > 0 && r.classes[0].isText {
			prediction = "string"
		}
		m.add("prediction", object{"type": prediction})
		m.add("label", object{"type": "string"})
		if r.scores >= 0 && r.probable {
			m.add("probabilities", r.scoresSchema())
		}
	case formNumber:
		m.add("prediction", r.numberSchema())
	case formOutputs:
		var outputs members
		for _, i := range r.answered {
			outputs.add(r.specs[i].Name, valueSchema(r.specs[i]))
		}
		m.add("outputs", outputs.object())
	}
	return m
}

func (r *response) numberSchema() object {
	if len(r.targets) == 0 {
		return valueSchema(r.specs[0])
	}
	one := r.specs[0]
	one.Ranked, one.Dims = true, nil
	var m members
	for _, name := range r.targets {
		m.add(name, valueSchema(one))
	}
	return m.object()
}

func (r *response) scoresSchema() object {
	score := object{"type": []string{"number", "null"}}
	if len(r.classes) == 0 || r.dynamic {
		return object{"type": "object", "additionalProperties": score}
	}
	var m members
	for _, k := range r.classes {
		m.add(k.name, score)
	}
	return m.object()
}

// valueSchema describes one row of an output. A declared shape is a hint, so an
// array's extents are not promised.
func valueSchema(spec tensor.Spec) object {
	info, _ := typeOf(leafOf(&spec).DType)
	element := []string{info.json}
	if info.class == classFloat {
		element = append(element, "null")
	}
	switch {
	case spec.Kind == tensor.KindMapSequence, spec.Kind == tensor.KindMap:
		return object{"type": "object", "additionalProperties": object{"type": element}}
	case spec.Kind == tensor.KindSequence && spec.Elem.Kind == tensor.KindMap: // one for each row, or many for one
		return object{"type": []string{"array", "object"}}
	case spec.Kind == tensor.KindSequence:
		return object{"type": "array", "items": valueSchema(*spec.Elem)}
	case spec.Kind == tensor.KindOptional:
		return object{"anyOf": []any{object{"type": "null"}, valueSchema(*spec.Elem)}}
	case isFlat(spec) && (len(spec.Dims) == 0 || spec.Dims[0].Size <= 1):
		return object{"type": element}
	default:
		return object{"type": append([]string{"array"}, element...)}
	}
}
