package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/tensor"
)

// responseForm is the shape of the answer to one row.
type responseForm uint8

const (
	// formClass is {"prediction", "label", "probabilities"}.
	formClass responseForm = iota
	// formNumber is {"prediction"}.
	formNumber
	// formOutputs is {"outputs": {name: value}}.
	formOutputs
)

// response is the compiled side of the answer.
type response struct {
	form    responseForm
	outputs []Output
	specs   []tensor.Spec
	label   int // index of the output with the label, -1 when there is none
	scores  int // index of the output with the scores, -1 when there is none
	// answered are the indexes of the outputs that tell of a row: all but
	// constants, where there are others.
	answered []int
	// probable is set when the scores may be shown as probabilities.
	probable bool

	classes  []classInfo
	dynamic  bool // classes are numbered from 0, as many as the scores turn out to be
	byNumber map[int64]int
	byText   map[string]int

	targets    []string   // the names of the numbers of the one output, none where it is an array
	targetKeys [][]byte   // `"name":` of each target
	outputKeys [][]byte   // `"name":` of each output
	columnKeys [][][]byte // `"key":` of each column of a sequence of maps
	tail       []byte     // `,"model":"iris","version":`
}

// classInfo is one class of a classifier, and the parts of its JSON.
type classInfo struct {
	name   string
	number int64  // the model's own label, when that is a number
	text   string // the model's own label, when that is a string
	isText bool

	head []byte // `"prediction":0,"label":"setosa"`
	key  []byte // `"setosa":`
}

// compileOutputs decides what each output means: what the manifest says, or
// else what the types and shapes of the graph do. Declared shapes of tensors
// are hints, which some exporters give wrong, so they only refuse what the
// manifest contradicts.
func (c *compiler) compileOutputs(out []tensor.Spec) {
	r := &c.response
	r.specs, r.label, r.scores = out, -1, -1
	if len(out) == 0 {
		c.report(0, "the graph has no output")
		return
	}
	before := len(c.problems)
	for i := range out {
		r.outputs = append(r.outputs, Output{Name: out[i].Name, Type: typeName(&out[i]), Role: RoleValue})
	}
	r.answered = answeredOf(out)
	if c.manifest != nil && (c.manifest.Outputs.Label != "" || c.manifest.Outputs.Scores != "") {
		r.label = c.namedOutput("Outputs.Label", c.manifest.Outputs.Label)
		r.scores = c.namedOutput("Outputs.Scores", c.manifest.Outputs.Scores)
		c.checkRoles()
	} else {
		r.label, r.scores = derivedRoles(out, c.manifest != nil && len(c.manifest.Labels) > 0)
	}
	if len(c.problems) > before {
		return
	}
	r.settleRoles()
	switch {
	case r.label >= 0 || r.scores >= 0:
		r.form = formClass
		c.compileClasses()
	case len(out) == 1 && out[0].Kind == tensor.KindTensor && isNumber(out[0].DType):
		r.form = formNumber
	default:
		r.form = formOutputs
	}
	c.compileTargets()
	if r.form != formClass && c.manifest != nil && len(c.manifest.Labels) > 0 {
		c.report(c.manifest.line("Labels"), "labels are given, but the graph's outputs are not those of a classifier; outputs says which is the label or the scores")
	}
	c.fragments()
}

// compileTargets takes over the names of the numbers of a regressor.
func (c *compiler) compileTargets() {
	r := &c.response
	if c.manifest == nil || len(c.manifest.Outputs.Targets) == 0 {
		return
	}
	names, line := c.manifest.Outputs.Targets, c.manifest.line("Outputs.Targets")
	if r.form != formNumber {
		c.report(line, "outputs.targets names the numbers of a regressor, and the graph has no output of numbers alone")
		return
	}
	s := &r.specs[0]
	if width, known := widthOf(s); known && width != len(names) {
		c.report(line, "outputs.targets has %s, but output %q has %s a row", count(len(names), "name"), s.Name, count(width, "number"))
		return
	}
	r.targets, r.outputs[0].Targets = names, names
}

