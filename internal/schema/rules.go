package schema

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/tensor"
)

// field is a feature with its rules compiled. The rules have two forms that a
// test holds together: validate tags, which package validator applies to the
// struct of a single row, and the comparisons of fits, for rows in arrays and
// the elements of nested arrays.
type field struct {
	Feature
	dtype tensor.DType
	info  typeInfo

	// The range with its exclusive ends moved inward by one step, so that it
	// takes two comparisons.
	flo, fhi float64
	ilo, ihi int64
	ulo, uhi uint64

	floats  map[float64]bool
	ints    map[int64]bool
	uints   map[uint64]bool
	strings map[string]string // each string of the enum to itself
	pattern *regexp.Regexp
	cleaner cleaner // of strings
	// instructions bounds those of the pattern, which at most all look at each
	// character, and perByte the work of a value.
	instructions, perByte int

	rules []rule

	in      int    // index of the graph input
	column  int    // index within a row of that input
	member  int    // index in the row struct, -1 without rules
	pointer string // "/name", escaped for a JSON pointer in a URI fragment
}

// rule is one limit in words and as a validate tag.
type rule struct {
	tag, param string
	detail     string
	holds      func(*value) bool
}

// ruleProblem is a rule that cannot stand; part is the Go name of the member
// of Feature that holds it. anyType is set when no other type could save it.
type ruleProblem struct {
	part, reason string
	anyType      bool
}

// form is whether a feature is one value or a nested array.
type form uint8

const (
	formUnknown form = iota // the graph has not been seen
	formScalar
	formArray
	formList
)

// compileField compiles the rules of f for elements of type d.
func compileField(f Feature, d tensor.DType, form form) (field, []ruleProblem) {
	c := &fieldCompiler{form: form, field: field{Feature: f, dtype: d, info: types[d], member: -1}}
	c.Type, c.Array = d.String(), form == formArray
	c.pointer = "/" + pointerToken(f.Name)
	c.cleaner = newCleaner(&c.Feature)
	c.applicable()
	c.limits()
	c.enum()
	c.text()
	c.perByte = c.workPerByte()
	if len(c.problems) == 0 {
		c.nonempty()
		c.checkExample()
	}
	return c.field, c.problems
}

type fieldCompiler struct {
	field
	form     form
	problems []ruleProblem
}

func (c *fieldCompiler) report(part, format string, args ...any) {
	c.problems = append(c.problems, ruleProblem{part: part, reason: fmt.Sprintf(format, args...)})
}

// contradict reports what is wrong for every type.
func (c *fieldCompiler) contradict(part, reason string) {
	c.problems = append(c.problems, ruleProblem{part, reason, true})
}

// applicable refuses rules that mean nothing for the type.
func (c *fieldCompiler) applicable() {
	number := c.info.class <= classUint
	for _, limit := range c.limitList() {
		if *limit.value != nil && !number {
			c.report(limit.part, "%s is for numbers, not for %s", yamlName(limit.part), c.Type)
		}
	}
	if c.Min != nil && c.ExclusiveMin != nil {
		c.contradict("ExclusiveMin", "min and exclusive_min exclude each other")
	}
	if c.Max != nil && c.ExclusiveMax != nil {
		c.contradict("ExclusiveMax", "max and exclusive_max exclude each other")
	}
	if c.Pattern != "" && c.info.class != classString {
		c.report("Pattern", "pattern is for strings, not for %s", c.Type)
	}
	if len(c.Sanitize) > 0 && c.info.class != classString {
		c.report("Sanitize", "sanitize is for strings, not for %s", c.Type)
	}
	if c.Control != "" && c.info.class != classString {
		c.report("Control", "control is for strings, not for %s", c.Type)
	}
	if c.MaxLength != 0 && c.info.class != classString {
		c.report("MaxLength", "max_length is for strings, not for %s", c.Type)
	}
	if len(c.Enum) > 0 && c.info.class == classBool {
		c.report("Enum", "enum is for numbers and strings, not for bool")
	}
	if c.Nullable && c.info.class != classFloat {
		c.report("Nullable", "nullable is for floating-point types, where null is NaN; %s has no such value", c.Type)
	}
}

type limit struct {
	part, tag, words string
	value            *any
}

func (c *fieldCompiler) limitList() []limit {
	return []limit{
		{"Min", "gte", "must be at least ", &c.Min},
		{"ExclusiveMin", "gt", "must be greater than ", &c.ExclusiveMin},
		{"Max", "lte", "must be at most ", &c.Max},
		{"ExclusiveMax", "lt", "must be less than ", &c.ExclusiveMax},
	}
}

