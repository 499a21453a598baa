package main

import (
	"fmt"
	"net/http"
)

// batchCases are about requests of several rows.
func batchCases() []testCase {
	const in, out = "Request Input", "Response Output"
	return []testCase{
		{"batch/shape", must, rest(out), "seven rows in, seven rows out", batchedModel, batchShape},
		{"batch/independent", should, rest(in), "each row is answered as it is alone, in its place", batchedModel, independentRows},
		{"batch/nested", must, rest("Tensor Data"), "nested rows are answered as flat ones", batchedModel, nestedRows},
		{"batch/thousand", should, rest(in), "1,000 rows are answered, or refused with 4xx", batchedModel, manyRows(1000)},
		{"batch/empty", should, rest(in), "no rows: an answer of no rows, or 4xx", batchedModel, noRows},
	}
}

// rowsOf asks for so many rows and holds the answer to that number.
func (p *probe) rowsOf(rows int) (*answer, error) {
	a, err := p.infer(request(p.m.example(rows, 0)))
	if err != nil {
		return nil, err
	}
	for _, t := range a.outputs {
		if len(t.shape) == 0 || t.shape[0] != int64(rows) {
			return nil, fmt.Errorf("%s with shape %v for %d rows", t.name, t.shape, rows)
		}
	}
	return a, nil
}

func batchShape(p *probe) error {
	_, err := p.rowsOf(7)
	return err
}

func independentRows(p *probe) error {
	const rows = 7
	all, err := p.rowsOf(rows)
	if err != nil {
		return err
	}
	inputs := p.m.example(rows, 0)
	for i := range rows {
		var one []tensor
		for _, t := range inputs {
			one = append(one, t.row(i))
		}
		a, err := p.infer(request(one))
		if err != nil {
			return err
		}
		var want []tensor
		for _, t := range all.outputs {
			want = append(want, t.row(i))
		}
		if err := differentOutputs(a.outputs, want, rounding); err != nil {
			return fmt.Errorf("row %d alone and among %d: %w", i, rows, err)
		}
	}
	return nil
}

func nestedRows(p *probe) error {
	want, err := p.rowsOf(3)
	if err != nil {
		return err
	}
	inputs := p.m.example(3, 0)
	body := request(inputs)
	for i, t := range inputs {
		input(body, i)["data"] = t.nested()
	}
	a, err := p.infer(body)
	if err != nil {
		return err
	}
	return differentOutputs(a.outputs, want.outputs, 0)
}

func manyRows(rows int) func(*probe) error {
	return func(p *probe) error {
		_, err := p.rowsOf(rows)
		if err != nil && p.last.status != http.StatusOK {
			return p.last.clientError()
		}
		return err
	}
}

func noRows(p *probe) error {
	_, err := p.rowsOf(0)
	if err != nil && p.last.status != http.StatusOK {
		return p.last.clientError()
	}
	return err
}
