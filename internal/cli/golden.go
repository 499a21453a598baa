package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/app"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
)

// answerColumn is the column of a golden table that holds what the training
// library said.
const answerColumn = "prediction"

// goldenTolerance is how far a number may be off, absolute and relative: that
// of a library that adds in double precision.
const goldenTolerance = 1e-4

// maxShown is how many differences are shown.
const maxShown = 10

// golden is rows and what the training library said of each.
type golden struct {
	batch   *schema.Batch
	answers []string
}

// readGolden reads a table: a CSV file whose columns are the features and
// "prediction", or a JSON array of objects with these members.
func readGolden(file string, contract *schema.Schema) (*golden, error) {
	data, _, err := regular.ReadFile(file, maxRequest)
	if err != nil {
		return nil, err
	}
	g := &golden{batch: contract.NewBatch()}
	switch {
	case strings.HasSuffix(file, ".json"):
		err = g.readJSON(data, contract)
	case !slices.Contains(header(data), answerColumn):
		err = fmt.Errorf("there is no column %q, which is what the training library said", answerColumn)
	default:
		g.answers, err = contract.DecodeTable(g.batch, data, math.MaxInt, answerColumn)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, inOneLine(err))
	}
	return g, nil
}

// readJSON takes the answers out of the rows.
func (g *golden) readJSON(data []byte, contract *schema.Schema) error {
	var rows []map[string]json.RawMessage
	if err := json.Unmarshal(data, &rows); err != nil {
		return fmt.Errorf("it is not an array of objects: %w", err)
	}
	for i, row := range rows {
		answer, ok := row[answerColumn]
		if !ok {
			return fmt.Errorf("row %d has no %q, which is what the training library said", i+1, answerColumn)
		}
		delete(row, answerColumn)
		var text string
		if json.Unmarshal(answer, &text) != nil {
			text = string(answer) // a number
		}
		g.answers = append(g.answers, text)
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return contract.Decode(g.batch, body, math.MaxInt)
}

// compare runs the rows and returns what differs, a line each.
func (g *golden) compare(ctx context.Context, m *app.Model) ([]string, error) {
	outputs := emptyOutputs(m.Program)
	if err := m.Program.Run(ctx, g.batch.Inputs, outputs); err != nil {
		return nil, err
	}
	answer, err := m.Schema.AppendResponse(nil, g.batch, outputs, m.Version)
	if err != nil {
		return nil, err
	}
	var response struct {
		Predictions []struct {
			Prediction any    `json:"prediction"`
			Label      string `json:"label"`
		} `json:"predictions"`
	}
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(&response); err != nil {
		return nil, err
	}
	var differences []string
	for i, p := range response.Predictions {
		if !same(g.answers[i], p.Prediction) && !same(g.answers[i], p.Label) {
			differences = append(differences, fmt.Sprintf("row %d: %v, and the training library said %v", i+1, p.Prediction, g.answers[i]))
		}
	}
	return differences, nil
}

// same compares an answer with a recorded one: numbers within the tolerance,
// texts exactly.
func same(want string, got any) bool {
	a, errA := strconv.ParseFloat(strings.TrimSpace(want), 64)
	b, errB := strconv.ParseFloat(fmt.Sprint(got), 64)
	if errA != nil || errB != nil {
		return strings.TrimSpace(want) == fmt.Sprint(got)
	}
	return math.Abs(a-b) <= goldenTolerance*max(1, math.Abs(a))
}

// checkGolden fails when the model answers otherwise than its training library.
func (p *Process) checkGolden(ctx context.Context, m *app.Model, file string) error {
	g, err := readGolden(file, m.Schema)
	if err != nil {
		return err
	}
	differences, err := g.compare(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, d := range differences[:min(len(differences), maxShown)] {
		p.complain(d)
	}
	if n := len(differences); n > 0 {
		return fmt.Errorf("%d of %d rows differ from what the training library said; see docs/exporting.md for exports that lose a step", n, len(g.answers))
	}
	return p.printf("golden    %s   %d rows agree\n", file, len(g.answers))
}
