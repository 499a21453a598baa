//go:build !ort || !cgo

package ort

import (
	"context"
	"errors"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Built says whether ONNX Runtime is in this build.
const Built = false

// ErrAbsent says that this build has no ONNX Runtime.
var ErrAbsent = errors.New("ONNX Runtime is not in this build; make one with: make build-ort")

// Engine is ONNX Runtime, which this build does not have.
type Engine struct{}

// Open returns ErrAbsent.
func Open(Config) (*Engine, error) { return nil, ErrAbsent }

// Load returns ErrAbsent.
func (*Engine) Load([]byte, onnx.Limits) (*Program, error) { return nil, ErrAbsent }

// Program is a model that ONNX Runtime has loaded, of which there is none.
type Program struct{}

// Inputs describes what a run needs.
func (*Program) Inputs() []tensor.Spec { return nil }

// Outputs describes what a run gives.
func (*Program) Outputs() []tensor.Spec { return nil }

// Warnings says what is odd about the model.
func (*Program) Warnings() []string { return nil }

// Run returns ErrAbsent.
func (*Program) Run(context.Context, []*tensor.Tensor, []*tensor.Tensor) error { return ErrAbsent }
