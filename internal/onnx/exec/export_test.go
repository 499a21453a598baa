package exec

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"unsafe" //nolint:depguard // what is overwritten belongs to another package

	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// Apart makes two runs' memory, runs both, and returns what they have in common
// but for constants: nothing.
func Apart(ctx context.Context, p *Program, in []*tensor.Tensor, one, other []*tensor.Tensor) ([]string, error) {
	constants := memory{seen: map[uintptr]bool{}}
	constants.constants(p.code)
	var both [2]memory
	for i, out := range [][]*tensor.Tensor{one, other} {
		budget := &ops.Budget{}
		budget.Start(p.memory)
		s := newState(p.code, budget)
		if err := s.Run(ctx, in, out); err != nil {
			return nil, err
		}
		both[i].seen = map[uintptr]bool{}
		both[i].walk(reflect.ValueOf(s), "state")
	}
	return common(both[0].regions, both[1].regions, constants.regions), nil
}

// Spoil runs p, overwrites every element that its memory holds, and runs it on
// that memory again: a kernel that reads what an earlier run has left gives
// another answer.
func Spoil(ctx context.Context, p *Program, in, out []*tensor.Tensor) (spoiled int, err error) {
	budget := &ops.Budget{}
	s := newState(p.code, budget)
	for range 2 {
		budget.Start(p.memory)
		if err := s.Run(ctx, in, out); err != nil {
			return 0, err
		}
		constants, m := memory{seen: map[uintptr]bool{}}, memory{seen: map[uintptr]bool{}}
		constants.constants(p.code)
		m.walk(reflect.ValueOf(s), "state")
		spoiled = 0
		for _, r := range m.regions {
			if r.elements && len(common([]region{r}, constants.regions, nil)) == 0 {
				spoiled += r.spoil()
			}
		}
	}
	budget.Start(p.memory)
	return spoiled, s.Run(ctx, in, out)
}

// region is memory that a run can write to.
type region struct {
	from, to uintptr
	path     string
	elements bool // of a tensor
	data     reflect.Value
}

func (r *region) spoil() int {
	all := r.data.Slice(0, r.data.Cap())
	if all.Type().Elem().Kind() == reflect.String {
		texts := unsafe.Slice((*string)(all.UnsafePointer()), all.Len())
		for i := range texts {
			texts[i] = "spoiled"
		}
		return len(texts)
	}
	bytes := unsafe.Slice((*byte)(all.UnsafePointer()), int(r.to-r.from))
	for i := range bytes {
		bytes[i] = 1 // which a bool can be
	}
	return len(bytes)
}

func common(a, b, except []region) []string {
	var found []string
	for _, x := range a {
		for _, y := range b {
			if x.from < y.to && y.from < x.to && !slices.ContainsFunc(except, func(c region) bool { return c.from <= x.from && x.to <= c.to }) {
				found = append(found, fmt.Sprintf("%s and %s", x.path, y.path))
			}
		}
	}
	return found
}

// memory collects what can be reached.
type memory struct {
	regions []region
	seen    map[uintptr]bool
}

// constants collects the values that all runs share.
func (m *memory) constants(c *code) {
	for _, a := range c.args {
		if a.constant != nil {
			m.walk(reflect.ValueOf(a.constant), "constant")
		}
	}
	for _, s := range c.steps {
		for _, b := range s.bodies {
			m.constants(b.code)
		}
	}
}

func (m *memory) walk(v reflect.Value, path string) {
	switch v.Kind() { //nolint:exhaustive // the others hold no memory that is written
	case reflect.Pointer:
		if v.IsNil() || v.Type() == reflect.TypeFor[*code]() || m.seen[v.Pointer()] {
			return
		}
		m.seen[v.Pointer()] = true
		m.walk(v.Elem(), path)
	case reflect.Interface:
		if !v.IsNil() {
			m.walk(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.walk(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		m.slice(v, path)
	}
}

func (m *memory) slice(v reflect.Value, path string) {
	size := uintptr(v.Cap()) * v.Type().Elem().Size()
	if size == 0 {
		return
	}
	elements := path[max(0, len(path)-5):] == ".data"
	m.regions = append(m.regions, region{v.Pointer(), v.Pointer() + size, path, elements && v.Type().Elem().Kind() != reflect.Pointer, v})
	for i := range v.Len() {
		switch v.Index(i).Kind() { //nolint:exhaustive // the others are elements
		case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Slice:
			m.walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}
