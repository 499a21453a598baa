// Package golden compares a model with what its training library said: rows, each
// with the recorded answer, that stand beside the model or are named on the
// command line. It must not know where the rows are from, nor what runs the model.
package golden

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// Program is what is compared: a compiled model.
type Program interface {
	Outputs() []tensor.Spec
	Run(ctx context.Context, inputs, outputs []*tensor.Tensor) error
}

// answerColumn is the column of a golden table that holds what the training
// library said.
const answerColumn = "prediction"

// tolerance is how far a number may be off, absolute and relative: that
// of a library that adds in double precision.
const tolerance = 1e-4

// Rows are rows and what the training library said of each.
type Rows struct {
	contract *schema.Schema
	batch    *schema.Batch
	answers  [][]string // of each row one text, or one for each of several targets
	targets  []string   // the columns of the training data that the answers are from
}

// Len is how many rows there are.
func (g *Rows) Len() int { return len(g.answers) }

// Beyond names each of them that the rules of the contract refuse, and the first
// rule that it breaks.
func (g *Rows) Beyond() []fault.Field { return g.batch.Beyond }

// Targets are the columns of the training data that stand for the answers; none
// where the training library's own are there.
func (g *Rows) Targets() []string { return g.targets }

// Said is where the answers are from, for messages.
func (g *Rows) Said() string {
	if len(g.targets) > 0 {
		return strings.Join(g.targets, ", ")
	}
	return "the training library"
}

// ReadCSV reads a table whose columns are the features and "prediction". Several
// targets are lists in "prediction", or "prediction_0", "prediction_1" and so on.
// target are columns besides: without "prediction" they are what is compared.
// Errors of kind fault.Content have the places that are wrong.
func ReadCSV(ctx context.Context, data []byte, contract *schema.Schema, target []string) (*Rows, error) {
	g := newRows(contract)
	return g, g.readTable(ctx, data, contract, target)
}

// ReadJSON is ReadCSV for a JSON array of objects with these members.
func ReadJSON(ctx context.Context, data []byte, contract *schema.Schema, target []string) (*Rows, error) {
	g := newRows(contract)
	return g, g.readJSON(ctx, data, contract, target)
}

func newRows(contract *schema.Schema) *Rows {
	g := &Rows{contract: contract, batch: contract.NewBatch()}
	g.batch.Lenient = true // what the rules refuse, the model answers all the same
	return g
}

// noAnswers says that one of these names must be that of the training library's
// answers: the only one that is no feature, or the only such one that sounds like it.
func noAnswers(contract *schema.Schema, names []string) string {
	text := fmt.Sprintf("%q, which is what the training library said", answerColumn)
	features := contract.Features()
	others := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return name == "" || slices.ContainsFunc(features, func(f schema.Feature) bool { return f.Name == name })
	})
	if len(others) > 1 {
		others = slices.DeleteFunc(others, func(name string) bool { return !strings.Contains(strings.ToLower(name), "pred") })
	}
	const most = 60 // bytes of a name worth repeating
	if len(others) != 1 || len(others[0]) > most {
		return text
	}
	return fmt.Sprintf("%s; if that is %q, name it %q", text, others[0], answerColumn)
}

func (g *Rows) readTable(ctx context.Context, data []byte, contract *schema.Schema, target []string) (err error) {
	if err := schema.CheckTable(data); err != nil {
		return err
	}
	names := schema.Header(data)
	columns := g.answerColumns(target, func(name string) bool { return slices.Contains(names, name) })
	if len(columns) == 0 {
		return errors.New("there is no column " + noAnswers(contract, names))
	}
	aside := slices.Clone(columns)
	for _, name := range target {
		if !slices.Contains(columns, name) {
			aside = append(aside, name)
		}
	}
	if g.answers, err = contract.DecodeTable(ctx, g.batch, bytes.NewReader(data), math.MaxInt, aside); err != nil {
		return err
	}
	for i, cells := range g.answers {
		g.answers[i] = cells[:len(columns)]
		if len(columns) == 1 {
			g.answers[i] = listed(cells[0])
		}
	}
	return nil
}

// answerColumns returns the names under which the answers are there: that of
// all, those of each target as `model run` writes them, else the targets.
func (g *Rows) answerColumns(target []string, there func(string) bool) []string {
	if there(answerColumn) {
		return []string{answerColumn}
	}
	var names []string
	for {
		name := answerColumn + "_" + strconv.Itoa(len(names))
		if !there(name) {
			break
		}
		names = append(names, name)
	}
	if len(names) == 0 && len(target) > 0 {
		g.targets = slices.Clone(target)
		return g.targets
	}
	return names
}

// readJSON takes the answers out of the rows.
func (g *Rows) readJSON(ctx context.Context, data []byte, contract *schema.Schema, target []string) error {
	var rows []map[string]json.RawMessage
	err := json.Unmarshal(data, &rows)
	switch {
	case !schema.IsText(data):
		return errors.New("it " + schema.NotUTF8)
	case err != nil && json.Valid(data):
		return errors.New(`it is not an array of objects, one for each row (in pandas: to_json(file, orient="records"))`)
	case err != nil:
		return fmt.Errorf("it is not JSON: %w", err)
	}
	for i, row := range rows {
		columns := g.answerColumns(target, func(name string) bool { return row[name] != nil })
		if len(columns) == 0 {
			return fmt.Errorf("#/%d has no %s", i, noAnswers(contract, slices.Collect(maps.Keys(row))))
		}
		var answer []string
		for _, name := range columns {
			answer = append(answer, elements(row[name])...)
		}
		for _, name := range slices.Concat(columns, target) {
			delete(row, name)
		}
		g.answers = append(g.answers, answer)
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return contract.Decode(ctx, g.batch, body, math.MaxInt)
}

// listed returns the elements of a cell: those of a list as JSON, Python or
// NumPy write it, else the cell itself.
func listed(cell string) []string {
	cell = strings.TrimSpace(cell)
	inner, opened := strings.CutPrefix(cell, "[")
	if !opened || !strings.HasSuffix(inner, "]") {
		return []string{cell}
	}
	if json.Valid([]byte(cell)) {
		return elements([]byte(cell))
	}
	words := strings.FieldsFunc(inner, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",[]", r) })
	for i := range words {
		words[i] = strings.Trim(words[i], `'"`)
	}
	return words
}

