package schema

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// maxEnum is up to how many different texts of a sample a draft lists as all
// that are allowed.
const maxEnum = 20

// maxClassName is how long the name of a class may be; see Label.
const maxClassName = 256

// What a draft takes for an enumeration repeats each value as often as this in
// the mean, and has no text of more code points.
const (
	enumRepeats = 4
	maxEnumWord = 30
)

// Draft writes a model.yaml for a model that is served by its graph alone, as a
// beginning: s is the schema of that graph. A sample, which may be nil, gives
// names, ranges, enumerations and examples; target are the columns that the model
// was trained to say, and shown is what else the graph shows. Whatever is guessed is
// marked with a comment. A sample that does not fit the graph is a fault.Content,
// and so are more features than a model.yaml has room for.
func Draft(s *Schema, sample *Sample, target []string, shown Shown) ([]byte, error) {
	d := &drafter{schema: s, sample: sample, shown: shown, root: &yaml.Node{Kind: yaml.MappingNode}}
	features := s.Features()
	columns := make([]int, len(features))
	if sample != nil {
		var err error
		if columns, d.target, d.guessed, err = sample.assign(features, target); err != nil {
			return nil, err
		}
	}
	put(d.root, "name", text(s.Name()), "")
	put(d.root, "description", text(""), "say here what the model tells, and from what")
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range features {
		n, err := d.feature(&features[i], columns[i])
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, n)
	}
	if len(list.Content) > 0 {
		put(d.root, "features", list, "")
	}
	d.labels()
	d.outputs()
	d.access()
	draft, err := d.bytes()
	if len(draft) > maxManifest {
		return nil, fault.Newf(fault.Content, "with %d features the draft would have %d bytes, and a model.yaml has at most %d: "+
			"run it without a sample, or serve the model without one, for the role admin", len(features), len(draft), maxManifest)
	}
	return draft, err
}

// Shown is what a graph shows of its inputs, beside their types.
type Shown struct {
	// FreeText are the inputs that have no categories.
	FreeText []string
	// Categories are all values, as text, that the model knows of an input, and it
	// refuses any other.
	Categories map[string][]string
}

type drafter struct {
	schema  *Schema
	sample  *Sample
	target  []int // the targets' columns
	guessed bool
	root    *yaml.Node
	shown   Shown
}

