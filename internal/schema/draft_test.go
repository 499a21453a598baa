package schema_test

import (
	"strings"
	"testing"

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

func draft(t *testing.T, sample, target string) (string, error) {
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
	text, err := schema.Draft(graph, s, target)
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
    min: 1e-09 # guess: the least of the sample
    max: 7 # guess: the greatest of the sample
    nullable: true # guess: the sample lacks it in 1 row
  - name: "true"
    type: float32
    input: measures
    example: 1000000
    min: -0.25 # guess: the least of the sample
    max: 1000000 # guess: the greatest of the sample
  - name: rooms
    type: int64
    input: rooms
    example: 3
    min: 2 # guess: the least of the sample
    max: 4 # guess: the greatest of the sample
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

func TestDraftNeedsNoSample(t *testing.T) {
	got, err := draft(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "- name: measures_0 # guess") || !strings.Contains(got, `labels: ["0", "1"] # guess`) {
		t.Errorf("%s", got)
	}
}

func TestDraftRefusesASampleThatDoesNotFit(t *testing.T) {
	for name, tc := range map[string]struct{ sample, target, want string }{
		"empty":               {" ,a\n", "", "column 1 of the sample has no name"},
		"too few columns":     {"a,b\n1,2\n", "", "4 features, the sample has 2 columns besides the target"},
		"unknown target":      {"a,b,c,d,e\n", "f", `no column "f"; it has "a", "b"`},
		"words for numbers":   {"a,b,c,d\n1,tall,3,x\n", "", `column "b" has the value "tall"`},
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
		text, err := schema.Draft(graph, nil, "")
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
