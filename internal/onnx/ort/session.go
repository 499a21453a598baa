//go:build ort && cgo

package ort

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"

	runtimelib "github.com/yalue/onnxruntime_go"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// Built says whether ONNX Runtime is in this build.
const Built = true

// Engine is the library, loaded. There is one in a process.
type Engine struct{}

// Open loads the library. It sends nothing to anybody: its telemetry is turned
// off before it starts.
func Open(cfg Config) (*Engine, error) {
	if runtimelib.IsInitialized() {
		return &Engine{}, nil
	}
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil { //nolint:forbidigo // the library reads it, nobody else
		return nil, err
	}
	if _, err := os.Stat(cfg.Library); err != nil {
		return nil, fmt.Errorf("ONNX Runtime's library: %w; name another with ONNXGATE_ORT_LIBRARY", err)
	}
	runtimelib.SetSharedLibraryPath(cfg.Library)
	if err := runtimelib.InitializeEnvironment(runtimelib.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("%s cannot be used as ONNX Runtime's library: %w; name another with ONNXGATE_ORT_LIBRARY", cfg.Library, err)
	}
	return &Engine{}, runtimelib.DisableTelemetry()
}

// Program is a model that the library has loaded. It is safe for concurrent use.
type Program struct {
	contract

	session *runtimelib.DynamicAdvancedSession
}

// Load returns the program of an ONNX file. Its errors are fault.Content.
func (*Engine) Load(data []byte, limits onnx.Limits) (*Program, error) {
	c, err := inspect(data, limits)
	if err != nil {
		return nil, err
	}
	if len(c.inputs) == 0 {
		return nil, fault.New(fault.Content, "the model has no input; ONNX Runtime is not used for that")
	}
	options, err := options()
	if err != nil {
		return nil, err
	}
	defer options.Destroy() //nolint:errcheck // the session has its own copy
	session, err := runtimelib.NewDynamicAdvancedSessionWithONNXData(c.model, names(c.inputs), c.sources, options)
	if err != nil {
		return nil, fault.Newf(fault.Content, "ONNX Runtime cannot load the model: %v", err)
	}
	c.model = nil // the library has it
	p := &Program{contract: *c, session: session}
	runtime.AddCleanup(p, func(s *runtimelib.DynamicAdvancedSession) { _ = s.Destroy() }, session)
	return p, nil
}

// options bounds the library: one thread for a prediction, as the native engine
// takes, since a server has many at once.
func options() (*runtimelib.SessionOptions, error) {
	o, err := runtimelib.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1))
	return o, err
}

func names(specs []tensor.Spec) []string {
	all := make([]string, len(specs))
	for i := range specs {
		all[i] = specs[i].Name
	}
	return all
}

// Inputs describes what a run needs, in order.
func (p *Program) Inputs() []tensor.Spec { return p.inputs }

// Outputs describes what a run gives, in order.
func (p *Program) Outputs() []tensor.Spec { return p.outputs }

// Warnings says what is odd about the model without being wrong.
func (p *Program) Warnings() []string { return p.warnings }

// Run computes the outputs of one call; see the native engine's Program.Run.
func (p *Program) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	if len(in) != len(p.inputs) || len(out) != len(p.outputs) {
		return fault.Newf(fault.Content, "the model takes %d inputs; %d were given", len(p.inputs), len(in))
	}
	var made values
	defer func() { made.release() }()
	inputs, outputs := make([]runtimelib.Value, len(in)), make([]runtimelib.Value, len(out))
	for i, t := range in {
		v, err := give(&p.inputs[i], t)
		if err != nil {
			return err
		}
		inputs[i] = v
		made = append(made, v)
	}
	if err := p.scalars(outputs); err != nil {
		return err
	}
	err := p.call(ctx, inputs, outputs)
	made = append(made, outputs...)
	if err != nil {
		return err
	}
	for i, v := range outputs {
		if err := take(&p.outputs[i], v, out[i]); err != nil {
			return err
		}
	}
	return nil
}

// scalars makes the outputs that are declared to be scalars: the binding can make
// every output by itself but these.
func (p *Program) scalars(outputs []runtimelib.Value) error {
	for i := range outputs {
		s := &p.outputs[i]
		if !s.Ranked || len(s.Dims) > 0 || s.DType == tensor.String {
			continue
		}
		v, err := scalar(s.DType)
		if err != nil {
			return fault.Wrap(fault.Internal, "the prediction failed", err)
		}
		outputs[i] = v
	}
	return nil
}

// call runs the session until it is done or ctx ends.
func (p *Program) call(ctx context.Context, inputs, outputs []runtimelib.Value) error {
	options, err := runtimelib.NewRunOptions()
	if err != nil {
		return fault.Wrap(fault.Internal, "the prediction failed", err)
	}
	defer options.Destroy() //nolint:errcheck // nothing is left to do with it
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = options.Terminate() // the run ends by itself then
	})
	err = p.session.RunWithOptions(inputs, outputs, options)
	if !stop() {
		<-ended // it uses the options
	}
	runtime.KeepAlive(p)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, "the prediction did not finish in time", err)
	case ctx.Err() != nil:
		return fault.Wrap(fault.Canceled, "the prediction was canceled", err)
	}
	return fault.Wrap(fault.Content, "ONNX Runtime could not compute this input; check its shape and values", err)
}

// values are released by hand: the library knows no garbage collection.
type values []runtimelib.Value

func (all values) release() {
	for _, v := range all {
		// One that the binding could not make is a nil pointer of its type.
		if r := reflect.ValueOf(v); r.IsValid() && !r.IsNil() {
			_ = v.Destroy()
		}
	}
}