// limits converts the limits to the type and derives the closed range.
func (c *fieldCompiler) limits() {
	c.flo, c.fhi = -c.info.reach, c.info.reach
	c.ilo, c.ihi = c.info.lo, c.info.hi
	c.uhi = math.MaxUint64
	if c.info.class > classUint {
		return
	}
	for _, l := range c.limitList() {
		if *l.value == nil {
			continue
		}
		var v value
		if reason := c.coerce(*l.value, &v); reason != "" {
			c.report(l.part, "%s %s", yamlName(l.part), reason)
			continue
		}
		*l.value = c.typed(&v)
		text := c.format(&v)
		wide := c.rounding(l.tag, v)
		c.rules = append(c.rules, rule{tag: l.tag, param: c.format(&wide), detail: l.words + text, holds: c.narrow(l.tag, wide)})
	}
}

// rounding moves a limit to where a number becomes another one of the type. An
// inclusive limit that the type does not hold moves outward, to the last number that
// becomes the same, and so does the greatest number of the type: a table written from
// float32 has digits beyond the limit, such as 0.6638000011 for 0.6638. An exclusive one
// moves inward, behind the last number that becomes the limit itself: the model must not
// get 0 where it takes more than that.
func (c *fieldCompiler) rounding(tag string, v value) value {
	same, towards := c.held(v.f), math.Inf(1)
	if tag == "gte" || tag == "lt" {
		towards = math.Inf(-1)
	}
	exclusive := tag == "gt" || tag == "lt"
	switch {
	case c.dtype != tensor.Float32 && c.dtype != tensor.Half, math.IsInf(same, 0):
		return v
	case exclusive && c.decimal(same) != v.f, !exclusive && same == v.f && math.Abs(same) < c.info.maximum:
		return v
	}
	last := (same + c.beyond(same, towards)) / 2 // exact
	if c.held(last) != same {
		last = math.Nextafter(last, same) // halfway is rounded to the even one
	}
	v.f = last
	return v
}

// held returns what a tensor holds of a number.
func (f *field) held(x float64) float64 {
	switch f.dtype { //nolint:exhaustive // the others hold all of it
	case tensor.Float32:
		return float64(float32(x))
	case tensor.Half:
		return tensor.NewFloat16(x).Float64()
	}
	return x
}

// decimal returns the decimal that a number of a tensor stands for.
func (f *field) decimal(held float64) float64 {
	if f.dtype == tensor.Half {
		return shortestHalf(tensor.NewFloat16(held))
	}
	return shortest(held)
}

// beyond returns the next number that float32, or float16, holds.
func (f *field) beyond(held, towards float64) float64 {
	h := tensor.NewFloat16(held)
	switch {
	case f.dtype == tensor.Float32:
		return float64(math.Nextafter32(float32(held), float32(towards)))
	case held == 0:
		return math.Copysign(0x1p-24, towards)
	case (held < 0) == (towards < 0):
		return (h + 1).Float64()
	}
	return (h - 1).Float64()
}

// narrow moves one end of the closed range and returns the limit itself as a
// predicate. An exclusive end beyond which the type has no value leaves an
// empty range, which nonempty reports.
func (c *fieldCompiler) narrow(tag string, v value) func(*value) bool {
	if c.info.class == classUint {
		return narrowTo(tag, v.u, &c.ulo, &c.uhi, 0, math.MaxUint64, func(x *value) uint64 { return x.u })
	}
	if c.info.class == classInt {
		return narrowTo(tag, v.i, &c.ilo, &c.ihi, math.MinInt64, math.MaxInt64, func(x *value) int64 { return x.i })
	}
	return narrowFloat(tag, v.f, &c.flo, &c.fhi)
}

func narrowTo[T int64 | uint64](tag string, v T, lo, hi *T, least, greatest T, of func(*value) T) func(*value) bool {
	switch tag {
	case "gte":
		*lo = max(*lo, v)
		return func(x *value) bool { return of(x) >= v }
	case "lte":
		*hi = min(*hi, v)
		return func(x *value) bool { return of(x) <= v }
	case "gt":
		if v == greatest {
			*lo, *hi = greatest, least
		} else {
			*lo = max(*lo, v+1)
		}
		return func(x *value) bool { return of(x) > v }
	default:
		if v == least {
			*lo, *hi = greatest, least
		} else {
			*hi = min(*hi, v-1)
		}
		return func(x *value) bool { return of(x) < v }
	}
}

func narrowFloat(tag string, v float64, lo, hi *float64) func(*value) bool {
	switch tag {
	case "gte":
		*lo = max(*lo, v)
		return func(x *value) bool { return x.f >= v }
	case "lte":
		*hi = min(*hi, v)
		return func(x *value) bool { return x.f <= v }
	case "gt":
		*lo = max(*lo, math.Nextafter(v, math.Inf(1)))
		return func(x *value) bool { return x.f > v }
	default:
		*hi = min(*hi, math.Nextafter(v, math.Inf(-1)))
		return func(x *value) bool { return x.f < v }
	}
}

