// Package testkit is what tests of several packages share. It reads the recorded
// answers of scikit-learn and ONNX Runtime that the engine and the server are
// held against, and owns the rule by which an answer counts as the same. It must
// not know how a model is run, and nothing but tests may import it.
package testkit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Tolerance is how far a score may be from ONNX Runtime's, which adds the
// leaves of a hundred trees in float32.
const Tolerance = 1e-6

// Answer is what one library said about one row: the class and the score of
// each class.
type Answer struct {
	Label  int64
	Scores []float64
}

// Case is one recorded row.
type Case struct {
	// Name is the file and line the row stands in, such as "random.csv:7".
	Name string
	// Columns names the features; Row holds them, in the model's column order.
	Columns []string
	Row     []float32
	// ONNXRuntime is the reference. ScikitLearn computes in float64 and may
	// differ from it by Tolerance.
	ONNXRuntime, ScikitLearn Answer
}

// About is testdata/iris/about.json: what the answers were recorded with.
type About struct {
	ModelSHA256 string         `json:"model_sha256"`
	Tolerance   float64        `json:"tolerance"`
	Rows        map[string]int `json:"rows"`
}

// IrisAbout returns what the iris answers were recorded with.
func IrisAbout(tb testing.TB) About {
	tb.Helper()
	data, err := fs.ReadFile(repository(tb), "testdata/iris/about.json")
	if err != nil {
		tb.Fatal(err)
	}
	var about About
	if err := json.Unmarshal(data, &about); err != nil {
		tb.Fatal(err)
	}
	return about
}

// Iris returns the rows recorded for the shipped iris model: the training data,
// random rows, and rows on the thresholds of its trees and one ulp beside them.
func Iris(tb testing.TB) []Case {
	tb.Helper()
	repo := repository(tb)
	var all []Case
	for _, name := range []string{"training.csv", "random.csv", "thresholds.csv"} {
		cases, err := readCases(repo, "testdata/iris/"+name)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		all = append(all, cases...)
	}
	return all
}

// Check returns an error when label and scores are not ONNX Runtime's answer: a
// score further from it than Tolerance, or another label. Where its best scores
// lie within Tolerance of each other, the label of any of them is right.
func (c Case) Check(label int64, scores []float32) error {
	want := c.ONNXRuntime
	if len(scores) != len(want.Scores) {
		return fmt.Errorf("%s: %d scores, want %d", c.Name, len(scores), len(want.Scores))
	}
	for i, score := range scores {
		// Written so that a NaN fails.
		if !(math.Abs(float64(score)-want.Scores[i]) <= Tolerance) {
			return fmt.Errorf("%s: score %d is %v, want %v", c.Name, i, score, want.Scores[i])
		}
	}
	if label == want.Label || want.tied(label) {
		return nil
	}
	return fmt.Errorf("%s: label %d, want %d", c.Name, label, want.Label)
}

// tied reports whether label's score is within Tolerance of the best one.
func (a Answer) tied(label int64) bool {
	if label < 0 || label >= int64(len(a.Scores)) {
		return false
	}
	return slices.Max(a.Scores)-a.Scores[label] <= Tolerance
}

// AppendObject appends the row as a JSON object in column order, each number in
// the shortest form that gives the same float32 again.
func (c Case) AppendObject(dst []byte) []byte {
	for i, name := range c.Columns {
		if i == 0 {
			dst = append(dst, '{')
		} else {
			dst = append(dst, ',')
		}
		dst = strconv.AppendQuote(dst, name)
		dst = append(dst, ':')
		dst = strconv.AppendFloat(dst, float64(c.Row[i]), 'g', -1, 32)
	}
	return append(dst, '}')
}

// readCases parses one file: the features, then for each library its label and
// the score of each class.
func readCases(fsys fs.FS, name string) ([]Case, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) < 2 {
		return nil, errors.New("no rows")
	}
	columns, err := parseHeader(lines[0])
	if err != nil {
		return nil, err
	}
	cases := make([]Case, len(lines)-1)
	for i, line := range lines[1:] {
		if cases[i], err = parseCase(columns, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		cases[i].Name = fmt.Sprintf("%s:%d", path.Base(name), i+2)
	}
	return cases, nil
}

// parseHeader returns the names of the features.
func parseHeader(header []string) ([]string, error) {
	ort, skl := slices.Index(header, "ort_label"), slices.Index(header, "sklearn_label")
	if ort < 1 || skl-ort < 2 || len(header)-skl != skl-ort {
		return nil, errors.New("the header does not name features, ort_… and sklearn_… columns")
	}
	return header[:ort], nil
}

func parseCase(columns, line []string) (Case, error) {
	c := Case{Columns: columns}
	features, answers := line[:len(columns)], line[len(columns):]
	for _, text := range features {
		x, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return c, err
		}
		c.Row = append(c.Row, float32(x))
	}
	var errORT, errSKL error
	c.ONNXRuntime, errORT = parseAnswer(answers[:len(answers)/2], 32)
	c.ScikitLearn, errSKL = parseAnswer(answers[len(answers)/2:], 64)
	return c, errors.Join(errORT, errSKL)
}

func parseAnswer(fields []string, bits int) (Answer, error) {
	label, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Label: label}
	for _, text := range fields[1:] {
		score, err := strconv.ParseFloat(text, bits)
		if err != nil {
			return Answer{}, err
		}
		answer.Scores = append(answer.Scores, score)
	}
	return answer, nil
}

// repository returns the repository's folder: the nearest one above the test's
// that holds go.mod.
func repository(tb testing.TB) fs.FS {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return os.DirFS(dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
