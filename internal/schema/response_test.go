package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// oneNumber is the input of models whose outputs are tested here.
var oneNumber = []tensor.Spec{spec("x", tensor.Float32, -1, 1)}

// decoded returns a batch of so many rows; 0 stands for one single row.
func decoded(t *testing.T, s *schema.Schema, rows int) *schema.Batch {
	t.Helper()
	body := `{"x":1}`
	if rows > 0 {
		body = "[" + strings.TrimSuffix(strings.Repeat(body+",", rows), ",") + "]"
	}
	b := s.NewBatch()
	if err := s.Decode(t.Context(), b, []byte(body), 100); err != nil {
		t.Fatal(faultText(err))
	}
	return b
}

// classifier returns outputs of one classifier with the class labels.
func classifier(label, scores tensor.Spec, classes *tensor.Tensor) []tensor.Spec {
	label.Keys, scores.Keys = classes, classes
	return []tensor.Spec{label, scores}
}

// decision says that the scores of a classifier are decision values.
func decision(out []tensor.Spec) []tensor.Spec {
	out[1].Decision = true
	return out
}

func TestAnswers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	label, text := spec("label", tensor.Int64, -1), spec("label", tensor.String, -1)
	for name, tc := range map[string]struct {
		manifest string
		out      []tensor.Spec
		rows     int
		values   []*tensor.Tensor
		want     string
	}{
		"sequence of maps, numbers": {
			out:    []tensor.Spec{label, maps[int64](t, "scores", 7, -3)},
			values: []*tensor.Tensor{newTensor(t, []int64{-3}, 1), newTensor(t, []float32{0.25, 0.75}, 1, 2)},
			want:   `{"prediction":-3,"label":"-3","probabilities":{"7":0.25,"-3":0.75},"model":"pond","version":"1"}`,
		},
		"sequence of maps, strings to be escaped": {
			out:    []tensor.Spec{text, maps(t, "scores", `a"b`, "é\u2028\n")},
			values: []*tensor.Tensor{newTensor(t, []string{"é\u2028\n"}, 1), newTensor(t, []float32{0, 1}, 1, 2)},
			want:   `{"prediction":"é` + "\u2028" + `\n","label":"é` + "\u2028" + `\n","probabilities":{"a\"b":0,"é` + "\u2028" + `\n":1},"model":"pond","version":"1"}`,
		},
		"labels of the manifest by the model's own": {
			manifest: "labels: {-3: low, 7: high}\n",
			out:      []tensor.Spec{label, maps[int64](t, "scores", 7, -3)},
			values:   []*tensor.Tensor{newTensor(t, []int64{-3}, 1), newTensor(t, []float32{0.25, 0.75}, 1, 2)},
			want:     `{"prediction":-3,"label":"low","probabilities":{"high":0.25,"low":0.75},"model":"pond","version":"1"}`,
		},
		"labels for a model of strings": {
			manifest: "labels: {n: no, y: yes}\n",
			out:      []tensor.Spec{text, spec("scores", tensor.Float32, -1, 2)},
			values:   []*tensor.Tensor{newTensor(t, []string{"y"}, 1), newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:     `{"prediction":"y","label":"yes","probabilities":{"no":0.1,"yes":0.9},"model":"pond","version":"1"}`,
		},
		"a list names the strings themselves": {
			manifest: "labels: [n, y]\n",
			out:      []tensor.Spec{text, spec("scores", tensor.Float32, -1, 2)},
			values:   []*tensor.Tensor{newTensor(t, []string{"y"}, 1), newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:     `{"prediction":"y","label":"y","probabilities":{"n":0.1,"y":0.9},"model":"pond","version":"1"}`,
		},
		"scores in a tensor, classes counted": {
			rows:   2,
			out:    []tensor.Spec{spec("scores", tensor.Float64, -1, 3), label},
			values: []*tensor.Tensor{newTensor(t, []float64{0.1, 0.2, 0.7, 1, 0, 0}, 2, 3), newTensor(t, []int64{2, 0}, 2)},
			want:   `{"predictions":[{"prediction":2,"label":"2","probabilities":{"0":0.1,"1":0.2,"2":0.7}},{"prediction":0,"label":"0","probabilities":{"0":1,"1":0,"2":0}}],"model":"pond","version":"1"}`,
		},
		"wrongly declared width": {
			out:    []tensor.Spec{label, spec("scores", tensor.Float32, -1, 2)},
			values: []*tensor.Tensor{newTensor(t, []int64{2}, 1), newTensor(t, []float32{0.1, 0.2, 0.7}, 1, 3)},
			want:   `{"prediction":2,"label":"2","probabilities":{"0":0.1,"1":0.2,"2":0.7},"model":"pond","version":"1"}`,
		},
		"label as a column of int32 that no class has": {
			manifest: "labels: [a, b]\n",
			out:      []tensor.Spec{spec("label", tensor.Int32, -1, 1), spec("scores", tensor.Float32, -1, -1)},
			rows:     2,
			values:   []*tensor.Tensor{newTensor(t, []int32{1, 9}, 2, 1), newTensor(t, []float32{0, 1, 1, 0}, 2, 2)},
			want:     `{"predictions":[{"prediction":1,"label":"b","probabilities":{"a":0,"b":1}},{"prediction":9,"label":"9","probabilities":{"a":1,"b":0}}],"model":"pond","version":"1"}`,
		},
		"label alone": {
			out:    []tensor.Spec{text},
			values: []*tensor.Tensor{newTensor(t, []string{"newt"}, 1)},
			want:   `{"prediction":"newt","label":"newt","model":"pond","version":"1"}`,
		},
		"scores alone, with labels": {
			manifest: "labels: [a, b, c]\n",
			out:      []tensor.Spec{spec("scores", tensor.Half, -1, 3)},
			values:   []*tensor.Tensor{newTensor(t, []tensor.Float16{0x3400, 0x3800, 0x3800}, 1, 3)},
			want:     `{"prediction":1,"label":"b","probabilities":{"a":0.25,"b":0.5,"c":0.5},"model":"pond","version":"1"}`,
		},
		"outputs of the manifest among others": {
			manifest: "outputs: {label: kind, scores: p}\nlabels: [a, b]\n",
			out:      []tensor.Spec{spec("path", tensor.Int64, -1, 4), spec("p", tensor.Float32, -1, 2), spec("kind", tensor.Int64, -1)},
			values:   []*tensor.Tensor{newTensor(t, []int64{1, 2, 3, 4}, 1, 4), newTensor(t, []float32{1, 0}, 1, 2), newTensor(t, []int64{0}, 1)},
			want:     `{"prediction":0,"label":"a","probabilities":{"a":1,"b":0},"model":"pond","version":"1"}`,
		},
		"scores that are no numbers": {
			rows:   2,
			out:    []tensor.Spec{label, maps[int64](t, "scores", 0, 1)},
			values: []*tensor.Tensor{newTensor(t, []int64{0, 1}, 2), newTensor(t, []float32{nan, inf, -inf, 0.5}, 2, 2)},
			want: `{"predictions":[{"prediction":0,"label":"0","probabilities":{"0":null,"1":null}},{"prediction":1,"label":"1","probabilities":{"0":null,"1":0.5}}],` +
				`"model":"pond","version":"1","warnings":["a result is NaN or infinite and is shown as null"]}`,
		},
		"regressor": {
			out:    []tensor.Spec{spec("y", tensor.Float32, -1, 1)},
			values: []*tensor.Tensor{newTensor(t, []float32{12.5}, 1, 1)},
			want:   `{"prediction":12.5,"model":"pond","version":"1"}`,
		},
		"regressor of rows, flat": {
			rows:   3,
			out:    []tensor.Spec{spec("y", tensor.Float32, -1)},
			values: []*tensor.Tensor{newTensor(t, []float32{-0.1, 1e-7, nan}, 3)},
			want:   `{"predictions":[{"prediction":-0.1},{"prediction":1e-7},{"prediction":null}],"model":"pond","version":"1","warnings":["a result is NaN or infinite and is shown as null"]}`,
		},
		"regressor of several targets": {
			rows:   1,
			out:    []tensor.Spec{spec("y", tensor.Float64, -1, 2)},
			values: []*tensor.Tensor{newTensor(t, []float64{1, 2.5}, 1, 2)},
			want:   `{"predictions":[{"prediction":[1,2.5]}],"model":"pond","version":"1"}`,
		},
		"regressor of named targets": {
			manifest: "outputs: {targets: [\"the \\\"price\\\"\", rent]}\n",
			rows:     2,
			out:      []tensor.Spec{spec("y", tensor.Float64, -1, 2)},
			values:   []*tensor.Tensor{newTensor(t, []float64{1, 2.5, math.NaN(), 3}, 2, 2)},
			want: `{"predictions":[{"prediction":{"the \"price\"":1,"rent":2.5}},{"prediction":{"the \"price\"":null,"rent":3}}],"model":"pond","version":"1",` +
				`"warnings":["a result is NaN or infinite and is shown as null"]}`,
		},
		"several outputs": {
			rows: 2,
			out: []tensor.Spec{
				spec("a\"", tensor.Float32, -1, 2, 2), spec("b", tensor.Bool, -1, 1), spec("c", tensor.String, -1),
				maps(t, "d", "k"), spec("e", tensor.Uint64, -1), spec("f", tensor.Uint8, -1, 2),
			},
			values: []*tensor.Tensor{
				newTensor(t, []float32{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2), newTensor(t, []bool{true, false}, 2, 1), newTensor(t, []string{"x", "\t"}, 2),
				newTensor(t, []float32{1, 2}, 2, 1), newTensor(t, []uint64{math.MaxUint64, 0}, 2), newTensor(t, []uint8{1, 2, 3, 255}, 2, 2),
			},
			want: `{"predictions":[{"outputs":{"a\"":[[1,2],[3,4]],"b":true,"c":"x","d":{"k":1},"e":18446744073709551615,"f":[1,2]}},` +
				`{"outputs":{"a\"":[[5,6],[7,8]],"b":false,"c":"\t","d":{"k":2},"e":0,"f":[3,255]}}],"model":"pond","version":"1"}`,
		},
		"outputs without rows belong to the one row": {
			out:    []tensor.Spec{spec("a", tensor.Float32), spec("b", tensor.Float32, 3)},
			values: []*tensor.Tensor{newTensor(t, []float32{7}), newTensor(t, []float32{1, 2, 3}, 3)},
			want:   `{"outputs":{"a":7,"b":[1,2,3]},"model":"pond","version":"1"}`,
		},
		"scores in a tensor, classes of the graph": {
			out:    classifier(text, spec("scores", tensor.Float32, -1, 2), newTensor(t, []string{"rot", "weiß"}, 2)),
			values: []*tensor.Tensor{newTensor(t, []string{"weiß"}, 1), newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:   `{"prediction":"weiß","label":"weiß","probabilities":{"rot":0.1,"weiß":0.9},"model":"pond","version":"1"}`,
		},
		"classes of the graph, named by the manifest": {
			manifest: "labels: {7: high, -3: low}\n",
			out:      classifier(label, spec("scores", tensor.Float32, -1, 2), newTensor(t, []int64{-3, 7}, 2)),
			values:   []*tensor.Tensor{newTensor(t, []int64{7}, 1), newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:     `{"prediction":7,"label":"high","probabilities":{"low":0.1,"high":0.9},"model":"pond","version":"1"}`,
		},
		"classes of the graph, whose labels became text": {
			out:    classifier(text, spec("scores", tensor.Float32, -1, 2), newTensor(t, []int64{4, 5}, 2)),
			values: []*tensor.Tensor{newTensor(t, []string{"5"}, 1), newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:   `{"prediction":"5","label":"5","probabilities":{"0":0.1,"1":0.9},"model":"pond","version":"1"}`,
		},
		"scores of the graph alone": {
			manifest: "labels: [low, high]\n",
			out:      classifier(label, spec("scores", tensor.Float32, -1, 2), newTensor(t, []int64{-3, 7}, 2))[1:],
			values:   []*tensor.Tensor{newTensor(t, []float32{0.1, 0.9}, 1, 2)},
			want:     `{"prediction":7,"label":"high","probabilities":{"low":0.1,"high":0.9},"model":"pond","version":"1"}`,
		},
		"decision values are no probabilities": {
			manifest: "labels: [low, high]\n",
			out:      decision(classifier(label, spec("scores", tensor.Float32, -1, 2), newTensor(t, []int64{-3, 7}, 2))),
			values:   []*tensor.Tensor{newTensor(t, []int64{7}, 1), newTensor(t, []float32{-1.5, 2.5}, 1, 2)},
			want:     `{"prediction":7,"label":"high","model":"pond","version":"1"}`,
		},
		"one column of decision values": {
			manifest: "labels: [low, high]\n",
			out:      decision(classifier(label, spec("scores", tensor.Float32, -1, 1), newTensor(t, []int64{-3, 7}, 2))),
			values:   []*tensor.Tensor{newTensor(t, []int64{-3}, 1), newTensor(t, []float32{-1.5}, 1, 1)},
			want:     `{"prediction":-3,"label":"low","model":"pond","version":"1"}`,
		},
		"decision values alone choose the class": {
			manifest: "labels: [low, high]\n",
			out:      decision(classifier(label, spec("scores", tensor.Float32, -1, 2), newTensor(t, []int64{-3, 7}, 2)))[1:],
			values:   []*tensor.Tensor{newTensor(t, []float32{-1.5, 2.5}, 1, 2)},
			want:     `{"prediction":7,"label":"high","model":"pond","version":"1"}`,
		},
		"labels and flat scores are two outputs": {
			out:    []tensor.Spec{label, spec("score", tensor.Float32, -1, 1)},
			values: []*tensor.Tensor{newTensor(t, []int64{-1}, 1), newTensor(t, []float32{-0.5}, 1, 1)},
			want:   `{"outputs":{"label":-1,"score":-0.5},"model":"pond","version":"1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, tc.manifest, oneNumber, tc.out)
			got, err := s.AppendResponse([]byte("before:"), decoded(t, s, tc.rows), tc.values, "1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("before:"+tc.want, string(got)); diff != "" {
				t.Fatal(diff)
			}
			doc := asJSON(t, json.RawMessage(got[len("before:"):]))
			if err := compileJSONSchema(t, s.ResponseSchema()).Validate(doc); err != nil {
				t.Errorf("ResponseSchema refuses the answer: %v", err)
			}
		})
	}
}

// Where rows cannot be told apart the caller is told; anything else is a defect.
func TestOutputsThatContradictTheGraphAreRefused(t *testing.T) {
	class := []tensor.Spec{spec("label", tensor.Int64, -1), maps[int64](t, "scores", 0, 1)}
	labels, scores := newTensor(t, []int64{0, 1}, 2), newTensor(t, []float32{0, 1, 1, 0}, 2, 2)
	for name, tc := range map[string]struct {
		out    []tensor.Spec
		values []*tensor.Tensor
	}{
		"too few":              {class, []*tensor.Tensor{labels}},
		"nil":                  {class, []*tensor.Tensor{labels, nil}},
		"another type":         {class, []*tensor.Tensor{newTensor(t, []int32{0, 1}, 2), scores}},
		"too few labels":       {class, []*tensor.Tensor{newTensor(t, []int64{0}, 1), scores}},
		"too many labels":      {class, []*tensor.Tensor{newTensor(t, []int64{0, 1, 1, 1}, 2, 2), scores}},
		"too few rows":         {class, []*tensor.Tensor{labels, newTensor(t, []float32{0, 1}, 1, 2)}},
		"too many classes":     {class, []*tensor.Tensor{labels, newTensor(t, make([]float32, 6), 2, 3)}},
		"no classes":           {class, []*tensor.Tensor{labels, newTensor(t, []float32{}, 2, 0)}},
		"empty tensor":         {class, []*tensor.Tensor{labels, new(tensor.Tensor)}},
		"scalar for two rows":  {[]tensor.Spec{spec("y", tensor.Float32)}, []*tensor.Tensor{newTensor(t, []float32{1})}},
		"keys and wrong width": {[]tensor.Spec{class[1], class[1]}, []*tensor.Tensor{scores, newTensor(t, make([]float32, 6), 2, 3)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, "", oneNumber, tc.out)
			got, err := s.AppendResponse([]byte("kept"), decoded(t, s, 2), tc.values, "1")
			want, told := fault.Internal, ""
			if slices.Contains([]string{"too few labels", "too many labels", "too few rows", "scalar for two rows"}, name) {
				want, told = fault.Content, "the model cannot answer 2 rows at once; send one at a time: output "
			}
			if err == nil || fault.KindOf(err) != want || !strings.HasPrefix(fault.As(err).Msg, told) || told == "" && fault.As(err).Msg != "" {
				t.Errorf("error = %v, want %v %q", err, want, told)
			}
			if string(got) != "kept" {
				t.Errorf("dst = %q", got)
			}
		})
	}
}

// The rows of an output may be another axis than the first: the only one that is free.
func TestRowsMayBeAnotherAxisThanTheFirst(t *testing.T) {
	probabilities := newTensor(t, []float32{.25, .75, 1, 0, .5, .5, 0, 1, .125, .875, 1, 0}, 2, 3, 2)
	for name, tc := range map[string]struct {
		out   tensor.Spec
		value *tensor.Tensor
		rows  int
		want  string
	}{
		"targets, rows, classes": {
			spec("p", tensor.Float32, 2, -1, 2), probabilities, 3,
			`[[[0.25,0.75],[0,1]],[[1,0],[0.125,0.875]],[[0.5,0.5],[1,0]]]`,
		},
		"one row":                 {spec("p", tensor.Float32, 2, -1, 2), newTensor(t, []float32{.25, .75, 0, 1}, 2, 1, 2), 1, `[[[0.25,0.75],[0,1]]]`},
		"as many targets as rows": {spec("p", tensor.Float64, 2, -1), newTensor(t, []float64{1, 2, 3, 4}, 2, 2), 2, `[[1,3],[2,4]]`},
		"texts side by side":      {spec("p", tensor.String, 1, -1), newTensor(t, []string{"a", "b"}, 1, 2), 2, `["a","b"]`},
		"the first all the same":  {spec("p", tensor.Int64, -1, -1), newTensor(t, []int64{1, 2, 3, 4}, 2, 2), 2, `[[1,2],[3,4]]`},
	} {
		t.Run(name, func(t *testing.T) {
			other := spec("q", tensor.Float32, -1)
			s := compile(t, "", oneNumber, []tensor.Spec{tc.out, other})
			outputs := []*tensor.Tensor{tc.value, newTensor(t, make([]float32, tc.rows), tc.rows)}
			got, err := s.AppendPredictions(nil, decoded(t, s, tc.rows), outputs)
			if err != nil {
				t.Fatal(err)
			}
			var rows []struct {
				Outputs struct {
					P json.RawMessage `json:"p"`
				} `json:"outputs"`
			}
			if err := json.Unmarshal(got, &rows); err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, row := range rows {
				all = append(all, string(row.Outputs.P))
			}
			if told := "[" + strings.Join(all, ",") + "]"; told != tc.want {
				t.Errorf("%s, want %s", told, tc.want)
			}
			if outputs[0] != tc.value {
				t.Error("the caller's list of outputs was changed")
			}
		})
	}
}

func TestProbeFindsAnswersThatDoNotFollowTheRows(t *testing.T) {
	fixed := func(n int) func(int) int { return func(int) int { return n } }
	follow := func(rows int) int { return rows }
	for name, tc := range map[string]struct {
		out        []tensor.Spec
		size       func(rows int) int
		err, doubt string
	}{
		"rows":                   {[]tensor.Spec{spec("y", tensor.Int64, -1)}, follow, "", ""},
		"labels of four members": {[]tensor.Spec{spec("y", tensor.Int64, -1)}, fixed(4), `shape [4] for 1 row, not one label each`, ""},
		"one for all":            {[]tensor.Spec{spec("y", tensor.Int64, -1)}, fixed(1), "", `it answers one row at a time: output "y" has shape [1] for 3 rows`},
		"three for all":          {[]tensor.Spec{spec("y", tensor.Float32, -1)}, func(rows int) int { return min(rows, 3) }, "", `shape [3] for 5 rows`},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, "", oneNumber, tc.out)
			doubt, err := s.Probe(t.Context(), func(in []*tensor.Tensor) ([]*tensor.Tensor, error) {
				n := tc.size(in[0].Shape()[0])
				if tc.out[0].DType == tensor.Int64 {
					return []*tensor.Tensor{newTensor(t, make([]int64, n), n)}, nil
				}
				return []*tensor.Tensor{newTensor(t, make([]float32, n), n)}, nil
			})
			if told := fmt.Sprint(err); (tc.err == "") != (err == nil) || !strings.Contains(told, tc.err) && err != nil {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if (tc.doubt == "") != (doubt == "") || !strings.Contains(doubt, tc.doubt) {
				t.Errorf("doubt %q, want %q", doubt, tc.doubt)
			}
		})
	}
	s := compile(t, "", oneNumber, []tensor.Spec{spec("y", tensor.Int64, -1)})
	broken := func([]*tensor.Tensor) ([]*tensor.Tensor, error) { return nil, errors.New("broken") }
	if doubt, err := s.Probe(t.Context(), broken); doubt != "" || err != nil {
		t.Errorf("a model that does not run: %q, %v, want that requests are told", doubt, err)
	}
}

// A graph may leave the width open, and the targets be others than it turns out to be.
func TestTargetsThatTheGraphDoesNotAnswerAreInternal(t *testing.T) {
	s := compile(t, "outputs: {targets: [a, b]}\n", oneNumber, []tensor.Spec{spec("y", tensor.Float32, -1, -1)})
	three := newTensor(t, make([]float32, 3), 1, 3)
	if _, err := s.AppendResponse(nil, decoded(t, s, 1), []*tensor.Tensor{three}, "1"); fault.KindOf(err) != fault.Internal {
		t.Errorf("three numbers for two targets: %v", err)
	}
	two := newTensor(t, []float32{1, 2}, 1, 2)
	table, err := s.AppendTable(nil, decoded(t, s, 1), []*tensor.Tensor{two})
	if err != nil || string(table) != "a,b\n1,2\n" {
		t.Errorf("%s, %v", table, err)
	}
}

func TestSomeOutputsAreAnsweredByName(t *testing.T) {
	out := []tensor.Spec{spec("label", tensor.Int64, -1), maps[int64](t, "scores", 7, -3)}
	s, err := schema.Compile(nil, "pond", oneNumber, out)
	if err != nil {
		t.Fatal(err)
	}
	b, label, scores := decoded(t, s, 0), newTensor(t, []int64{7}, 1), newTensor(t, []float32{0.75, 0.25}, 1, 2)
	got, err := s.Only([]int{1}).AppendResponse(nil, b, []*tensor.Tensor{scores}, "1")
	if want := `{"outputs":{"scores":{"7":0.75,"-3":0.25}},"model":"pond","version":"1"}`; string(got) != want || err != nil {
		t.Errorf("%s, error %v", got, err)
	}
	table, err := s.Only([]int{1, 0}).AppendTable(nil, b, []*tensor.Tensor{scores, label})
	if want := "scores_7,scores_-3,label\n0.75,0.25,7\n"; string(table) != want || err != nil {
		t.Errorf("%s, error %v", table, err)
	}
	whole, err := s.AppendResponse(nil, b, []*tensor.Tensor{label, scores}, "1")
	if !strings.HasPrefix(string(whole), `{"prediction":7`) || err != nil {
		t.Errorf("the schema itself has changed: %s, error %v", whole, err)
	}
}

// Quadratic discriminant analysis is exported with its labels in [1, N].
func TestLabelsSideBySideAreOneForEachRow(t *testing.T) {
	label, scores := spec("label", tensor.String, 1, -1), spec("scores", tensor.Float32, -1, 2)
	labels, both := newTensor(t, []string{"a", "b", "a"}, 1, 3), newTensor(t, []float32{1, 0, 0.25, 0.75, 1, 0}, 3, 2)
	for name, c := range map[string]struct {
		out         []tensor.Spec
		json, table string
	}{
		"of a classifier": {
			classifier(label, scores, newTensor(t, []string{"a", "b"}, 2)),
			`{"predictions":[{"prediction":"a","label":"a","probabilities":{"a":1,"b":0}},{"prediction":"b","label":"b","probabilities":{"a":0.25,"b":0.75}},{"prediction":"a",`,
			"prediction,label,a,b\na,a,1,0\nb,b,0.25,0.75\na,a,1,0\n",
		},
		"by its name": {
			[]tensor.Spec{label, spec("scores", tensor.Float32, -1, 1)},
			`{"predictions":[{"outputs":{"label":"a","scores":[1,0]}},{"outputs":{"label":"b","scores":[0.25,0.75]}},{"outputs":{"label":"a",`,
			"label,scores_0,scores_1\na,1,0\nb,0.25,0.75\na,1,0\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(nil, "pond", oneNumber, c.out)
			if err != nil {
				t.Fatal(err)
			}
			b, values := decoded(t, s, 3), []*tensor.Tensor{labels, both}
			if got, err := s.AppendResponse(nil, b, values, "1"); err != nil || !strings.HasPrefix(string(got), c.json) {
				t.Errorf("%s, error %v", got, err)
			}
			if got, err := s.AppendTable(nil, b, values); err != nil || string(got) != c.table {
				t.Errorf("%s, error %v", got, err)
			}
		})
	}
}

// A list of the class labels, as an exporter adds it, tells of no row; and it is
// taken for no label.
func TestConstantsAreNotAnswered(t *testing.T) {
	label, list := spec("label", tensor.Int64, -1), spec("class_labels", tensor.Int64, 3)
	list.Constant = true
	labels, classes := newTensor(t, []int64{7, 8}, 2), newTensor(t, []int64{7, 8, 9}, 3)
	scores := newTensor(t, []float32{0.5, 0.25, 0.25, 0, 1, 0}, 2, 3)
	for name, c := range map[string]struct {
		out                []tensor.Spec
		values             []*tensor.Tensor
		json, table, draft string
	}{
		"beside label and scores": {
			out:    append(classifier(label, spec("scores", tensor.Float32, -1, 3), classes), list),
			values: []*tensor.Tensor{labels, scores, classes},
			json:   `{"predictions":[{"prediction":7,"label":"7","probabilities":{"7":0.5,"8":0.25,"9":0.25}},{"prediction":8,"label":"8","probabilities":{"7":0,"8":1,"9":0}}]`,
			table:  "prediction,label,7,8,9\n7,7,0.5,0.25,0.25\n8,8,0,1,0\n",
			draft:  "outputs:\n  label: label\n  scores: scores\n",
		},
		"before others": {
			out:    []tensor.Spec{list, spec("wide", tensor.Float32, -1, 3), spec("code", tensor.Bool, -1)},
			values: []*tensor.Tensor{classes, scores, newTensor(t, []bool{true, false}, 2)},
			json:   `{"predictions":[{"outputs":{"wide":[0.5,0.25,0.25],"code":true}},{"outputs":{"wide":[0,1,0],"code":false}}]`,
			table:  "wide_0,wide_1,wide_2,code\n0.5,0.25,0.25,true\n0,1,0,false\n",
			draft:  "type: float32\naccess:",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(nil, "pond", oneNumber, c.out)
			if err != nil {
				t.Fatal(err)
			}
			b := decoded(t, s, 2)
			if got, err := s.AppendResponse(nil, b, c.values, "1"); err != nil || !strings.HasPrefix(string(got), c.json) {
				t.Errorf("%s, error %v", got, err)
			}
			if got, err := s.AppendTable(nil, b, c.values); err != nil || string(got) != c.table {
				t.Errorf("%s, error %v", got, err)
			}
			if got, err := schema.Draft(s, nil, nil, schema.Shown{}); err != nil || !strings.Contains(string(got), c.draft) {
				t.Errorf("%s, error %v", got, err)
			}
		})
	}
}

func TestAppendResponseAllocatesNothing(t *testing.T) {
	s := pondSchema(t)
	b := s.NewBatch()
	if err := s.Decode(t.Context(), b, s.Example(), 1); err != nil {
		t.Fatal(faultText(err))
	}
	outputs := []*tensor.Tensor{newTensor(t, []int64{1}, 1), newTensor(t, []float32{0.125, 0.87, 3e-8}, 1, 3)}
	dst := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		var err error
		if dst, err = s.AppendResponse(dst[:0], b, outputs, "1"); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
