package oip_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

// lists are inputs, and outputs, of every kind.
func lists() []tensor.Spec {
	number := tensor.Spec{DType: tensor.Float32}
	words := tensor.Spec{Kind: tensor.KindMap, Key: tensor.String, DType: tensor.Float32}
	numbered := tensor.Spec{Name: "n", Kind: tensor.KindMap, Key: tensor.Int64, DType: tensor.Int64}
	return []tensor.Spec{
		{Name: "a", DType: tensor.Float32},
		{Name: "s", Kind: tensor.KindSequence, Elem: &number},
		{Name: "m.x", Kind: tensor.KindSequence, Elem: &words},
		numbered,
		{Name: "o", Kind: tensor.KindOptional, Elem: &number},
	}
}

func input(name, shape, datatype, data string) string {
	return `{"name":"` + name + `","shape":` + shape + `,"datatype":"` + datatype + `","data":` + data + `}`
}

func body(inputs ...string) []byte { return []byte(`{"inputs":[` + strings.Join(inputs, ",") + `]}`) }

func TestListsGoAsTheTensorsInThem(t *testing.T) {
	a, keys, values := input("a", "[1]", "FP32", "[1]"), input("n.keys", "[2]", "INT64", "[3,-4]"), input("n.values", "[2]", "INT64", "[5,6]")
	for name, c := range map[string]struct {
		inputs []string
		want   string // the outputs, when they are the inputs
	}{
		"of everything": {
			[]string{
				input("s.1", "[1]", "FP32", "[8]"), a, input("s.0", "[2,1]", "FP32", "[6,7]"),
				input("m.x.0.keys", "[2]", "BYTES", `["k","l"]`), input("m.x.0.values", "[2]", "FP32", "[1,2]"),
				input("m.x.1.keys", "[1]", "BYTES", `["k"]`), input("m.x.1.values", "[1]", "FP32", "[3]"), keys, values, input("o", "[]", "FP32", "[9]"),
			},
			`{"name":"a","shape":[1],"datatype":"FP32","data":[1]},` +
				`{"name":"s.0","shape":[2,1],"datatype":"FP32","data":[6,7]},{"name":"s.1","shape":[1],"datatype":"FP32","data":[8]},` +
				`{"name":"m.x.0.keys","shape":[2],"datatype":"BYTES","data":["k","l"]},{"name":"m.x.0.values","shape":[2],"datatype":"FP32","data":[1,2]},` +
				`{"name":"m.x.1.keys","shape":[1],"datatype":"BYTES","data":["k"]},{"name":"m.x.1.values","shape":[1],"datatype":"FP32","data":[3]},` +
				`{"name":"n.keys","shape":[2],"datatype":"INT64","data":[3,-4]},{"name":"n.values","shape":[2],"datatype":"INT64","data":[5,6]},` +
				`{"name":"o","shape":[],"datatype":"FP32","data":[9]}`,
		},
		"of nothing": {
			[]string{a, keys, values},
			`{"name":"a","shape":[1],"datatype":"FP32","data":[1]},` +
				`{"name":"n.keys","shape":[2],"datatype":"INT64","data":[3,-4]},{"name":"n.values","shape":[2],"datatype":"INT64","data":[5,6]}`,
		},
		"of equal keys": {
			[]string{
				a, keys, values,
				input("m.x.0.keys", "[2]", "BYTES", `["k","l"]`), input("m.x.0.values", "[2]", "FP32", "[1,2]"),
				input("m.x.1.keys", "[2]", "BYTES", `["k","l"]`), input("m.x.1.values", "[2]", "FP32", "[3,4]"),
			},
			`{"name":"a","shape":[1],"datatype":"FP32","data":[1]},{"name":"m.x","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]},` +
				`{"name":"n.keys","shape":[2],"datatype":"INT64","data":[3,-4]},{"name":"n.values","shape":[2],"datatype":"INT64","data":[5,6]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := oip.Parse(body(c.inputs...), lists(), lists())
			if err != nil {
				t.Fatal(err)
			}
			got := answer(&oip.Response{Model: "m", Specs: lists(), Outputs: req.Inputs, Wanted: req.Outputs})
			if want := `{"model_name":"m","outputs":[` + c.want + "]}\n"; got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

// Whatever the metadata lists can be asked for, by itself.
func TestOutputsInListsAreAskedForByTheNamesOfTheMetadata(t *testing.T) {
	number := tensor.Spec{DType: tensor.Float32}
	specs := []tensor.Spec{
		{Name: "label", DType: tensor.Float32},
		{Name: "p", Kind: tensor.KindSequence, Elem: &number, Items: 3},
	}
	var listed []string
	for i := range specs {
		for name := range oip.FlatSpec(&specs[i]) {
			listed = append(listed, name)
		}
	}
	if diff := cmp.Diff([]string{"label", "p.0", "p.1", "p.2"}, listed); diff != "" {
		t.Fatalf("the metadata (-want +got):\n%s", diff)
	}
	for asked, want := range map[string]string{
		`{"name":"p.1"}`: `{"name":"p.1","shape":[1],"datatype":"FP32","data":[1]}`,
		`{"name":"p.2"},{"name":"label"},{"name":"p.0"}`: `{"name":"p.2","shape":[1],"datatype":"FP32","data":[2]},{"name":"label","shape":[1],"datatype":"FP32","data":[9]},` +
			`{"name":"p.0","shape":[1],"datatype":"FP32","data":[0]}`,
		`{"name":"label"}`:              `{"name":"label","shape":[1],"datatype":"FP32","data":[9]}`,
		`{"name":"p"}`:                  `{"name":"p.0","shape":[1],"datatype":"FP32","data":[0]},{"name":"p.1","shape":[1],"datatype":"FP32","data":[1]},{"name":"p.2","shape":[1],"datatype":"FP32","data":[2]}`,
		`{"name":"p.3"}`:                `there is no output "p.3"; there is "label", "p.0", "p.1", "p.2"`,
		`{"name":"p.01"}`:               `there is no output "p.01"`,
		`{"name":"p.0.0"}`:              `there is no output "p.0.0"`,
		`{"name":"p.1"},{"name":"p.1"}`: `output "p.1" is asked for twice`,
		`{"name":"p"},{"name":"p.1"}`:   `output "p.1" is asked for twice`,
		`{"name":"p.1"},{"name":"p"}`:   `output "p" is asked for twice`,
	} {
		message := `{"inputs":[` + input("label", "[1]", "FP32", "[9]") + "," + input("p.0", "[1]", "FP32", "[0]") + "," +
			input("p.1", "[1]", "FP32", "[1]") + "," + input("p.2", "[1]", "FP32", "[2]") + `],"outputs":[` + asked + "]}"
		req, err := oip.Parse([]byte(message), specs, specs)
		if err != nil {
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", asked, err, want)
			}
			continue
		}
		got := answer(&oip.Response{Model: "m", Specs: specs, Outputs: req.Inputs, Wanted: req.Outputs, Parts: req.Parts})
		if want := `{"model_name":"m","outputs":[` + want + "]}\n"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestPartsOfListsThatDoNotFitAreRefused(t *testing.T) {
	a, keys, values := input("a", "[1]", "FP32", "[1]"), input("n.keys", "[1]", "INT64", "[3]"), input("n.values", "[1]", "INT64", "[5]")
	for name, c := range map[string]struct {
		inputs []string
		want   string
	}{
		"a list by its own name": {[]string{a, keys, values, input("s", "[1]", "FP32", "[1]")}, `there is no input "s"`},
		"an element beyond":      {[]string{a, keys, values, input("s.1", "[1]", "FP32", "[1]")}, `there is no input "s.1"`},
		"no number":              {[]string{a, keys, values, input("s.x", "[1]", "FP32", "[1]")}, `there is no input "s.x"`},
		"another number":         {[]string{a, keys, values, input("s.00", "[1]", "FP32", "[1]")}, `there is no input "s.00"`},
		"deeper":                 {[]string{a, keys, values, input("s.0.0", "[1]", "FP32", "[1]")}, `input "s.0" is missing`},
		"much deeper":            {[]string{a, keys, values, input("s"+strings.Repeat(".0", 99), "[1]", "FP32", "[1]")}, `there is no input`},
		"keys alone":             {[]string{a, keys}, `input "n.values" is missing`},
		"values alone":           {[]string{a, values}, `input "n.keys" is missing`},
		"keys of another type":   {[]string{a, input("n.keys", "[1]", "BYTES", `["3"]`), values}, `input "n.keys" is INT64, not "BYTES"`},
		"keys twice":             {[]string{a, input("n.keys", "[2]", "INT64", "[3,3]"), input("n.values", "[2]", "INT64", "[1,2]")}, `its keys are distinct`},
		"fewer values":           {[]string{a, input("n.keys", "[2]", "INT64", "[3,4]"), values}, `its keys are distinct and as many as its values`},
		"an element twice":       {[]string{a, keys, values, input("s.0", "[1]", "FP32", "[1]"), input("s.0", "[1]", "FP32", "[1]")}, `input "s.0" is given twice`},
		"under a tensor":         {[]string{a, keys, values, input("a.0", "[1]", "FP32", "[1]")}, `there is no input "a.0"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oip.Parse(body(c.inputs...), lists(), lists()[:1])
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestPartsThatAreAskedForAreBounded(t *testing.T) {
	number := tensor.Spec{DType: tensor.Float32}
	specs := []tensor.Spec{{Name: "a", DType: tensor.Float32}}
	outputs := []tensor.Spec{{Name: "s", Kind: tensor.KindSequence, Elem: &number}}
	ask := func(parts int) error {
		asked := make([]string, parts)
		for i := range asked {
			asked[i] = `{"name":"s.` + strconv.Itoa(i) + `"}`
		}
		message := `{"inputs":[` + input("a", "[1]", "FP32", "[9]") + `],"outputs":[` + strings.Join(asked, ",") + "]}"
		_, err := oip.Parse([]byte(message), specs, outputs)
		return err
	}
	const most = 1024
	if err := ask(most); err != nil {
		t.Error(err)
	}
	if err := ask(most + 1); fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), "at most 1024") {
		t.Errorf("one more: %v", err)
	}
}
