package schema_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func sequenceOf(name string, elem tensor.Spec) tensor.Spec {
	return tensor.Spec{Name: name, Kind: tensor.KindSequence, Elem: &elem}
}

func optionalOf(name string, elem tensor.Spec) tensor.Spec {
	return tensor.Spec{Name: name, Kind: tensor.KindOptional, Elem: &elem}
}

func mapOf(name string, key, value tensor.DType) tensor.Spec {
	return tensor.Spec{Name: name, Kind: tensor.KindMap, Key: key, DType: value}
}

// listSpecs are inputs of every kind, and a tensor among them.
func listSpecs() []tensor.Spec {
	return []tensor.Spec{
		mapOf("words", tensor.String, tensor.Float32), mapOf("numbers", tensor.Int64, tensor.String),
		sequenceOf("arrays", spec("", tensor.Float32, -1, 2)), sequenceOf("maps", mapOf("", tensor.String, tensor.Int64)),
		optionalOf("maybe", spec("", tensor.Float64, -1)), spec("x", tensor.Float32, -1, 1),
	}
}

// written describes a list and all in it.
func written(t *testing.T, x *tensor.Tensor) any {
	t.Helper()
	if x.Kind() == tensor.KindTensor {
		return []any{x.Shape(), elements(x)}
	}
	all := []any{x.Kind().String()}
	for _, item := range x.Items() {
		all = append(all, written(t, item))
	}
	return all
}

