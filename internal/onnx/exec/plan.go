package exec

import (
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

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

// program plans the memory of the compiled steps. A value that leaves the
// graph is written to the caller's tensor; the others share buffers: one is
// used again for the next value of its element type when no later step reads
// the value in it.
func (c *compiler) program() *Program {
	p := &Program{
		inputs: c.inputs, outputs: c.outputs, warnings: c.warnings,
		memory: c.limits.RunMemory, maxRank: c.limits.Depth,
	}
	places := c.places(p)
	for _, s := range c.steps {
		compiled := instruction{label: s.label, kernel: s.kernel, scratch: s.scratch, from: len(p.args)}
		for _, v := range s.in {
			p.args = append(p.args, c.arg(v, places))
		}
		compiled.mid = len(p.args)
		for _, v := range s.out {
			p.args = append(p.args, c.arg(v, places))
		}
		compiled.to = len(p.args)
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
	p.pool.New = func() any { return newState(p) }
	return p
}

func (c *compiler) arg(v int, places []where) arg {
	if v < 0 {
		return arg{}
	}
	v = c.root(v)
	return arg{where: places[v], constant: c.values[v].Const}
}

// places decides where every value is. Buffers are counted in p.
func (c *compiler) places(p *Program) []where {
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
		for _, v := range s.out {
			if places[v].kind == nowhere {
				places[v] = where{inBuffer, c.takeBuffer(p, free, v)}
			}
		}
		for _, v := range append(append([]int(nil), s.in...), s.out...) {
			if v < 0 {
				continue
			}
			if v = c.root(v); places[v].kind == inBuffer && last[v] == k {
				d := bufferType(&c.values[v].Type)
				free[d] = append(free[d], places[v].index)
				last[v] = -1 // freed once, also when a step reads it twice
			}
		}
	}
	return places
}

// lastUses returns for each value the last step that reads it, or makes it
// when none does.
func (c *compiler) lastUses() []int {
	last := make([]int, len(c.values))
	for k, s := range c.steps {
		for _, v := range s.out {
			last[v] = k
		}
		for _, v := range s.in {
			if v >= 0 {
				last[c.root(v)] = k
			}
		}
	}
	return last
}

func (c *compiler) takeBuffer(p *Program, free map[tensor.DType][]int, v int) int {
	d := bufferType(&c.values[v].Type)
	if n := len(free[d]); n > 0 {
		index := free[d][n-1]
		free[d] = free[d][:n-1]
		return index
	}
	p.buffers++
	return p.buffers - 1
}

// bufferType is the element type of the tensor that carries a value.
func bufferType(t *onnx.Type) tensor.DType {
	if _, ok := t.IsMapSequence(); ok {
		return tensor.Float32
	}
	return t.Elem
}
