// Package inference is the one way to a prediction. A Catalog knows the models
// that are loaded, and which tenant sees which; Open checks that one exists for
// the caller and that its own rules let the caller use it, and only then gives
// a Call; and only a Call can predict. Every protocol goes this way, so that none can skip a step.
//
// It knows neither transports nor how a model's file is compiled: the engine
// comes in through Config.Compile.
package inference

import (
	"context"
	"io/fs"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// Program is a compiled model. It is safe for concurrent use.
type Program interface {
	// Inputs and Outputs describe the model's contract, in the graph's order.
	Inputs() []tensor.Spec
	Outputs() []tensor.Spec
	// Run computes the outputs, whose memory it uses again. Faults: Content
	// when an input does not fit its spec, Timeout and Canceled from ctx.
	Run(ctx context.Context, inputs, outputs []*tensor.Tensor) error
}

// Sized is a program that knows what it takes in memory beside its file: in bytes.
type Sized interface{ Memory() int }

// Warmer is a program whose first run can be one of bounded memory. It reports false
// where the model needs more than that.
type Warmer interface {
	Warm(ctx context.Context, inputs, outputs []*tensor.Tensor) (enough bool, err error)
}

// Compile makes a program of the bytes of an ONNX file by the engine that its
// owner chose, with warnings about what it found odd and could accept. Faults:
// Content, which says why the model cannot be served.
type Compile func(data []byte, engine schema.Engine) (program Program, warnings []string, err error)

// Observe is told of one finished prediction of a caller of the tenant.
type Observe func(tenant string, rows int, latency time.Duration, err error)

// Config is what a Catalog is made of. FS, Compile and Now are required.
type Config struct {
	// FS holds NAME/model.yaml and NAME/VERSION/model.onnx for the default
	// tenant, and the same in @TENANT for every other. A model.onnx at the top
	// makes everything but those one model with one version, of the name
	// DefaultModel or else "model". An access_test.yaml
	// beside a model.yaml must hold before a version is served.
	FS fs.FS
	// TenantExists reports whether there is such a tenant. Nil: there is none
	// but the default.
	TenantExists func(ctx context.Context, name string) (bool, error)
	// Compile is the engine.
	Compile Compile
	// DefaultModel is served where a request of the default tenant names no
	// model. Empty, and for every other tenant: its only model, when there is
	// exactly one.
	DefaultModel string
	// SkipBad leaves out models of the default tenant that cannot be served instead
	// of failing; those of other tenants are always left out.
	SkipBad bool
	// MaxBytes bounds one model file; zero means modelstore.DefaultMaxBytes.
	MaxBytes int64
	// MaxMemory bounds what all loaded models take together, by an estimate from
	// the sizes of their files, in bytes; 0 is no bound.
	MaxMemory int64
	// MaxTenantMemory bounds what those of one tenant take, but for the default one;
	// 0 is a quarter of MaxMemory.
	MaxTenantMemory int64
	// Audit keeps a record of each prediction before its answer is given out.
	// Nil keeps none.
	Audit audit.Recorder
	// InputHash returns a keyed hash of what a tenant asks a model, for the record; nil
	// where records have none. Faults: Unavailable.
	InputHash func(ctx context.Context, tenant string, inputs []*tensor.Tensor) (string, error)
	// Pins are the versions that models were rolled back to; nil keeps them in
	// memory alone.
	Pins Pins
	// Admit is called once for each version that is served, before its first call. Nil:
	// every call may go ahead.
	Admit Admit
	// Observer is called once for each version that is served; what it returns is
	// called after each prediction. The model is named by its folder, so that
	// those of two tenants differ. Nil: nobody watches.
	Observer func(model, version string) Observe
	// Now is the clock.
	Now func() time.Time
}