// elements returns the elements of a JSON value, those of nested arrays one
// after the other, as texts: a null is a number that is missing.
func elements(raw []byte) []string {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var texts []string
	for {
		token, err := decoder.Token()
		if err != nil {
			return texts // the value has ended
		}
		switch token := token.(type) {
		case json.Delim:
		case nil:
			texts = append(texts, "NaN")
		default:
			texts = append(texts, fmt.Sprint(token))
		}
	}
}

// answered is what the model says of one row.
type answered struct {
	Prediction json.RawMessage            `json:"prediction"`
	Label      *string                    `json:"label"`
	Scores     map[string]*float64        `json:"probabilities"`
	Outputs    map[string]json.RawMessage `json:"outputs"`
}

// tie is how near two scores are that are equal but for rounding.
const tie = 1e-6

// ties reports whether a class is as good as the best one.
func (a *answered) ties(class string) bool {
	score, best := a.Scores[class], math.Inf(-1)
	for _, s := range a.Scores {
		if s != nil {
			best = max(best, *s)
		}
	}
	return score != nil && best-*score <= tie
}

// elements returns the prediction, or the one output that stands for it.
func (a *answered) elements() []string {
	for _, output := range a.Outputs {
		return elements(output)
	}
	return elements(a.Prediction)
}

// predicting returns the contract of the outputs to compare, and their indexes:
// all of a classifier, else the one that is the prediction: of several targets
// the output of integers or texts, or the first. One that could be the label of
// each row must be named as that.
func predicting(contract *schema.Schema, specs []tensor.Spec) (*schema.Schema, []int, error) {
	outputs := contract.Outputs()
	var all []int
	chosen, classifies := -1, false
	for i, o := range outputs {
		all = append(all, i)
		if chosen < 0 && schema.LabelLike(&specs[i]) {
			chosen = i
		}
		classifies = classifies || o.Role != schema.RoleValue
	}
	switch {
	case classifies:
		return contract, all, nil
	case chosen >= 0 && schema.CanBeLabel(&specs[chosen]):
		return nil, nil, fmt.Errorf("no output is said to be the prediction; name it in model.yaml, such as outputs: {label: %s} (onnxgate model init writes one)",
			outputs[chosen].Name)
	}
	chosen = max(chosen, 0)
	return contract.Only([]int{chosen}), []int{chosen}, nil
}

// Compare runs the rows and returns what differs, a line each. Rows are counted
// from 0, as pointers and pandas count them.
func (g *Rows) Compare(ctx context.Context, program Program) ([]string, error) {
	contract, compared, err := predicting(g.contract, program.Outputs())
	if err != nil {
		return nil, err
	}
	outputs := make([]*tensor.Tensor, len(program.Outputs()))
	for i := range outputs {
		outputs[i] = new(tensor.Tensor)
	}
	if err := program.Run(ctx, g.batch.Inputs, outputs); err != nil {
		return nil, err
	}
	answer, err := contract.AppendResponse(nil, g.batch, of(outputs, compared), "")
	if err != nil {
		return nil, err
	}
	var response struct {
		Predictions []answered `json:"predictions"`
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	var differences []string
	for i, p := range response.Predictions {
		got := p.elements()
		if !same(g.answers[i], got) && (p.Label == nil || !same(g.answers[i], []string{*p.Label}) && !p.ties(classOf(contract, g.answers[i]))) {
			differences = append(differences, fmt.Sprintf("row %d: %s, and %s said %s", i, shown(got), g.Said(), shown(g.answers[i])))
		}
	}
	return differences, nil
}

// classOf returns the name of the class that was recorded, also as 1.0.
func classOf(contract *schema.Schema, answer []string) string {
	if len(answer) != 1 {
		return ""
	}
	text := strings.TrimSpace(answer[0])
	if x, err := strconv.ParseFloat(text, 64); err == nil && x == math.Trunc(x) {
		text = strconv.FormatFloat(x, 'f', 0, 64)
	}
	return contract.Class(text)
}

// of returns the elements at the given places.
func of[T any](all []T, places []int) []T {
	some := make([]T, len(places))
	for i, at := range places {
		some[i] = all[at]
	}
	return some
}

// shown writes one answer, or those of several targets; an empty cell is nothing.
func shown(answer []string) string {
	if len(answer) == 1 {
		return cmp.Or(answer[0], "nothing")
	}
	return "[" + strings.Join(answer, ", ") + "]"
}

// same compares answers with recorded ones: numbers within the tolerance, texts
// exactly.
func same(want, got []string) bool { return slices.EqualFunc(want, got, sameElement) }

func sameElement(want, got string) bool {
	want = strings.TrimSpace(want)
	a, errA := strconv.ParseFloat(want, 64)
	b, errB := strconv.ParseFloat(got, 64)
	switch {
	case want == "" && errB == nil:
		return math.IsNaN(b) // pandas writes NaN as an empty cell
	case errA != nil || errB != nil:
		return want == got
	case math.IsNaN(a) || math.IsInf(a, 0):
		return math.IsNaN(b) // the answer in JSON has null for all of them
	}
	return math.Abs(a-b) <= tolerance*max(1, math.Abs(a))
}