func (d *drafter) bytes() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# A draft. What is marked \"guess\" was guessed: check it, and take the mark away.\n")
	if d.guessed {
		fmt.Fprintf(&b, "# guess: the column %q of the sample is what the model was trained to say.\n", d.sample.Columns[d.target[0]].Name)
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(d.root); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// feature describes one feature, after its column of the sample if there is one.
func (d *drafter) feature(f *Feature, column int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if d.sample == nil {
		put(n, "name", text(f.Name), "guess: the graph has no better name")
	} else {
		put(n, "name", text(d.sample.Columns[column].Name), "")
	}
	put(n, "type", text(f.Type), "")
	if f.Input != "" {
		put(n, "input", text(f.Input), "")
	}
	if f.Array || f.Kind != "" {
		return n, nil
	}
	in := d.schema.inputs[d.schema.fields[d.schema.byName[f.Name]].in].name
	class := types[dtypeNamed(f.Type)].class
	known := d.categories(in, class)
	if known != nil {
		put(n, "enum", known, "all that the model knows; it refuses any other")
	}
	if d.sample == nil {
		return n, nil
	}
	c := &d.sample.Columns[column]
	switch {
	case known != nil && slices.Contains(d.shown.Categories[in], c.First):
		value := text(c.First)
		if class != classString {
			value = plain(c.First)
		}
		put(n, "example", value, "")
	case known != nil: // the sample is not what the model was trained on, or its first value is missing
	case class == classString:
		d.words(n, c, slices.Contains(d.shown.FreeText, in))
	case class != classBool:
		return n, d.number(n, f, c)
	}
	return n, nil
}

// categories lists the values that the model knows of an input; nil where it takes
// any.
func (d *drafter) categories(input string, class class) *yaml.Node {
	known := d.shown.Categories[input]
	switch {
	case len(known) == 0:
		return nil
	case class == classString:
		return flow(known)
	case class != classInt:
		return nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range known {
		n.Content = append(n.Content, plain(v))
	}
	return n
}

func (d *drafter) number(n *yaml.Node, f *Feature, c *SampleColumn) error {
	class := types[dtypeNamed(f.Type)].class
	switch {
	case isTruth(c.word):
		return fault.Newf(fault.Content, "the column %q has the value %q, but the model takes numbers there (%s); write 1 and 0 (in pandas: astype(int))", c.Name, c.word, f.Type)
	case c.word != "":
		return fault.Newf(fault.Content, "the column %q has the value %q, but the model takes numbers there (%s); "+
			"of a column of categories, as LightGBM takes it from pandas, it takes the codes (in pandas: frame[%[1]q].cat.codes)", c.Name, c.word, f.Type)
	case c.fraction != "" && class != classFloat:
		return fault.Newf(fault.Content, "the column %q has the value %s, but the model takes integers there (%s)", c.Name, c.fraction, f.Type)
	}
	if first, err := strconv.ParseFloat(c.First, 64); err == nil {
		example := number(first)
		if class != classFloat { // float64 does not hold all of them
			example = wholeNumber(c.First)
		}
		put(n, "example", plain(example), "")
		d.limits(n, c, f)
	}
	if c.Missing > 0 && class == classFloat {
		put(n, "nullable", plain("true"), "guess: the sample lacks it in "+count(c.Missing, "row", "rows"))
	}
	return nil
}

// limits writes the range of a column with room to spare, since a sample seldom
// holds the extremes.
func (d *drafter) limits(n *yaml.Node, c *SampleColumn, f *Feature) {
	if c.min == 0 && c.max == 1 && c.fraction == "" {
		put(n, "min", plain("0"), "guess: the sample has 0 and 1 alone")
		put(n, "max", plain("1"), "")
		return
	}
	low, high := roomy(c.min, c.max, types[dtypeNamed(f.Type)])
	put(n, "min", plain(low), "guess: the sample's least, "+number(c.min)+", less a tenth of the range")
	put(n, "max", plain(high), "guess: the sample's greatest, "+number(c.max)+", and a tenth more")
}

// roomy returns the ends of a range, a tenth of it further out and with as few
// digits as that allows. They leave neither the type nor the sign that all
// values have.
func roomy(least, greatest float64, t typeInfo) (low, high string) {
	room := greatest/10 - least/10 // the range itself may overflow
	if room == 0 {
		room = math.Abs(least) / 10
	}
	far := max(math.Abs(least), math.Abs(greatest))
	room = max(room, 4*(far-math.Nextafter(far, 0))) // what float64 takes from a number
	if room < 1e-300 {                               // 0 alone, and what is hardly more
		room = 1
	}
	power := int(math.Floor(math.Log10(room)))
	if t.class != classFloat {
		power = max(power, 0)
	}
	bottom, top := t.ends()
	switch {
	case least >= 0:
		bottom = 0
	case greatest <= 0:
		top = 0
	}
	l, h := outward(math.Floor, least-room, power), outward(math.Ceil, greatest+room, power)
	return t.literal(max(l, bottom)), t.literal(min(h, top))
}

// outward rounds to a multiple of a power of ten, which is as near to it as a
// float64 can be.
func outward(round func(float64) float64, v float64, power int) float64 {
	count := round(v / math.Pow10(power))
	if power < 0 {
		count = round(v * math.Pow10(-power))
	}
	if math.IsInf(count, 0) {
		return count
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(count, 'f', -1, 64)+"e"+strconv.Itoa(power), 64) // infinite beyond the range
	return rounded
}

// ends returns the least and the greatest number of the type, or what float64
// has next to them.
func (t typeInfo) ends() (least, greatest float64) {
	switch t.class {
	case classInt:
		greatest = float64(t.hi)
		if t.hi == math.MaxInt64 {
			greatest = math.Nextafter(greatest, 0)
		}
		return float64(t.lo), greatest
	case classUint:
		return 0, math.Nextafter(math.MaxUint64, 0)
	case classFloat, classString, classBool:
	}
	return -t.maximum, t.maximum
}

// literal writes a number of the type.
func (t typeInfo) literal(v float64) string {
	_, top := t.ends()
	switch {
	case t.class == classFloat:
		return number(v)
	case t.class == classInt && v >= top:
		return strconv.FormatInt(t.hi, 10)
	case t.class == classUint && v >= top:
		return strconv.FormatUint(math.MaxUint64, 10)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func (d *drafter) words(n *yaml.Node, c *SampleColumn, free bool) {
	if c.First == "" {
		return
	}
	put(n, "example", text(c.First), "")
	// Only short words that come again and again are an enumeration.
	if !free && !c.many && len(c.distinct) <= maxEnum && enumRepeats*len(c.distinct) <= d.sample.Rows && c.longest <= maxEnumWord {
		comment := "guess: all values of the sample"
		if slices.Contains(c.gaps, "") {
			comment += "; \"\" is that of its empty cells, as a text is never missing"
		}
		put(n, "enum", flow(slices.Concat(c.distinct, c.gaps)), comment)
		return
	}
	put(n, "max_length", plain(strconv.Itoa(2*c.longest)), "guess: twice the longest of the sample")
}

func (d *drafter) labels() {
	labels := d.schema.Labels()
	if len(labels) == 0 {
		return
	}
	comment := "guess: the model's own labels; write here what people call them"
	if words := d.targetWords(); len(words) == len(labels) && !slices.ContainsFunc(labels, notNumber) {
		labels, comment = words, "guess: the target's values in the order of the alphabet stand for 0, 1, …"
	}
	if slices.ContainsFunc(labels, unnamed) {
		return // the classes keep the graph's own labels
	}
	put(d.root, "labels", flow(labels), comment)
}

// targetWords returns the values of the target, when they are words.
func (d *drafter) targetWords() []string {
	if len(d.target) != 1 {
		return nil
	}
	if c := &d.sample.Columns[d.target[0]]; c.word != "" {
		return c.distinct
	}
	return nil
}

// unnamed reports whether a label of the model cannot be a name in model.yaml.
func unnamed(label string) bool { return label == "" || utf8.RuneCountInString(label) > maxClassName }

func notNumber(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err != nil
}

func (d *drafter) outputs() {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, o := range d.schema.Outputs() {
		if o.Role == RoleLabel || o.Role == RoleScores {
			put(n, string(o.Role), text(o.Name), "")
		}
	}
	if at := slices.IndexFunc(d.schema.response.specs, func(s tensor.Spec) bool { return !s.Constant && CanBeLabel(&s) }); len(n.Content) == 0 && at >= 0 {
		put(n, string(RoleLabel), text(d.schema.response.specs[at].Name), "guess: this output is the prediction; without the line each output is answered by its name")
	}
	if names := d.targetNames(); len(names) > 1 && len(n.Content) == 0 && d.schema.response.form == formNumber {
		if width, _ := widthOf(&d.schema.response.specs[0]); width == len(names) {
			put(n, "targets", flow(names), "the numbers of an answer, in the order in which the model was trained to say them")
		}
	}
	if len(n.Content) > 0 {
		put(d.root, "outputs", n, "")
	}
}

// targetNames returns the names of the targets' columns.
func (d *drafter) targetNames() (names []string) {
	for _, at := range d.target {
		names = append(names, d.sample.Columns[at].Name)
	}
	return names
}

func (d *drafter) access() {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put(n, "roles", flow([]string{AdminRole}), "who may predict; nobody else may")
	put(d.root, "access", n, "")
}

// put adds a key and its value to a mapping.
func put(m *yaml.Node, key string, value *yaml.Node, comment string) {
	value.LineComment = comment
	m.Content = append(m.Content, text(key), value)
}

// text is a scalar that is a string, quoted if it would be read as another
// thing.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(strings.ToValidUTF8(s, "\ufffd"))
	return n
}

// wholeNumber writes a numeral without a fraction, digit for digit.
func wholeNumber(text string) string {
	negative, magnitude, _ := parseInt(appendStandard(nil, text))
	if negative && magnitude > 0 {
		return "-" + strconv.FormatUint(magnitude, 10)
	}
	return strconv.FormatUint(magnitude, 10)
}

// plain is a scalar as it is written.
func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

// number writes a number as YAML and JSON read it, integers without exponent.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func flow(values []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, text(v))
	}
	return n
}
