package inference

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/tensor"
)

// How long the versions that one load compiles may take to warm up together: a start
// waits for that, and so does whoever has another model loaded. Those of the default
// tenant, whose models the operator chose, have as much as all others together.
const (
	warmDefault = 10 * time.Second
	warmTenant  = time.Second // those of each other
	warmOthers  = 10 * time.Second
)

// warmth is what the warm-ups of one load have taken.
type warmth struct {
	byTenant map[string]time.Duration
	others   time.Duration // of all but the default tenant
}

// left returns how long the next version of a tenant may take.
func (w *warmth) left(tenant string) time.Duration {
	if tenant == identity.DefaultTenant {
		return warmDefault - w.byTenant[tenant]
	}
	return min(warmTenant-w.byTenant[tenant], warmOthers-w.others)
}

func (w *warmth) spend(tenant string, took time.Duration) {
	w.byTenant[tenant] += took
	if tenant != identity.DefaultTenant {
		w.others += took
	}
}

// warm has a version predict while there is time for that, so that the first
// request finds everything built. One that does not become warm is served as it is,
// with a warning. The error is of one whose answers are none. Who asks for a load may go
// away; what is half loaded would be of no use.
//
//nolint:contextcheck,nolintlint // see above; the first works at the callers
func (w *warmth) warm(v *version, cfg *Config) error {
	left := w.left(v.tenant)
	if left <= 0 {
		v.warnings = append(v.warnings, "its first prediction may take longer: other models took the time for predictions before the first request")
		return nil
	}
	began := cfg.Now()
	defer func() { w.spend(v.tenant, cfg.Now().Sub(began)) }()
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	if err := v.warm(ctx); err != nil {
		v.warnings = append(v.warnings, err.Error())
		return nil
	}
	return v.probe(ctx)
}

// warm predicts with the example of the contract. A model of which no example can be
// made stays cold.
func (v *version) warm(ctx context.Context) error {
	example := v.schema.Example()
	if example == nil {
		return nil
	}
	call := v.newCall()
	if err := v.schema.Decode(ctx, call.batch, example, 1); err != nil {
		return notWarm(err)
	}
	if err := v.runCold(ctx, call.batch.Inputs, call.outputs); err != nil {
		return err
	}
	call.keep()
	return nil
}

// probe tries whether answers can be made of what the model gives: see schema.Probe.
func (v *version) probe(ctx context.Context) error {
	outputs := v.newCall().outputs
	doubt, err := v.schema.Probe(ctx, func(inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		return outputs, v.runCold(ctx, inputs, outputs)
	})
	if doubt != "" {
		v.warnings = append(v.warnings, doubt)
	}
	return err
}

func (v *version) runCold(ctx context.Context, inputs, outputs []*tensor.Tensor) error {
	p, bounded := v.program.(Warmer)
	if !bounded {
		return notWarm(v.program.Run(ctx, inputs, outputs))
	}
	enough, err := p.Warm(ctx, inputs, outputs)
	if !enough {
		return errors.New("its first prediction may take longer: the example row of its contract takes more memory than a prediction before the first request may")
	}
	return notWarm(err)
}

// notWarm says of an error of the engine or the contract whose row it is of.
func notWarm(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the example row of its contract does not predict: %w", err)
}