// enum converts the allowed values to the type.
func (c *fieldCompiler) enum() {
	if len(c.Enum) == 0 || c.info.class == classBool {
		return
	}
	c.Enum = slices.Clone(c.Enum)
	c.floats, c.ints = make(map[float64]bool), make(map[int64]bool)
	c.uints, c.strings = make(map[uint64]bool), make(map[string]string)
	texts := make([]string, len(c.Enum))
	for i, x := range c.Enum {
		var v value
		part := fmt.Sprintf("Enum[%d]", i)
		if reason := c.coerce(x, &v); reason != "" {
			c.report(part, "enum value %v %s", x, reason)
			continue
		}
		c.Enum[i], texts[i] = c.typed(&v), c.format(&v)
		if c.allowed(&v) {
			c.report(part, "enum value %s appears twice", texts[i])
		}
		c.allow(&v)
	}
	const shown = 20
	detail := "must be one of " + strings.Join(texts[:min(len(texts), shown)], ", ")
	if len(texts) > shown {
		detail += fmt.Sprintf(" and %d more", len(texts)-shown)
	}
	c.rules = append(c.rules, rule{tag: "enum", detail: detail})
}

func (c *fieldCompiler) allow(v *value) {
	switch c.info.class {
	case classFloat:
		c.floats[c.held(v.f)] = true
	case classInt:
		c.ints[v.i] = true
	case classUint:
		c.uints[v.u] = true
	case classString, classBool:
		c.strings[v.s] = v.s
	}
}

// text compiles the rules of strings.
func (c *fieldCompiler) text() {
	if c.info.class != classString {
		return
	}
	if c.Pattern != "" {
		c.compilePattern()
	}
	if c.MaxLength > 0 {
		n := strconv.Itoa(c.MaxLength)
		c.rules = append(c.rules, rule{tag: "max", param: n, detail: "must be at most " + n + " characters long"})
	}
	if c.pattern != nil {
		c.rules = append(c.rules, rule{tag: "pattern", detail: "must match the pattern " + c.Pattern})
	}
}

// nonempty refuses rules that no value can keep, and enum values that break
// the other rules.
func (c *fieldCompiler) nonempty() {
	if c.flo > c.fhi || c.ilo > c.ihi || c.ulo > c.uhi {
		part := ""
		for _, l := range c.limitList() {
			if *l.value != nil {
				part = l.part
			}
		}
		c.contradict(part, "the range is impossible: no "+c.Type+" can be in it")
		return
	}
	for i, x := range c.Enum {
		var v value
		if reason := c.coerce(x, &v); reason == "" {
			if cleaned, detail := c.cleaner.clean(v.s); detail != "" {
				c.report(fmt.Sprintf("Enum[%d]", i), "enum value %s breaks another rule: it %s", c.format(&v), detail)
			} else if cleaned != v.s {
				c.report(fmt.Sprintf("Enum[%d]", i), "enum value %s can never come: sanitize makes it %q", c.format(&v), cleaned)
			}
			if detail := c.broken(&v); detail != "" {
				c.report(fmt.Sprintf("Enum[%d]", i), "enum value %s breaks another rule: it %s", c.format(&v), detail)
			}
		}
	}
}

// checkExample refuses an example that the feature's own rules refuse. That
// of an array is checked by decoding it, once the shape is known.
func (c *fieldCompiler) checkExample() {
	if _, list := c.Example.([]any); c.Example == nil || c.form == formArray || list && c.form == formUnknown {
		return
	}
	if c.form == formList {
		c.report("Example", "example is for numbers, texts and arrays, not for a %s", c.Kind)
		return
	}
	var v value
	reason := c.coerce(c.Example, &v)
	if reason == "" {
		c.Example = c.typed(&v)
		v.s, reason = c.cleaner.clean(v.s)
	}
	if reason == "" {
		reason = c.broken(&v)
	}
	if reason != "" {
		c.report("Example", "example %s", reason)
	}
}

// tag returns the rules as a validate tag, or "" when there are none. id is
// the parameter of the rules that package validator does not have itself.
func (f *field) tag(id int) string {
	if len(f.rules) == 0 {
		return ""
	}
	var tags []string
	if f.Nullable {
		tags = append(tags, "omitnil")
	}
	for _, r := range f.rules {
		if r.param == "" {
			r.param = strconv.Itoa(id)
		}
		tags = append(tags, r.tag+"="+r.param)
	}
	return strings.Join(tags, ",")
}
