package schema_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func draftSpecs() (in, out []tensor.Spec) {
	rows := tensor.Dim{Size: -1, Name: "N"}
	in = []tensor.Spec{
		{Name: "measures", DType: tensor.Float32, Dims: []tensor.Dim{rows, {Size: 2}}, Ranked: true},
		{Name: "rooms", DType: tensor.Int64, Dims: []tensor.Dim{rows, {Size: 1}}, Ranked: true},
		{Name: "town", DType: tensor.String, Dims: []tensor.Dim{rows, {Size: 1}}, Ranked: true},
	}
	keys, _ := tensor.New(tensor.Shape{2}, []int64{0, 1})
	out = []tensor.Spec{
		{Name: "output_label", DType: tensor.Int64, Dims: []tensor.Dim{rows}, Ranked: true, Keys: keys},
		{Name: "output_probability", Kind: tensor.KindMapSequence, DType: tensor.Float32, Keys: keys},
	}
	return in, out
}

func draft(t *testing.T, sample, target string, freeText ...string) (string, error) {
	t.Helper()
	in, out := draftSpecs()
	graph, err := schema.Compile(nil, "homes", in, out)
	if err != nil {
		t.Fatal(err)
	}
	var s *schema.Sample
	if sample != "" {
		if s, err = schema.ReadSample(strings.NewReader(sample)); err != nil {
			return "", err
		}
	}
	text, err := schema.Draft(graph, s, strings.FieldsFunc(target, func(r rune) bool { return r == ',' }), schema.Shown{FreeText: freeText})
	if err != nil {
		return "", err
	}
	m, err := schema.Parse("model.yaml", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := schema.Compile(m, "homes", in, out); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return string(text), nil
}

func TestDraftDescribesTheSample(t *testing.T) {
	got, err := draft(t, strings.Join([]string{
		"\ufeffwidth,true,rooms,town,sold",
		"2.5,1000000,3,Ulm,no",
		",-0.25,4,Ulm,yes",
		"7,1,2,\"Bad, Ems\",no",
		"1e-9,1,2,Ulm,no",
		"2,1,2,Ulm,no",
		"2,1,2,Ulm,yes",
		"2,1,2,Ulm,no",
		"2,1,2,Ulm,no",
	}, "\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := `# A draft. What is marked "guess" was guessed: check it, and take the mark away.
# guess: the column "sold" of the sample is what the model was trained to say.
name: homes
description: "" # say here what the model tells, and from what
features:
  - name: width
    type: float32
    input: measures
    example: 2.5
    min: 0 # guess: the sample's least, 1e-09, less a tenth of the range
    max: 7.7 # guess: the sample's greatest, 7, and a tenth more
    nullable: true # guess: the sample lacks it in 1 row
  - name: "true"
    type: float32
    input: measures
    example: 1000000
    min: -200000 # guess: the sample's least, -0.25, less a tenth of the range
    max: 1200000 # guess: the sample's greatest, 1000000, and a tenth more
  - name: rooms
    type: int64
    input: rooms
    example: 3
    min: 1 # guess: the sample's least, 2, less a tenth of the range
    max: 5 # guess: the sample's greatest, 4, and a tenth more
  - name: town
    type: string
    input: town
    example: Ulm
    enum: ['Bad, Ems', Ulm] # guess: all values of the sample
labels: [no, yes] # guess: the target's values in the order of the alphabet stand for 0, 1, …
outputs:
  label: output_label
  scores: output_probability
access:
  roles: [admin] # who may predict; nobody else may
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is no text to pandas is one to the server, which the rules of the sample's
// own draft must let pass.
func TestDraftAllowsTheEmptyTextsOfTheSample(t *testing.T) {
	got, err := draft(t, "width,height,rooms,town\n"+strings.Repeat("2,1,2,Ulm\n1,1,1,\n2,1,2,NA\n", 8), "")
	if err != nil {
		t.Fatal(err)
	}
	if want := `enum: [Ulm, "", NA] # guess: all values of the sample; "" is that of its empty cells, as a text is never missing`; !strings.Contains(got, want) {
		t.Errorf("no %s in\n%s", want, got)
	}
}

func TestDraftListsWhatTheGraphKnowsOfACategory(t *testing.T) {
	in, out := draftSpecs()
	graph, err := schema.Compile(nil, "homes", in, out)
	if err != nil {
		t.Fatal(err)
	}
	shown := schema.Shown{Categories: map[string][]string{"town": {"Bern", "Ulm"}, "rooms": {"2", "3"}, "measures": {"1"}}}
	const words, numbers = "enum: [Bern, Ulm] # all that the model knows; it refuses any other\n", "enum: [2, 3] # all that the model knows; it refuses any other\n"
	for name, c := range map[string]struct {
		sample string
		want   []string
	}{
		"without a sample":   {"", []string{words, numbers}},
		"with one":           {"width,height,rooms,town\n1,2,3,Bern\n", []string{words + "    example: Bern\n", numbers + "    example: 3\n"}},
		"with one of others": {"width,height,rooms,town\n1,2,9,Wien\n", []string{words + "labels", numbers + "  - name"}},
	} {
		var sample *schema.Sample
		if c.sample != "" {
			if sample, err = schema.ReadSample(strings.NewReader(c.sample)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := schema.Draft(graph, sample, nil, shown)
		if err != nil {
			t.Fatal(err)
		}
		m, err := schema.Parse("model.yaml", got)
		if err == nil {
			_, err = schema.Compile(m, "homes", in, out)
		}
		if err != nil {
			t.Errorf("%s: %v in\n%s", name, err, got)
		}
		for _, want := range c.want {
			if !strings.Contains(string(got), want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
	}
}

func TestDraftLeavesRoomAroundTheSample(t *testing.T) {
	for name, c := range map[string]struct {
		dtype       tensor.DType
		values      []string
		least, most string
	}{
		"wide":           {tensor.Float32, []string{"17", "90"}, "9", "98"},
		"fractions":      {tensor.Float32, []string{"0.1", "2.5"}, "0", "2.8"},
		"far from zero":  {tensor.Float32, []string{"0.991", "1.003"}, "0.989", "1.005"},
		"negative":       {tensor.Float32, []string{"-5", "-1"}, "-5.4", "-0.6"},
		"never positive": {tensor.Float32, []string{"-5", "-0.1"}, "-5.5", "0"},
		"flag":           {tensor.Float32, []string{"0", "1"}, "0", "1"},
		"one value":      {tensor.Float32, []string{"250"}, "220", "280"},
		"zero":           {tensor.Float32, []string{"0"}, "0", "1"},
		"tiny":           {tensor.Float64, []string{"1e-310"}, "0", "1"},
		"all of them":    {tensor.Float64, []string{"-1.7e308", "1.7e308"}, "-1.7976931348623157e+308", "1.7976931348623157e+308"},
		"single":         {tensor.Float32, []string{"0", "3e38"}, "0", "3.3e+38"},
		"too far":        {tensor.Float32, []string{"0", "3.4e38"}, "0", "3.4028234663852886e+38"},
		"integers":       {tensor.Int64, []string{"3", "4"}, "2", "5"},
		"bytes":          {tensor.Uint8, []string{"0", "250"}, "0", "255"},
		"small":          {tensor.Int8, []string{"-100", "120"}, "-128", "127"},
		"identifiers":    {tensor.Int64, []string{"1", "9200000000000000000"}, "0", "9223372036854775807"},
		"counters":       {tensor.Uint64, []string{"1", "18400000000000000000"}, "0", "18446744073709551615"},
		"near together":  {tensor.Int64, []string{"1234567890123456789", "1234567890123456999"}, "1234567890123454976", "1234567890123458048"},
		"hashes":         {tensor.Int64, []string{"-9223372036854775808", "9223372036854775807"}, "-9223372036854775808", "9223372036854775807"},
		"to the end":     {tensor.Float64, []string{"-1", "1.7976931348623157e308"}, "-2e+307", "1.7976931348623157e+308"},
		"greatest":       {tensor.Float32, []string{"0", "3.4028235e38"}, "0", "3.4028234663852886e+38"},
	} {
		t.Run(name, func(t *testing.T) {
			in := []tensor.Spec{{Name: "x", DType: c.dtype, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}, Ranked: true}}
			graph, err := schema.Compile(nil, "one", in, in)
			if err != nil {
				t.Fatal(err)
			}
			sample, err := schema.ReadSample(strings.NewReader("x\n" + strings.Join(c.values, "\n") + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := schema.Draft(graph, sample, nil, schema.Shown{})
			if err != nil {
				t.Fatal(err)
			}
			if want := "    min: " + c.least + " #"; !strings.Contains(string(text), want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
			if want := "    max: " + c.most; !strings.Contains(string(text), want+" #") && !strings.Contains(string(text), want+"\n") {
				t.Errorf("%q is missing in\n%s", want, text)
			}
			m, err := schema.Parse("model.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			contract, err := schema.Compile(m, "one", in, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range c.values {
				if err := contract.Decode(t.Context(), contract.NewBatch(), []byte(`{"x":`+v+`}`), 1); err != nil {
					t.Errorf("%s: %s", v, faultText(err))
				}
			}
		})
	}
}

func TestDraftTakesColumnsByTheGraphsOwnNames(t *testing.T) {
	got, err := draft(t, "sold,town,rooms,measures_1,unused,measures_0\n1,Ulm,3,1,x,2\n0,Ems,3,1,x,2\n", "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(got) {
		if name, ok := strings.CutPrefix(line, "  - name: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	if diff := cmp.Diff([]string{"measures_0", "measures_1", "rooms", "town"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEnumerationIsOfShortWordsThatRepeat(t *testing.T) {
	long := strings.Repeat("x", 31)
	for name, c := range map[string]struct {
		towns    []string
		freeText string
		enum     bool
	}{
		"repeated":  {[]string{"Ulm", "Ems"}, "", true},
		"free text": {[]string{"Ulm", "Ems"}, "town", false},
		"long":      {[]string{"Ulm", long}, "", false},
		"rare":      {[]string{"Ulm", "Ems", "Bonn", "Jena", "Hof", "Kiel"}, "", false},
	} {
		var b strings.Builder
		b.WriteString("a,b,rooms,town\n")
		for i := range 20 {
			b.WriteString("1,2,3," + c.towns[i%len(c.towns)] + "\n")
		}
		got, err := draft(t, b.String(), "", c.freeText)
		if err != nil || strings.Contains(got, "enum:") != c.enum || strings.Contains(got, "max_length:") == c.enum {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

func TestDraftLeavesOutSeveralTargets(t *testing.T) {
	got, err := draft(t, "weight,width,true,rooms,pulse,town\n1,2,3,4,5,Ulm\n", "weight,pulse")
	if err != nil || strings.Contains(got, "pulse") || !strings.Contains(got, "- name: width\n") {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := draft(t, "weight,width,true,rooms,pulse,town\n1,2,3,4,5,Ulm\n", "weight"); err == nil || !strings.Contains(err.Error(), "several as --target a,b") {
		t.Errorf("%v", err)
	}
}

func TestDraftNeedsNoSample(t *testing.T) {
	got, err := draft(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "- name: measures_0 # guess") || !strings.Contains(got, `labels: ["0", "1"] # guess`) {
		t.Errorf("%s", got)
	}
}

// A class whose label is an empty text has no name that model.yaml could give.
func TestDraftLeavesOutLabelsThatAreNoNames(t *testing.T) {
	for _, label := range []string{"", strings.Repeat("é", 257)} {
		classes := newTensor(t, []string{"no", label}, 2)
		out := classifier(spec("label", tensor.String, -1), spec("scores", tensor.Float32, -1, 2), classes)
		graph, err := schema.Compile(nil, "odd", oneNumber, out)
		if err != nil {
			t.Fatal(err)
		}
		text, err := schema.Draft(graph, nil, nil, schema.Shown{})
		if err != nil || strings.Contains(string(text), "labels:") {
			t.Errorf("%s, error %v", text, err)
		}
		if _, err := schema.Parse("model.yaml", text); err != nil {
			t.Error(err)
		}
	}
}

// Characters that are cut in two by the reading are none that are wrong.
func TestASampleIsUTF8(t *testing.T) {
	text := "größe,ort\n" + strings.Repeat("1,Zürich 🌳\n", 500)
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"UTF-8":        {text, true},
		"marked":       {"\ufeff" + text, true},
		"Latin-1":      {"gr\xf6\xdfe,ort\n1,a\n", false},
		"Latin-1 late": {text + "1,Z\xfcrich\n", false},
		"cut":          {text + "1,\xf0\x9f", false},
		"UTF-16":       {"\xff\xfea\x00,\x00\"\x00", false},
		"UTF-16, bare": {"a\x00,\x00b\x00", false},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text)), iotest.DataErrReader(strings.NewReader(c.text))} {
			s, err := schema.ReadSample(r)
			if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "; save it as UTF-8") {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && (s.Rows != 500 || s.Columns[0].Name != "größe") {
				t.Errorf("%s: %d rows of %q", name, s.Rows, s.Columns[0].Name)
			}
		}
	}
}

func TestDraftRefusesASampleThatDoesNotFit(t *testing.T) {
	for name, tc := range map[string]struct{ sample, target, want string }{
		"empty":               {" ,a\n", "", "column 1 of the sample has no name"},
		"an index":            {"Unnamed: 0,a\n", "", `column "Unnamed: 0" of the sample is not training data; leave an index out`},
		"no header":           {"5.1,3,1.4,red\n", "", `holds values such as "5.1"; it must name the columns`},
		"no header, integers": {"5,3,1,2\n", "", `holds values such as "5"`},
		"too few columns":     {"a,b\n1,2\n", "", "4 features, the sample has 2 columns besides the target"},
		"unknown target":      {"a,b,c,d,e\n", "f", `no column "f"; it has "a", "b"`},
		"one of many":         {"a,b,c,d,e,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w\n", "f", `"t", "u", and 2 more`},
		"words for numbers":   {"a,b,c,d\n1,tall,3,x\n", "", `column "b" has the value "tall"`},
		"truth for numbers":   {"a,b,c,d\n1,True,3,x\n", "", `column "b" has the value "True", but the model takes numbers there (float32); write 1 and 0`},
		"infinity":            {"a,b,c,d\n1,inf,3,x\n", "", `column "b" has the value "inf"`},
		"fractions for whole": {"a,b,c,d\n1,2,3.5,x\n", "", `column "c" has the value 3.5`},
		"two of one name":     {"a,b,a,d\n", "", `two columns named "a"`},
		"a short row":         {"a,b,c,d\n1,2\n", "", "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := draft(t, tc.sample, tc.target)
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v: %v", fault.KindOf(err), err)
			}
		})
	}
	array, err := schema.Compile(nil, "wide", []tensor.Spec{spec("X", tensor.Float32, -1, 9000)}, []tensor.Spec{spec("y", tensor.Float32, -1)})
	if err != nil {
		t.Fatal(err)
	}
	sample, err := schema.ReadSample(strings.NewReader("a,b\n1,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = schema.Draft(array, sample, nil, schema.Shown{}); err == nil || !strings.Contains(err.Error(), `takes "X", an array, and not columns`) {
		t.Errorf("columns for an array: %v", err)
	}
	wide, err := schema.Compile(nil, "wide", []tensor.Spec{spec("X", tensor.Float32, -1, 8000)}, []tensor.Spec{spec("y", tensor.Float32, -1)})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&table, strings.Repeat("a column with a long name ", 4)+"%d;", i)
	}
	sample, err = schema.ReadSample(strings.NewReader(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(table.String(), ";"), ",", ""), ";", ",") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = schema.Draft(wide, sample, nil, schema.Shown{}); err == nil || !strings.Contains(err.Error(), "with 8000 features the draft would have") {
		t.Errorf("more columns than a model.yaml has room for: %v", err)
	}
	if _, err := schema.ReadSample(strings.NewReader("")); fault.KindOf(err) != fault.Content {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestDraftNamesTheLabelOfAnOutlierDetector(t *testing.T) {
	rows := tensor.Dim{Size: -1}
	column := func(name string, d tensor.DType, width int) tensor.Spec {
		return tensor.Spec{Name: name, DType: d, Dims: []tensor.Dim{rows, {Size: width}}, Ranked: true}
	}
	in := []tensor.Spec{column("X", tensor.Float32, 2)}
	scores := column("scores", tensor.Float32, 1)
	for want, out := range map[string][]tensor.Spec{
		"outputs:\n  label: label # guess: this output is the prediction": {column("label", tensor.Int64, 1), scores},
		"outputs:\n  label: code # guess":                                 {scores, column("more", tensor.Float32, 3), column("code", tensor.String, 1)},
		"    type: float32\naccess:":                                      {column("label", tensor.Int64, 2), scores},
	} {
		graph, err := schema.Compile(nil, "odd", in, out)
		if err != nil {
			t.Fatal(err)
		}
		text, err := schema.Draft(graph, nil, nil, schema.Shown{})
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: %q is missing in\n%s", err, want, text)
			continue
		}
		m, err := schema.Parse("model.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schema.Compile(m, "odd", in, out); err != nil {
			t.Errorf("%v", err)
		}
	}
}
