package app

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/crew"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/exports"
	"onnxgate/internal/onnx/ort"
	"onnxgate/internal/schema"
)

// HasORT says whether ONNX Runtime is in this build.
const HasORT = ort.Built

// Engines make programs of ONNX files. The native one is always there; ONNX
// Runtime is loaded when the first model needs it, in a build that has it.
type Engines struct {
	library string
	runtime func() (*ort.Engine, error)
	limits  onnx.Limits
}

// NewEngines returns the engines. library is the path of ONNX Runtime's shared
// library; empty means the one beside the binary. threads is how many one
// prediction of the native engine may use when it has many rows; ONNX Runtime
// always uses one.
func NewEngines(library string, threads int) *Engines {
	e := &Engines{library: library, limits: onnx.Limits{Crew: crew.New(threads)}}
	e.runtime = sync.OnceValues(func() (*ort.Engine, error) {
		if e.library == "" {
			e.library = besideBinary()
		}
		return ort.Open(ort.Config{Library: e.library})
	})
	return e
}

// besideBinary is where `make build-ort` puts the library.
func besideBinary() string {
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	if self, err := os.Executable(); err == nil {
		return filepath.Join(filepath.Dir(self), name)
	}
	return name
}

// Compile makes a program of an ONNX file. EngineAuto, the zero value, is the
// native engine, and ONNX Runtime for a model whose operators that lacks; a
// warning says so. Further ones say what the export has probably lost.
func (e *Engines) Compile(data []byte, engine schema.Engine) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	var doubts []string
	program, warnings, err := e.compile(data, engine, func() (*exec.Program, error) {
		graph, err := exec.Decode(data, e.limits)
		if err != nil {
			return nil, err
		}
		p, err := exec.Compile(graph, e.limits)
		if err == nil {
			doubts = exports.Doubts(graph, false)
		}
		return p, err
	})
	return program, slices.Concat(warnings, doubts), err
}

// compile is Compile with what loads the file into the native engine.
func (e *Engines) compile(data []byte, engine schema.Engine, native func() (*exec.Program, error)) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	if engine == schema.EngineORT {
		return e.compileORT(data)
	}
	program, err := native()
	switch {
	case err == nil:
		return program, program.Warnings(), nil
	case engine == schema.EngineNative || !HasORT || fault.As(err).Code != exec.CodeUnsupported:
		return nil, nil, err
	}
	other, warnings, ortErr := e.compileORT(data)
	if ortErr != nil {
		return nil, nil, fmt.Errorf("%w; and %w", err, ortErr)
	}
	return other, append(warnings, fmt.Sprintf("ONNX Runtime runs it: %v", err)), nil
}

// EngineOf returns the engine that runs a program.
func EngineOf(p inference.Program) schema.Engine {
	if _, native := p.(*exec.Program); native {
		return schema.EngineNative
	}
	return schema.EngineORT
}

func (e *Engines) compileORT(data []byte) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	engine, err := e.runtime()
	if err != nil {
		return nil, nil, err
	}
	program, err := engine.Load(data, e.limits)
	if err != nil {
		return nil, nil, err
	}
	return program, program.Warnings(), nil
}