// widthOf returns how many elements an output is declared to have for each row.
func widthOf(s *tensor.Spec) (width int, known bool) {
	if !s.Ranked || len(s.Dims) == 0 {
		return 0, false
	}
	width = 1
	for _, d := range s.Dims[1:] {
		if d.Size < 0 {
			return 0, false
		}
		width *= d.Size
	}
	return width, true
}

// answeredOf returns the indexes of the outputs that are no constants, or all
// when there are no others.
func answeredOf(out []tensor.Spec) []int {
	var all, some []int
	for i := range out {
		all = append(all, i)
		if !out[i].Constant {
			some = append(some, i)
		}
	}
	if some == nil {
		return all
	}
	return some
}

// settleRoles notes what the outputs are, and sets decision values aside: no
// class has them as its probability. They decide only where there is no label.
func (r *response) settleRoles() {
	if r.label >= 0 {
		r.outputs[r.label].Role = RoleLabel
	}
	if r.scores < 0 {
		return
	}
	r.outputs[r.scores].Role = RoleScores
	r.probable = !r.specs[r.scores].Decision
	if !r.probable && r.label >= 0 {
		r.scores = -1
	}
}

// Only returns the schema with the answer of some outputs alone, by their
// names: indexes into Outputs, in the order in which they are answered.
func (s *Schema) Only(outputs []int) *Schema {
	from := &s.response
	r := response{form: formOutputs, label: -1, scores: -1, tail: from.tail}
	for _, i := range outputs {
		r.outputs, r.specs = append(r.outputs, from.outputs[i]), append(r.specs, from.specs[i])
		r.outputKeys, r.columnKeys = append(r.outputKeys, from.outputKeys[i]), append(r.columnKeys, from.columnKeys[i])
		r.outputs[len(r.outputs)-1].Role = RoleValue
		r.answered = append(r.answered, len(r.answered))
	}
	only := *s
	only.response = r
	return &only
}

// namedOutput returns the index of the output that the manifest names, or -1.
func (c *compiler) namedOutput(path, name string) int {
	if name == "" {
		return -1
	}
	var names []string
	for i, s := range c.response.specs {
		if s.Name == name {
			return i
		}
		names = append(names, strconv.Quote(s.Name))
	}
	c.report(c.manifest.line(path), "the graph has no output %q; it has %s", name, strings.Join(names, ", "))
	return -1
}

// checkRoles refuses outputs whose type cannot be what the manifest says.
func (c *compiler) checkRoles() {
	r := &c.response
	switch {
	case r.label < 0:
	case !isLabelType(r.specs[r.label]):
		c.report(c.manifest.line("Outputs.Label"), "output %q is %s; a label is an integer or a string",
			r.specs[r.label].Name, saidOf(&r.specs[r.label]))
	case !CanBeLabel(&r.specs[r.label]):
		c.report(c.manifest.line("Outputs.Label"), "output %q has several values a row, and a label is one; leave outputs.label out: each output is then answered by its name",
			r.specs[r.label].Name)
	}
	if r.scores >= 0 && !isScoreType(r.specs[r.scores]) {
		c.report(c.manifest.line("Outputs.Scores"), "output %q is %s; scores are floating-point",
			r.specs[r.scores].Name, saidOf(&r.specs[r.scores]))
	}
}

// derivedRoles recognises a classifier by its outputs: a label [N] of integers
// or strings, alone or beside scores, which are a sequence of maps or a
// floating-point tensor [N, C]; decision values beside a label may be one column.
// Constants are passed over.
// A sequence or [N, C] alone is one only when the
// manifest names classes.
func derivedRoles(out []tensor.Spec, named bool) (label, scores int) {
	label, scores = -1, -1
	for i, s := range out {
		switch {
		case s.Constant:
		case isLabelType(s) && label < 0 && (isColumn(s) || isAcross(&s)):
			label = i
		case isScoreType(s) && scores < 0 && rowAxis(&s) == 0 && (s.Kind == tensor.KindMapSequence || s.Decision || !isFlat(s)):
			scores = i
		default:
			return -1, -1
		}
	}
	if label < 0 && (!named || scores >= 0 && out[scores].Kind == tensor.KindTensor && isFlat(out[scores])) {
		return -1, -1
	}
	return label, scores
}

