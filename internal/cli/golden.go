package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"onnxgate/internal/app"
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
	rows    []map[string]any
	answers []any // a number or a text each
}

// readGolden reads a table: a CSV file whose columns are the features and
// "prediction", or a JSON array of objects with these members.
func readGolden(file string, features []schema.Feature) (*golden, error) {
	f, err := os.Open(file) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	g := &golden{}
	if strings.HasSuffix(file, ".json") {
		decoder := json.NewDecoder(f)
		decoder.UseNumber()
		err = decoder.Decode(&g.rows)
	} else {
		err = g.readCSV(f, features)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i, row := range g.rows {
		answer, ok := row[answerColumn]
		if !ok {
			return nil, fmt.Errorf("%s: row %d has no %q, which is what the training library said", file, i+1, answerColumn)
		}
		delete(row, answerColumn)
		g.answers = append(g.answers, answer)
	}
	if len(g.rows) == 0 {
		return nil, fmt.Errorf("%s: there is no row", file)
	}
	return g, nil
}

func (g *golden) readCSV(r io.Reader, features []schema.Feature) error {
	table := csv.NewReader(r)
	header, err := table.Read()
	if err != nil {
		return errors.New("the first line must name the columns")
	}
	for {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		row := map[string]any{}
		for i, text := range record {
			row[header[i]] = cell(header[i], strings.TrimSpace(text), features)
		}
		g.rows = append(g.rows, row)
	}
}

// cell returns the text of a column as the JSON value of its feature.
func cell(name, text string, features []schema.Feature) any {
	at := slices.IndexFunc(features, func(f schema.Feature) bool { return f.Name == name })
	textual := at >= 0 && features[at].Type == "string"
	if _, err := strconv.ParseFloat(text, 64); err == nil && !textual && !strings.EqualFold(text, "nan") {
		return json.Number(text)
	}
	if at >= 0 && !textual {
		switch strings.ToLower(text) {
		case "", "nan", "na", "null":
			return nil
		case "true", "false":
			return strings.EqualFold(text, "true")
		}
	}
	return text
}

// compare runs the rows and returns what differs, a line each.
func (g *golden) compare(ctx context.Context, m *app.Model) ([]string, error) {
	body, err := json.Marshal(g.rows)
	if err != nil {
		return nil, err
	}
	batch := m.Schema.NewBatch()
	if err := m.Schema.Decode(batch, body, len(g.rows)); err != nil {
		return nil, err
	}
	outputs := emptyOutputs(m.Program)
	if err := m.Program.Run(ctx, batch.Inputs, outputs); err != nil {
		return nil, err
	}
	answer, err := m.Schema.AppendResponse(nil, batch, outputs, m.Version)
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
func same(want, got any) bool {
	a, errA := strconv.ParseFloat(fmt.Sprint(want), 64)
	b, errB := strconv.ParseFloat(fmt.Sprint(got), 64)
	if errA != nil || errB != nil {
		return fmt.Sprint(want) == fmt.Sprint(got)
	}
	return math.Abs(a-b) <= goldenTolerance*max(1, math.Abs(a))
}

// checkGolden fails when the model answers otherwise than its training library.
func (p *Process) checkGolden(ctx context.Context, m *app.Model, file string) error {
	g, err := readGolden(file, m.Schema.Features())
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
		return fmt.Errorf("%d of %d rows differ from what the training library said; see docs/exporting.md for exports that lose a step", n, len(g.rows))
	}
	return p.printf("golden    %s   %d rows agree\n", file, len(g.rows))
}