func TestListsReachTheirInputs(t *testing.T) {
	s, err := schema.Compile(nil, "pond", listSpecs(), []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(s.Example()) {
		t.Fatalf("example %s", s.Example())
	}
	b := s.NewBatch()
	if err := s.Decode(t.Context(), b, s.Example(), 1); err != nil {
		t.Fatal(faultText(err))
	}
	body := `[{"words":{"a":1,"b\u0020c":-2},"numbers":{"-3":"x","0":"y"},"arrays":[[[1,2]],[[3,4],[5,6]]],"maps":[{"k":7},{}],"maybe":null,"x":9}]`
	if err := s.Decode(t.Context(), b, []byte(body), 1); err != nil {
		t.Fatal(faultText(err))
	}
	var got []any
	for _, in := range b.Inputs {
		got = append(got, written(t, in))
	}
	shape := func(dims ...int) tensor.Shape { return dims }
	want := []any{
		[]any{"map", []any{shape(2), []string{"a", "b c"}}, []any{shape(2), []float32{1, -2}}},
		[]any{"map", []any{shape(2), []int64{-3, 0}}, []any{shape(2), []string{"x", "y"}}},
		[]any{"sequence", []any{shape(1, 2), []float32{1, 2}}, []any{shape(2, 2), []float32{3, 4, 5, 6}}},
		[]any{
			"sequence",
			[]any{"map", []any{shape(1), []string{"k"}}, []any{shape(1), []int64{7}}},
			[]any{"map", []any{shape(0), nil}, []any{shape(0), nil}},
		},
		[]any{"optional"},
		[]any{shape(1, 1), []float32{9}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	validates(t, s.RowSchema(), body[1:len(body)-1])
	validates(t, s.RowSchema(), string(s.Example()))
}

// validates holds a body against a schema, by a validator that is not ours.
func validates(t *testing.T, document map[string]any, body string) {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("row.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("row.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(instance); err != nil {
		t.Errorf("%s: %v", body, err)
	}
}

func TestListsThatDoNotFitAreRefusedByPlace(t *testing.T) {
	in := listSpecs()
	for name, tc := range map[string]struct {
		in         tensor.Spec
		body, want string
		kind       fault.Kind
	}{
		"no object":          {in[0], `{"words":[1]}`, `#/words must be an object, not an array`, fault.Content},
		"null":               {in[0], `{"words":null}`, `#/words must be an object, not null`, fault.Content},
		"a text":             {in[0], `{"words":{"a/b":"x"}}`, `#/words/a~1b must be a number, not a string`, fault.Content},
		"too large":          {in[0], `{"words":{"a":1e39}}`, `#/words/a must be a number that float32 can hold`, fault.Content},
		"twice":              {in[0], `{"words":{"a":1,"a":2}}`, `#/words/a: appears twice`, fault.Syntax},
		"twice by escape":    {in[0], `{"words":{"a":1,"\u0061":2}}`, `appears twice`, fault.Syntax},
		"ends early":         {in[0], `{"words":{"a":1`, `the JSON ends too early`, fault.Syntax},
		"no integer":         {in[1], `{"numbers":{"1.5":"x"}}`, `#/numbers/1.5 must be named by an integer`, fault.Content},
		"another integer":    {in[1], `{"numbers":{"+1":"x"}}`, `#/numbers/+1 must be named by an integer`, fault.Content},
		"narrow":             {in[2], `{"arrays":[[[1,2]],[[1]]]}`, `#/arrays/1/0 must hold 2 elements, not 1`, fault.Content},
		"no array":           {in[2], `{"arrays":{"0":1}}`, `#/arrays must be an array, not an object`, fault.Content},
		"an element":         {in[2], `{"arrays":[7]}`, `#/arrays/0 must be an array, not a number`, fault.Content},
		"map in a sequence":  {in[3], `{"maps":[{"k":1},{"k":1.5}]}`, `#/maps/1/k must be an integer`, fault.Content},
		"what may be absent": {in[4], `{"maybe":[true]}`, `#/maybe/0 must be a number`, fault.Content},
		"two rows":           {in[0], `[{"words":{}},{"words":{}}]`, `must hold one row`, fault.Content},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(nil, "pond", []tensor.Spec{tc.in}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Decode(t.Context(), s.NewBatch(), []byte(tc.body), 10)
			if got := faultText(err); !strings.Contains(got, tc.want) || fault.KindOf(err) != tc.kind {
				t.Errorf("%v: %s\nwant %v: %s", fault.KindOf(err), got, tc.kind, tc.want)
			}
		})
	}
}

func TestRulesHoldInLists(t *testing.T) {
	m := parse(t, "features:\n  - {name: words, min: 0}\n")
	s, err := schema.Compile(m, "pond", listSpecs()[:1], []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if got := faultText(s.Decode(t.Context(), s.NewBatch(), []byte(`{"words":{"a":1,"b":-1}}`), 1)); !strings.Contains(got, "#/words/b must be at least 0") {
		t.Errorf("%s", got)
	}
}

func TestAnswersOfLists(t *testing.T) {
	two := newTensor(t, []float32{0.25, 0.75, 1, 0}, 2, 2)
	one := newTensor(t, []float32{0.25, 0.75}, 1, 2)
	entries := func(values ...float32) *tensor.Tensor {
		m, err := tensor.NewMap(newTensor(t, []string{"a", "b"}, 2), newTensor(t, values, 2))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	numbered, err := tensor.NewMap(newTensor(t, []int64{-1}, 1), newTensor(t, []float32{float32(math.NaN())}, 1))
	if err != nil {
		t.Fatal(err)
	}
	tensors, maps := sequenceOf("p", spec("", tensor.Float32, -1, 2)), sequenceOf("p", mapOf("", tensor.String, tensor.Float32))
	for name, tc := range map[string]struct {
		out   tensor.Spec
		rows  int
		value *tensor.Tensor
		want  string
	}{
		"tensors, a row":        {tensors, 0, tensor.NewSequence(one, one), `{"outputs":{"p":[[0.25,0.75],[0.25,0.75]]}`},
		"tensors, rows":         {tensors, 2, tensor.NewSequence(two, two), `{"predictions":[{"outputs":{"p":[[0.25,0.75],[0.25,0.75]]}},{"outputs":{"p":[[1,0],[1,0]]}}]`},
		"no tensors":            {tensors, 2, tensor.NewSequence(), `{"predictions":[{"outputs":{"p":[]}},{"outputs":{"p":[]}}]`},
		"tensors, others":       {tensors, 2, tensor.NewSequence(one, two), ``},
		"maps, a row":           {maps, 0, tensor.NewSequence(entries(1, 2)), `{"outputs":{"p":{"a":1,"b":2}}`},
		"maps, rows":            {maps, 2, tensor.NewSequence(entries(1, 2), entries(3, 4)), `{"predictions":[{"outputs":{"p":{"a":1,"b":2}}},{"outputs":{"p":{"a":3,"b":4}}}]`},
		"many maps, a row":      {maps, 0, tensor.NewSequence(entries(1, 2), entries(3, 4)), `{"outputs":{"p":[{"a":1,"b":2},{"a":3,"b":4}]}`},
		"maps, other rows":      {maps, 3, tensor.NewSequence(entries(1, 2)), ``},
		"map":                   {mapOf("p", tensor.Int64, tensor.Float32), 0, numbered, `{"outputs":{"p":{"-1":null}}`},
		"map, rows":             {mapOf("p", tensor.Int64, tensor.Float32), 2, numbered, ``},
		"optional":              {optionalOf("p", spec("", tensor.Float32, -1, 2)), 2, tensor.NewOptional(two), `{"predictions":[{"outputs":{"p":[0.25,0.75]}},{"outputs":{"p":[1,0]}}]`},
		"none":                  {optionalOf("p", spec("", tensor.Float32, -1, 2)), 0, tensor.NewOptional(nil), `{"outputs":{"p":null}`},
		"a tensor for the list": {tensors, 0, one, ``},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(nil, "pond", oneNumber, []tensor.Spec{tc.out})
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.AppendResponse(nil, decoded(t, s, tc.rows), []*tensor.Tensor{tc.value}, "1")
			if tc.want == "" {
				want := fault.Internal
				if tc.rows > 1 {
					want = fault.Content // one at a time may be answered
				}
				if fault.KindOf(err) != want || err == nil {
					t.Errorf("answered %s, error %v", got, err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(string(got), tc.want+`,"model":"pond"`) {
				t.Errorf("%s, error %v\nwant %s", got, err, tc.want)
			}
			validates(t, s.ResponseSchema(), string(got))
		})
	}
}

func TestListsAreNamedByWhatTheyHold(t *testing.T) {
	out := []tensor.Spec{
		sequenceOf("s", spec("", tensor.Float32, -1, 2)), mapOf("m", tensor.String, tensor.Int64), optionalOf("o", sequenceOf("", spec("", tensor.Bool))),
	}
	s, err := schema.Compile(nil, "pond", listSpecs()[:3], out)
	if err != nil {
		t.Fatal(err)
	}
	var kinds, types []string
	for _, f := range s.Features() {
		kinds = append(kinds, f.Kind+" "+f.Type)
	}
	for _, o := range s.Outputs() {
		types = append(types, o.Type)
	}
	if diff := cmp.Diff([]string{"map float32", "map string", "sequence float32"}, kinds); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"sequence of float32", "map of string to int64", "optional of sequence of bool"}, types); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

// FuzzDecodeLists holds for any body: the verdict does not depend on what a
// batch read before, what is not JSON is a fault of syntax, and a row alone is
// read as one in an array.
func FuzzDecodeLists(f *testing.F) {
	s, err := schema.Compile(nil, "pond", listSpecs(), []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Example())
	f.Add([]byte(`{"words":{"a":1,"a":2},"numbers":{"-3":"x"},"arrays":[[[1,2]],[]],"maps":[{"k":7},{}],"maybe":null,"x":9}`))
	used := s.NewBatch()
	f.Fuzz(func(t *testing.T, body []byte) {
		fresh := s.NewBatch()
		err := s.Decode(t.Context(), fresh, body, 4)
		if again := s.Decode(t.Context(), used, body, 4); faultText(again) != faultText(err) {
			t.Errorf("a used batch: %s\na new one: %s", faultText(again), faultText(err))
		}
		checkSyntax(t, body, err)
		if err != nil {
			checkFault(t, err)
			return
		}
		for _, in := range fresh.Inputs {
			written(t, in)
		}
		if wrapped := append(append([]byte{'['}, body...), ']'); fresh.Single && s.Decode(t.Context(), used, wrapped, 4) != nil {
			t.Error("accepted alone, but not in an array")
		}
	})
}

func TestAListOfTooMuchIsRefused(t *testing.T) {
	specs := []tensor.Spec{
		sequenceOf("s", mapOf("", tensor.String, tensor.Float32)), sequenceOf("s", spec("", tensor.Float32, -1)),
		sequenceOf("s", sequenceOf("", spec("", tensor.String, -1))), sequenceOf("s", mapOf("", tensor.Int64, tensor.Float32)),
	}
	for i, item := range []string{`{}`, `[1]`, `[]`, `{"1":1}`} {
		s, err := schema.Compile(nil, "m", specs[i:i+1], []tensor.Spec{spec("y", tensor.Float32, -1)})
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"s":[` + strings.Repeat(item+",", 1<<17) + item + `]}`)
		err = s.Decode(t.Context(), s.NewBatch(), body, 1)
		e := fault.As(err)
		if e == nil || e.Kind != fault.Content || len(e.Fields) != 1 || !strings.HasPrefix(e.Fields[0].Pointer, "#/s/") {
			t.Errorf("%s: %v", item, err)
		}
	}
}