// LabelLike reports whether an output is of a type that labels have: integers
// or strings.
func LabelLike(s *tensor.Spec) bool { return isLabelType(*s) }

// CanBeLabel reports whether an output may be the label of each row: LabelLike,
// and of one element a row as far as is declared.
func CanBeLabel(s *tensor.Spec) bool {
	wide := s.Ranked && len(s.Dims) > 1 && slices.ContainsFunc(s.Dims[1:], func(d tensor.Dim) bool { return d.Size > 1 })
	return isLabelType(*s) && !wide
}

func isLabelType(s tensor.Spec) bool {
	info, known := typeOf(s.DType)
	return known && s.Kind == tensor.KindTensor && info.class != classFloat && info.class != classBool
}

func isScoreType(s tensor.Spec) bool {
	info, known := typeOf(s.DType)
	return s.Kind == tensor.KindMapSequence || s.Kind == tensor.KindTensor && known && info.class == classFloat
}

func isNumber(d tensor.DType) bool {
	info, known := typeOf(d)
	return known && info.class <= classUint
}

// isColumn reports whether an output may hold one element a row.
func isColumn(s tensor.Spec) bool {
	return !s.Ranked || len(s.Dims) < 2 || len(s.Dims) == 2 && s.Dims[1].Size == 1
}

// isFlat reports whether an output is declared to hold one element a row.
func isFlat(s tensor.Spec) bool { return s.Ranked && isColumn(s) }

// saidOf says in an error what an output is.
func saidOf(s *tensor.Spec) string {
	if isList(s) || s.Kind == tensor.KindMapSequence {
		return "a " + s.Kind.String()
	}
	return s.DType.String()
}

// compileClasses settles the classes: their own labels from the graph where it
// knows them, from the manifest, or counted from 0; and their names from
// the manifest, or their labels as text.
func (c *compiler) compileClasses() {
	r := &c.response
	var labels []Label
	if c.manifest != nil {
		labels = c.manifest.Labels
	}
	textual := r.label >= 0 && r.specs[r.label].DType == tensor.String
	width, keys := -1, r.graphClasses(textual)
	if r.scores >= 0 {
		s := r.specs[r.scores]
		if s.Kind == tensor.KindTensor && s.Ranked && len(s.Dims) == 2 && s.Dims[1].Size > 1 {
			width = s.Dims[1].Size
		}
	}
	switch {
	case keys != nil:
		r.classes = keys
		c.nameClasses(labels)
	case len(labels) > 0:
		if width >= 0 && len(labels) != width {
			c.report(c.manifest.line("Labels"), "labels names %s, but the scores have %d", count(len(labels), "class", "classes"), width)
			return
		}
		r.classes = labelledClasses(labels, textual)
	case textual:
		return // each label is its own name; scores are numbered
	default:
		r.dynamic = true
		for i := range max(width, 0) {
			r.classes = append(r.classes, classInfo{name: strconv.Itoa(i), number: int64(i)})
		}
	}
	r.byNumber, r.byText = map[int64]int{}, map[string]int{}
	for i, k := range r.classes {
		if k.isText {
			r.byText[k.text] = i
		} else {
			r.byNumber[k.number] = i
		}
	}
}

// graphClasses returns the classes that the graph names, or nil: the keys of a
// sequence of maps, or the labels of the one classifier that both the label and
// the scores come from, when the label is still of their type.
func (r *response) graphClasses(textual bool) []classInfo {
	var keys *tensor.Tensor
	if r.scores >= 0 {
		keys = r.specs[r.scores].Keys
		if r.specs[r.scores].Kind == tensor.KindMapSequence || r.label < 0 {
			return classesOf(keys)
		}
	}
	own := r.specs[r.label].Keys
	if own == nil || r.scores >= 0 && own != keys || textual != (own.DType() == tensor.String) {
		return nil
	}
	return classesOf(own)
}

