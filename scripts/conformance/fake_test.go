package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// fake is a server that keeps to the protocol, with the models of three kinds that
// the suite knows. mutations_test.go breaks it, one way at a time.
type fake struct {
	mu     sync.Mutex
	models map[string]*fakeModel
}

type fakeModel struct {
	model
	compute   func([]tensor) []tensor
	unloaded  bool
	successes int64
	rows      int64
	last      int64
}

var (
	errBad      = errors.New("bad request")
	errNotFound = errors.New("not found")
)

func newFake() *fake {
	row := func(name, datatype string, width int64) spec { return spec{name, datatype, []int64{-1, width}} }
	identity := func(name string, datatypes ...string) *fakeModel {
		m := &fakeModel{model: model{Name: name}}
		for _, d := range datatypes {
			m.Inputs, m.Outputs = append(m.Inputs, row("in_"+d, d, 1)), append(m.Outputs, row("out_"+d, d, 1))
		}
		m.compute = func(in []tensor) []tensor {
			out := slices.Clone(in)
			for i := range out {
				out[i].name = m.Outputs[i].Name
			}
			return out
		}
		return m
	}
	f := &fake{models: map[string]*fakeModel{
		"simple": {
			model:   model{Name: "simple", Inputs: []spec{row("INPUT0", "INT32", 16), row("INPUT1", "INT32", 16)}, Outputs: []spec{row("OUTPUT0", "INT32", 16), row("OUTPUT1", "INT32", 16)}},
			compute: addAndSubtract,
		},
		"iris": {
			model:   model{Name: "iris", Inputs: []spec{row("x", "FP32", 4)}, Outputs: []spec{row("class", "INT64", 1)}},
			compute: byPetal,
		},
		"identity":      identity("identity", slices.DeleteFunc(slices.Clone(datatypes), func(d string) bool { return d == "FP16" })...),
		"identity_fp16": identity("identity_fp16", "FP16"),
	}}
	for _, m := range f.models {
		m.Platform, m.Versions = "onnx_onnxv1", []string{"1"}
	}
	return f
}

func addAndSubtract(in []tensor) []tensor {
	out := []tensor{{"OUTPUT0", "INT32", in[0].shape, nil}, {"OUTPUT1", "INT32", in[0].shape, nil}}
	for k := range in[0].values {
		a, b := as[int64](in[0].values[k]), as[int64](in[1].values[k])
		out[0].values, out[1].values = append(out[0].values, a+b), append(out[1].values, a-b)
	}
	return out
}

func byPetal(in []tensor) []tensor {
	out := tensor{"class", "INT64", []int64{in[0].shape[0], 1}, nil}
	for i := range in[0].shape[0] {
		class := int64(0)
		for _, least := range []float64{2.5, 4.9} {
			if as[float64](in[0].values[4*i+2]) > least {
				class++
			}
		}
		out.values = append(out.values, class)
	}
	return []tensor{out}
}

// find is the model, when it is loaded and has the version.
func (f *fake) find(name, version string) (*fakeModel, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.models[name]
	if m == nil || m.unloaded || version != "" && version != "1" {
		return nil, fmt.Errorf("%w: model %s version %q", errNotFound, name, version)
	}
	return m, nil
}

// setUnloaded says whether there is such a model.
func (f *fake) setUnloaded(name string, unloaded bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.models[name]
	if m != nil {
		m.unloaded = unloaded
	}
	return m != nil
}

// names are the models, sorted, and whether each is loaded.
func (f *fake) names() (names []string, ready map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ready = map[string]bool{}
	for name, m := range f.models {
		ready[name] = !m.unloaded
	}
	return slices.Sorted(maps.Keys(ready)), ready
}

// infer holds inputs to the model and gives the outputs that were asked for.
func (f *fake) infer(m *fakeModel, inputs []tensor, wanted []string) ([]tensor, error) {
	ordered := make([]tensor, len(m.Inputs))
	if len(inputs) != len(m.Inputs) {
		return nil, fmt.Errorf("%w: %d inputs", errBad, len(inputs))
	}
	for _, t := range inputs {
		i := slices.IndexFunc(m.Inputs, func(s spec) bool { return s.Name == t.name })
		if i < 0 || ordered[i].name != "" || t.datatype != m.Inputs[i].Datatype || !fits(t.shape, m.Inputs[i].Shape) || len(t.values) != elements(t.shape) {
			return nil, fmt.Errorf("%w: input %s", errBad, t.name)
		}
		ordered[i] = t
	}
	if slices.ContainsFunc(ordered, func(t tensor) bool { return t.shape[0] != ordered[0].shape[0] }) {
		return nil, fmt.Errorf("%w: different numbers of rows", errBad)
	}
	all := m.compute(ordered)
	f.mu.Lock()
	m.successes, m.rows, m.last = m.successes+1, m.rows+ordered[0].shape[0], max(m.last, 1_700_000_000_000)+1
	f.mu.Unlock()
	if wanted == nil {
		return all, nil
	}
	var outputs []tensor
	for _, name := range wanted {
		i := slices.IndexFunc(all, func(t tensor) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: output %s", errBad, name)
		}
		outputs = append(outputs, all[i])
	}
	return outputs, nil
}

// checkedShape refuses shapes whose product is not a reasonable number.
func checkedShape(shape []int64) error {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > math.MaxInt32 || n > math.MaxInt32 {
			return fmt.Errorf("%w: shape %v", errBad, shape)
		}
		n *= d
	}
	if len(shape) == 0 || n > math.MaxInt32 {
		return fmt.Errorf("%w: shape %v", errBad, shape)
	}
	return nil
}

// dimensions measures nested data and says whether they are even.
func dimensions(v any) (shape []int64, even bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, true
	}
	for i, item := range list {
		inner, ok := dimensions(item)
		if i == 0 {
			shape = inner
		}
		if !ok || !slices.Equal(inner, shape) {
			return nil, false
		}
	}
	return append([]int64{int64(len(list))}, shape...), true
}

// topOne is the classification extension for the first row.
func topOne(t tensor) tensor {
	best := 0
	for k, v := range t.values[:elements(t.shape[1:])] {
		if as[int64](v) > as[int64](t.values[best]) {
			best = k
		}
	}
	text := strings.Join([]string{fmt.Sprint(t.values[best]), strconv.Itoa(best)}, ":")
	return tensor{t.name, "BYTES", []int64{1, 1}, []any{text}}
}
