package exec

import (
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/ops"
	"onnxgate/internal/tensor"
)

// code is a compiled graph: the main one of a program, or one inside another.
// It does not change.
type code struct {
	steps   []instruction
	args    []arg // of all steps, one after the other
	patches []patch
	buffers int
	ports   int // inputs, without captured values
}

// instruction is a compiled step: its inputs are args[from:mid], its outputs
// args[mid:to], and what its subgraphs capture is behind these.
type instruction struct {
	label         string
	kernel        ops.Kernel
	from, mid, to int
	scratch       int
	bodies        []nested
}

// nested is a subgraph of an instruction, which captures args[from:to] of the
// graph around it.
type nested struct {
	code     *code
	from, to int
}

// patch is an argument that whoever runs the code provides.
type patch struct {
	arg, port int
	out       bool
}

// where says which memory holds a value during a run.
type where struct {
	kind  place
	index int
}

type place uint8

const (
	nowhere place = iota
	inConstant
	inInput
	inOutput
	inBuffer
)

// arg is one input or output of a step.
type arg struct {
	where
	constant *tensor.Tensor
}

// code plans the memory of the compiled steps. A value that leaves the graph
// is written to the caller's tensor; the others share buffers: one is used
// again for the next value of its element type when no later step reads the
// value in it, by that step itself where it may overwrite what it reads.
func (c *compiler) code() *code {
	p := &code{ports: c.ports, steps: make([]instruction, 0, len(c.steps)), args: make([]arg, 0, c.arguments())}
	places := c.places(p)
	add := func(values []int) {
		for _, v := range values {
			p.args = append(p.args, c.arg(v, places))
		}
	}
	for _, s := range c.steps {
		compiled := instruction{label: s.label, kernel: s.kernel, scratch: s.scratch, from: len(p.args)}
		add(s.in)
		compiled.mid = len(p.args)
		add(s.out)
		compiled.to = len(p.args)
		for _, b := range s.bodies {
			from := len(p.args)
			add(b.captured)
			compiled.bodies = append(compiled.bodies, nested{code: b.code, from: from, to: len(p.args)})
		}
		p.steps = append(p.steps, compiled)
	}
	for i, a := range p.args {
		switch a.kind {
		case inInput:
			p.patches = append(p.patches, patch{arg: i, port: a.index})
		case inOutput:
			p.patches = append(p.patches, patch{arg: i, port: a.index, out: true})
		case nowhere, inConstant, inBuffer:
		}
	}
	return p
}

// arguments counts what the steps read and make.
func (c *compiler) arguments() int {
	n := 0
	for i := range c.steps {
		s := &c.steps[i]
		n += len(s.in) + len(s.out)
		for _, b := range s.bodies {
			n += len(b.captured)
		}
	}
	return n
}

func (c *compiler) arg(v int, places []where) arg {
	if v < 0 {
		return arg{}
	}
	v = c.root(v)
	return arg{where: places[v], constant: c.values[v].Const}
}

// places decides where every value is. Buffers are counted in p.
func (c *compiler) places(p *code) []where {
	places := make([]where, len(c.values))
	for v := range c.values {
		switch val := &c.values[v]; {
		case val.input >= 0:
			places[v] = where{inInput, val.input}
		case val.Const != nil:
			places[v] = where{inConstant, 0}
		}
	}
	for i, v := range c.results {
		places[v] = where{inOutput, i}
	}
	last := c.lastUses()
	free := make(map[tensor.DType][]int)
	for k, s := range c.steps {
		if v, out := c.overwritten(&s), s.out[0]; v >= 0 && places[v].kind == inBuffer && last[v] == k && places[out].kind == nowhere {
			places[out] = places[v]
			last[v] = -1
		}
		for _, v := range s.out {
			if places[v].kind == nowhere {
				places[v] = where{inBuffer, c.takeBuffer(p, free, v)}
			}
		}
		s.each(func(v int) {
			if v = c.root(v); places[v].kind == inBuffer && last[v] == k {
				d := bufferType(&c.values[v])
				free[d] = append(free[d], places[v].index)
				last[v] = -1 // freed once, also when a step reads it twice
			}
		})
	}
	return places
}

// overwritten returns the value that a step may write its first result over, or -1.
func (c *compiler) overwritten(s *step) int {
	if !s.over || len(s.bodies) > 0 {
		return -1
	}
	v := c.root(s.in[0])
	if bufferType(&c.values[v]) != bufferType(&c.values[s.out[0]]) {
		return -1
	}
	return v
}

// each calls do for every value that a step reads, its subgraphs too, and that
// it makes.
func (s *step) each(do func(v int)) {
	for _, v := range s.in {
		if v >= 0 {
			do(v)
		}
	}
	for _, b := range s.bodies {
		for _, v := range b.captured {
			do(v)
		}
	}
	for _, v := range s.out {
		do(v)
	}
}

// lastUses returns for each value the last step that reads it, or makes it
// when none does.
func (c *compiler) lastUses() []int {
	last := make([]int, len(c.values))
	for k := range c.steps {
		c.steps[k].each(func(v int) { last[c.root(v)] = k })
	}
	return last
}

func (c *compiler) takeBuffer(p *code, free map[tensor.DType][]int, v int) int {
	d := bufferType(&c.values[v])
	if n := len(free[d]); n > 0 {
		index := free[d][n-1]
		free[d] = free[d][:n-1]
		return index
	}
	p.buffers++
	return p.buffers - 1
}

// bufferType is the element type of the tensor that carries a value, Undefined
// for a list.
func bufferType(v *value) tensor.DType {
	switch {
	case v.columnar():
		return tensor.Float32
	case v.Type.Of == onnx.TensorType:
		return v.Type.Elem
	}
	return tensor.Undefined
}
