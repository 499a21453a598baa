package ops

import (
	"context"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Body is a subgraph of a node, compiled. What it captures of the graphs
// around it is not among its inputs: the engine gives it.
type Body struct {
	In, Out []Value
	// Index is the place among the Runners of the node's frame.
	Index int
}

// Runner runs a compiled subgraph. in and out are as long as Body.In and
// Body.Out, and no tensor is in both.
type Runner interface {
	Run(ctx context.Context, in, out []*tensor.Tensor) error
}

// WithBodies returns a frame with what its node's subgraphs run on.
func WithBodies(f Frame, bodies []Runner) Frame {
	f.bodies = bodies
	return f
}

// run runs a subgraph.
func (f *Frame) run(ctx context.Context, b *Body, in, out []*tensor.Tensor) error {
	return f.bodies[b.Index].Run(ctx, in, out)
}

// ports returns room for the tensors of a subgraph.
func (f *Frame) ports(in, out int) (ins, outs []*tensor.Tensor) {
	if len(f.bodyPorts) != in+out {
		f.bodyPorts = make([]*tensor.Tensor, in+out)
	}
	return f.bodyPorts[:in:in], f.bodyPorts[in:]
}

// Graph returns an attribute, which must be there.
func (n *Node) Graph(name string) *onnx.Graph {
	n.Need(name)
	if a := n.attribute(name, onnx.GraphAttribute); a != nil {
		return a.Graph
	}
	return nil
}

// Body compiles a subgraph for the inputs in, and returns nil when it fails.
func (n *Node) Body(name string, in ...Value) *Body {
	g := n.Graph(name)
	if n.err != nil {
		return nil
	}
	b, err := n.Compile(g, in)
	if err != nil {
		n.Failf("attribute %q: %w", name, err)
		return nil
	}
	return b
}