// classesOf returns the classes that keys name, nil when there are no keys.
func classesOf(keys *tensor.Tensor) []classInfo {
	if keys == nil {
		return nil
	}
	var classes []classInfo
	for _, n := range tensor.Of[int64](keys) {
		classes = append(classes, classInfo{name: strconv.FormatInt(n, 10), number: n})
	}
	for _, t := range tensor.Of[string](keys) {
		classes = append(classes, classInfo{name: t, text: t, isText: true})
	}
	return classes
}

// nameClasses gives classes that the graph lists the names of the manifest: in
// order, or each by its own label.
func (c *compiler) nameClasses(labels []Label) {
	classes := c.response.classes
	if len(labels) == 0 {
		return
	}
	if len(labels) != len(classes) {
		c.report(c.manifest.line("Labels"), "labels names %s, but the graph has %d", count(len(labels), "class", "classes"), len(classes))
		return
	}
	for i, l := range labels {
		at := i
		if l.Class != nil {
			at = slices.IndexFunc(classes, func(k classInfo) bool { return k.own() == l.Class })
		}
		if at < 0 {
			c.report(c.manifest.line(fmt.Sprintf("Labels[%d].Class", i)), "labels: the graph has no class %v; it has %s", l.Class, ownLabels(classes))
			continue
		}
		if k := slices.IndexFunc(classes, func(k classInfo) bool { return k.isText && k.text == l.Name }); k >= 0 && k != at {
			c.report(c.manifest.line(fmt.Sprintf("Labels[%d].Name", i)),
				"labels: %q is the graph's own label of class %d, not of class %d", l.Name, k+1, at+1)
		}
		classes[at].name = l.Name
	}
}

// maxListed is how many of a graph's labels an error lists.
const maxListed = 20

// ownLabels lists what the graph itself calls its classes.
func ownLabels(classes []classInfo) string {
	var all []string
	for _, k := range classes[:min(len(classes), maxListed)] {
		all = append(all, fmt.Sprint(k.own()))
	}
	if len(classes) > maxListed {
		all = append(all, "…")
	}
	return strings.Join(all, ", ")
}

func (k classInfo) own() any {
	if k.isText {
		return k.text
	}
	return k.number
}

// labelledClasses makes the classes that only the manifest lists. In a list
// they stand for 0, 1, …, or for themselves when the model's labels are text.
func labelledClasses(labels []Label, textual bool) []classInfo {
	classes := make([]classInfo, len(labels))
	for i, l := range labels {
		k := classInfo{name: l.Name, number: int64(i)}
		switch own := l.Class.(type) {
		case int64:
			k.number = own
		case string:
			k.text, k.isText = own, true
		default:
			if textual {
				k.text, k.isText = l.Name, true
			}
		}
		classes[i] = k
	}
	return classes
}

// fragments encodes once what every answer repeats.
func (c *compiler) fragments() {
	r := &c.response
	for i := range r.classes {
		k := &r.classes[i]
		k.key = append(appendString(nil, k.name), ':')
		k.head = append(k.head, `"prediction":`...)
		if k.isText {
			k.head = appendString(k.head, k.text)
		} else {
			k.head = strconv.AppendInt(k.head, k.number, 10)
		}
		k.head = appendString(append(k.head, `,"label":`...), k.name)
	}
	for _, name := range r.targets {
		r.targetKeys = append(r.targetKeys, append(appendString(nil, name), ':'))
	}
	r.columnKeys = make([][][]byte, len(r.specs))
	for i, s := range r.specs {
		r.outputKeys = append(r.outputKeys, append(appendString(nil, s.Name), ':'))
		if s.Kind != tensor.KindMapSequence {
			continue
		}
		for _, k := range classesOf(s.Keys) {
			r.columnKeys[i] = append(r.columnKeys[i], append(appendString(nil, k.name), ':'))
		}
	}
	r.tail = appendString(append(r.tail, `,"model":`...), c.name)
	r.tail = append(r.tail, `,"version":`...)
}
