package app

import (
	"onnxgate/internal/inference"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
)

// Compile makes a program of an ONNX file with the engine of this build.
func Compile(data []byte) (inference.Program, []string, error) { //nolint:ireturn // the seam between engines
	program, err := exec.Load(data, onnx.Limits{})
	if err != nil {
		return nil, nil, err
	}
	return program, program.Warnings(), nil
}
