// Package exec makes models run. Load decodes and checks a file and compiles
// its graph into a Program: operators are looked up for their domain and
// version, attributes parsed, constants folded, kernels picked and buffers
// planned. What a Program does on a run is fixed by then.
//
// It is the engine's front door, and knows neither where files come from nor
// who sends inputs.
package exec

import (
	"fmt"
	"runtime/debug"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/decode"
)

// Load returns the program of an ONNX file. Its errors are fault.Content and
// say what to change in the model or its export. The program keeps no
// reference to data.
func Load(data []byte, limits onnx.Limits) (*Program, error) {
	m, err := Decode(data, limits)
	if err != nil {
		return nil, err
	}
	return Compile(m, limits)
}

// Decode returns the model in an ONNX file, for Compile, Inspect and DrawTree.
// Its errors are those of Load.
func Decode(data []byte, limits onnx.Limits) (m *onnx.Model, err error) {
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fault.Wrap(fault.Internal, "the engine failed on this model", recovered(r))
		}
	}()
	return decode.Model(data, limits)
}

// recovered returns the error of a panic for the log: with the stack, which is
// that of the panic as long as the deferred function that recovers it calls
// this.
func recovered(r any) error {
	stack := debug.Stack()
	return fmt.Errorf("panic: %v\n%s", r, stack[:min(len(stack), maxStack)])
}

// maxStack bounds the bytes of a stack that are kept. The place of the panic
// is among the first.
const maxStack = 8 << 10
