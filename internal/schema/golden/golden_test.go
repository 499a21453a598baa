package golden_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/schema"
	"onnxgate/internal/schema/golden"
	"onnxgate/internal/tensor"
)

// classifier answers each row with its only feature as the score of the second class.
type classifier struct{}

var (
	features = []tensor.Spec{{Name: "x", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}}}
	answers  = []tensor.Spec{
		{Name: "label", DType: tensor.Int64, Ranked: true, Dims: []tensor.Dim{{Size: -1}}},
		{Name: "scores", DType: tensor.Float32, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 2}}},
	}
)

func (classifier) Outputs() []tensor.Spec { return answers }

func (classifier) Run(_ context.Context, in, out []*tensor.Tensor) error {
	x := tensor.Of[float32](in[0])
	labels, scores := tensor.Reset[int64](out[0], len(x)), tensor.Reset[float32](out[1], len(x), 2)
	for i, v := range x {
		scores[2*i], scores[2*i+1] = 1-v, v
		if v > 0.5 {
			labels[i] = 1
		}
	}
	return nil
}

func compiled(t *testing.T, manifest string) *schema.Schema {
	t.Helper()
	parsed, err := schema.Parse("model.yaml", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	contract, err := schema.Compile(parsed, "m", features, answers)
	if err != nil {
		t.Fatal(err)
	}
	return contract
}

func TestAnAnswerOfAnotherNameIsTold(t *testing.T) {
	contract := compiled(t, "features: [{name: x, type: float32}]\n")
	const none = `"prediction", which is what the training library said`
	for names, want := range map[string]string{
		"x":                            none,
		"x,pred":                       none + `; if that is "pred", name it "prediction"`,
		"x,species":                    none + `; if that is "species", name it "prediction"`,
		"id,x,Predicted":               none + `; if that is "Predicted", name it "prediction"`,
		"x,pred_a,pred_b":              none,
		"x,id,y":                       none,
		"x,,":                          none,
		"x," + strings.Repeat("p", 61): none,
	} {
		columns := strings.Split(names, ",")
		cells := strings.Repeat("1,", len(columns)-1) + "1"
		if _, err := golden.ReadCSV(t.Context(), []byte(names+"\n"+cells+"\n"), contract, nil); err == nil || err.Error() != "there is no column "+want {
			t.Errorf("%s: %v, want %s", names, err, want)
		}
		row := make(map[string]int, len(columns))
		for _, name := range columns {
			row[name] = 1
		}
		data, err := json.Marshal([]map[string]int{row})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := golden.ReadJSON(t.Context(), data, contract, nil); err == nil || err.Error() != "#/0 has no "+want {
			t.Errorf("%s: %v, want %s", data, err, want)
		}
	}
}

// Of two classes whose scores are equal but for rounding either may have been recorded.
func TestEitherOfTwoClassesThatTieIsRight(t *testing.T) {
	for name, manifest := range map[string]string{
		"numbers": "features: [{name: x, type: float32}]\n",
		"names":   "features: [{name: x, type: float32}]\nlabels: {0: no, 1: yes}\n",
	} {
		contract := compiled(t, manifest)
		table := "x,prediction\n0.5000001,0\n0.5000001,1\n0.5000001,0.0\n0.6,0\n0.6,1\n"
		rows, err := golden.ReadCSV(t.Context(), []byte(table), contract, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.Compare(t.Context(), classifier{})
		if err != nil || !slices.Equal(got, []string{"row 3: 1, and the training library said 0"}) {
			t.Errorf("%s: %q, %v, want that row 3 differs", name, got, err)
		}
	}
}

// regressor answers each row with its only feature.
type regressor struct{}

func (regressor) Outputs() []tensor.Spec { return features }

func (regressor) Run(_ context.Context, in, out []*tensor.Tensor) error {
	x := tensor.Of[float32](in[0])
	copy(tensor.Reset[float32](out[0], len(x), 1), x)
	return nil
}

// pandas writes NaN as an empty cell in CSV, and as null in JSON.
func TestAnEmptyCellIsNaN(t *testing.T) {
	parsed, err := schema.Parse("model.yaml", []byte("features: [{name: x, type: float32, nullable: true}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	contract, err := schema.Compile(parsed, "m", features, features)
	if err != nil {
		t.Fatal(err)
	}
	fromCSV, err := golden.ReadCSV(t.Context(), []byte("x,prediction\nNA,\nNA,NaN\n5,\nNA,5\n"), contract, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := golden.ReadJSON(t.Context(), []byte(`[{"x": null, "prediction": null}, {"x": 1, "prediction": 1}, {"x": 5, "prediction": ""}, {"x": null, "prediction": 5}]`), contract, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"row 2: 5, and the training library said nothing", "row 3: NaN, and the training library said 5"}
	for _, rows := range []*golden.Rows{fromCSV, fromJSON} {
		if got, err := rows.Compare(t.Context(), regressor{}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}
