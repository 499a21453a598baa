package schema

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// rowAxis returns which axis of a tensor is declared to be that of the rows: the only
// free one, where the first is not; else the first, 0. So scikit-learn's forests give the
// probabilities of several targets in [targets, N, classes], and skl2onnx exports the
// labels of quadratic discriminant analysis in [1, N].
func rowAxis(s *tensor.Spec) int {
	axis := 0
	if s.Kind != tensor.KindTensor || !s.Ranked || len(s.Dims) == 0 || s.Dims[0].Size < 0 {
		return 0
	}
	for i, d := range s.Dims {
		if d.Size >= 0 {
			continue
		}
		if axis > 0 {
			return 0
		}
		axis = i
	}
	return axis
}

// isAcross reports whether an output may hold one element a row side by side, in [1, N].
func isAcross(s *tensor.Spec) bool {
	return rowAxis(s) == 1 && len(s.Dims) == 2 && s.Dims[0].Size == 1
}

// rowsFirst returns the tensor with the axis of its rows in front.
func rowsFirst(t *tensor.Tensor, axis int) *tensor.Tensor {
	switch t.DType() {
	case tensor.Float32:
		return move[float32](t, axis)
	case tensor.Float64:
		return move[float64](t, axis)
	case tensor.Half:
		return move[tensor.Float16](t, axis)
	case tensor.Int8:
		return move[int8](t, axis)
	case tensor.Int16:
		return move[int16](t, axis)
	case tensor.Int32:
		return move[int32](t, axis)
	case tensor.Int64:
		return move[int64](t, axis)
	case tensor.Uint8:
		return move[uint8](t, axis)
	case tensor.Uint16:
		return move[uint16](t, axis)
	case tensor.Uint32:
		return move[uint32](t, axis)
	case tensor.Uint64:
		return move[uint64](t, axis)
	case tensor.String:
		return move[string](t, axis)
	case tensor.Bool:
		return move[bool](t, axis)
	case tensor.Undefined: // no tensor with elements has it
	}
	return t
}

func move[T tensor.Element](t *tensor.Tensor, axis int) *tensor.Tensor {
	shape, from := t.Shape(), tensor.Of[T](t)
	before, after := 1, 1
	moved := []int{shape[axis]}
	for i, n := range shape {
		switch {
		case i < axis:
			before *= n
		case i > axis:
			after *= n
		}
		if i != axis {
			moved = append(moved, n)
		}
	}
	result := new(tensor.Tensor)
	to := tensor.Reset[T](result, moved...)
	for row := range shape[axis] {
		for b := range before {
			copy(to[(row*before+b)*after:][:after], from[(b*shape[axis]+row)*after:])
		}
	}
	return result
}

// probes are how many rows at once show whether results follow the rows: no output of
// one size has both.
var probes = [...]int{3, 5}

// Probe tries whether what the model gives can be told apart by rows: first of one
// example row, whose error says why no request could be answered; then of several, of
// which doubt says that they cannot be asked for at once. run predicts, and keeps nothing
// of its inputs. What it cannot run, and a model without an example, is left to requests.
func (s *Schema) Probe(ctx context.Context, run func(inputs []*tensor.Tensor) ([]*tensor.Tensor, error)) (doubt string, err error) {
	if s.example == nil {
		return "", nil
	}
	if err := s.probe(ctx, run, 1); err != nil {
		return "", fault.Newf(fault.Content, "its output for one row is not a usable answer: %v; export it again, or leave outputs out of model.yaml (docs/exporting.md)", err)
	}
	for _, rows := range probes {
		if err := s.probe(ctx, run, rows); err != nil {
			return fmt.Sprintf("it answers one row at a time: %v", err), nil
		}
	}
	return "", nil
}

func (s *Schema) probe(ctx context.Context, run func(inputs []*tensor.Tensor) ([]*tensor.Tensor, error), rows int) error {
	b := s.NewBatch()
	body := append([]byte{'['}, bytes.Repeat(append(slices.Clone(s.example), ','), rows)...)
	body[len(body)-1] = ']'
	if s.Decode(ctx, b, body, rows) != nil {
		return nil //nolint:nilerr // a request will be told
	}
	outputs, err := run(b.Inputs)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	e := encoder{response: &s.response, outputs: outputs, rows: rows}
	return e.check()
}
