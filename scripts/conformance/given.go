package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
)

// give has the first model's requests made of the rows of a file: an inference
// request in JSON that the model takes, for models that do not take every value of
// their datatypes.
func (t *target) give(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // G304: the caller names it
	if err != nil {
		return err
	}
	var body struct {
		Inputs []answerTensor `json:"inputs"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("%s is no inference request in JSON: %w", file, err)
	}
	if !slices.Contains(t.models, t.asked[0]) {
		return fmt.Errorf("%s is for %s, of which nothing is known: %w", file, t.asked[0].Name, t.unread)
	}
	given := make([]tensor, len(body.Inputs))
	for i := range body.Inputs {
		if given[i], _, err = body.Inputs[i].read(nil); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if err := t.asked[0].take(given); err != nil {
		return fmt.Errorf("%s does not fit the metadata of %s: %w", file, t.asked[0].Name, err)
	}
	return nil
}

// take remembers inputs in the order of the metadata.
func (m *model) take(given []tensor) error {
	if len(given) != len(m.Inputs) {
		return fmt.Errorf("it has %d inputs, not %d", len(given), len(m.Inputs))
	}
	ordered := make([]tensor, len(m.Inputs))
	for i, in := range m.Inputs {
		at := slices.IndexFunc(given, func(t tensor) bool { return t.name == in.Name })
		if at < 0 {
			return fmt.Errorf("it has no input %s", in.Name)
		}
		t := given[at]
		if t.datatype != in.Datatype || !fits(t.shape, in.Shape) {
			return fmt.Errorf("%s is %s %v, not %s %v", t.name, t.datatype, t.shape, in.Datatype, in.Shape)
		}
		if len(t.values) == 0 || m.batched() && t.shape[0] != given[0].shape[0] {
			return errors.New("its inputs hold no rows, or not the same number of them")
		}
		ordered[i] = t
	}
	m.given = ordered
	return nil
}

// repeated is the given inputs, of so many rows where the first dimension counts
// rows: from the row start on, around and around.
func (m *model) repeated(rows, start int) []tensor {
	inputs := slices.Clone(m.given)
	if !m.batched() {
		return inputs
	}
	for i, t := range inputs {
		has := int(t.shape[0])
		width := len(t.values) / has
		values := make([]any, 0, rows*width)
		for r := range rows {
			from := (start + r) % has * width
			values = append(values, t.values[from:from+width]...)
		}
		inputs[i].shape = append([]int64{int64(rows)}, t.shape[1:]...)
		inputs[i].values = values
	}
	return inputs
}
