package testkit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/testkit"
	"onnxgate/models"
)

func TestIrisAnswersWereRecordedWithTheEmbeddedModel(t *testing.T) {
	model, err := models.FS.ReadFile("iris/1/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(model)
	about := testkit.IrisAbout(t)
	if got := hex.EncodeToString(sum[:]); got != about.ModelSHA256 {
		t.Errorf("the model's SHA-256 is %s, the answers are of %s: run `make model` and commit both", got, about.ModelSHA256)
	}
	if about.Tolerance != testkit.Tolerance {
		t.Errorf("recorded with tolerance %v, compared with %v", about.Tolerance, testkit.Tolerance)
	}
}

func TestIrisHasEveryRecordedRow(t *testing.T) {
	got := map[string]int{}
	for _, c := range testkit.Iris(t) {
		set, _, _ := strings.Cut(c.Name, ".csv:")
		got[set]++
	}
	if diff := cmp.Diff(testkit.IrisAbout(t).Rows, got); diff != "" {
		t.Errorf("rows (-recorded +read):\n%s", diff)
	}
	if got["training"] != 150 || got["random"] != 2000 {
		t.Errorf("%d training and %d random rows, want 150 and 2000", got["training"], got["random"])
	}
}

// TestThresholdRowsChangeTheAnswerWithinTwoUlps shows that the threshold rows
// do what they are for: neighbours one ulp apart fall on two sides of a split.
func TestThresholdRowsChangeTheAnswerWithinTwoUlps(t *testing.T) {
	recorded := map[[4]float32]testkit.Case{}
	for _, c := range testkit.Iris(t) {
		recorded[[4]float32(c.Row)] = c
	}
	splits := 0
	for row, c := range recorded {
		for i := range row {
			next := row
			next[i] = math.Nextafter32(row[i], math.MaxFloat32)
			if above, ok := recorded[next]; ok && !cmp.Equal(c.ONNXRuntime.Scores, above.ONNXRuntime.Scores) {
				splits++
			}
		}
	}
	if splits < 500 {
		t.Errorf("%d pairs of neighbours have different scores, want 500 or more", splits)
	}
}

func TestScikitLearnAndONNXRuntimeAgree(t *testing.T) {
	for _, c := range testkit.Iris(t) {
		scores := make([]float32, len(c.ScikitLearn.Scores))
		for i, s := range c.ScikitLearn.Scores {
			scores[i] = float32(s)
		}
		if err := c.Check(c.ScikitLearn.Label, scores); err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	sure := testkit.Case{Name: "sure", ONNXRuntime: testkit.Answer{Label: 1, Scores: []float64{0.25, 0.75}}}
	tie := testkit.Case{Name: "tie", ONNXRuntime: testkit.Answer{Label: 1, Scores: []float64{0.5, 0.5000005, 0}}}
	nan := float32(math.NaN())
	for _, tt := range []struct {
		name   string
		c      testkit.Case
		label  int64
		scores []float32
		ok     bool
	}{
		{"the same answer passes", sure, 1, []float32{0.25, 0.75}, true},
		{"a score within the tolerance passes", sure, 1, []float32{0.2500005, 0.75}, true},
		{"a score beyond the tolerance fails", sure, 1, []float32{0.250002, 0.75}, false},
		{"NaN fails", sure, 1, []float32{nan, 0.75}, false},
		{"a missing score fails", sure, 1, []float32{0.25}, false},
		{"another label fails", sure, 0, []float32{0.25, 0.75}, false},
		{"an unknown label fails", sure, 7, []float32{0.25, 0.75}, false},
		{"the other label of a tie passes", tie, 0, []float32{0.5, 0.5000005, 0}, true},
		{"a label beside the tie fails", tie, 2, []float32{0.5, 0.5000005, 0}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.c.Check(tt.label, tt.scores); (err == nil) != tt.ok {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

func TestAppendObjectKeepsEveryBit(t *testing.T) {
	for _, c := range testkit.Iris(t) {
		var got map[string]float32
		if err := json.NewDecoder(bytes.NewReader(c.AppendObject(nil))).Decode(&got); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for i, name := range c.Columns {
			if got[name] != c.Row[i] {
				t.Fatalf("%s: %s is %v, want %v", c.Name, name, got[name], c.Row[i])
			}
		}
	}
}
